"""What values go through on their way out, on 16 lanes: exact scaling, rounding, comparisons, loads and stores.

Law: on integers every path gives the same bits. A sum or product of integers wraps, `mul_high` and its kin look at the
exact product of 64 bits. Sixteen doubles are registers of doubles, so that a product, a quotient or a rounding is the
one of IEEE 754 on every path. Stores to narrow integers saturate.
"""

from __future__ import annotations

from hapir.targets.c.simd.parts import DOUBLES, each, per_path, per_register

_I, _F, _D = "hapir__i32x16", "hapir__f32x16", "hapir__f64x16"


_INTEGERS = [
    each("i32x16__sub", _I, "i32 a, i32 b", "_mm512_sub_epi32(a@, b@)", "_mm256_sub_epi32(a@, b@)", "vsubq_s32(a@, b@)",
         "(int32_t)((uint32_t)a@ - (uint32_t)b@)"),
    each("i32x16__mul", _I, "i32 a, i32 b", "_mm512_mullo_epi32(a@, b@)", "_mm256_mullo_epi32(a@, b@)",
         "vmulq_s32(a@, b@)", "(int32_t)((uint32_t)a@ * (uint32_t)b@)"),
    each("i32x16__and", _I, "i32 a, i32 b", "_mm512_and_si512(a@, b@)", "_mm256_and_si256(a@, b@)", "vandq_s32(a@, b@)",
         "a@ & b@"),
    each("i32x16__xor", _I, "i32 a, i32 b", "_mm512_xor_si512(a@, b@)", "_mm256_xor_si256(a@, b@)", "veorq_s32(a@, b@)",
         "a@ ^ b@"),
    each("i32x16__min", _I, "i32 a, i32 b", "_mm512_min_epi32(a@, b@)", "_mm256_min_epi32(a@, b@)", "vminq_s32(a@, b@)",
         "a@ < b@ ? a@ : b@"),
    each("i32x16__max", _I, "i32 a, i32 b", "_mm512_max_epi32(a@, b@)", "_mm256_max_epi32(a@, b@)", "vmaxq_s32(a@, b@)",
         "a@ > b@ ? a@ : b@"),
    # by 0 to 31; lanes that are not in use may hold other shifts
    each("i32x16__shift_left", _I, "i32 a, i32 n", "_mm512_sllv_epi32(a@, n@)", "_mm256_sllv_epi32(a@, n@)",
         "vshlq_s32(a@, n@)", "(int32_t)((uint32_t)a@ << (n@ & 31))"),
    each("i32x16__shift_right", _I, "i32 a, i32 n", "_mm512_srav_epi32(a@, n@)", "_mm256_srav_epi32(a@, n@)",
         "vshlq_s32(a@, vnegq_s32(n@))", "a@ >> (n@ & 31)"),
    # value - (a > b ? step : 0)
    each("i32x16__less_if_greater", _I, "i32 value, i32 a, i32 b, i32 step",
         "_mm512_mask_sub_epi32(value@, _mm512_cmpgt_epi32_mask(a@, b@), value@, step@)",
         "_mm256_sub_epi32(value@, _mm256_and_si256(_mm256_cmpgt_epi32(a@, b@), step@))",
         "vsubq_s32(value@, vandq_s32(vreinterpretq_s32_u32(vcgtq_s32(a@, b@)), step@))",
         "value@ - (a@ > b@ ? step@ : 0)"),
    # a > b ? yes : no
    each("i32x16__if_greater", _I, "i32 a, i32 b, i32 yes, i32 no",
         "_mm512_mask_blend_epi32(_mm512_cmpgt_epi32_mask(a@, b@), no@, yes@)",
         "_mm256_blendv_epi8(no@, yes@, _mm256_cmpgt_epi32(a@, b@))",
         "vbslq_s32(vcgtq_s32(a@, b@), yes@, no@)", "a@ > b@ ? yes@ : no@"),
    # the upper half of the product of 64 bits
    each("i32x16__mul_high", _I, "i32 a, i32 b", "hapir__mul_high(a@, b@)", "hapir__mul_high(a@, b@)",
         "hapir__mul_high(a@, b@)", "(int32_t)(((int64_t)a@ * b@) >> 32)"),
    # the upper half of the product plus c, in 64 bits
    each("i32x16__mul_add_high", _I, "i32 a, i32 b, int64_t c", "hapir__mul_add_high(a@, b@, c)",
         "hapir__mul_add_high(a@, b@, c)", "hapir__mul_add_high(a@, b@, c)", "(int32_t)(((int64_t)a@ * b@ + c) >> 32)"),
    # the upper half, its lowest bit set where the lower half is not 0: as far from a tie as the whole product
    each("i32x16__mul_high_sticky", _I, "i32 a, i32 b", "hapir__mul_high_sticky(a@, b@)",
         "hapir__mul_high_sticky(a@, b@)", "hapir__mul_high_sticky(a@, b@)",
         "(int32_t)((((int64_t)a@ * b@) >> 32) | ((uint32_t)a@ * (uint32_t)b@ != 0))"),
]  # fmt: skip

