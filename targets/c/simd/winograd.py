"""The primitives of Winograd kernels: arithmetic modulo 2^16 and 2^32 in whole vectors, and the transforms of a tile.

Sums of `i32x16` wrap: integer results are exact modulo 2^32 and proven to fit in the end. `i16x32` are the 32 halves of
a vector. Plain C transforms lane by lane.
"""

from __future__ import annotations

from dataclasses import dataclass

from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.winograd import integer_transform, integers, transform
from hapir.targets.c.simd.parts import function, vector
from hapir.targets.c.simd.primitive import Primitive
from hapir.targets.c.text import c, listed
from hapir.targets.c.transform_texts import Arithmetic, transform_lines
from hapir.weights import Array

_INTEGERS, _FLOATS = "hapir__i32x16", "hapir__f32x16"
VECTOR_PATHS = ("avx512", "avx2", "neon")


def _binary(name: str, kind: str, x86: str, neon: str) -> Primitive:
    """A function of two vectors that is one instruction everywhere."""
    bodies = vector(kind, f"_mm512_{x86}(x, y)", f"_mm256_{x86}(x.%, y.%)", f"{neon}(x.%, y.%)")
    return function(name, kind, f"{kind} x, {kind} y", bodies)


def _halves(name: str, operation: str) -> Primitive:
    neon = f"vreinterpretq_s32_s16(v{operation}q_s16(vreinterpretq_s16_s32(x.%), vreinterpretq_s16_s32(y.%)))"
    bodies = vector(_INTEGERS, f"_mm512_{operation}_epi16(x, y)", f"_mm256_{operation}_epi16(x.%, y.%)", neon)
    return function(name, _INTEGERS, f"{_INTEGERS} x, {_INTEGERS} y", bodies)


def _shifted(name: str, n: int, x86: str, neon: str) -> Primitive:
    """A shift by a constant."""
    bodies = vector(_INTEGERS, f"_mm512_{x86}(x, {n})", f"_mm256_{x86}(x.%, {n})", neon.replace("$", str(n)))
    return function(f"{name}{n}", _INTEGERS, f"{_INTEGERS} x", bodies)


def _widened(source: str, x86: str, neon: str) -> Primitive:
    """32 bytes as halves."""
    parts = [
        f"vreinterpretq_s32_{neon[0]}16(vmovl_{neon}(vld1_{neon}(p{f' + {i}' if i else ''})))" for i in (0, 8, 16, 24)
    ]
    return function(
        f"i16x32__from_{source}",
        _INTEGERS,
        f"const {source}_t *p",
        {
            "avx512": f"return _mm512_cvtep{x86}_epi16(_mm256_loadu_si256((const void *)p));",
            "avx2": f"""
return (hapir__i32x16){{
    _mm256_cvtep{x86}_epi16(_mm_loadu_si128((const void *)p)),
    _mm256_cvtep{x86}_epi16(_mm_loadu_si128((const void *)(p + 16)))}};""",
            "neon": "return (hapir__i32x16){\n    " + ",\n    ".join(parts) + "};",
        },
    )


def _bytes_of_words(half: str, avx512: str, avx2: str, neon: str) -> Primitive:
    """The even or the odd bytes of 16 words, as halves."""
    return function(
        f"i16x32__{half}_int32",
        _INTEGERS,
        "const int32_t *p",
        {
            path: f"hapir__i32x16 x = i32x16__load(p);\n{text}"
            for path, text in vector(_INTEGERS, avx512, avx2, neon).items()
        },
        "i32x16__load",
    )


_STORE_HALVES = {
    "avx512": "_mm512_storeu_si512(p, x);",
    "avx2": "_mm256_storeu_si256((void *)p, x.a);\n_mm256_storeu_si256((void *)(p + 16), x.b);",
    "neon": "\n".join(
        f"vst1q_s16({f'p + {8 * i}' if i else 'p'}, vreinterpretq_s16_s32(x.{n}));" for i, n in enumerate("abcd")
    ),
}

OPERATIONS = (
    *(_shifted("i32x16__shl", n, "slli_epi32", "vshlq_n_s32(x.%, $)") for n in (1, 2, 3, 4)),
    *(_shifted("i32x16__shr", n, "srai_epi32", "vshrq_n_s32(x.%, $)") for n in (1, 2, 3, 6)),
    _halves("i16x32__add", "add"),
    _halves("i16x32__sub", "sub"),
    *(
        _shifted("i16x32__shl", n, "slli_epi16", "vreinterpretq_s32_s16(vshlq_n_s16(vreinterpretq_s16_s32(x.%), $))")
        for n in (1, 2, 3)
    ),
    _widened("uint8", "u8", "u8"),
    _widened("int8", "i8", "s8"),
    _bytes_of_words(
        "even",
        "_mm512_and_si512(x, _mm512_set1_epi32(0x00FF00FF))",
        "_mm256_and_si256(x.%, _mm256_set1_epi32(0x00FF00FF))",
        "vandq_s32(x.%, vdupq_n_s32(0x00FF00FF))",
    ),
    _bytes_of_words(
        "odd",
        "_mm512_srli_epi16(x, 8)",
        "_mm256_srli_epi16(x.%, 8)",
        "vreinterpretq_s32_u16(vshrq_n_u16(vreinterpretq_u16_s32(x.%), 8))",
    ),
    function("i16x32__store", "void", f"int16_t *p, {_INTEGERS} x", _STORE_HALVES),
)


