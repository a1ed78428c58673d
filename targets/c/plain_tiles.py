"""Register blocks in C for any machine, with vectors of 128 bits or without.

Floats use the vectors of GCC and Clang; bytes and halves on x86 the multiplications of SSE2, which every x86-64 has,
and with `HAPIR_PLAIN_C` loops over lanes for the compiler to vectorize, as all does elsewhere. A core without vectors
takes a few lanes at a time, each sum a variable. The sums are the same, on floats in the same order.
"""

from __future__ import annotations

from hapir.lowering.kernel.contraction import BF16, BF16_ODD, Contraction
from hapir.lowering.kernel.geometry import LANES
from hapir.targets.c.simd.primitive import Primitive
from hapir.targets.c.text import c
from hapir.targets.c.tile_text import plus, tile_function, whole_tile, window_loops

_PARTS = 4
"""Vectors of 128 bits for 16 lanes."""


def plain_tile(name: str, contraction: Contraction, pixels: int, blocks: int, product: str) -> Primitive:
    """The block of a contraction; `product` is the function that takes the place of `*`."""
    halves = contraction in (BF16, BF16_ODD)
    texts = [("" if halves else "defined(HAPIR__VECTORS)", _loops(name, contraction, pixels, blocks, product))]
    if not halves:
        texts.append(("", _scalars(name, contraction, pixels, blocks, product)))
    if not product and contraction.name in _FASTER:
        condition, text = _FASTER[contraction.name]
        texts.insert(0, (condition, text(name, contraction, pixels, blocks)))
    lines: list[str] = []
    for number, (condition, text) in enumerate(texts):
        lines += [f"#{'elif' if number else 'if'} {condition}" if condition else "#else", text]
    needs = ("vectors", "quarters", *(("hapir__bf16",) if halves else ()))
    return Primitive(name, {"c": "\n".join((*lines, "#endif"))}, needs)


def _floats(name: str, contraction: Contraction, pixels: int, blocks: int) -> str:
    """Vectors of four floats of GCC and Clang."""
    parts, rows = range(blocks * _PARTS), range(pixels)
    vector = "hapir__f32x4"
    word = [f"{vector} " + ", ".join(f"w{j}" for j in parts) + ";"]
    word += [f"memcpy(&w{j}, {plus('w', 4 * j)}, sizeof(w{j}));" for j in parts]
    for i in rows:
        word.append(f"const float x{i} = from[{_stride(i) if i else 0}];")
        word += [f"s{i}_{j} += x{i} * w{j};" for j in parts]
    return whole_tile(
        name,
        contraction,
        "\n".join(f"{vector} " + ", ".join(f"s{i}_{j} = {{0}}" for j in parts) + ";" for i in rows),
        "\n".join(word),
        "\n".join(f"memcpy({plus('sums', (i * len(parts) + j) * 4)}, &s{i}_{j}, 16);" for i in rows for j in parts),
    )


def _bf16(name: str, contraction: Contraction, pixels: int, blocks: int) -> str:
    """Both halves of each word widened to vectors of four floats of GCC and Clang."""
    parts, rows = range(blocks * _PARTS), range(pixels)

    def word(*, whole: bool) -> str:
        lines: list[str] = []
        for i in rows:
            place = plus("from", i, "x_stride")
            read = f"memcpy(&x{i}, {place}, sizeof(x{i}));" if whole else f"x{i} = *({place});"
            lines += [f"uint32_t x{i};", read, f"const float lower{i} = hapir__bf16(x{i});"]
            lines += [f"const float upper{i} = hapir__bf16(x{i} >> 16);"] if whole else []
        for j in parts:
            lines += [f"hapir__u32x4 w{j};", f"memcpy(&w{j}, {plus('w', 8 * j)}, sizeof(w{j}));"]
            if whole:
                lines.append(f"const hapir__f32x4 upper_{j} = (hapir__f32x4)(w{j} & 0xFFFF0000U);")
                lines += [f"s{i}_{j} += upper{i} * upper_{j};" for i in rows]
            lines.append(f"const hapir__f32x4 lower_{j} = (hapir__f32x4)(w{j} << 16);")
            lines += [f"s{i}_{j} += lower{i} * lower_{j};" for i in rows]
        return "\n".join(lines)

    return whole_tile(
        name,
        contraction,
        "\n".join("hapir__f32x4 " + ", ".join(f"s{i}_{j} = {{0}}" for j in parts) + ";" for i in rows),
        word(whole=True),
        "\n".join(f"memcpy({plus('sums', (i * len(parts) + j) * 4)}, &s{i}_{j}, 16);" for i in rows for j in parts),
        last=c("{\n    $word\n}", word=word(whole=False)) if contraction == BF16_ODD else "",
    )