_PARTS = [
    per_register("hapir__mul_high", _I, "i32 a, i32 b",
        avx512="""
        const __m512i even = _mm512_mul_epi32(a, b);
        const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
        return _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
        """,
        avx2="""
        const __m256i even = _mm256_mul_epi32(a, b);
        const __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
        return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
        """,
        neon="""
        const int64x2_t first = vmull_s32(vget_low_s32(a), vget_low_s32(b)), last = vmull_high_s32(a, b);
        return vuzp2q_s32(vreinterpretq_s32_s64(first), vreinterpretq_s32_s64(last));
        """),
    per_register("hapir__mul_add_high", _I, "i32 a, i32 b, int64_t c",
        avx512="""
        const __m512i add = _mm512_set1_epi64(c);
        const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(a, b), add);
        const __m512i product = _mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
        return _mm512_mask_shuffle_epi32(_mm512_add_epi64(product, add), 0x5555, even, _MM_PERM_DDBB);
        """,
        avx2="""
        const __m256i add = _mm256_set1_epi64x(c);
        const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, b), add);
        const __m256i product = _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
        return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), _mm256_add_epi64(product, add), 0xAA);
        """,
        neon="""
        const int64x2_t add = vdupq_n_s64(c);
        const int64x2_t first = vmlal_s32(add, vget_low_s32(a), vget_low_s32(b)), last = vmlal_high_s32(add, a, b);
        return vuzp2q_s32(vreinterpretq_s32_s64(first), vreinterpretq_s32_s64(last));
        """),
    per_register("hapir__mul_high_sticky", _I, "i32 a, i32 b",
        avx512="""
        const __m512i even = _mm512_mul_epi32(a, b);
        const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
        const __m512i high = _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
        const __m512i low = _mm512_mask_shuffle_epi32(even, 0xAAAA, odd, _MM_PERM_CCAA);
        return _mm512_mask_or_epi32(high, _mm512_test_epi32_mask(low, low), high, _mm512_set1_epi32(1));
        """,
        avx2="""
        const __m256i even = _mm256_mul_epi32(a, b);
        const __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
        const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
        const __m256i low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
        const __m256i zero = _mm256_cmpeq_epi32(low, _mm256_setzero_si256());
        return _mm256_or_si256(high, _mm256_andnot_si256(zero, _mm256_set1_epi32(1)));
        """,
        neon="""
        const int32x4_t first = vreinterpretq_s32_s64(vmull_s32(vget_low_s32(a), vget_low_s32(b)));
        const int32x4_t last = vreinterpretq_s32_s64(vmull_high_s32(a, b));
        const int32x4_t low = vuzp1q_s32(first, last);
        const int32x4_t sticky = vandq_s32(vreinterpretq_s32_u32(vtstq_s32(low, low)), vdupq_n_s32(1));
        return vorrq_s32(vuzp2q_s32(first, last), sticky);
        """),
]  # fmt: skip

