"""Sixteen elements of memory as lanes of 32 bits and back, whole or the first n; integers widen, and stores saturate.

Nothing outside the n elements is read or written. Lanes past n are 0 after a load.
"""

from __future__ import annotations

from hapir.dialects.kernel import PATHS
from hapir.lowering.kernel.c_types import CType
from hapir.targets.c.simd.parts import per_path, spread
from hapir.targets.c.simd.primitive import Primitive

_NARROW: dict[str, CType] = {"u8": "uint8_t", "i8": "int8_t", "u16": "uint16_t", "i16": "int16_t"}
_ELEMENTS: dict[str, CType] = {"i32": "int32_t", "f32": "float", **_NARROW}
_MASK = "(__mmask16)((1U << n) - 1U)"
_I, _F, _D = "hapir__i32x16", "hapir__f32x16", "hapir__f64x16"


def _load(element: str, ctype: CType) -> Primitive:
    """Sixteen narrow integers, widened."""
    widen = f"cvtep{element}_epi32"
    wide, narrow = {
        "8": ("_mm_loadu_si128((const void *)x)", "_mm_loadl_epi64((const void *)(x + {}))"),
        "16": ("_mm256_loadu_si256((const void *)x)", "_mm_loadu_si128((const void *)(x + {}))"),
    }[element[1:]]
    return per_path(
        f"i32x16__load_{element}",
        _I,
        f"const {ctype} *x",
        avx512=f"return _mm512_{widen}({wide});",
        avx2=spread(_I, [f"_mm256_{widen}({narrow.format(8 * i)})" for i in range(2)]),
        neon=_neon_load(element),
        c=f"{_I} r;\nfor (int i = 0; i < 16; ++i) {{\n    r.v[i] = x[i];\n}}\nreturn r;",
    )


def _neon_load(element: str) -> str:
    letter, type_ = ("s", "int16x8_t") if element[0] == "i" else ("u", "uint16x8_t")
    if element[1:] == "8":
        lines = [
            f"const {type_.replace('16x8', '8x16')} bytes = vld1q_{letter}8(x);",
            f"const {type_} first = vmovl_{letter}8(vget_low_{letter}8(bytes)), last = vmovl_high_{letter}8(bytes);",
        ]
    else:
        lines = [f"const {type_} first = vld1q_{letter}16(x), last = vld1q_{letter}16(x + 8);"]
    parts = [
        text
        for half in ("first", "last")
        for text in (f"vmovl_{letter}16(vget_low_{letter}16({half}))", f"vmovl_high_{letter}16({half})")
    ]
    if letter == "u":
        parts = [f"vreinterpretq_s32_u32({part})" for part in parts]
    return "\n".join([*lines, spread(_I, parts)])


def _load_first(element: str, ctype: CType) -> Primitive:
    vector, bits = f"hapir__{element[0]}32x16" if element in ("i32", "f32") else _I, element[1:]
    whole = f"{vector[7:]}__load" + ("" if bits == "32" else f"_{element}")
    masked = {
        "8": f"_mm512_cvtep{element}_epi32(_mm_maskz_loadu_epi8({_MASK}, x))",
        "16": f"_mm512_cvtep{element}_epi32(_mm256_maskz_loadu_epi16({_MASK}, x))",
        "32": f"_mm512_maskz_loadu_{'ps' if element == 'f32' else 'epi32'}({_MASK}, x)",
    }[bits]
    copied = f"{ctype} lanes[16] = {{0}};\nmemcpy(lanes, x, sizeof(*x) * (size_t)n);\nreturn {whole}(lanes);"
    return per_path(
        whole.replace("load", "load_first"),
        vector,
        f"const {ctype} *x, int n",
        avx512=f"return {masked};",
        avx2=copied,
        neon=copied,
        c=copied,
    )


