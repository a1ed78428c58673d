"""Primitives of kernels on few bits: words combined, their set bits counted, weights looked up in registers.

Where no instruction counts the bits of 32-bit lanes, counts stay in the bytes or halves of the lanes and are widened
from time to time; who uses these proves that they cannot overflow: a step adds at most 8 to a byte and 16 to a half.
"""

from __future__ import annotations

from hapir.dialects.kernel import PATHS
from hapir.targets.c.simd.parts import function, vector
from hapir.targets.c.simd.primitive import Primitive, everywhere

VECTOR = "hapir__i32x16"
_TWO = f"{VECTOR} x, {VECTOR} y"
_NIBBLES = "0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4"
"""Set bits of 0 to 15."""

_COUNT_WORD = """
/* The set bits of a word. */
HAPIR__INLINE int32_t hapir__count(uint32_t v)
{
    v = v - ((v >> 1) & 0x55555555U);
    v = (v & 0x33333333U) + ((v >> 2) & 0x33333333U);
    return (int32_t)((((v + (v >> 4)) & 0x0F0F0F0FU) * 0x01010101U) >> 24);
}"""

_KEEP = """
/* GCC regroups sums that it sees in a row, and keeps inputs for later turns that it could load: both spill. */
#if defined(__GNUC__) && !defined(__clang__)
#define HAPIR__KEEP(sum) __asm__("" : "+v"(sum))
#define HAPIR__FORGET __asm__ __volatile__("" : : : "memory")
#else
#define HAPIR__KEEP(sum) ((void)0)
#define HAPIR__FORGET ((void)0)
#endif"""

_COUNT_BYTES = {
    "avx512": f"""
#if defined(__AVX512BITALG__)
return _mm512_add_epi8(counts, _mm512_popcnt_epi8(x));
#else
const __m512i nibble = _mm512_set1_epi8(15);
const __m512i bits = _mm512_broadcast_i32x4(_mm_setr_epi8({_NIBBLES}));
counts = _mm512_add_epi8(counts, _mm512_shuffle_epi8(bits, _mm512_and_si512(x, nibble)));
return _mm512_add_epi8(counts, _mm512_shuffle_epi8(bits, _mm512_and_si512(_mm512_srli_epi32(x, 4), nibble)));
#endif""",
    "avx2": f"""
const __m256i nibble = _mm256_set1_epi8(15);
const __m256i bits = _mm256_broadcastsi128_si256(_mm_setr_epi8({_NIBBLES}));
counts.a = _mm256_add_epi8(counts.a, _mm256_shuffle_epi8(bits, _mm256_and_si256(x.a, nibble)));
counts.b = _mm256_add_epi8(counts.b, _mm256_shuffle_epi8(bits, _mm256_and_si256(x.b, nibble)));
x.a = _mm256_and_si256(_mm256_srli_epi32(x.a, 4), nibble);
x.b = _mm256_and_si256(_mm256_srli_epi32(x.b, 4), nibble);
counts.a = _mm256_add_epi8(counts.a, _mm256_shuffle_epi8(bits, x.a));
counts.b = _mm256_add_epi8(counts.b, _mm256_shuffle_epi8(bits, x.b));
return counts;""",
}


def _neon(expression: str) -> str:
    """An expression per register of NEON, `%` being its name."""
    lines = [f"r.{q} = {expression.replace('%', q)};" for q in "abcd"]
    return "\n".join((f"{VECTOR} r;", *lines, "return r;"))