_FLOATS = [
    each("f32x16__add", _F, "f32 a, f32 b", "_mm512_add_ps(a@, b@)", "_mm256_add_ps(a@, b@)", "vaddq_f32(a@, b@)",
         "a@ + b@"),
    each("f32x16__sub", _F, "f32 a, f32 b", "_mm512_sub_ps(a@, b@)", "_mm256_sub_ps(a@, b@)", "vsubq_f32(a@, b@)",
         "a@ - b@"),
    each("f32x16__mul", _F, "f32 a, f32 b", "_mm512_mul_ps(a@, b@)", "_mm256_mul_ps(a@, b@)", "vmulq_f32(a@, b@)",
         "a@ * b@"),
    # a where it is not a number
    each("f32x16__at_least", _F, "f32 a, f32 low", "_mm512_max_ps(low@, a@)", "_mm256_max_ps(low@, a@)",
         "vmaxq_f32(low@, a@)", "low@ > a@ ? low@ : a@"),
    each("f32x16__at_most", _F, "f32 a, f32 high", "_mm512_min_ps(high@, a@)", "_mm256_min_ps(high@, a@)",
         "vminq_f32(high@, a@)", "high@ < a@ ? high@ : a@"),
    # `low` where a is not a number
    each("f32x16__number_at_least", _F, "f32 a, f32 low", "_mm512_max_ps(a@, low@)", "_mm256_max_ps(a@, low@)",
         "vmaxnmq_f32(a@, low@)", "a@ > low@ ? a@ : low@"),
    # a < b ? yes : no
    each("f32x16__if_less", _F, "f32 a, f32 b, f32 yes, f32 no",
         "_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a@, b@, _CMP_LT_OQ), no@, yes@)",
         "_mm256_blendv_ps(no@, yes@, _mm256_cmp_ps(a@, b@, _CMP_LT_OQ))",
         "vbslq_f32(vcltq_f32(a@, b@), yes@, no@)", "a@ < b@ ? yes@ : no@"),
]  # fmt: skip

_DOUBLES = [
    each("f64x16__add", _D, "f64 a, f64 b", "_mm512_add_pd(a@, b@)", "_mm256_add_pd(a@, b@)", "vaddq_f64(a@, b@)",
         "a@ + b@"),
    each("f64x16__mul", _D, "f64 a, f64 b", "_mm512_mul_pd(a@, b@)", "_mm256_mul_pd(a@, b@)", "vmulq_f64(a@, b@)",
         "a@ * b@"),
    # sum + a * b
    each("f64x16__fma", _D, "f64 sum, f64 a, f64 b", "_mm512_fmadd_pd(a@, b@, sum@)", "_mm256_fmadd_pd(a@, b@, sum@)",
         "vfmaq_f64(sum@, a@, b@)", "sum@ + a@ * b@"),
    each("f64x16__div", _D, "f64 a, f64 b", "_mm512_div_pd(a@, b@)", "_mm256_div_pd(a@, b@)", "vdivq_f64(a@, b@)",
         "a@ / b@"),
    each("f64x16__at_most", _D, "f64 a, f64 high", "_mm512_min_pd(high@, a@)", "_mm256_min_pd(high@, a@)",
         "vminq_f64(high@, a@)", "high@ < a@ ? high@ : a@"),
    # `low` where a is not a number
    each("f64x16__number_at_least", _D, "f64 a, f64 low", "_mm512_max_pd(a@, low@)", "_mm256_max_pd(a@, low@)",
         "vmaxnmq_f64(a@, low@)", "a@ > low@ ? a@ : low@"),
    each("f64x16__floor", _D, "f64 a", "_mm512_roundscale_pd(a@, 0x09)", "_mm256_floor_pd(a@)", "vrndmq_f64(a@)",
         "floor(a@)"),
    each("f64x16__half_even", _D, "f64 a", "_mm512_roundscale_pd(a@, 0x08)", "_mm256_round_pd(a@, 0x08)",
         "vrndnq_f64(a@)", "rint(a@)"),
    # one more than the floor where the fraction, which is exact, is half or more
    each("f64x16__half_up", _D, "f64 a", *["hapir__half_up(a@)"] * 4),
    # the same, but for a half of a negative number
    each("f64x16__half_away", _D, "f64 a", *["hapir__half_away(a@)"] * 4),
]  # fmt: skip

