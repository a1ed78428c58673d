"""Bfloat16 on 16 lanes: products of words of two, and the rounding of floats to it.

A product adds to each lane of f32 those of both halves of a word, the upper half first, as vdpbf16ps does; where a path
has no instruction these are two multiply-adds of the widened halves, which keep the subnormal numbers that vdpbf16ps
and bfdot take as 0. Floats are rounded to the nearest bfloat16, ties to even; vcvtneps2bf16 gives 0 for subnormal ones.
"""

from __future__ import annotations

from hapir.targets.c.simd.parts import function, per_register, spread
from hapir.targets.c.simd.primitive import Primitive

_F, _I = "hapir__f32x16", "hapir__i32x16"

_DOT = {
    "avx512": """
#if defined(__AVX512BF16__)
sum = _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
HAPIR__IN_PLACE(sum);
return sum;
#else
const __m512i upper = _mm512_set1_epi32(-65536);
const __m512 x_upper = _mm512_castsi512_ps(_mm512_and_si512(x, upper));
const __m512 w_upper = _mm512_castsi512_ps(_mm512_and_si512(w, upper));
const __m512 x_lower = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
const __m512 w_lower = _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
return _mm512_fmadd_ps(x_lower, w_lower, _mm512_fmadd_ps(x_upper, w_upper, sum));
#endif""",
    "avx2": """
#if defined(__AVX512BF16__) && defined(__AVX512VL__)
sum.a = _mm256_dpbf16_ps(sum.a, (__m256bh)x.a, (__m256bh)w.a);
sum.b = _mm256_dpbf16_ps(sum.b, (__m256bh)x.b, (__m256bh)w.b);
#else
const __m256i upper = _mm256_set1_epi32(-65536);
const __m256 x_upper = _mm256_castsi256_ps(_mm256_and_si256(x.a, upper));
const __m256 x_lower = _mm256_castsi256_ps(_mm256_slli_epi32(x.a, 16));
sum.a = _mm256_fmadd_ps(x_upper, _mm256_castsi256_ps(_mm256_and_si256(w.a, upper)), sum.a);
sum.b = _mm256_fmadd_ps(x_upper, _mm256_castsi256_ps(_mm256_and_si256(w.b, upper)), sum.b);
sum.a = _mm256_fmadd_ps(x_lower, _mm256_castsi256_ps(_mm256_slli_epi32(w.a, 16)), sum.a);
sum.b = _mm256_fmadd_ps(x_lower, _mm256_castsi256_ps(_mm256_slli_epi32(w.b, 16)), sum.b);
#endif
return sum;""",
    "neon": """
sum.a = hapir__dot_bf16(sum.a, x.a, w.a);
sum.b = hapir__dot_bf16(sum.b, x.a, w.b);
sum.c = hapir__dot_bf16(sum.c, x.a, w.c);
sum.d = hapir__dot_bf16(sum.d, x.a, w.d);
return sum;""",
}

_NEON_DOT = """
/* Pairs of bfloat16. */
HAPIR__INLINE float32x4_t hapir__dot_bf16(float32x4_t sum, int32x4_t x, int32x4_t w)
{
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
    return vbfdotq_f32(sum, vreinterpretq_bf16_s32(x), vreinterpretq_bf16_s32(w));
#else
    const int32x4_t upper = vdupq_n_s32(-65536);
    const float32x4_t x_lower = vreinterpretq_f32_s32(vshlq_n_s32(x, 16));
    const float32x4_t w_lower = vreinterpretq_f32_s32(vshlq_n_s32(w, 16));
    sum = vfmaq_f32(sum, vreinterpretq_f32_s32(vandq_s32(x, upper)), vreinterpretq_f32_s32(vandq_s32(w, upper)));
    return vfmaq_f32(sum, x_lower, w_lower);
#endif
}"""

ROUND = "bits = (bits & 0x7FFFFFFFU) > 0x7F800000U ? bits | 0x00400000U : bits + 0x7FFFU + (bits >> 16 & 1U);"
"""The bits of a float, rounded; what is no number stays none. The upper half is the bfloat16."""

_WIDENED = """
#if defined(__GNUC__)
typedef uint32_t hapir__u32x4 __attribute__((vector_size(16)));
#endif
/* A bfloat16 as a float. */
HAPIR__INLINE float hapir__bf16(uint32_t bits)
{
    float x;
    bits <<= 16;
    memcpy(&x, &bits, sizeof(x));
    return x;
}"""

PRIMITIVES = (
    Primitive("hapir__bf16", {"c": _WIDENED}),
    Primitive("hapir__dot_bf16", {"neon": _NEON_DOT}),
    function(
        "f32x16__dot_bf16",
        _F,
        "hapir__f32x16 sum, hapir__i32x16 x, hapir__i32x16 w",
        _DOT,
        "hapir__dot_bf16",
        "in_place",
    ),
    per_register(
        "hapir__to_bf16",
        _I,
        "f32 x",
        avx512="""
        #if defined(__AVX512BF16__)
            return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
        #else
            const __m512i bits = _mm512_castps_si512(x), odd = _mm512_srli_epi32(_mm512_slli_epi32(bits, 15), 31);
            const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
            const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x00400000));
            const __mmask16 none = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
            return _mm512_srli_epi32(_mm512_mask_blend_epi32(none, up, quiet), 16);
        #endif
        """,
        avx2="""
        const __m256i bits = _mm256_castps_si256(x), odd = _mm256_srli_epi32(_mm256_slli_epi32(bits, 15), 31);
        const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
        const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
        const __m256i none = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
        return _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, none), 16);
        """,
        neon="""
        const uint32x4_t bits = vreinterpretq_u32_f32(x), odd = vshrq_n_u32(vshlq_n_u32(bits, 15), 31);
        const uint32x4_t up = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
        const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x00400000));
        return vreinterpretq_s32_u32(vshrq_n_u32(vbslq_u32(vceqq_f32(x, x), up, quiet), 16));
        """,
    ),
    function(
        "f32x16__to_bf16",
        _I,
        "hapir__f32x16 x",
        {
            "avx512": "return hapir__to_bf16(x);",
            "avx2": spread(_I, [f"hapir__to_bf16(x.{part})" for part in "ab"]),
            "neon": spread(_I, [f"hapir__to_bf16(x.{part})" for part in "abcd"]),
            "c": f"""
hapir__i32x16 r;
for (int i = 0; i < 16; ++i) {{
    uint32_t bits;
    memcpy(&bits, &x.v[i], sizeof(bits));
    {ROUND}
    r.v[i] = (int32_t)(bits >> 16);
}}
return r;""",
        },
        "hapir__to_bf16",
    ),
)