_COUNT_BYTES["neon"] = _neon(
    "vreinterpretq_s32_u8(vaddq_u8(vreinterpretq_u8_s32(counts.%), vcntq_u8(vreinterpretq_u8_s32(x.%))))"
)
_COUNT_HALVES = _neon(
    "vreinterpretq_s32_u16(vpadalq_u8(vreinterpretq_u16_s32(counts.%), vcntq_u8(vreinterpretq_u8_s32(x.%))))"
)
_WIDEN_HALVES = _neon(
    "vreinterpretq_s32_u32(vpadalq_u16(vreinterpretq_u32_s32(sum.%), vreinterpretq_u16_s32(counts.%)))"
)
_WIDEN_BYTES = {
    "avx512": """
const __m512i halves = _mm512_maddubs_epi16(counts, _mm512_set1_epi8(1));
return _mm512_add_epi32(sum, _mm512_madd_epi16(halves, _mm512_set1_epi16(1)));""",
    "avx2": """
const __m256i one = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
sum.a = _mm256_add_epi32(sum.a, _mm256_madd_epi16(_mm256_maddubs_epi16(counts.a, one), ones));
sum.b = _mm256_add_epi32(sum.b, _mm256_madd_epi16(_mm256_maddubs_epi16(counts.b, one), ones));
return sum;""",
    "neon": _neon(
        "vreinterpretq_s32_u32(vpadalq_u16(vreinterpretq_u32_s32(sum.%), vpaddlq_u8(vreinterpretq_u8_s32(counts.%))))"
    ),
}


def _vectors_only(name: str, parameters: str, bodies: dict[str, str]) -> Primitive:
    return function(name, VECTOR, parameters, bodies)


def _codes(bits: int) -> Primitive:
    """Signed bytes out of a table of 2^bits, by the low bits of every byte."""
    mask = (1 << bits) - 1
    return function(
        f"i8x64__lookup{bits}",
        VECTOR,
        f"{VECTOR} table, {VECTOR} codes",
        {
            "avx512": f"""
#if defined(__AVX512VBMI__)
return _mm512_permutexvar_epi8(codes, table); /* which repeats, so higher bits do not matter */
#else
return _mm512_shuffle_epi8(table, _mm512_and_si512(codes, _mm512_set1_epi8({mask})));
#endif""",
            "avx2": f"""
const __m256i mask = _mm256_set1_epi8({mask});
codes.a = _mm256_shuffle_epi8(table.a, _mm256_and_si256(codes.a, mask));
codes.b = _mm256_shuffle_epi8(table.b, _mm256_and_si256(codes.b, mask));
return codes;""",
            "neon": f"const uint8x16_t mask = vdupq_n_u8({mask});\n"
            + _neon(
                "vreinterpretq_s32_u8(vqtbl1q_u8(vreinterpretq_u8_s32(table.a), "
                "vandq_u8(vreinterpretq_u8_s32(codes.%), mask)))"
            ),
        },
    )


_SHIFT = {
    "avx512": "return _mm512_srli_epi32(x, (unsigned int)n);",
    "avx2": "x.a = _mm256_srli_epi32(x.a, n);\nx.b = _mm256_srli_epi32(x.b, n);\nreturn x;",
    "neon": _neon("vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(x.%), vdupq_n_s32(-n)))"),
}

_MERGE = {
    "avx512": "return _mm512_ternarylogic_epi32(_mm512_set1_epi32(0x03030303), low, high, 0xCA);",
    "avx2": """
const __m256i mask = _mm256_set1_epi32(0x03030303);
low.a = _mm256_or_si256(_mm256_and_si256(mask, low.a), _mm256_andnot_si256(mask, high.a));
low.b = _mm256_or_si256(_mm256_and_si256(mask, low.b), _mm256_andnot_si256(mask, high.b));
return low;""",
    "neon": _neon("vbslq_s32(vdupq_n_u32(0x03030303), low.%, high.%)"),
}