@dataclass(frozen=True)
class _Words:
    """What a transform reads and writes, in memory and in its arithmetic: of vectors, and of one lane in plain C."""

    vectors: Arithmetic
    lane: Arithmetic
    needs: tuple[str, ...]

    def on(self, path: str) -> Arithmetic:
        """The arithmetic of a path."""
        return self.lane if path == "c" else self.vectors


F32 = _Words(
    Arithmetic(_FLOATS, "f32x16", floats=True),
    Arithmetic("float", "", floats=True),
    ("f32x16__add", "f32x16__sub", "f32x16__mul", "f32x16__fma", "f32x16__set"),
)
I16 = _Words(
    Arithmetic(_INTEGERS, "i16x32", floats=False),
    Arithmetic("int32_t", "", floats=False),
    ("i16x32__add", "i16x32__sub", "i16x32__shl1", "i16x32__shl2", "i16x32__shl3"),
)
U32 = _Words(
    Arithmetic(_INTEGERS, "i32x16", floats=False),
    Arithmetic("uint32_t", "", floats=False),
    ("i32x16__add", "i32x16__sub", "i32x16__shl1", "i32x16__shl2", "i32x16__shl3", "i32x16__shl4"),
)


def _along(name: str, matrix: Array, words: _Words) -> Primitive:
    """`name(y, step, x0, x1, ...)`: the matrix along one axis, results `step` apart."""

    def text(how: Arithmetic) -> str:
        parameters = [f"{how.value} *y", "int step", *(f"{how.value} x{i}" for i in range(matrix.shape[1]))]
        body = "\n    ".join(transform_lines(matrix, how))
        return f"{listed(f'HAPIR__INLINE void {name}(', parameters, ')')}\n{{\n    {body}\n}}"

    texts = {path: text(words.on(path)) for path in (*VECTOR_PATHS, "c")}
    return Primitive(name, texts, ("types", *words.needs))


@dataclass(frozen=True)
class _Passes:
    """The two passes over a tile of n x n (one over n where it has one axis) that leave m x m: names of the results."""

    name: str
    n: int
    m: int
    both: bool

    @property
    def arrays(self) -> str:
        """What they keep: `a` after the first pass, `b` after the second."""
        return f"a[{self.m * self.n}], b[{self.m * self.m}]" if self.both else f"b[{self.m}]"

    @property
    def results(self) -> int:
        """Elements of b."""
        return self.m * self.m if self.both else self.m

    def lines(self, load: str) -> list[str]:
        """The calls; `load` reads element `$`."""
        if not self.both:
            return [self._call("b", 1, [load.replace("$", str(j)) for j in range(self.n)])]
        columns = [
            self._call(_plus("a", j), self.n, [load.replace("$", str(i * self.n + j)) for i in range(self.n)])
            for j in range(self.n)
        ]
        rows = [
            self._call(_plus("b", i * self.m), 1, [f"a[{i * self.n + j}]" for j in range(self.n)])
            for i in range(self.m)
        ]
        return [*columns, *rows]

    def _call(self, to: str, step: int, values: list[str]) -> str:
        return listed(f"{self.name}(", [to, str(step), *values], ");")


def _plus(pointer: str, index: int, unit: str = "") -> str:
    """`pointer + index * unit`."""
    if index == 0:
        return pointer
    return (
        f"{pointer} + {index}" if not unit else f"{pointer} + {unit}" if index == 1 else f"{pointer} + {index} * {unit}"
    )


_BODY = """
HAPIR__INLINE void $name($parameters)
{
    $value $arrays;
    $lines
    $stores
}
"""
_LANE_OF = {
    "": "at[$][c + i]",
    "even": "((const uint8_t *)(at[$] + c))[2 * i]",
    "odd": "((const uint8_t *)(at[$] + c))[2 * i + 1]",
}
_LANES = """
HAPIR__INLINE void $name($parameters)
{
    for (int i = 0; i < $count; ++i) {
        $value $arrays;
        $lines
        $stores
    }
}
"""


