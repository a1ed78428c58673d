"""The primitives that all kernels share: vectors of 16 lanes of 32 bits, and the products of outer-product kernels.

A dot product adds to each lane the products of one word: four bytes, two halves. Where a path has no instruction for
it the same sum is made of exact steps; no intermediate saturates.
"""

from __future__ import annotations

from hapir.dialects.kernel import PATHS
from hapir.targets.c.simd.parts import function, vector
from hapir.targets.c.simd.primitive import Primitive

_TYPES = {
    "avx512": "typedef __m512i hapir__i32x16;\ntypedef __m512 hapir__f32x16;",
    "avx2": """
typedef struct {
    __m256i a, b;
} hapir__i32x16;
typedef struct {
    __m256 a, b;
} hapir__f32x16;""",
    "neon": """
typedef struct {
    int32x4_t a, b, c, d;
} hapir__i32x16;
typedef struct {
    float32x4_t a, b, c, d;
} hapir__f32x16;""",
    "c": """
typedef struct {
    int32_t v[16];
} hapir__i32x16;
typedef struct {
    float v[16];
} hapir__f32x16;""",
}


_IN_PLACE = """
/* A value that stays in its register: GCC else copies each sum of a loop of VNNI products and spills what no longer
 * fits, and loads a vector again for each product. */
#if defined(__GNUC__) && !defined(__clang__)
#define HAPIR__IN_PLACE(sum) __asm__("" : "+v"(sum))
#else
#define HAPIR__IN_PLACE(sum) (void)(sum)
#endif"""

_VECTORS = """
#if defined(__SSE2__) || defined(_M_X64) || defined(__ARM_NEON) || defined(__ALTIVEC__) || defined(__riscv_vector)
#define HAPIR__VECTORS /* loops over lanes are worth their arrays */
#endif"""

_QUARTERS = """
#if defined(HAPIR__VECTORS) && defined(__GNUC__)
#define HAPIR__QUARTERS /* four lanes are a register */
typedef int32_t hapir__i32x4 __attribute__((vector_size(16)));
#endif"""

_QUARTER_TEXTS = {
    "hapir__load": """
HAPIR__INLINE hapir__f32x4 hapir__load(const float *p)
{
    hapir__f32x4 r;
    memcpy(&r, p, sizeof(r));
    return r;
}""",
    "hapir__store": """
HAPIR__INLINE void hapir__store(float *p, hapir__f32x4 x)
{
    memcpy(p, &x, sizeof(x));
}""",
    "hapir__choose": """
HAPIR__INLINE hapir__f32x4 hapir__choose(hapir__i32x4 first, hapir__f32x4 yes, hapir__f32x4 no)
{
    return (hapir__f32x4)((first & (hapir__i32x4)yes) | (~first & (hapir__i32x4)no));
}""",
}

_DOT_U8_I8 = {
    "avx512": """
#if defined(__AVX512VNNI__)
sum = _mm512_dpbusd_epi32(sum, x, w);
HAPIR__IN_PLACE(sum);
return sum;
#else
const __m512i x_even = _mm512_and_si512(x, _mm512_set1_epi32(0x00FF00FF)), x_odd = _mm512_srli_epi16(x, 8);
const __m512i w_even = _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8), w_odd = _mm512_srai_epi16(w, 8);
sum = _mm512_add_epi32(sum, _mm512_madd_epi16(x_even, w_even));
return _mm512_add_epi32(sum, _mm512_madd_epi16(x_odd, w_odd));
#endif""",
    "avx2": """
sum.a = i32x8__dot_u8_i8(sum.a, x.a, w.a);
sum.b = i32x8__dot_u8_i8(sum.b, x.b, w.b);
return sum;""",
    "neon": """
sum.a = hapir__dot_u8_i8(sum.a, x.a, w.a);
sum.b = hapir__dot_u8_i8(sum.b, x.a, w.b);
sum.c = hapir__dot_u8_i8(sum.c, x.a, w.c);
sum.d = hapir__dot_u8_i8(sum.d, x.a, w.d);
return sum;""",
}

