"""Register blocks of outer-product kernels: how many pixels and vectors of filters each SIMD path keeps in registers.

Plain arithmetic over shapes. A block of `pixels x blocks` takes, per word of the reduction, `blocks` loads of weights,
`pixels` broadcasts and `pixels * blocks` multiplications; a core starts two multiplications a cycle and needs several
in flight to hide the latency of each. The costs are cycles of one word.
"""

from __future__ import annotations

from hapir.lowering.kernel.contraction import Contraction
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
    wide, superblock = min(
        (
            (candidate, -(-vectors // strips))
            for strips in range(1, vectors + 1)
            if -(-vectors // strips) <= WIDEST["avx512"]
            for candidate in _pixels("avx512", pixels, -(-vectors // strips), contraction)
        ),
        key=lambda c: (_cost(pixels, c[0], c[1], -(-vectors // c[1])), -c[1]),
    )
    registers = {"avx512": (wide, superblock)}
    for path in ("avx2", "neon", "c"):
        options = [
            (candidate, blocks)
            for blocks in range(1, min(superblock, WIDEST[path]) + 1)
            if superblock % blocks == 0
            for candidate in _pixels(path, pixels, blocks, contraction)
        ]
        registers[path] = min(options, key=lambda c: (_cost(pixels, *c, superblock // c[1]), c[1]))
    return Tiles("filters", superblock, registers)


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
