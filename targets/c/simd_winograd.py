"""The primitives of Winograd kernels: arithmetic modulo 2^16 and 2^32 in whole vectors, and the transforms of a tile.

`u32x16` is a vector whose sums wrap: integer results are exact modulo 2^32 and proven to fit in the end. `i16x32` are
the 32 halves of a vector. A transform applies a matrix along one axis of a tile; its text comes from the matrix, with
what two rows or two columns share up to signs computed once, and small factors as shifts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import gcd

from hapir.lowering.kernel.winograd import integer_transform, integers, transform
from hapir.targets.c.simd import Primitive, everywhere
from hapir.targets.c.simd_base import function, lanes
from hapir.targets.c.text import c, listed
from hapir.weights import Array

_PLAIN_16 = """
int16_t a[32], b[32];
memcpy(a, x.v, sizeof(a));
memcpy(b, y.v, sizeof(b));
for (int i = 0; i < 32; ++i) {
    a[i] = (int16_t)(a[i] $ b[i]);
}
memcpy(x.v, a, sizeof(a));
return x;"""

_VECTOR = "hapir__i32x16"


def _each(kind: str, avx512: str, avx2: str, neon: str, plain: str) -> dict[str, str]:
    """The bodies of a function of whole vectors: an expression per register, `%` being its name."""

    def registers(text: str, names: str) -> str:
        return "\n".join([f"{kind} r;", *(f"r.{n} = {text.replace('%', n)};" for n in names), "return r;"])

    return {"avx512": f"return {avx512};", "avx2": registers(avx2, "ab"), "neon": registers(neon, "abcd"), "c": plain}


def _halves(name: str, operator: str, operation: str) -> Primitive:
    neon = f"vreinterpretq_s32_s16(v{operation}q_s16(vreinterpretq_s16_s32(x.%), vreinterpretq_s16_s32(y.%)))"
    x86 = {bits: f"_mm{bits}_{operation}_epi16" for bits in (512, 256)}
    bodies = _each(
        _VECTOR, f"{x86[512]}(x, y)", f"{x86[256]}(x.%, y.%)", neon, _PLAIN_16.replace("$", operator).strip("\n")
    )
    return function(name, _VECTOR, f"{_VECTOR} x, {_VECTOR} y", bodies)


def _words(name: str, operator: str, operation: str, neon: str) -> Primitive:
    bodies = _each(
        _VECTOR,
        f"_mm512_{operation}_epi32(x, y)",
        f"_mm256_{operation}_epi32(x.%, y.%)",
        f"v{neon}q_s32(x.%, y.%)",
        lanes(f"(int32_t)((uint32_t)x.v[i] {operator} (uint32_t)y.v[i])"),
    )
    return function(name, _VECTOR, f"{_VECTOR} x, {_VECTOR} y", bodies)


def _floats(name: str, operator: str, operation: str) -> Primitive:
    bodies = _each(
        "hapir__f32x16",
        f"_mm512_{operation}_ps(x, y)",
        f"_mm256_{operation}_ps(x.%, y.%)",
        f"v{operation}q_f32(x.%, y.%)",
        lanes(f"x.v[i] {operator} y.v[i]", floats=True),
    )
    return function(name, "hapir__f32x16", "hapir__f32x16 x, hapir__f32x16 y", bodies)


def _widen(source: str, x86: str, neon: str) -> Primitive:
    kind = source.removesuffix("_t")
    return function(
        f"i16x32__from_{kind}",
        _VECTOR,
        f"const {source} *p",
        {
            "avx512": f"return _mm512_cvtep{x86}_epi16(_mm256_loadu_si256((const void *)p));",
            "avx2": f"""
return (hapir__i32x16){{
    _mm256_cvtep{x86}_epi16(_mm_loadu_si128((const void *)p)),
    _mm256_cvtep{x86}_epi16(_mm_loadu_si128((const void *)(p + 16)))}};""",
            "neon": f"""