# the packs of AVX2 work within halves of a register: one permutation puts their quarters in order
_AVX2_STORE = {
    "8": """
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xD8);
    _mm_storeu_si128((void *)y, {}(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    """,
    "16": "_mm256_storeu_si256((void *)y, _mm256_permute4x64_epi64({}(x.a, x.b), 0xD8));",
}
_AVX2_PACK = {
    "u8": "_mm_packus_epi16",
    "i8": "_mm_packs_epi16",
    "u16": "_mm256_packus_epi32",
    "i16": "_mm256_packs_epi32",
}
_NEON_WORDS = """
    const int16x8_t first = vqmovn_high_s32(vqmovn_s32(x.a), x.b);
    const int16x8_t last = vqmovn_high_s32(vqmovn_s32(x.c), x.d);
"""
_NEON_STORE = {
    "u8": f"{_NEON_WORDS}    vst1q_u8(y, vqmovun_high_s16(vqmovun_s16(first), last));",
    "i8": f"{_NEON_WORDS}    vst1q_s8(y, vqmovn_high_s16(vqmovn_s16(first), last));",
    "u16": """
    vst1q_u16(y, vqmovun_high_s32(vqmovun_s32(x.a), x.b));
    vst1q_u16(y + 8, vqmovun_high_s32(vqmovun_s32(x.c), x.d));
    """,
    "i16": f"{_NEON_WORDS}    vst1q_s16(y, first);\n    vst1q_s16(y + 8, last);",
}
_SATURATED = {
    "u8": "_mm512_cvtusepi32_epi8(_mm512_max_epi32(x, _mm512_setzero_si512()))",
    "i8": "_mm512_cvtsepi32_epi8(x)",
    "u16": "_mm512_cvtusepi32_epi16(_mm512_max_epi32(x, _mm512_setzero_si512()))",
    "i16": "_mm512_cvtsepi32_epi16(x)",
    "i32": "x",
    "f32": "x",
}
RANGES: dict[CType, tuple[int, int]] = {
    "uint8_t": (0, 255),
    "int8_t": (-128, 127),
    "uint16_t": (0, 65535),
    "int16_t": (-32768, 32767),
    "int32_t": (-(1 << 31), (1 << 31) - 1),
}
"""The integers that a store keeps as they are."""


def _store(element: str, ctype: CType) -> Primitive:
    """Sixteen narrow integers; what does not fit becomes the nearest that does."""
    low, high = RANGES[ctype]
    wide = "_mm_storeu_si128" if element[1:] == "8" else "_mm256_storeu_si256"
    clamped = f"({ctype})(x.v[i] < {low} ? {low} : x.v[i] > {high} ? {high} : x.v[i])"
    return per_path(
        f"i32x16__store_{element}",
        "void",
        f"{ctype} *y, i32 x",
        avx512=f"{wide}((void *)y, {_SATURATED[element]});",
        avx2=_AVX2_STORE[element[1:]].format(_AVX2_PACK[element]),
        neon=_NEON_STORE[element],
        c=f"for (int i = 0; i < 16; ++i) {{\n    y[i] = {clamped};\n}}",
    )


def _store_first(element: str, ctype: CType) -> Primitive:
    vector, bits = "f32" if element == "f32" else "i32", element[1:]
    whole = f"{vector}x16__store" + ("" if bits == "32" else f"_{element}")
    write = {"8": "_mm_mask_storeu_epi8", "16": "_mm256_mask_storeu_epi16", "32": "_mm512_mask_storeu_epi32"}[bits]
    write = "_mm512_mask_storeu_ps" if element == "f32" else write
    copied = f"{ctype} lanes[16];\n{whole}(lanes, x);\nmemcpy(y, lanes, sizeof(*y) * (size_t)n);"
    return per_path(
        whole.replace("store", "store_first"),
        "void",
        f"{ctype} *y, {vector} x, int n",
        avx512=f"{write}(y, {_MASK}, {_SATURATED[element]});",
        avx2=copied,
        neon=copied,
        c=copied,
    )


PRIMITIVES = (
    *(make(element, ctype) for element, ctype in _NARROW.items() for make in (_load, _store)),
    *(make(element, ctype) for element, ctype in _ELEMENTS.items() for make in (_load_first, _store_first)),
    per_path(
        "f64x16__load",
        _D,
        "const double *x",
        avx512=spread(_D, [f"_mm512_loadu_pd(x + {8 * i})" for i in range(2)]),
        avx2=spread(_D, [f"_mm256_loadu_pd(x + {4 * i})" for i in range(4)]),
        neon=spread(_D, [f"vld1q_f64(x + {2 * i})" for i in range(8)]),
        c=f"{_D} r;\nmemcpy(r.v, x, sizeof(r.v));\nreturn r;",
    ),
    per_path(
        "f64x16__load_first",
        _D,
        "const double *x, int n",
        **dict.fromkeys(
            PATHS, "double lanes[16] = {0};\nmemcpy(lanes, x, sizeof(*x) * (size_t)n);\nreturn f64x16__load(lanes);"
        ),
    ),
)


def load(ctype: CType, pointer: str, lanes: int = 16) -> str:
    """The call that reads 16 elements, or the first `lanes`."""
    return _access("load", ctype, [pointer], lanes)


def store(ctype: CType, pointer: str, value: str, lanes: int = 16) -> str:
    """The call that writes 16 elements, or the first `lanes`."""
    return _access("store", ctype, [pointer, value], lanes)


def _access(verb: str, ctype: CType, arguments: list[str], lanes: int) -> str:
    element = next((e for e, t in _ELEMENTS.items() if t == ctype), "f64")
    vector = element if element in ("f32", "f64") else "i32"
    name = f"{vector}x16__{verb}" + ("_first" if lanes < 16 else "")
    suffix = f"_{element}" if element in _NARROW else ""
    return f"{name}{suffix}({', '.join([*arguments, *([str(lanes)] if lanes < 16 else [])])})"
