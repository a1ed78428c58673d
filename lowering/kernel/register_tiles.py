"""Register blocks of outer-product kernels: how many pixels and vectors of filters each SIMD path keeps in registers.

Plain arithmetic over shapes. A block of `pixels x blocks` takes, per word of the reduction, `blocks` loads of weights,
`pixels` broadcasts and `pixels * blocks` multiplications; a core starts two multiplications a cycle and needs several
in flight to hide the latency of each. The costs are cycles of one word.
"""

from __future__ import annotations

from hapir.dialects.kernel import PATHS
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.contraction_bits import Bits
from hapir.lowering.kernel.program import LANES, Tiles

ACCUMULATORS = {"avx512": 28, "avx2": 6, "neon": 6, "c": 2}
"""Vectors of 16 sums that fit the registers beside weights and broadcasts: of 32, 16 / 2, 32 / 4; in C, a few."""
WIDEST = {"avx512": 8, "avx2": 2, "neon": 2, "c": 1}
"""The most vectors of filters of a block."""
LATENCY = 4.0
"""Cycles of a chain of one multiplication."""


def default_tiles(pixels: int, filters: int, contraction: Contraction) -> Tiles:
    """The blocks for rows of `pixels` results of `filters` (one group)."""
    vectors = -(-filters // LANES)
    superblocks = dict.fromkeys(-(-vectors // strips) for strips in range(1, vectors + 1))
    options = [
        (size, blocks)
        for blocks in superblocks
        if blocks <= WIDEST["avx512"]
        for size in _pixels("avx512", pixels, blocks, contraction)
    ]
    _, superblock = min(options, key=lambda o: (_cost(pixels, *o, -(-vectors // o[1])), -o[1]))
    return with_pixels(Tiles("filters", superblock, {}), pixels, filters, contraction)


def with_pixels(tiles: Tiles, pixels: int, filters: int, contraction: Contraction) -> Tiles:
    """The blocks for rows of another length, over weights that are packed already."""
    strips = -(-filters // (LANES * tiles.superblock))
    registers: dict[str, tuple[int, int]] = {}
    for path in PATHS:
        options = [
            (size, blocks)
            for blocks in range(1, min(tiles.superblock, WIDEST[path]) + 1)
            if tiles.superblock % blocks == 0
            for size in _pixels(path, pixels, blocks, contraction)
        ]
        registers[path] = min(
            options, key=lambda o: (_cost(pixels, *o, strips * tiles.superblock // o[1]), -o[1] * o[0])
        )
    return Tiles(tiles.order, tiles.superblock, registers)


def _pixels(path: str, pixels: int, blocks: int, contraction: Contraction) -> range:
    """How many pixels can go with so many vectors."""
    most = ACCUMULATORS[path] // blocks
    if path == "avx2" and contraction.elements > 1:  # weights and inputs are unpacked: two registers more of each
        most = min(most, 4 // blocks)
    return range(1, max(1, min(most, pixels)) + 1)


def _cost(pixels: int, size: int, blocks: int, strips: int) -> float:
    """Cycles of a row per word: whole blocks, and one of the pixels that are left over."""
    whole, rest = divmod(pixels, size)
    return strips * (whole * _block(size, blocks) + (_block(rest, blocks) if rest else 0.0))


def _block(size: int, blocks: int) -> float:
    return max(size * blocks / 2, LATENCY, (size + blocks) / 2) + 0.75


COUNTS = {"avx512": 20, "avx2": 2, "neon": 4, "c": 2}
"""Vectors of counts that fit the registers beside the planes of weights and of one pixel."""


def bit_tiles(pixels: int, filters: int, contraction: Bits) -> Tiles:
    """The blocks for counts of bits: few sums, each of which takes three instructions per word and pair of planes."""
    vectors = -(-filters // LANES)
    widest = 1 if pixels > 4 and contraction.sums_per_result > 2 else 2 if pixels > 1 else 8
    superblock = -(-vectors // -(-vectors // widest))
    registers = {
        path: _bit_tile(pixels, superblock if path == "avx512" else 1, most // contraction.sums_per_result)
        for path, most in COUNTS.items()
    }
    return Tiles("filters", superblock, registers)


def _bit_tile(pixels: int, blocks: int, cells: int) -> tuple[int, int]:
    most = max(1, min(cells // blocks, 4 if blocks > 1 else 8, pixels))
    strips = -(-pixels // most)
    return -(-pixels // strips), blocks