return (hapir__i32x16){{
    vreinterpretq_s32_{neon[0]}16(vmovl_{neon}(vld1_{neon}(p))),
    vreinterpretq_s32_{neon[0]}16(vmovl_{neon}(vld1_{neon}(p + 8))),
    vreinterpretq_s32_{neon[0]}16(vmovl_{neon}(vld1_{neon}(p + 16))),
    vreinterpretq_s32_{neon[0]}16(vmovl_{neon}(vld1_{neon}(p + 24)))}};""",
            "c": """
hapir__i32x16 r;
int16_t a[32];
for (int i = 0; i < 32; ++i) {
    a[i] = p[i];
}
memcpy(r.v, a, sizeof(a));
return r;""",
        },
    )


def _shifted_halves(n: int) -> Primitive:
    plain = c(
        """
        uint16_t a[32];
        memcpy(a, x.v, sizeof(a));
        for (int i = 0; i < 32; ++i) {
            a[i] = (uint16_t)(a[i] << $n);
        }
        memcpy(x.v, a, sizeof(a));
        return x;
        """,
        n=n,
    )
    neon = f"vreinterpretq_s32_s16(vshlq_n_s16(vreinterpretq_s16_s32(x.%), {n}))"
    bodies = _each(_VECTOR, f"_mm512_slli_epi16(x, {n})", f"_mm256_slli_epi16(x.%, {n})", neon, plain)
    return function(f"i16x32__shl{n}", _VECTOR, f"{_VECTOR} x", bodies)


def _shifted_words(name: str, n: int, x86: str, neon: str, plain: str) -> Primitive:
    bodies = _each(
        _VECTOR,
        f"_mm512_{x86}_epi32(x, {n})",
        f"_mm256_{x86}_epi32(x.%, {n})",
        f"v{neon}q_n_s32(x.%, {n})",
        lanes(plain.replace("$", str(n))),
    )
    return function(f"{name}{n}", _VECTOR, f"{_VECTOR} x", bodies)


OPERATIONS = (
    _floats("f32x16__plus", "+", "add"),
    _floats("f32x16__minus", "-", "sub"),
    _floats("f32x16__times", "*", "mul"),
    _halves("i16x32__add", "+", "add"),
    _halves("i16x32__sub", "-", "sub"),
    *(_shifted_halves(n) for n in (1, 2, 3)),
    function(
        "i16x32__store",
        "void",
        f"int16_t *p, {_VECTOR} x",
        {
            "avx512": "_mm512_storeu_si512(p, x);",
            "avx2": "_mm256_storeu_si256((void *)p, x.a);\n_mm256_storeu_si256((void *)(p + 16), x.b);",
            "neon": "\n".join(
                f"vst1q_s16({f'p + {8 * i}' if i else 'p'}, vreinterpretq_s16_s32(x.{n}));"
                for i, n in enumerate("abcd")
            ),
            "c": "memcpy(p, x.v, sizeof(x.v));",
        },
    ),
    _widen("uint8_t", "u8", "u8"),
    _widen("int8_t", "i8", "s8"),
    _words("u32x16__add", "+", "add", "add"),
    _words("u32x16__sub", "-", "sub", "sub"),
    _words("u32x16__mul", "*", "mullo", "mul"),
    *(_shifted_words("u32x16__shl", n, "slli", "shl", "(int32_t)((uint32_t)x.v[i] << $)") for n in (1, 2, 3, 4)),
    *(_shifted_words("i32x16__shr", n, "srai", "shr", "x.v[i] >> $") for n in (1, 2, 3, 6)),
)


@dataclass(frozen=True)
class _Arithmetic:
    """How a transform computes: the vector's type and the prefix of its functions; floats multiply, integers shift."""

    vector: str
    prefix: str
    floats: bool

    def call(self, operation: str, x: str, y: str) -> str:
        """One operation."""
        if self.floats:
            operation = {"add": "plus", "sub": "minus"}.get(operation, operation)
        return f"{self.prefix}__{operation}({x}, {y})"

    @property
    def needs(self) -> tuple[str, ...]:
        """The primitives that its texts use."""
        if self.floats:
            return ("f32x16__plus", "f32x16__minus", "f32x16__times", "f32x16__fma", "f32x16__set")
        shifts = ("shl1", "shl2", "shl3") if self.prefix == "i16x32" else ("shl1", "shl2", "shl3", "shl4")
        return tuple(f"{self.prefix}__{operation}" for operation in ("add", "sub", *shifts))


