"""Weights that are stored as codes: register blocks that look them up and multiply bytes, and strips made of bytes.

A vector of codes serves several words; each is a shift and a lookup before its products, little beside the products of
several pixels. The last vector of a run may hold fewer words, and no more are multiplied.
"""

from __future__ import annotations

from collections.abc import Callable

from hapir.lowering.kernel.contraction_bits import Lookup
from hapir.lowering.kernel.geometry import LANES
from hapir.targets.c.simd.primitive import Primitive
from hapir.targets.c.text import c, listed, sink, source
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


def unpack_strip(contraction: Lookup, path: str) -> Primitive:
    """A strip of codes as the bytes that they mean, in the order in which blocks of bytes read them."""
    name = f"unpack__{contraction.name}"
    parameters = [source(contraction.w, "w"), sink("int32_t", "strip"), "int32_t runs", "int32_t words"]
    head = listed(f"HAPIR__INLINE void {name}(", [*parameters, "int32_t blocks"], ")")
    unpacked = _unpacked_plain if path == "c" else _unpacked_vectors

    def turns(words: str, count: int) -> str:
        return c(
            """
            for (int32_t i = 0; i < $words; ++i, strip += $count * blocks * $lanes) {
                for (int32_t j = 0; j < blocks; ++j, w += $vector) {
                    $body
                }
            }
            """,
            words=words,
            count=count,
            lanes=LANES,
            vector=contraction.per_vector,
            body=unpacked(contraction, count),
        )

    whole = contraction.last == contraction.words
    loops = [
        turns("words" if whole else "words - 1", contraction.words),
        *([] if whole else [turns("1", contraction.last)]),
    ]
    start = [] if path == "c" and _counted(contraction) else [_table(contraction)]
    start += [] if path == "c" else ["const hapir__i32x16 table = i32x16__load(levels);"]
    text = c(
        """
        $head
        {
            $start
            for (int32_t r = 0; r < runs; ++r) {
                $loops
            }
        }
        """,
        head=head,
        start="\n".join(start),
        loops="\n".join(loops),
    )
    needs = ["i32x16__load", "i32x16__store", "i32x16__shift", f"i8x64__lookup{contraction.bits}", "i8x64__merge3"]
    return Primitive(name, {path: text}, () if path == "c" else tuple(needs))


def _unpacked_vectors(contraction: Lookup, count: int) -> str:
    """So many words of 16 filters, a vector each."""
    lines = [
        f"const hapir__i32x16 v{n} = i32x16__load({plus('w', n * LANES)});" for n in range(_vectors(contraction, count))
    ]
    for k in range(count):
        value = f"i8x64__lookup{contraction.bits}(table, {_codes(contraction.bits, k, 'v{}')})"
        place = plus(plus("strip", k, f"blocks * {LANES}"), 1, f"j * {LANES}")
        lines.append(f"i32x16__store({place}, {value});")
    return "\n".join(lines)


def _unpacked_plain(contraction: Lookup, count: int) -> str:
    """So many words of 16 filters, byte by byte."""
    lines = ["const uint32_t *codes = w;"]
    for k in range(count):
        place = plus(plus("strip", k, f"blocks * {LANES}"), 1, f"j * {LANES}")
        levels = [_level(contraction, _plain_code(contraction.bits, k, b, "n")) for b in range(4)]
        lines += ["{", f"    int8_t *to = (int8_t *)({place});", f"    for (int32_t n = 0; n < {LANES}; ++n) {{"]
        lines += [f"        to[4 * n + {b}] = (int8_t)({level});" for b, level in enumerate(levels)]
        lines += ["    }", "}"]
    return "\n".join(lines)


def _vectors(contraction: Lookup, count: int) -> int:
    """The vectors that hold so many words."""
    return contraction.vectors if count > 4 else -(-count // 2) if contraction.bits == 3 else 1


def _counted(contraction: Lookup) -> bool:
    """Whether levels are neighbours, so that a code is counted from the first."""
    levels = contraction.levels
    return levels == tuple(range(levels[0], levels[0] + len(levels)))


def _level(contraction: Lookup, code: str) -> str:
    """The level of a code, on plain C."""
    return f"(int32_t)({code}) + {contraction.levels[0]}" if _counted(contraction) else f"levels[{code}]"


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
            for n in range(_vectors(contraction, count))
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
    sums = pixels * blocks * LANES

    def words(count: int) -> str:
        lines: list[str] = []
        for k in range(count):
            for b in range(4):
                level, place = _level(contraction, _plain_code(contraction.bits, k, b, "j")), 4 * k + b
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

    start = [f"int32_t total[{sums}] = {{0}};", *([] if _counted(contraction) else [_table(contraction)])]
    return "\n".join((*start, _loops(contraction, words), "memcpy(sums, total, sizeof(total));"))


def _plain_code(bits: int, word: int, byte: int, lane: str) -> str:
    """The code of a word's byte in a lane."""

    def field(number: int, low: int, width: int) -> str:
        place = f"codes[{number * LANES} + {lane}]" if number else f"codes[{lane}]"
        shift = 8 * byte + low
        return f"({place} >> {shift} & {(1 << width) - 1}U)" if shift else f"({place} & {(1 << width) - 1}U)"

    if bits != 3:
        return field(0, bits * word, bits)
    if word < 6:
        return field(word // 2, word % 2 * 3, 3)
    return f"({field(word - 6, 6, 2)} | {field(2, word, 1)} << 2)"