_AVX2_DOT_U8_I8 = """
HAPIR__INLINE __m256i i32x8__dot_u8_i8(__m256i sum, __m256i x, __m256i w)
{
#if defined(__AVXVNNI__)
    sum = _mm256_dpbusd_avx_epi32(sum, x, w);
    HAPIR__IN_PLACE(sum);
    return sum;
#else
    const __m256i x_even = _mm256_and_si256(x, _mm256_set1_epi32(0x00FF00FF)), x_odd = _mm256_srli_epi16(x, 8);
    const __m256i w_even = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), w_odd = _mm256_srai_epi16(w, 8);
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x_even, w_even));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x_odd, w_odd));
#endif
}"""

_DOT_U8_I7 = {
    "avx512": """
#if defined(__AVX512VNNI__)
return i32x16__dot_u8_i8(sum, x, w);
#else
const __m512i pairs = _mm512_madd_epi16(_mm512_maddubs_epi16(x, w), _mm512_set1_epi16(1));
return _mm512_add_epi32(sum, pairs);
#endif""",
    "avx2": """
sum.a = i32x8__dot_u8_i7(sum.a, x.a, w.a);
sum.b = i32x8__dot_u8_i7(sum.b, x.b, w.b);
return sum;""",
    "neon": "return i32x16__dot_u8_i8(sum, x, w);",
}

_AVX2_DOT_U8_I7 = """
/* The same where no two neighbouring products leave 16 bits together. */
HAPIR__INLINE __m256i i32x8__dot_u8_i7(__m256i sum, __m256i x, __m256i w)
{
#if defined(__AVXVNNI__)
    return i32x8__dot_u8_i8(sum, x, w);
#else
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
    HAPIR__IN_PLACE(sum);
    return sum;
#endif
}"""

_NEON_DOT_U8_I8 = """
/* Unsigned bytes times signed ones, four to a lane. */
HAPIR__INLINE int32x4_t hapir__dot_u8_i8(int32x4_t sum, int32x4_t x, int32x4_t w)
{
#if defined(__ARM_FEATURE_MATMUL_INT8)
    return vusdotq_s32(sum, vreinterpretq_u8_s32(x), vreinterpretq_s8_s32(w));
#else
    const uint8x16_t bytes = vreinterpretq_u8_s32(x);
    const int8x16_t weights = vreinterpretq_s8_s32(w);
    const int16x8_t x_low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
    const int16x8_t x_high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(bytes)));
    const int16x8_t w_low = vmovl_s8(vget_low_s8(weights)), w_high = vmovl_s8(vget_high_s8(weights));
    const int32x4_t first = vpaddq_s32(
        vmull_s16(vget_low_s16(x_low), vget_low_s16(w_low)), vmull_s16(vget_high_s16(x_low), vget_high_s16(w_low)));
    const int32x4_t second = vpaddq_s32(
        vmull_s16(vget_low_s16(x_high), vget_low_s16(w_high)),
        vmull_s16(vget_high_s16(x_high), vget_high_s16(w_high)));
    return vaddq_s32(sum, vpaddq_s32(first, second));
#endif
}"""

_DOT_I16 = {
    "avx512": """
#if defined(__AVX512VNNI__)
sum = _mm512_dpwssd_epi32(sum, x, w);
HAPIR__IN_PLACE(sum);
return sum;
#else
return _mm512_add_epi32(sum, _mm512_madd_epi16(x, w));
#endif""",
    "avx2": """
sum.a = i32x8__dot_i16(sum.a, x.a, w.a);
sum.b = i32x8__dot_i16(sum.b, x.b, w.b);
return sum;""",
    "neon": """
sum.a = hapir__dot_i16(sum.a, x.a, w.a);
sum.b = hapir__dot_i16(sum.b, x.a, w.b);
sum.c = hapir__dot_i16(sum.c, x.a, w.c);
sum.d = hapir__dot_i16(sum.d, x.a, w.d);
return sum;""",
}

_AVX2_DOT_I16 = """
HAPIR__INLINE __m256i i32x8__dot_i16(__m256i sum, __m256i x, __m256i w)
{
#if defined(__AVXVNNI__)
    sum = _mm256_dpwssd_avx_epi32(sum, x, w);
    HAPIR__IN_PLACE(sum);
    return sum;
#else
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
    HAPIR__IN_PLACE(sum);
    return sum;
#endif
}"""