_ROUNDINGS = [
    per_register("hapir__half_up", _D, "f64 a",
        avx512="""
        const __m512d below = _mm512_roundscale_pd(a, 0x09);
        const __mmask8 up = _mm512_cmp_pd_mask(_mm512_sub_pd(a, below), _mm512_set1_pd(0.5), _CMP_GE_OQ);
        return _mm512_mask_add_pd(below, up, below, _mm512_set1_pd(1.0));
        """,
        avx2="""
        const __m256d below = _mm256_floor_pd(a);
        const __m256d up = _mm256_cmp_pd(_mm256_sub_pd(a, below), _mm256_set1_pd(0.5), _CMP_GE_OQ);
        return _mm256_add_pd(below, _mm256_and_pd(up, _mm256_set1_pd(1.0)));
        """,
        neon="""
        const float64x2_t below = vrndmq_f64(a);
        const uint64x2_t up = vcgeq_f64(vsubq_f64(a, below), vdupq_n_f64(0.5));
        return vaddq_f64(below, vreinterpretq_f64_u64(vandq_u64(up, vreinterpretq_u64_f64(vdupq_n_f64(1.0)))));
        """,
        c="""
        const double below = floor(a);
        return below + (a - below >= 0.5 ? 1.0 : 0.0);
        """),
    per_register("hapir__half_away", _D, "f64 a",
        avx512="""
        const __m512d below = _mm512_roundscale_pd(a, 0x09), fraction = _mm512_sub_pd(a, below);
        const __m512d half = _mm512_set1_pd(0.5);
        const __mmask8 positive = _mm512_cmp_pd_mask(a, _mm512_setzero_pd(), _CMP_GT_OQ);
        const __mmask8 tie = _mm512_mask_cmp_pd_mask(positive, fraction, half, _CMP_EQ_OQ);
        const __mmask8 above = _mm512_cmp_pd_mask(fraction, half, _CMP_GT_OQ);
        return _mm512_mask_add_pd(below, (__mmask8)(tie | above), below, _mm512_set1_pd(1.0));
        """,
        avx2="""
        const __m256d below = _mm256_floor_pd(a), fraction = _mm256_sub_pd(a, below), half = _mm256_set1_pd(0.5);
        const __m256d positive = _mm256_cmp_pd(a, _mm256_setzero_pd(), _CMP_GT_OQ);
        const __m256d tie = _mm256_and_pd(positive, _mm256_cmp_pd(fraction, half, _CMP_EQ_OQ));
        const __m256d up = _mm256_or_pd(tie, _mm256_cmp_pd(fraction, half, _CMP_GT_OQ));
        return _mm256_add_pd(below, _mm256_and_pd(up, _mm256_set1_pd(1.0)));
        """,
        neon="return vrndaq_f64(a);",
        c="""
        const double below = floor(a), fraction = a - below;
        return below + (fraction > 0.5 || (fraction == 0.5 && a > 0.0) ? 1.0 : 0.0);
        """),
]  # fmt: skip