PRIMITIVES = (
    everywhere("hapir__count", _COUNT_WORD),
    Primitive("hapir__keep", {"avx512": _KEEP, "neon": _KEEP}),
    function(
        "i32x16__and_xor",
        VECTOR,
        f"{VECTOR} mask, {_TWO}",
        vector(
            "hapir__i32x16",
            "_mm512_ternarylogic_epi32(mask, x, y, 0x60)",
            "_mm256_and_si256(mask.%, _mm256_xor_si256(x.%, y.%))",
            "vandq_s32(mask.%, veorq_s32(x.%, y.%))",
            "mask.v[i] & (x.v[i] ^ y.v[i])",
        ),
    ),
    *(
        Primitive(
            f"i32x16__{name}",
            {
                "avx512": "#if defined(__AVX512VPOPCNTDQ__)\n"
                f"HAPIR__INLINE {VECTOR} i32x16__{name}({VECTOR} sum, {VECTOR} x)\n"
                f"{{\n    return _mm512_{what}_epi32(sum, _mm512_popcnt_epi32(x));\n}}\n#endif"
            },
            ("types",),
        )
        for name, what in (("count", "add"), ("uncount", "sub"))
    ),
    _vectors_only("i32x16__count_bytes", f"{VECTOR} counts, {VECTOR} x", _COUNT_BYTES),
    _vectors_only("i32x16__widen_bytes", f"{VECTOR} sum, {VECTOR} counts", _WIDEN_BYTES),
    _vectors_only("i32x16__count_halves", f"{VECTOR} counts, {VECTOR} x", {"neon": _COUNT_HALVES}),
    _vectors_only("i32x16__widen_halves", f"{VECTOR} sum, {VECTOR} counts", {"neon": _WIDEN_HALVES}),
    _vectors_only("i32x16__shift", f"{VECTOR} x, const int n", _SHIFT),
    _vectors_only("i8x64__merge3", f"{VECTOR} low, {VECTOR} high", _MERGE),
    *(_codes(bits) for bits in (1, 2, 3, 4)),
    Primitive(
        "hapir__u8x32",
        {
            "avx512": "typedef __m256i hapir__u8x32;",
            "avx2": "typedef __m256i hapir__u8x32;",
            "neon": "typedef struct {\n    uint8x16_t a, b;\n} hapir__u8x32;",
            "c": "typedef struct {\n    uint8_t v[32];\n} hapir__u8x32;",
        },
    ),
    function(
        "u8x32__load",
        "hapir__u8x32",
        "const void *p",
        {
            "avx512": "return _mm256_loadu_si256(p);",
            "avx2": "return _mm256_loadu_si256(p);",
            "neon": "const uint8_t *q = p;\nreturn (hapir__u8x32){vld1q_u8(q), vld1q_u8(q + 16)};",
            "c": "hapir__u8x32 r;\nmemcpy(r.v, p, sizeof(r.v));\nreturn r;",
        },
        "hapir__u8x32",
    ),
    function(
        "u8x32__some",
        "hapir__u8x32",
        "const void *p, size_t count",
        dict.fromkeys(PATHS, "uint8_t bytes[32] = {0};\nmemcpy(bytes, p, count);\nreturn u8x32__load(bytes);"),
        "u8x32__load",
    ),
    function(
        "u8x32__sub",
        "hapir__u8x32",
        "hapir__u8x32 x, int32_t y",
        {
            "avx512": "return _mm256_sub_epi8(x, _mm256_set1_epi8((char)y));",
            "avx2": "return _mm256_sub_epi8(x, _mm256_set1_epi8((char)y));",
            "neon": "const uint8x16_t z = vdupq_n_u8((uint8_t)y);\n"
            "return (hapir__u8x32){vsubq_u8(x.a, z), vsubq_u8(x.b, z)};",
            "c": "for (int i = 0; i < 32; ++i) {\n    x.v[i] = (uint8_t)(x.v[i] - y);\n}\nreturn x;",
        },
        "hapir__u8x32",
    ),
    function(
        "u8x32__plane",
        "uint32_t",
        "hapir__u8x32 x, int bit",
        {
            "avx512": "return _mm256_test_epi8_mask(x, _mm256_set1_epi8((char)(1 << bit)));",
            "avx2": "return (uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(x, 7 - bit));",
            "neon": """
static const uint8_t places[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
const uint8x16_t one = vdupq_n_u8((uint8_t)(1 << bit)), place = vld1q_u8(places);
const uint8x16_t a = vandq_u8(vtstq_u8(x.a, one), place), b = vandq_u8(vtstq_u8(x.b, one), place);
const uint32_t low = (uint32_t)vaddv_u8(vget_low_u8(a)) | (uint32_t)vaddv_u8(vget_high_u8(a)) << 8;
return low | (uint32_t)vaddv_u8(vget_low_u8(b)) << 16 | (uint32_t)vaddv_u8(vget_high_u8(b)) << 24;""",
            "c": """
uint32_t word = 0;
for (int i = 0; i < 32; ++i) {
    word |= (uint32_t)(x.v[i] >> bit & 1) << i;
}
return word;""",
        },
        "hapir__u8x32",
    ),
)
