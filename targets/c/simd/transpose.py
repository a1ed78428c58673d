"""Squares of elements transposed in registers: what turns maps from one order of their axes to the other.

`transpose__N_to_last` takes n = 16 / N rows, elements of N bytes: n channels of n pixels per 128-bit part of a
register. It writes each pixel's n channels side by side; `transpose__N_to_first` goes back. `transpose__N_one`
takes one square. Rows are merged in pairs, log2(n) times: after that each 16 bytes are one column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hapir.dialects.kernel import PATHS
from hapir.targets.c.simd.primitive import Primitive
from hapir.targets.c.text import c

SIZES = (1, 2, 4)
"""Bytes of an element."""
PARTS = {"avx512": 4, "avx2": 2, "sse2": 1, "neon": 1, "c": 1}
"""128-bit parts of a register; `sse2` is one square on the paths of x86."""

_TYPE = {"avx512": "__m512i", "avx2": "__m256i", "sse2": "__m128i", "neon": "uint8x16_t"}
_PARAMETERS = "const uint8_t *from, ptrdiff_t from_stride, uint8_t *to, ptrdiff_t to_stride"


def _merge(path: str, size: int, half: str, a: str, b: str) -> str:
    bits = 8 * size
    if path == "neon":
        text = f"vzip{1 if half == 'lo' else 2}q_u{bits}"
        if size == 1:
            return f"{text}({a}, {b})"
        cast = f"vreinterpretq_u{bits}_u8"
        return f"vreinterpretq_u8_u{bits}({text}({cast}({a}), {cast}({b})))"
    prefix = {"avx512": "_mm512", "avx2": "_mm256", "sse2": "_mm"}[path]
    return f"{prefix}_unpack{half}_epi{bits}({a}, {b})"


def _rounds(path: str, size: int) -> tuple[list[str], list[str]]:
    """The statements that merge rows r0, r1, ..., and the names of the columns."""
    count = 16 // size
    names, lines = [f"r{i}" for i in range(count)], list[str]()
    for turn in range(count.bit_length() - 1):
        merged: list[str] = []
        for i in range(count // 2):
            for half in ("lo", "hi"):
                name = f"t{turn}_{len(merged)}"
                text = _merge(path, size, half, names[i], names[i + count // 2])
                lines.append(f"const {_TYPE[path]} {name} = {text};")
                merged.append(name)
        names = merged
    return lines, names


def _load(path: str, place: str) -> str:
    match path:
        case "avx512":
            return f"_mm512_loadu_si512({place})"
        case "avx2":
            return f"_mm256_loadu_si256((const void *)({place}))"
        case "sse2":
            return f"_mm_loadu_si128((const void *)({place}))"
        case _:
            return f"vld1q_u8({place})"


def _to_last(path: str, size: int) -> str:
    count = 16 // size
    lines = [f"const {_TYPE[path]} r{i} = {_load(path, f'from + {i} * from_stride')};" for i in range(count)]
    rounds, columns = _rounds(path, size)
    lines += rounds
    for part in range(PARTS[path]):
        for i, name in enumerate(columns):
            place = f"to + {part * count + i} * to_stride"
            match path:
                case "avx512":
                    lines.append(f"_mm_storeu_si128((void *)({place}), _mm512_extracti32x4_epi32({name}, {part}));")
                case "avx2":
                    lines.append(f"_mm_storeu_si128((void *)({place}), _mm256_extracti128_si256({name}, {part}));")
                case "sse2":
                    lines.append(f"_mm_storeu_si128((void *)({place}), {name});")
                case _:
                    lines.append(f"vst1q_u8({place}, {name});")
    return "\n".join(lines)


def _to_first(path: str, size: int) -> str:
    count = 16 // size
    lines: list[str] = []
    for i in range(count):
        places = [f"from + {part * count + i} * from_stride" for part in range(PARTS[path])]
        match path:
            case "avx512":
                first, *others = (f"_mm_loadu_si128((const void *)({place}))" for place in places)
                text = f"_mm512_castsi128_si512({first})"
                for part, other in enumerate(others, start=1):
                    text = f"_mm512_inserti32x4({text}, {other}, {part})"
            case "avx2":
                low, high = (f"_mm_loadu_si128((const void *)({place}))" for place in places)
                text = f"_mm256_inserti128_si256(_mm256_castsi128_si256({low}), {high}, 1)"
            case _:
                text = f"vld1q_u8({places[0]})"
        lines.append(f"const {_TYPE[path]} r{i} = {text};")
    rounds, columns = _rounds(path, size)
    lines += rounds
    for i, name in enumerate(columns):
        place = f"to + {i} * to_stride"
        match path:
            case "avx512":
                lines.append(f"_mm512_storeu_si512({place}, {name});")
            case "avx2":
                lines.append(f"_mm256_storeu_si256((void *)({place}), {name});")
            case _:
                lines.append(f"vst1q_u8({place}, {name});")
    return "\n".join(lines)


def _plain(size: int) -> str:
    """Element by element: the same loops in both directions."""
    return c(
        """
        for (int i = 0; i < $count; ++i) {
            for (int j = 0; j < $count; ++j) {
                memcpy(to + j * to_stride + $size * i, from + i * from_stride + $size * j, $size);
            }
        }
        """,
        count=16 // size,
        size=size,
    )


def _moves(size: int) -> tuple[Primitive, Primitive, Primitive]:
    """As many squares as a register has parts, in each direction, and one, which is the same in both."""

    def by_path(text: Callable[[str, int], str], paths: Mapping[str, str]) -> dict[str, str]:
        return {path: text(used, size) for path, used in paths.items()} | {"c": _plain(size)}

    whole = {path: path for path in ("avx512", "avx2", "neon")}
    name = f"transpose__{size}"
    return (
        _primitive(f"{name}_to_last", by_path(_to_last, whole)),
        _primitive(f"{name}_to_first", by_path(_to_first, whole)),
        _primitive(f"{name}_one", by_path(_to_last, {"avx512": "sse2", "avx2": "sse2", "neon": "neon"})),
    )


def _primitive(name: str, bodies: Mapping[str, str]) -> Primitive:
    head = f"HAPIR__INLINE void {name}({_PARAMETERS})"
    texts = {path: c("$head\n{\n    $body\n}", head=head, body=body) for path, body in bodies.items()}
    return Primitive(name, texts, ("hapir__parts",))


PRIMITIVES = (
    Primitive("hapir__parts", {path: f"enum {{ hapir__parts = {PARTS[path]} }};" for path in PATHS}),
    *(primitive for size in SIZES for primitive in _moves(size)),
)