def _bytes(name: str, contraction: Contraction, pixels: int, blocks: int) -> str:
    """Even and odd bytes as halves, multiplied and added in pairs."""
    word: list[str] = []
    for i in range(pixels):
        word += [
            f"int32_t word{i};",
            f"memcpy(&word{i}, {plus('from', i, 'x_stride')}, sizeof(word{i}));",
            f"const __m128i x{i} = _mm_set1_epi32(word{i}), even{i} = _mm_and_si128(x{i}, _mm_set1_epi32(0x00FF00FF));",
            f"const __m128i odd{i} = _mm_srli_epi16(x{i}, 8);",
        ]
    for j in range(blocks * _PARTS):
        word += [
            f"const __m128i w{j} = _mm_loadu_si128((const void *)({plus('w', 16 * j)}));",
            f"const __m128i low{j} = _mm_srai_epi16(_mm_slli_epi16(w{j}, 8), 8), high{j} = _mm_srai_epi16(w{j}, 8);",
        ]
        for i in range(pixels):
            word.append(f"s{i}_{j} = _mm_add_epi32(s{i}_{j}, _mm_madd_epi16(even{i}, low{j}));")
            word.append(f"s{i}_{j} = _mm_add_epi32(s{i}_{j}, _mm_madd_epi16(odd{i}, high{j}));")
    return _sse2(name, contraction, pixels, blocks, word)


def _halves(name: str, contraction: Contraction, pixels: int, blocks: int) -> str:
    """Halves, multiplied and added in pairs."""
    word: list[str] = []
    for i in range(pixels):
        word += [
            f"int32_t word{i};",
            f"memcpy(&word{i}, {plus('from', i, 'x_stride')}, sizeof(word{i}));",
            f"const __m128i x{i} = _mm_set1_epi32(word{i});",
        ]
    for j in range(blocks * _PARTS):
        word.append(f"const __m128i w{j} = _mm_loadu_si128((const void *)({plus('w', 8 * j)}));")
        word += [f"s{i}_{j} = _mm_add_epi32(s{i}_{j}, _mm_madd_epi16(x{i}, w{j}));" for i in range(pixels)]
    return _sse2(name, contraction, pixels, blocks, word)


def _sse2(name: str, contraction: Contraction, pixels: int, blocks: int, word: list[str]) -> str:
    """A block whose sums are vectors of four integers."""
    parts, rows = range(blocks * _PARTS), range(pixels)
    starts = (", ".join(f"s{i}_{j} = _mm_setzero_si128()" for j in parts) for i in rows)
    stores = (
        f"_mm_storeu_si128((void *)({plus('sums', (i * len(parts) + j) * 4)}), s{i}_{j});" for i in rows for j in parts
    )
    start = "\n".join(f"__m128i {names};" for names in starts)
    return whole_tile(name, contraction, start, "\n".join(word), "\n".join(stores))


_ON_X86 = "defined(__SSE2__) && !defined(HAPIR_PLAIN_C)"
_LITTLE = "defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && !defined(HAPIR_PLAIN_C)"
_FASTER = {
    "bf16": (_LITTLE, _bf16),
    "bf16_odd": (_LITTLE, _bf16),
    "f32": ("defined(HAPIR__QUARTERS)", _floats),
    "u8_i8": (_ON_X86, _bytes),
    "u8_i7": (_ON_X86, _bytes),
    "i16": (_ON_X86, _halves),
    "i16_modular": (_ON_X86, _halves),
}
"""Where there is a faster text than loops, by name of the contraction."""


