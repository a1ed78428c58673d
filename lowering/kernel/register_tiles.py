"""Register blocks of outer-product kernels: what they cost on a host, and which cost least. Pure functions of shapes.

A block of `pixels x blocks` takes, per word of the reduction, `blocks` vectors of weights, `pixels` broadcasts and
`pixels * blocks` products. A layer waits for what it needs most of: products on the vector ports, loads, the latency of
its chains, or a level of the memory for weights and inputs. These overlap, but not wholly: the cycles are a norm of all
of them, plus what each block takes to store and finish its sums. The constants were fitted to the printed kernels on
one core (Zen 5, gcc 12).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.contraction_bits import Bits, Lookup
from hapir.lowering.kernel.geometry import LANES, Tiles
from hapir.lowering.kernel.host import DEFAULT, TYPICAL, Host
from hapir.lowering.kernel.offers import Bound, Cost

WORD_BYTES = 4
OVERLAP = 6
"""The norm's exponent: two needs of equal length take 12 % longer together."""
LOAD_RATE = 0.9
"""Of the loads that could begin, those that do beside products."""
STREAM_RATE = 0.65
"""Of the bandwidth of a level, what products are fed at."""
WINDOW = 448
"""Instructions in flight: what a core may run ahead into the next block."""
BLOCK_CYCLES, RUN_CYCLES, VECTOR_CYCLES, ROW_CYCLES = 4.0, 6.0, 1.2, 10.0
"""To begin a block and each run of its windows, to store and finish each of its vectors of sums, to begin a row."""
WIDEST, NARROW_PIXELS = 4, 3
"""The most vectors of filters of a block of more pixels than the second: past these, GCC spills sums of bytes."""
WIDEST_OF_FEW = 8
"""The most vectors of filters of a block of few pixels."""


Order = Literal["filters", "rows"]


