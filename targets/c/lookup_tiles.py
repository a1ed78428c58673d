"""Register blocks over weights that are stored as codes: looked up in registers, then multiplied as bytes.

A vector of codes serves several words; each is a shift and a lookup before its products, little beside the products of
several pixels. The last vector of a run may hold fewer words, and no more are multiplied.
"""

from __future__ import annotations

from collections.abc import Callable

from hapir.lowering.kernel.contraction_bits import Lookup
from hapir.lowering.kernel.geometry import LANES
from hapir.targets.c.simd.primitive import Primitive
from hapir.targets.c.text import c, listed
from hapir.targets.c.tile_text import plus, tile_function, window_loops


def lookup_tile(contraction: Lookup, path: str, pixels: int, blocks: int) -> Primitive:
    """The register block of a contraction on a path."""
    name = f"tile__{contraction.name}_{pixels}x{blocks}"
    if path == "c":
        return Primitive(name, {path: tile_function(name, contraction, _plain(contraction, pixels, blocks))})
    needs = ["i32x16__zero", "i32x16__word", "i32x16__load", "i32x16__store", "i32x16__shift"]
    needs += [_dot(contraction), f"i8x64__lookup{contraction.bits}", "i8x64__merge3", "hapir__keep"]
    text = tile_function(name, contraction, _vector(contraction, path, pixels, blocks))
    return Primitive(name, {path: text}, tuple(needs))


def _dot(contraction: Lookup) -> str:
    return "i32x16__dot_u8_i7" if contraction.short else "i32x16__dot_u8_i8"


def _table(contraction: Lookup) -> str:
    """The levels over and over: 64 bytes."""
    count = 1 << contraction.bits
    levels = (*contraction.levels, *(0 for _ in range(count - len(contraction.levels))))
    return listed("static const int8_t levels[64] = {", [str(level) for level in levels * (64 // count)], "};")


def _vector(contraction: Lookup, path: str, pixels: int, blocks: int) -> str:
    cells = [(i, j) for i in range(pixels) for j in range(blocks)]
    start = [_table(contraction), "const hapir__i32x16 table = i32x16__load(levels);"]
    start += [f"hapir__i32x16 s{i}_{j} = i32x16__zero();" for i, j in cells]
    stores = [f"i32x16__store({plus('sums', n * LANES)}, s{i}_{j});" for n, (i, j) in enumerate(cells)]

    def words(count: int) -> str:
        lines = [
            f"const hapir__i32x16 v{n}_{j} = i32x16__load({plus('w', (j * contraction.vectors + n) * LANES)});"
            for j in range(blocks)
            for n in range(contraction.vectors if count > 4 else -(-count // 2) if contraction.bits == 3 else 1)
        ]
        for k in range(count):
            lines.append("{")
            for j in range(blocks):
                codes = _codes(contraction.bits, k, f"v{{}}_{j}")
                lines.append(f"    const hapir__i32x16 w{j} = i8x64__lookup{contraction.bits}(table, {codes});")
            for i in range(pixels):
                lines.append(
                    f"    const hapir__i32x16 x{i} = i32x16__word({plus(plus('from', i, 'x_stride'), 4 * k)});"
                )
                lines += [f"    s{i}_{j} = {_dot(contraction)}(s{i}_{j}, x{i}, w{j});" for j in range(blocks)]
            lines.append("}")
        if path == "avx512":
            lines.append("HAPIR__FORGET;")
        return "\n".join(lines)

    return "\n".join((*start, _loops(contraction, words), *stores))


def _codes(bits: int, word: int, vector: str) -> str:
    """The vector whose bytes hold the codes of a word in their low bits; `vector` names vector {} of codes."""

    def shifted(number: int, by: int) -> str:
        name = vector.format(number)
        return f"i32x16__shift({name}, {by})" if by else name

    if bits != 3:
        return shifted(0, bits * word)
    if word < 6:
        return shifted(word // 2, word % 2 * 3)
    return f"i8x64__merge3({shifted(word - 6, 6)}, {shifted(2, word - 2)})"


def _loops(contraction: Lookup, words: Callable[[int], str]) -> str:
    """Whole vectors of codes, and the last one of a run where it holds fewer words."""
    last = words(contraction.last) if contraction.last < contraction.words else ""
    return window_loops(contraction, words(contraction.words), last=last)


def _plain(contraction: Lookup, pixels: int, blocks: int) -> str:
    """One lane after the other; neighbouring levels are counted instead of looked up, which compilers vectorize."""
    levels, sums = contraction.levels, pixels * blocks * LANES
    counted = levels == tuple(range(levels[0], levels[0] + len(levels)))

    def words(count: int) -> str:
        lines: list[str] = []
        for k in range(count):
            for b in range(4):
                code = _plain_code(contraction.bits, k, b)
                level = f"(int32_t)({code}) + {levels[0]}" if counted else f"levels[{code}]"
                place = 4 * k + b
                lines.append(f"{{\n    const int32_t v = {level};")
                for i in range(pixels):
                    target = f"total[{i * blocks * LANES} + k * {LANES} + j]"
                    lines.append(f"    {target} += (int32_t)({plus('from', i, 'x_stride')})[{place}] * v;")
                lines.append("}")
        return c(
            """
            for (int32_t k = 0; k < $blocks; ++k) {
                const uint32_t *codes = w + k * $vector;
                for (int32_t j = 0; j < $lanes; ++j) {
                    $lines
                }
            }
            """,
            blocks=blocks,
            vector=contraction.per_vector,
            lanes=LANES,
            lines="\n".join(lines),
        )

    start = [f"int32_t total[{sums}] = {{0}};", *([] if counted else [_table(contraction)])]
    return "\n".join((*start, _loops(contraction, words), "memcpy(sums, total, sizeof(total));"))


def _plain_code(bits: int, word: int, byte: int) -> str:
    """The code of a word's byte in lane j."""

    def field(number: int, low: int, width: int) -> str:
        place = f"codes[{number * LANES} + j]" if number else "codes[j]"
        shift = 8 * byte + low
        return f"({place} >> {shift} & {(1 << width) - 1}U)" if shift else f"({place} & {(1 << width) - 1}U)"

    if bits != 3:
        return field(0, bits * word, bits)
    if word < 6:
        return field(word // 2, word % 2 * 3, 3)
    return f"({field(word - 6, 6, 2)} | {field(2, word, 1)} << 2)"