def _loops(name: str, contraction: Contraction, pixels: int, blocks: int, product: str) -> str:
    """The lanes as loops, which compilers turn into vectors."""
    lanes, elements = blocks * LANES, contraction.elements
    kind = contraction.sums
    narrow = contraction in (BF16, BF16_ODD)

    def word(taken: int) -> str:
        adds = [add(i, taken) for i in range(pixels)]
        return c("for (int32_t j = 0; j < $lanes; ++j) {\n    $adds\n}", lanes=lanes, adds="\n".join(adds))

    def add(i: int, taken: int) -> str:
        terms: list[str] = []
        for e in range(taken):
            place = " + ".join(t for t in ("" if i == 0 else _stride(i), str(e) if e or i == 0 else "") if t)
            weight = "w[j]" if elements == 1 else f"w[{elements} * j{f' + {e}' if e else ''}]"
            cast = f"({kind})" if kind != contraction.x and not narrow else ""
            value = f"from[{place}]"
            if narrow:
                value, weight = f"hapir__bf16({value})", f"hapir__bf16({weight})"
            if contraction.modular:
                terms.append(f"(uint32_t)({value} * {weight})")
            else:
                terms.append(f"{product}({value}, {weight})" if product else f"{cast}{value} * {weight}")
        if contraction.modular:
            return f"s{i}[j] = ({kind})((uint32_t)s{i}[j] + {' + '.join(terms)});"
        return f"s{i}[j] += {' + '.join(terms)};"

    return whole_tile(
        name,
        contraction,
        "\n".join(f"{kind} s{i}[{lanes}] = {{0}};" for i in range(pixels)),
        word(elements),
        "\n".join(f"memcpy({plus('sums', i * lanes)}, s{i}, sizeof(s{i}));" for i in range(pixels)),
        last=word(1) if contraction == BF16_ODD else "",
    )


AT_A_TIME = 4
"""Lanes whose sums the registers of a scalar core hold beside two pixels."""


def _scalars(name: str, contraction: Contraction, pixels: int, blocks: int, product: str) -> str:
    """A few lanes at a time, each sum a variable, over the whole window; then the next lanes."""
    total, kind = blocks * LANES, contraction.sums
    rows, lanes = range(pixels), range(AT_A_TIME)
    word: list[str] = []
    for e in range(contraction.elements):
        word.append("{")
        for j in lanes:
            place = contraction.elements * j + e
            word.append(f"    const {contraction.w} w{j} = w[{place}];")
        for i in rows:
            place = " + ".join(t for t in ("" if i == 0 else _stride(i), str(e) if e or i == 0 else "") if t)
            word.append(f"    const {contraction.x} x{i} = from[{place}];")
            word += [f"    {_add(contraction, f's{i}_{j}', f'x{i}', f'w{j}', product)}" for j in lanes]
        word.append("}")
    stores = [
        f"sums[{f'{i * total} + ' if i else ''}j{f' + {j}' if j else ''}] = s{i}_{j};" for i in rows for j in lanes
    ]
    body = c(
        """
        const $type *const all = w;
        for (int32_t j = 0; j < $total; j += $lanes) {
            $start
            w = all + $elements;
            $loops
            $stores
        }
        """,
        type=contraction.w,
        total=total,
        lanes=AT_A_TIME,
        start="\n".join(f"{kind} " + ", ".join(f"s{i}_{j} = 0" for j in lanes) + ";" for i in rows),
        elements="j" if contraction.elements == 1 else f"{contraction.elements} * j",
        loops=window_loops(contraction, "\n".join(word)),
        stores="\n".join(stores),
    )
    return tile_function(name, contraction, body)


def _add(contraction: Contraction, total: str, x: str, w: str, product: str) -> str:
    """The statement that adds a product to a sum."""
    kind = contraction.sums
    if contraction.modular:
        return f"{total} = ({kind})((uint32_t){total} + (uint32_t)({x} * {w}));"
    cast = f"({kind})" if kind != contraction.x else ""
    return f"{total} += {f'{product}({x}, {w})' if product else f'{cast}{x} * {w}'};"


def _stride(index: int) -> str:
    """The distance of a pixel from the first."""
    return "x_stride" if index == 1 else f"{index} * x_stride"