F32 = _Arithmetic("hapir__f32x16", "f32x16", floats=True)
I16 = _Arithmetic(_VECTOR, "i16x32", floats=False)
U32 = _Arithmetic(_VECTOR, "u32x16", floats=False)

Terms = Sequence[tuple[int, str]]
"""A sum of names times integers."""


def _sum(terms: Terms, how: _Arithmetic) -> str:
    """An expression for a sum: the common factor last, a term that is added first."""
    left = [(factor, name) for factor, name in terms if factor]
    common = gcd(*(factor for factor, _ in left))
    if len(left) == 1 and left[0][0] > 0:
        return _multiple(left[0][1], left[0][0], how)
    if all(factor < 0 for factor, _ in left):
        common = -common
    if common != 1 and (how.floats or common & (common - 1) == 0):
        return _multiple(_sum([(factor // common, name) for factor, name in left], how), common, how)
    left.sort(key=lambda term: (term[0] < 0, abs(term[0])))
    if how.floats:
        text = _multiple(left[0][1], left[0][0], how)
        for factor, name in left[1:]:
            if abs(factor) == 1:
                text = how.call("add" if factor > 0 else "sub", text, name)
            else:
                text = f"f32x16__fma({text}, {name}, f32x16__set({float(factor)}f))"
        return text
    parts = [(sign, name, bit) for factor, name in left for sign, bit in _powers(factor)]
    text = _shifted(parts[0][1], parts[0][2], how)
    for sign, name, bit in parts[1:]:
        text = how.call("add" if sign > 0 else "sub", text, _shifted(name, bit, how))
    return text


def _multiple(text: str, factor: int, how: _Arithmetic) -> str:
    if factor == 1:
        return text
    if how.floats:
        return f"f32x16__times({text}, f32x16__set({float(factor)}f))"
    parts = _powers(factor)
    if parts[0][0] < 0:
        raise ValueError(f"a negative multiple has no shifts: {factor}")
    return (
        _sum([(sign << bit, text) for sign, bit in parts], how) if len(parts) > 1 else _shifted(text, parts[0][1], how)
    )


def _powers(factor: int) -> list[tuple[int, int]]:
    """A factor as signs and exponents of two."""
    sign = 1 if factor > 0 else -1
    return [(sign, bit) for bit in range(abs(factor).bit_length()) if abs(factor) >> bit & 1]


def _shifted(name: str, bit: int, how: _Arithmetic) -> str:
    return f"{how.prefix}__shl{bit}({name})" if bit else name


def transform_lines(matrix: Array, how: _Arithmetic) -> list[str]:
    """Statements for `y` = matrix x, its elements `step` apart, over the names x0, x1, ...

    Two columns equal up to signs are added and subtracted first; two rows that differ in signs share their halves.
    """
    rows, names = [[int(x) for x in row] for row in matrix], [f"x{i}" for i in range(matrix.shape[1])]
    lines, count = list[str](), 0

    def named(text: str) -> str:
        nonlocal count
        if "(" not in text:
            return text
        lines.append(f"const {how.vector} t{count} = {text};")
        count += 1
        return f"t{count - 1}"

    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            first, second = [row[i] for row in rows], [row[j] for row in rows]
            signs = {x == y for x, y in zip(first, second, strict=True) if x or y}
            if signs == {True, False} and [abs(x) for x in first] == [abs(x) for x in second]:
                both = named(how.call("add", names[i], names[j])), named(how.call("sub", names[i], names[j]))
                for row in rows:
                    same = row[i] == row[j]
                    row[i], row[j] = (row[i], 0) if same else (0, row[i])
                names[i], names[j] = both
    done: set[int] = set()
    for i, row in enumerate(rows):
        if i in done:
            continue
        terms = [(x, name) for x, name in zip(row, names, strict=True) if x]
        pair = next((j for j in range(i + 1, len(rows)) if _mirrored(row, rows[j])), None)
        if pair is None or len(terms) < 2:
            lines.append(f"{_element(i)} = {_sum(terms, how)};")
            continue
        halves = [
            named(
                _sum(
                    [
                        (x, name)
                        for x, other, name in zip(row, rows[pair], names, strict=True)
                        if x and same == (x == other)
                    ],
                    how,
                )
            )
            for same in (True, False)
        ]
        lines.append(f"{_element(i)} = {how.call('add', *halves)};")
        lines.append(f"{_element(pair)} = {how.call('sub', *halves)};")
        done.add(pair)
    return lines


def _element(index: int) -> str:
    return "y[0]" if index == 0 else "y[step]" if index == 1 else f"y[{index} * step]"


def _mirrored(row: list[int], other: list[int]) -> bool:
    """Whether two rows differ in signs only, some and not all."""
    signs = {x == y for x, y in zip(row, other, strict=True) if x or y}
    return [abs(x) for x in row] == [abs(x) for x in other] and signs == {True, False}


def _along(name: str, matrix: Array, how: _Arithmetic) -> Primitive:
    """`name(y, step, x0, x1, ...)`: the matrix along one axis, results `step` vectors apart."""
    parameters = [f"{how.vector} *y", "int step", *(f"{how.vector} x{i}" for i in range(matrix.shape[1]))]
    text = c(
        """
        $head
        {
            $lines
        }
        """,
        head=listed(f"HAPIR__INLINE void {name}(", parameters, ")"),
        lines="\n".join(transform_lines(matrix, how)),
    )
    return everywhere(name, text, "types", *how.needs)


def _calls(name: str, rows: int, columns: int, made: int, both: bool, load: str) -> tuple[list[str], str]:
    """The two passes over a tile `rows` x `columns` (one pass where it has one axis), and what holds the results.

    `load` reads element `$`. The first pass leaves `made` x `columns` in `a`, the second `made` x `made` in `b`.
    """
    if not both:
        return [
            listed(f"{name}(", ["b", "1", *(load.replace("$", str(j)) for j in range(columns))], ");")
        ], f"b[{made}]"
    lines: list[str] = []
    for j in range(columns):
        values = [load.replace("$", str(i * columns + j)) for i in range(rows)]
        lines.append(listed(f"{name}(", [f"a + {j}" if j else "a", str(columns), *values], ");"))
    for i in range(made):
        values = [f"a[{i * columns + j}]" for j in range(columns)]
        lines.append(listed(f"{name}(", [f"b + {i * made}" if i else "b", "1", *values], ");"))
    return lines, f"a[{made * columns}], b[{made * made}]"


def _tile(name: str, along: str, n: int, both: bool, how: _Arithmetic, source: str, load: str, store: str) -> Primitive:
    """`name(at, c, v, plane)`: a vector of channels of a tile, whose pixels lie `at`, to planes of words."""
    lines, arrays = _calls(along, n, n, n, both, load)
    word = "float" if how.floats else "int16_t"
    places = [f"v + {i} * plane" if i > 1 else "v + plane" if i else "v" for i in range(n * n if both else n)]
    text = c(
        """
        HAPIR__INLINE void $name(const $source *const *at, int32_t c, $word *v, int32_t plane)
        {
            $vector $arrays;
            $lines
            $stores
        }
        """,
        name=name,
        source=source,
        word=word,
        vector=how.vector,
        arrays=arrays,
        lines="\n".join(lines),
        stores="\n".join(f"{store}({place}, b[{i}]);" for i, place in enumerate(places)),
    )
    return everywhere(name, text, along, load.split("(")[0], store)


def _untile(name: str, along: str, m: int, n: int, both: bool, how: _Arithmetic, scale: int) -> Primitive:
    """`name(p, plane, sums, step)`: a vector of filters of a tile, from planes of products to sums `step` apart."""
    prefix, word = ("f32x16", "float") if how.floats else ("i32x16", "int32_t")
    load = f"{prefix}__load(p + $ * plane)"
    lines, arrays = _calls(along, n, n, m, both, load)
    places = [f"sums + {i} * step" if i else "sums" for i in range(m * m if both else m)]
    stores = [f"{prefix}__store({place}, {_unscaled(f'b[{i}]', scale)});" for i, place in enumerate(places)]
    text = c(
        """
        HAPIR__INLINE void $name(const $word *p, int32_t plane, $word *sums, int32_t step)
        {
            $vector $arrays;
            $lines
            $stores
        }
        """,
        name=name,
        word=word,
        vector=how.vector,
        arrays=arrays,
        lines="\n".join(lines),
        stores="\n".join(stores),
    )
    needs = () if how.floats else (f"i32x16__shr{_shift(scale)}", "u32x16__mul", "i32x16__set")
    return everywhere(name, text, along, f"{prefix}__load", f"{prefix}__store", *needs)


def _shift(scale: int) -> int:
    """How often two divides a scale."""
    return (scale & -scale).bit_length() - 1


def _unscaled(value: str, scale: int) -> str:
    """A multiple of `scale`, known modulo 2^32, divided by it; floats have a scale of one."""
    if scale == 1:
        return value
    odd = pow(scale >> _shift(scale), -1, 1 << 32)
    odd -= (odd >> 31) << 32
    value = value if odd == 1 else f"u32x16__mul({value}, i32x16__set({odd}))"
    return f"i32x16__shr{_shift(scale)}({value})"


def _family(m: int, both: bool) -> list[Primitive]:
    """The transforms of one size: of f32, u8 and i8 inputs, of f32 and 32-bit products; over one or two axes."""
    exact, whole = transform(m, 3), integer_transform(m, 3)
    n, stem, along = whole.n, f"winograd{m}x{m}" if both else f"winograd{m}", f"winograd{m}"
    found: list[Primitive] = []
    if both:
        found += [
            _along(f"{along}__in_f32", integers(exact.b), F32),
            _along(f"{along}__in_i16", whole.b, I16),
            _along(f"{along}__out_f32", integers(exact.a), F32),
            _along(f"{along}__out_u32", whole.a, U32),
        ]
    load = "f32x16__load(at[$] + c)"
    found.append(_tile(f"{stem}__tile_float", f"{along}__in_f32", n, both, F32, "float", load, "f32x16__store"))
    for source in ("uint8", "int8"):
        load = f"i16x32__from_{source}(at[$] + c)"
        name = f"{stem}__tile_{source}"
        found.append(_tile(name, f"{along}__in_i16", n, both, I16, f"{source}_t", load, "i16x32__store"))
    scale = whole.scale**2 if both else whole.scale
    found.append(_untile(f"{stem}__untile_float", f"{along}__out_f32", m, n, both, F32, 1))
    found.append(_untile(f"{stem}__untile_int32", f"{along}__out_u32", m, n, both, U32, scale))
    return found


@cache
def table() -> tuple[Primitive, ...]:
    """All primitives of this file."""
    return (*OPERATIONS, *(p for m in (2, 4) for both in (True, False) for p in _family(m, both)))


PRIMITIVES = table()
"""Those that Winograd kernels use."""