_CONVERSIONS = [
    each("f64x16__set", _D, "double value", "_mm512_set1_pd(value)", "_mm256_set1_pd(value)", "vdupq_n_f64(value)",
         "value"),
    each("f32x16__from_i32", _F, "i32 a", "_mm512_cvtepi32_ps(a@)", "_mm256_cvtepi32_ps(a@)", "vcvtq_f32_s32(a@)",
         "(float)a@"),
    per_path("f64x16__from_i32", _D, "i32 a",
        avx512="""
        return (hapir__f64x16){
            _mm512_cvtepi32_pd(_mm512_castsi512_si256(a)), _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(a, 1))};
        """,
        avx2="""
        return (hapir__f64x16){
            _mm256_cvtepi32_pd(_mm256_castsi256_si128(a.a)), _mm256_cvtepi32_pd(_mm256_extracti128_si256(a.a, 1)),
            _mm256_cvtepi32_pd(_mm256_castsi256_si128(a.b)), _mm256_cvtepi32_pd(_mm256_extracti128_si256(a.b, 1))};
        """,
        neon="""
        return (hapir__f64x16){
            vcvtq_f64_s64(vmovl_s32(vget_low_s32(a.a))), vcvtq_f64_s64(vmovl_high_s32(a.a)),
            vcvtq_f64_s64(vmovl_s32(vget_low_s32(a.b))), vcvtq_f64_s64(vmovl_high_s32(a.b)),
            vcvtq_f64_s64(vmovl_s32(vget_low_s32(a.c))), vcvtq_f64_s64(vmovl_high_s32(a.c)),
            vcvtq_f64_s64(vmovl_s32(vget_low_s32(a.d))), vcvtq_f64_s64(vmovl_high_s32(a.d))};
        """,
        c="""
        hapir__f64x16 r;
        for (int i = 0; i < 16; ++i) {
            r.v[i] = a.v[i];
        }
        return r;
        """),
    per_path("f64x16__from_f32", _D, "f32 a",
        avx512="""
        return (hapir__f64x16){
            _mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1))};
        """,
        avx2="""
        return (hapir__f64x16){
            _mm256_cvtps_pd(_mm256_castps256_ps128(a.a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a.a, 1)),
            _mm256_cvtps_pd(_mm256_castps256_ps128(a.b)), _mm256_cvtps_pd(_mm256_extractf128_ps(a.b, 1))};
        """,
        neon="""
        return (hapir__f64x16){
            vcvt_f64_f32(vget_low_f32(a.a)), vcvt_high_f64_f32(a.a),
            vcvt_f64_f32(vget_low_f32(a.b)), vcvt_high_f64_f32(a.b),
            vcvt_f64_f32(vget_low_f32(a.c)), vcvt_high_f64_f32(a.c),
            vcvt_f64_f32(vget_low_f32(a.d)), vcvt_high_f64_f32(a.d)};
        """,
        c="""
        hapir__f64x16 r;
        for (int i = 0; i < 16; ++i) {
            r.v[i] = (double)a.v[i];
        }
        return r;
        """),
    # the nearest integers, ties to even
    per_path("f64x16__nearest_i32", _I, "f64 a",
        avx512="""
        const __m512i first = _mm512_castsi256_si512(_mm512_cvt_roundpd_epi32(a.a, 0x08));
        return _mm512_inserti64x4(first, _mm512_cvt_roundpd_epi32(a.b, 0x08), 1);
        """,
        avx2="return f64x16__to_i32(f64x16__half_even(a));",
        neon="return f64x16__to_i32(f64x16__half_even(a));",
        c="return f64x16__to_i32(f64x16__half_even(a));"),
    # of whole numbers
    per_path("f64x16__to_i32", _I, "f64 a",
        avx512="""
        const __m512i first = _mm512_castsi256_si512(_mm512_cvttpd_epi32(a.a));
        return _mm512_inserti64x4(first, _mm512_cvttpd_epi32(a.b), 1);
        """,
        avx2="""
        return (hapir__i32x16){
            _mm256_set_m128i(_mm256_cvttpd_epi32(a.b), _mm256_cvttpd_epi32(a.a)),
            _mm256_set_m128i(_mm256_cvttpd_epi32(a.d), _mm256_cvttpd_epi32(a.c))};
        """,
        neon="""
        return (hapir__i32x16){
            vmovn_high_s64(vmovn_s64(vcvtq_s64_f64(a.a)), vcvtq_s64_f64(a.b)),
            vmovn_high_s64(vmovn_s64(vcvtq_s64_f64(a.c)), vcvtq_s64_f64(a.d)),
            vmovn_high_s64(vmovn_s64(vcvtq_s64_f64(a.e)), vcvtq_s64_f64(a.f)),
            vmovn_high_s64(vmovn_s64(vcvtq_s64_f64(a.g)), vcvtq_s64_f64(a.h))};
        """,
        c="""
        hapir__i32x16 r;
        for (int i = 0; i < 16; ++i) {
            r.v[i] = (int32_t)a.v[i];
        }
        return r;
        """),
    per_path("f64x16__to_f32", _F, "f64 a",
        avx512="""
        const __m512 first = _mm512_castps256_ps512(_mm512_cvtpd_ps(a.a));
        return _mm512_insertf32x8(first, _mm512_cvtpd_ps(a.b), 1);
        """,
        avx2="""
        return (hapir__f32x16){
            _mm256_set_m128(_mm256_cvtpd_ps(a.b), _mm256_cvtpd_ps(a.a)),
            _mm256_set_m128(_mm256_cvtpd_ps(a.d), _mm256_cvtpd_ps(a.c))};
        """,
        neon="""
        return (hapir__f32x16){
            vcvt_high_f32_f64(vcvt_f32_f64(a.a), a.b),
            vcvt_high_f32_f64(vcvt_f32_f64(a.c), a.d),
            vcvt_high_f32_f64(vcvt_f32_f64(a.e), a.f),
            vcvt_high_f32_f64(vcvt_f32_f64(a.g), a.h)};
        """,
        c="""
        hapir__f32x16 r;
        for (int i = 0; i < 16; ++i) {
            r.v[i] = (float)a.v[i];
        }
        return r;
        """),
]  # fmt: skip


PRIMITIVES = (DOUBLES, *_INTEGERS, *_PARTS, *_FLOATS, *_DOUBLES, *_ROUNDINGS, *_CONVERSIONS)