_AVX2_WORD = """
HAPIR__INLINE __m256i i32x8__word(const void *p)
{
    int32_t word;
    memcpy(&word, p, sizeof(word));
    return _mm256_set1_epi32(word);
}"""

_NEON_WORD = """
HAPIR__INLINE int32_t hapir__word(const void *p)
{
    int32_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}"""

_NEON_DOT_I16 = """
/* Pairs of 16 bits. */
HAPIR__INLINE int32x4_t hapir__dot_i16(int32x4_t sum, int32x4_t x, int32x4_t w)
{
    const int16x8_t a = vreinterpretq_s16_s32(x), b = vreinterpretq_s16_s32(w);
    const int32x4_t low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
    return vaddq_s32(sum, vpaddq_s32(low, vmull_s16(vget_high_s16(a), vget_high_s16(b))));
}"""


PRIMITIVES = (
    Primitive("quarters", {"c": _QUARTERS}, ("vectors",)),
    *(
        Primitive(name, {"c": f"#ifdef HAPIR__QUARTERS{text}\n#endif"}, ("quarters",))
        for name, text in _QUARTER_TEXTS.items()
    ),
    Primitive("types", _TYPES),
    function(
        "f32x16__zero",
        "hapir__f32x16",
        "void",
        vector("hapir__f32x16", "_mm512_setzero_ps()", "_mm256_setzero_ps()", "vdupq_n_f32(0.0f)", "0.0f"),
    ),
    function(
        "f32x16__set",
        "hapir__f32x16",
        "float x",
        vector("hapir__f32x16", "_mm512_set1_ps(x)", "_mm256_set1_ps(x)", "vdupq_n_f32(x)", "x"),
    ),
    function(
        "f32x16__load",
        "hapir__f32x16",
        "const float *p",
        {
            "avx512": "return _mm512_loadu_ps(p);",
            "avx2": "return (hapir__f32x16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};",
            "neon": "return (hapir__f32x16){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};",
            "c": "hapir__f32x16 r;\nmemcpy(r.v, p, sizeof(r.v));\nreturn r;",
        },
    ),
    function(
        "f32x16__store",
        "void",
        "float *p, hapir__f32x16 x",
        {
            "avx512": "_mm512_storeu_ps(p, x);",
            "avx2": "_mm256_storeu_ps(p, x.a);\n_mm256_storeu_ps(p + 8, x.b);",
            "neon": "vst1q_f32(p, x.a);\nvst1q_f32(p + 4, x.b);\nvst1q_f32(p + 8, x.c);\nvst1q_f32(p + 12, x.d);",
            "c": "memcpy(p, x.v, sizeof(x.v));",
        },
    ),
    function(
        "f32x16__fma",
        "hapir__f32x16",
        "hapir__f32x16 sum, hapir__f32x16 x, hapir__f32x16 w",
        vector(
            "hapir__f32x16",
            "_mm512_fmadd_ps(x, w, sum)",
            "_mm256_fmadd_ps(x.%, w.%, sum.%)",
            "vfmaq_f32(sum.%, x.%, w.%)",
            "sum.v[i] + x.v[i] * w.v[i]",
        ),
    ),
    function(
        "i32x16__zero",
        "hapir__i32x16",
        "void",
        vector("hapir__i32x16", "_mm512_setzero_si512()", "_mm256_setzero_si256()", "vdupq_n_s32(0)", "0"),
    ),
    function(
        "i32x16__set",
        "hapir__i32x16",
        "int32_t x",
        vector("hapir__i32x16", "_mm512_set1_epi32(x)", "_mm256_set1_epi32(x)", "vdupq_n_s32(x)", "x"),
    ),
    function(
        "i32x16__word",
        "hapir__i32x16",
        "const void *p",
        dict.fromkeys(PATHS, "int32_t word;\nmemcpy(&word, p, sizeof(word));\nreturn i32x16__set(word);"),
        "i32x16__set",
    ),
    function(
        "i32x16__load",
        "hapir__i32x16",
        "const void *p",
        {
            "avx512": "return _mm512_loadu_si512(p);",
            "avx2": """
const uint8_t *q = (const uint8_t *)p;
return (hapir__i32x16){_mm256_loadu_si256((const void *)q), _mm256_loadu_si256((const void *)(q + 32))};""",
            "neon": """
const uint8_t *q = (const uint8_t *)p;
return (hapir__i32x16){
    vreinterpretq_s32_u8(vld1q_u8(q)), vreinterpretq_s32_u8(vld1q_u8(q + 16)),
    vreinterpretq_s32_u8(vld1q_u8(q + 32)), vreinterpretq_s32_u8(vld1q_u8(q + 48))};""",
            "c": "hapir__i32x16 r;\nmemcpy(r.v, p, sizeof(r.v));\nreturn r;",
        },
    ),
    function(
        "i32x16__store",
        "void",
        "int32_t *p, hapir__i32x16 x",
        {
            "avx512": "_mm512_storeu_si512(p, x);",
            "avx2": "_mm256_storeu_si256((void *)p, x.a);\n_mm256_storeu_si256((void *)(p + 8), x.b);",
            "neon": "vst1q_s32(p, x.a);\nvst1q_s32(p + 4, x.b);\nvst1q_s32(p + 8, x.c);\nvst1q_s32(p + 12, x.d);",
            "c": "memcpy(p, x.v, sizeof(x.v));",
        },
    ),
    function(
        "i32x16__add",
        "hapir__i32x16",
        "hapir__i32x16 x, hapir__i32x16 y",
        vector(
            "hapir__i32x16",
            "_mm512_add_epi32(x, y)",
            "_mm256_add_epi32(x.%, y.%)",
            "vaddq_s32(x.%, y.%)",
            "(int32_t)((uint32_t)x.v[i] + (uint32_t)y.v[i])",
        ),
    ),
    Primitive("vectors", dict.fromkeys(PATHS, _VECTORS)),
    Primitive("in_place", {"avx512": _IN_PLACE, "avx2": _IN_PLACE}),
    function(
        "f32x16__kept",
        "hapir__f32x16",
        "hapir__f32x16 x",
        {
            "avx512": "HAPIR__IN_PLACE(x);\nreturn x;",
            "avx2": "HAPIR__IN_PLACE(x.a);\nHAPIR__IN_PLACE(x.b);\nreturn x;",
            "neon": "return x;",
            "c": "return x;",
        },
        "in_place",
    ),
    function(
        "i32x16__kept",
        "hapir__i32x16",
        "hapir__i32x16 x",
        {
            "avx512": "HAPIR__IN_PLACE(x);\nreturn x;",
            "avx2": "HAPIR__IN_PLACE(x.a);\nHAPIR__IN_PLACE(x.b);\nreturn x;",
            "neon": "return x;",
            "c": "return x;",
        },
        "in_place",
    ),
    Primitive("hapir__word", {"neon": _NEON_WORD}),
    Primitive("i32x8__word", {"avx2": _AVX2_WORD}),
    Primitive("i32x8__dot_u8_i8", {"avx2": _AVX2_DOT_U8_I8}, ("in_place",)),
    Primitive("i32x8__dot_u8_i7", {"avx2": _AVX2_DOT_U8_I7}, ("in_place", "i32x8__dot_u8_i8")),
    Primitive("i32x8__dot_i16", {"avx2": _AVX2_DOT_I16}, ("in_place",)),
    Primitive("hapir__dot_u8_i8", {"neon": _NEON_DOT_U8_I8}),
    function(
        "i32x16__dot_u8_i8",
        "hapir__i32x16",
        "hapir__i32x16 sum, hapir__i32x16 x, hapir__i32x16 w",
        _DOT_U8_I8,
        "i32x8__dot_u8_i8",
        "hapir__dot_u8_i8",
        "in_place",
    ),
    function(
        "i32x16__dot_u8_i7",
        "hapir__i32x16",
        "hapir__i32x16 sum, hapir__i32x16 x, hapir__i32x16 w",
        _DOT_U8_I7,
        "i32x16__dot_u8_i8",
        "i32x8__dot_u8_i7",
    ),
    Primitive("hapir__dot_i16", {"neon": _NEON_DOT_I16}),
    function(
        "i32x16__dot_i16",
        "hapir__i32x16",
        "hapir__i32x16 sum, hapir__i32x16 x, hapir__i32x16 w",
        _DOT_I16,
        "i32x8__dot_i16",
        "hapir__dot_i16",
        "in_place",
    ),
)