def _tile(name: str, passes: _Passes, words: _Words, source: str, half: str = "") -> Primitive:
    """`name(at, c, v, plane)`: a vector of channels of a tile, whose pixels lie `at`, to planes of words.

    Where `half` is given, a vector of tiles instead, whose words are four channels: the `even` or `odd` two of each.
    """
    word = "float" if words is F32 else "int16_t"
    load = "f32x16__load" if words is F32 else f"i16x32__{half or 'from'}_{source.removesuffix('_t')}"
    store = "f32x16__store" if words is F32 else "i16x32__store"
    values = {"name": name, "parameters": f"const {source} *const *at, int32_t c, {word} *v, int32_t plane"}
    values |= {"arrays": passes.arrays, "count": LANES if words is F32 else 2 * LANES}
    places = [_plus("v", i, "plane") for i in range(passes.results)]
    vector = c(
        _BODY,
        **values,
        value=words.vectors.value,
        lines="\n".join(passes.lines(f"{load}(at[$] + c)")),
        stores="\n".join(f"{store}({place}, b[{i}]);" for i, place in enumerate(places)),
    )
    lane = c(
        _LANES,
        **values,
        value=words.lane.value,
        lines="\n".join(passes.lines(_LANE_OF[half])),
        stores="\n".join(f"({place})[i] = ({word})b[{i}];" for i, place in enumerate(places)),
    )
    return Primitive(name, {**dict.fromkeys(VECTOR_PATHS, vector), "c": lane}, (passes.name, load, store))


def _untile(name: str, passes: _Passes, words: _Words, scale: int) -> Primitive:
    """`name(p, plane, sums, step)`: a vector of filters of a tile, from planes of products to sums `step` apart.

    Integers are known modulo 2^32 and multiples of `scale`, which they are divided by.
    """
    prefix, word = ("f32x16", "float") if words is F32 else ("i32x16", "int32_t")
    shift = (scale & -scale).bit_length() - 1
    odd = pow(scale >> shift, -1, 1 << 32)
    values = {"name": name, "parameters": f"const {word} *p, int32_t plane, {word} *sums, int32_t step"}
    values |= {"arrays": passes.arrays, "count": LANES}

    def divided(value: str, *, lane: bool) -> str:
        if lane:
            value = value if odd == 1 else f"({value} * {odd}U)"
            return value if words is F32 else f"(int32_t){value} >> {shift}"
        signed = odd - (odd >> 31 << 32)
        value = value if odd == 1 else f"i32x16__mul({value}, i32x16__set({signed}))"
        return f"i32x16__shr{shift}({value})" if shift else value

    places = [_plus("sums", i, "step") for i in range(passes.results)]
    vector = c(
        _BODY,
        **values,
        value=words.vectors.value,
        lines="\n".join(passes.lines(f"{prefix}__load(p + $ * plane)")),
        stores="\n".join(f"{prefix}__store({p}, {divided(f'b[{i}]', lane=False)});" for i, p in enumerate(places)),
    )
    cast = "" if words is F32 else "(uint32_t)"
    lane = c(
        _LANES,
        **values,
        value=words.lane.value,
        lines="\n".join(passes.lines(f"{cast}p[$ * plane + i]")),
        stores="\n".join(f"({p})[i] = {divided(f'b[{i}]', lane=True)};" for i, p in enumerate(places)),
    )
    needs = () if words is F32 else (f"i32x16__shr{shift}", "i32x16__mul", "i32x16__set")
    texts = {**dict.fromkeys(VECTOR_PATHS, vector), "c": lane}
    return Primitive(name, texts, (passes.name, f"{prefix}__load", f"{prefix}__store", *needs))


def _family(size: int) -> list[Primitive]:
    """The transforms of one size: of f32, u8 and i8 inputs, of f32 and 32-bit products; over one or two axes."""
    exact, whole = transform(size, 3), integer_transform(size, 3)
    stem, n = f"winograd{size}", whole.n
    found = [
        _along(f"{stem}__in_f32", integers(exact.b), F32),
        _along(f"{stem}__in_i16", whole.b, I16),
        _along(f"{stem}__out_f32", integers(exact.a), F32),
        _along(f"{stem}__out_u32", whole.a, U32),
    ]
    for both in (True, False):
        name = f"{stem}x{size}" if both else stem
        found.append(_tile(f"{name}__tile_float", _Passes(f"{stem}__in_f32", n, n, both), F32, "float"))
        for source in ("uint8", "int8"):
            found.append(_tile(f"{name}__tile_{source}", _Passes(f"{stem}__in_i16", n, n, both), I16, f"{source}_t"))
        for half in ("even", "odd") if both else ():
            passes = _Passes(f"{stem}__in_i16", n, n, both)
            found.append(_tile(f"{name}__tile_{half}", passes, I16, "int32_t", half))
        scale = whole.scale**2 if both else whole.scale
        found.append(_untile(f"{name}__untile_float", _Passes(f"{stem}__out_f32", n, size, both), F32, 1))
        found.append(_untile(f"{name}__untile_int32", _Passes(f"{stem}__out_u32", n, size, both), U32, scale))
    return found


PRIMITIVES = (*OPERATIONS, *(primitive for size in (2, 4) for primitive in _family(size)))
"""Those that Winograd kernels use."""