@dataclass(frozen=True)
class Loops:
    """An outer-product layer in numbers: rows of the result over the batch and their columns, groups and the filters of
    each, words of a window, bytes of the whole input, and the runs that a window is read in."""

    rows: int
    columns: int
    groups: int
    filters: int
    words: int
    input_bytes: int
    runs: int = 1

    @property
    def vectors(self) -> int:
        """Vectors of filters of a group."""
        return -(-self.filters // LANES)


LOOKUP_SHARE = 0.2
"""Of a lookup's time, what it takes from the ports of multiplications."""


@dataclass(frozen=True)
class Product:
    """Register operations of one product of a vector of 16 lanes: multiplications and others; and what each vector of
    weights and each broadcast take beside that, with the registers they keep. A word may take several loads of either.
    """

    multiply: float
    other: float = 0
    per_weights: float = 0
    per_input: float = 0
    registers: int = 0
    weight_loads: int = 1
    input_loads: float = 1
    shared: float = 0
    """Of what each vector of weights takes, the part that waits for the ports of multiplications."""


def product_of(contraction: Contraction, host: Host) -> Product:
    """What a product of a contraction takes on a host: the texts of `targets/c/simd/base.py` in instructions."""
    n = host.registers_per_vector
    name = contraction.name
    if isinstance(contraction, Lookup) and host.path != "c":
        dot, words = _bytes(host, n, short=contraction.short), contraction.words
        lookups = words * (dot.per_weights + 3 * n)
        kept, taken = dot.registers + 2 * n, (contraction.vectors, words)
        shared = LOOKUP_SHARE * words * n
        return Product(words * dot.multiply, words * dot.other, lookups, words * dot.per_input, kept, *taken, shared)
    if isinstance(contraction, Bits):
        planes = (contraction.planes.bits, contraction.elements)
        counted = _counts(contraction.counts, host, n)
        return replace(counted, weight_loads=planes[0], input_loads=planes[1])
    if name in ("bf16", "bf16_odd") and host.path != "c":
        return _bf16(host, n)
    if host.path == "c" or name not in OUTER:
        lanes = LANES * contraction.elements
        return Product(lanes, lanes)
    if name == "f32":
        return Product(n, input_loads=0.25 if host.path == "neon" else 1)
    if name in ("u8_i8", "u8_i7"):
        return _bytes(host, n, short=name == "u8_i7")
    if (host.path == "avx512" and host.has("avx512_vnni")) or (host.path == "avx2" and host.has("avx_vnni")):
        return Product(n)
    return Product(2 * n, input_loads=0.25) if host.path == "neon" else Product(n, n, registers=1)


def _counts(counts: int, host: Host, n: int) -> Product:
    """Words combined, counted and added: with an instruction that counts, or by lookups of both halves of each byte."""
    if host.path == "c":
        return Product(LANES * counts, 14 * LANES * counts)
    if host.path == "neon" or host.has("avx512_vpopcntdq"):
        return Product(counts * n, 2 * counts * n)
    return Product(2 * counts * n, 6 * counts * n, registers=2 * n)


def _bf16(host: Host, n: int) -> Product:
    """One instruction, or multiply-adds of both halves, each widened once for all products of its word."""
    if host.has("bf16") if host.path == "neon" else host.path == "avx512" and host.has("avx512_bf16"):
        return Product(n)
    return Product(2 * n, per_weights=2 * n, per_input=2, registers=n + 1)


def _bytes(host: Host, n: int, *, short: bool) -> Product:
    """Products of bytes, `short` where two of them fit 16 bits."""
    if (host.path == "avx512" and host.has("avx512_vnni")) or (host.path == "avx2" and host.has("avx_vnni")):
        return Product(n)
    if host.path == "neon":
        if host.has("i8mm"):
            return Product(n, input_loads=0.25)
        if host.has("dotprod"):
            return Product(n, per_weights=n, per_input=0.25, registers=n + 1, input_loads=0.25)
        return Product(4 * n, per_weights=2 * n, per_input=0.5, registers=7, input_loads=0.5)
    return Product(2 * n, n, registers=1) if short else Product(2 * n, 2 * n, 3 * n, 2, registers=2 * n)


# --- costs ----------------------------------------------------------------------------------------------------------


def cost_of(loops: Loops, contraction: Contraction, tiles: Tiles, host: Host) -> Cost:
    """Cycles of a layer with given tiles on the host's path."""
    return _cost(loops, contraction, (*tiles.registers[host.path], tiles.order), host)


def _cost(loops: Loops, contraction: Contraction, block: tuple[int, int, Order], host: Host) -> Cost:
    pixels, blocks, order = block
    product = product_of(contraction, host)
    strips = loops.groups * -(-loops.vectors // blocks)
    whole, rest = divmod(loops.columns, pixels)
    parts: dict[str, float] = {"compute": 0.0, "load": 0.0, "latency": 0.0}
    core, overhead = 0.0, strips * loops.rows * ROW_CYCLES
    for count, size in ((whole, pixels), (1 if rest else 0, rest)):
        total = count * loops.rows * strips
        if not total:
            continue
        word = _word(size, blocks, loops.words, product, host)
        core += total * loops.words * _together(word.values())
        for name, cycles in word.items():
            parts[name] += total * loops.words * cycles
        begun = BLOCK_CYCLES + RUN_CYCLES * loops.runs
        overhead += total * (begun + VECTOR_CYCLES * size * blocks * host.registers_per_vector)
    traffic = _traffic(loops, (whole + bool(rest), blocks, strips, order), host)
    parts |= traffic
    bound = max(parts, key=lambda name: parts[name])
    return Cost(_together((core, *traffic.values())) + overhead, cast(Bound, bound), parts)


def _together(needs: Iterable[float]) -> float:
    """Cycles of needs that overlap."""
    return sum(need**OVERLAP for need in needs) ** (1 / OVERLAP)


def _word(pixels: int, blocks: int, words: int, product: Product, host: Host) -> dict[str, float]:
    """What one word of the reduction takes of one block, in cycles."""
    n, ports = host.registers_per_vector, host.ports
    products = pixels * blocks
    multiply = products * product.multiply
    vector = multiply + products * product.other + blocks * product.per_weights + pixels * product.per_input
    multiply += blocks * product.shared
    loads = blocks * n * product.weight_loads + pixels * product.input_loads
    instructions = vector + loads + 2
    ahead = 1 + min(1.0, WINDOW / (instructions * words)) if words else 1.0
    return {
        "compute": max(multiply / ports.multiply, vector / ports.vector, instructions / ports.issue),
        "load": loads / (LOAD_RATE * ports.load),
        "latency": host.latency / ahead,
    }


def _traffic(loops: Loops, block: tuple[int, int, int, Order], host: Host) -> dict[str, float]:
    """Cycles of the levels behind the first, by level: weights read by every block, and inputs by every strip.

    Each comes from where all of it lies once, and again from where what is used next lies: with strips of filters
    outermost the weights of one strip, with rows outermost the rows of one window.
    """
    tiles, blocks, strips, order = block
    panel = loops.words * blocks * LANES * WORD_BYTES
    weights, again = strips * panel, loops.rows * tiles - 1
    inputs, passes = loops.input_bytes, strips / loops.groups
    near = min(inputs, inputs / loops.rows * loops.runs)  # the rows of a window
    found: dict[str, float] = {}
    streams = (
        (host.level_of(weights), weights),
        (host.level_of(panel if order == "filters" else weights), again * weights),
        (host.level_of(inputs), inputs),
        (host.level_of(inputs if order == "filters" else near), inputs * (passes - 1)),
    )
    for level, size in streams:
        if level is not host.levels[0]:
            found[level.name] = found.get(level.name, 0.0) + size / (STREAM_RATE * level.bytes_per_cycle)
    return found


# --- tiles ----------------------------------------------------------------------------------------------------------


def default_tiles(pixels: int, filters: int, contraction: Contraction) -> Tiles:
    """The blocks for rows of `pixels` results of `filters` (one group), where no host is known and nothing else."""
    loops = Loops(1, pixels, 1, filters, USUAL_WORDS, 0)
    return tiles_for(loops, contraction, DEFAULT)


def with_pixels(tiles: Tiles, pixels: int, filters: int, contraction: Contraction) -> Tiles:
    """The blocks for rows of another length, over weights that are packed already."""
    if tiles.decided:
        return tiles
    if isinstance(contraction, Bits):
        return bit_tiles_within(tiles, pixels, contraction)
    loops = Loops(1, pixels, 1, filters, USUAL_WORDS, 0)
    hosts = {**TYPICAL, DEFAULT.path: DEFAULT}
    return replace(tiles, registers={path: _within(tiles, loops, contraction, host) for path, host in hosts.items()})


def _within(tiles: Tiles, loops: Loops, contraction: Contraction, host: Host) -> tuple[int, int]:
    """The best block whose vectors divide those that the weights are packed for."""
    fitting = [b for b in _blocks(loops, tiles.superblock, contraction, host) if tiles.superblock % b[1] == 0]
    return min(fitting, key=lambda b: (_cost(loops, contraction, (*b, tiles.order), host).cycles, b[1]))


USUAL_WORDS = 144
"""Words of a window of which nothing is known: 3 x 3 x 16 floats."""


def tiles_for(
    loops: Loops, contraction: Contraction, host: Host, asked: Mapping[str, int | str] | None = None
) -> Tiles:
    """The blocks of every path: those of the host for itself, of typical hosts for the others.

    `asked` may hold `pixels`, `blocks` and `order` of the host's own path. Raises ValueError where the block that is
    asked for is larger than the layer.
    """
    return best_tiles(loops, contraction, host, 1, asked)[0]


def best_tiles(
    loops: Loops, contraction: Contraction, host: Host, count: int, asked: Mapping[str, int | str] | None = None
) -> list[Tiles]:
    """So many tiles that differ, the one that should be fastest first, as `tiles_for` otherwise."""
    said = asked or {}
    for name, most in (("pixels", loops.columns), ("blocks", loops.vectors)):
        value = said.get(name)
        if isinstance(value, int) and value > most:
            what = "pixel{} in a row" if name == "pixels" else "vector{} of 16 filters in a group"
            raise ValueError(f"`{name}` is {value}, and the layer has {most} {what.format('' if most == 1 else 's')}")
    if isinstance(contraction, Bits):
        return [_asked(bit_tiles(loops.columns, loops.filters, contraction), host, said)]
    own = [block for block in _blocks(loops, loops.vectors, contraction, host) if _is(block, said)]
    # what the registers do not hold is taken as it was asked for: the compiler will spill
    own = own or [(cast(int, said.get("pixels", 1)), cast(int, said.get("blocks", 1)))]
    orders: list[Order] = [cast(Order, said["order"])] if "order" in said else ["filters", "rows"]
    blocked: list[tuple[int, int, Order]] = [
        (pixels, blocks, order) for pixels, blocks in own for order in _different(orders, loops, blocks)
    ]

    def cycles(block: tuple[int, int, Order]) -> tuple[float, int]:
        return _cost(loops, contraction, block, host).cycles, -block[1]

    return [_on_all_paths(loops, contraction, block, host) for block in sorted(blocked, key=cycles)[:count]]


def _different(orders: list[Order], loops: Loops, blocks: int) -> list[Order]:
    """The orders that are not the same: of one strip of filters, or of one row, there is one."""
    return orders[:1] if loops.rows == 1 or (loops.groups == 1 and loops.vectors <= blocks) else orders


def _on_all_paths(loops: Loops, contraction: Contraction, block: tuple[int, int, Order], host: Host) -> Tiles:
    pixels, blocks, order = block
    tiles = Tiles(order, blocks, {host.path: (pixels, blocks)})
    registers = {
        path: (pixels, blocks) if path == host.path else _within(tiles, loops, contraction, like)
        for path, like in TYPICAL.items()
    }
    return replace(tiles, registers=registers)


def _asked(tiles: Tiles, host: Host, said: Mapping[str, int | str]) -> Tiles:
    """Tiles with what is asked for of the host's own path."""
    own = tiles.registers[host.path]
    pixels, blocks = cast(int, said.get("pixels", own[0])), cast(int, said.get("blocks", own[1]))
    superblock = blocks if "blocks" in said else tiles.superblock
    registers = {path: (p, b if superblock % b == 0 else 1) for path, (p, b) in tiles.registers.items()}
    return Tiles(cast(Order, said.get("order", tiles.order)), superblock, {**registers, host.path: (pixels, blocks)})


def _blocks(loops: Loops, vectors: int, contraction: Contraction, host: Host) -> Iterator[tuple[int, int]]:
    """The blocks whose sums, weights and one broadcast fit the registers; one of a single sum always does."""
    n, extra = host.registers_per_vector, product_of(contraction, host).registers
    if host.path == "c":
        yield from ((pixels, 1) for pixels in range(1, min(PLAIN_PIXELS, loops.columns) + 1))
        return
    yield 1, 1
    for blocks in range(1, min(vectors, WIDEST_OF_FEW) + 1):
        for pixels in range(1, loops.columns + 1):
            if pixels * blocks * n + beside(pixels, blocks, contraction, host) + extra > host.registers:
                break
            if (pixels, blocks) != (1, 1) and (blocks <= WIDEST or pixels <= NARROW_PIXELS):
                yield pixels, blocks


def beside(pixels: int, blocks: int, contraction: Contraction, host: Host) -> int:
    """Registers that a word takes beside the sums, as the texts of each path load it."""
    weights = blocks * host.registers_per_vector
    if host.path == "avx512" and isinstance(contraction, Lookup):  # codes stay while their words are looked up
        return 2 * weights + 1
    if host.path == "neon" and not isinstance(contraction, Lookup):
        return weights + pixels
    return min(pixels, weights) + 1 if host.path == "avx2" and contraction.name in OUTER else weights + 1


OUTER = ("f32", "u8_i8", "u8_i7", "i16", "i16_modular")
"""Contractions whose every register has a name on all paths."""


PLAIN_PIXELS = 2
"""Pixels of a block in plain C: its sums are an array per pixel, which compilers keep in registers or not."""


def _is(block: tuple[int, int], said: Mapping[str, int | str]) -> bool:
    return said.get("pixels", block[0]) == block[0] and said.get("blocks", block[1]) == block[1]


# --- counts of bits -------------------------------------------------------------------------------------------------

COUNTS = {"avx2": 2, "neon": 4, "c": 2}
"""Vectors of counts that fit the registers beside the planes of weights and of one pixel."""
COUNTED: Mapping[int, Mapping[int, int]] = {
    1: {4: 4, 3: 5, 2: 8, 1: 14},
    2: {2: 4, 1: 8},
    3: {2: 3, 1: 5},
    4: {2: 2, 1: 4},
}
"""On AVX-512: pixels by vectors of filters, by sums per result. Measured on one core (Zen 5, gcc 12)."""
COUNTED_ALONE = {1: 4, 2: 4, 3: 2, 4: 2}
"""Vectors of filters beside a single pixel, by sums per result."""


def bit_tiles(pixels: int, filters: int, contraction: Bits) -> Tiles:
    """The blocks for counts of bits: few sums, each of which takes three instructions per word and pair of planes."""
    vectors, sums = -(-filters // LANES), min(contraction.sums_per_result, 4)
    widest = COUNTED_ALONE[sums] if pixels == 1 else max(COUNTED[sums])
    superblock = -(-vectors // -(-vectors // widest))
    return bit_tiles_within(Tiles("filters", superblock, {}), pixels, contraction)


def bit_tiles_within(tiles: Tiles, pixels: int, contraction: Bits) -> Tiles:
    """The blocks for rows of so many pixels, over weights that are packed already."""
    sums = min(contraction.sums_per_result, 4)
    blocks = tiles.superblock
    if pixels > 1 and blocks not in COUNTED[sums]:
        blocks = max(b for b in COUNTED[sums] if tiles.superblock % b == 0)
    registers = {"avx512": (_even(pixels, COUNTED[sums].get(blocks, 1)), blocks)}
    registers |= {path: (_even(pixels, most // sums), 1) for path, most in COUNTS.items()}
    return replace(tiles, registers=registers)


def _even(pixels: int, most: int) -> int:
    """At most so many pixels at a time, the same of them each time where that goes."""
    return -(-pixels // -(-pixels // max(1, min(most, pixels))))
