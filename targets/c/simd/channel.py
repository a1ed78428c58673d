"""Primitives of kernels that keep channels in lanes: taps of a channel gathered into its word, one product per lane.

Depthwise layers multiply each channel by its own filter. Four taps of 16 channels, read as four runs of 16 bytes,
become a vector whose lanes hold the four taps of one channel each: one dot product then serves four taps.
"""

from __future__ import annotations

from hapir.targets.c.simd.parts import function, lanes
from hapir.targets.c.simd.primitive import Primitive

_I = "hapir__i32x16"
_F = "hapir__f32x16"

_ZIP_AVX512 = """
#if defined(__AVX512VBMI__)
return _mm512_permutexvar_epi8(
    _mm512_set_epi32(
        0x3F2F1F0F, 0x3E2E1E0E, 0x3D2D1D0D, 0x3C2C1C0C, 0x3B2B1B0B, 0x3A2A1A0A, 0x39291909, 0x38281808,
        0x37271707, 0x36261606, 0x35251505, 0x34241404, 0x33231303, 0x32221202, 0x31211101, 0x30201000),
    rows);
#else
rows = _mm512_permutexvar_epi32(_mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0), rows);
return _mm512_shuffle_epi8(
    rows, _mm512_broadcast_i32x4(_mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0)));
#endif"""

_ZIP = {
    "avx512": """
__m512i rows = _mm512_castsi128_si512(_mm_loadu_si128((const void *)a));
rows = _mm512_mask_broadcast_i32x4(rows, 0x00F0, _mm_loadu_si128((const void *)b));
rows = _mm512_mask_broadcast_i32x4(rows, 0x0F00, _mm_loadu_si128((const void *)c));
rows = _mm512_mask_broadcast_i32x4(rows, 0xF000, _mm_loadu_si128((const void *)d));
return hapir__zip_rows(rows);""",
    "avx2": """
const __m128i va = _mm_loadu_si128((const void *)a), vb = _mm_loadu_si128((const void *)b);
const __m128i vc = _mm_loadu_si128((const void *)c), vd = _mm_loadu_si128((const void *)d);
const __m128i ab = _mm_unpacklo_epi8(va, vb), cd = _mm_unpacklo_epi8(vc, vd);
const __m128i ab_high = _mm_unpackhi_epi8(va, vb), cd_high = _mm_unpackhi_epi8(vc, vd);
return (hapir__i32x16){
    _mm256_set_m128i(_mm_unpackhi_epi16(ab, cd), _mm_unpacklo_epi16(ab, cd)),
    _mm256_set_m128i(_mm_unpackhi_epi16(ab_high, cd_high), _mm_unpacklo_epi16(ab_high, cd_high))};""",
    "neon": """
const uint8x16x2_t ab = vzipq_u8(vld1q_u8(a), vld1q_u8(b)), cd = vzipq_u8(vld1q_u8(c), vld1q_u8(d));
const uint16x8x2_t low = vzipq_u16(vreinterpretq_u16_u8(ab.val[0]), vreinterpretq_u16_u8(cd.val[0]));
const uint16x8x2_t high = vzipq_u16(vreinterpretq_u16_u8(ab.val[1]), vreinterpretq_u16_u8(cd.val[1]));
return (hapir__i32x16){
    vreinterpretq_s32_u16(low.val[0]), vreinterpretq_s32_u16(low.val[1]),
    vreinterpretq_s32_u16(high.val[0]), vreinterpretq_s32_u16(high.val[1])};""",
    "c": """
uint8_t bytes[64];
for (int i = 0; i < 16; ++i) {
    bytes[4 * i] = a[i];
    bytes[4 * i + 1] = b[i];
    bytes[4 * i + 2] = c[i];
    bytes[4 * i + 3] = d[i];
}
hapir__i32x16 r;
memcpy(r.v, bytes, sizeof(r.v));
return r;""",
}

_PLACES = """
uint8_t bytes[64];
for (int i = 0; i < 64; ++i) {
    bytes[i] = x[places[i]];
}
return i32x16__load(bytes);"""


_DOT = {
    "avx512": """
#if defined(__AVX512VNNI__)
return _mm512_dpbusd_epi32(sum, x, w);
#else
const __m512i x_even = _mm512_and_si512(x, _mm512_set1_epi32(0x00FF00FF)), x_odd = _mm512_srli_epi16(x, 8);
const __m512i w_even = _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8), w_odd = _mm512_srai_epi16(w, 8);
sum = _mm512_add_epi32(sum, _mm512_madd_epi16(x_even, w_even));
return _mm512_add_epi32(sum, _mm512_madd_epi16(x_odd, w_odd));
#endif""",
    "avx2": """
#if defined(__AVXVNNI__)
sum.a = _mm256_dpbusd_avx_epi32(sum.a, x.a, w.a);
sum.b = _mm256_dpbusd_avx_epi32(sum.b, x.b, w.b);
#else
const __m256i low = _mm256_set1_epi32(0x00FF00FF);
const __m256i a_even = _mm256_srai_epi16(_mm256_slli_epi16(w.a, 8), 8), a_odd = _mm256_srai_epi16(w.a, 8);
const __m256i b_even = _mm256_srai_epi16(_mm256_slli_epi16(w.b, 8), 8), b_odd = _mm256_srai_epi16(w.b, 8);
sum.a = _mm256_add_epi32(sum.a, _mm256_madd_epi16(_mm256_and_si256(x.a, low), a_even));
sum.a = _mm256_add_epi32(sum.a, _mm256_madd_epi16(_mm256_srli_epi16(x.a, 8), a_odd));
sum.b = _mm256_add_epi32(sum.b, _mm256_madd_epi16(_mm256_and_si256(x.b, low), b_even));
sum.b = _mm256_add_epi32(sum.b, _mm256_madd_epi16(_mm256_srli_epi16(x.b, 8), b_odd));
#endif
return sum;""",
    "neon": """
sum.a = hapir__dot_u8_i8(sum.a, x.a, w.a);
sum.b = hapir__dot_u8_i8(sum.b, x.b, w.b);
sum.c = hapir__dot_u8_i8(sum.c, x.c, w.c);
sum.d = hapir__dot_u8_i8(sum.d, x.d, w.d);
return sum;""",
    "c": """
uint8_t a[64];
int8_t b[64];
memcpy(a, x.v, sizeof(a));
memcpy(b, w.v, sizeof(b));
for (int i = 0; i < 16; ++i) {
    sum.v[i] += a[4 * i] * b[4 * i] + a[4 * i + 1] * b[4 * i + 1] + a[4 * i + 2] * b[4 * i + 2]
        + a[4 * i + 3] * b[4 * i + 3];
}
return sum;""",
}

PRIMITIVES = (
    Primitive(
        "hapir__zip_rows",
        {
            "avx512": "/* Four rows of 16 bytes, transposed. */\n"
            "HAPIR__INLINE __m512i hapir__zip_rows(__m512i rows)\n{\n"
            + "\n".join(line if line.startswith("#") else f"    {line}" for line in _ZIP_AVX512.strip("\n").split("\n"))
            + "\n}"
        },
    ),
    function(
        "i32x16__zip",
        _I,
        "const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d",
        _ZIP,
        "hapir__zip_rows",
    ),
    function(
        "i32x16__zip_64",
        _I,
        "const uint8_t *p",
        {
            "avx512": "return hapir__zip_rows(_mm512_loadu_si512(p));",
            **dict.fromkeys(("avx2", "neon", "c"), "return i32x16__zip(p, p + 16, p + 32, p + 48);"),
        },
        "i32x16__zip",
    ),
    function(
        "i32x16__gather_bytes",
        _I,
        "const uint8_t *x, const int32_t *places",
        dict.fromkeys(("avx512", "avx2", "neon", "c"), _PLACES),
        "i32x16__load",
    ),
    function(
        "i32x16__permute_64",
        _I,
        "const uint8_t *x, const uint8_t *places",
        {
            "avx512": "#if defined(__AVX512VBMI__)\n"
            "return _mm512_permutexvar_epi8(_mm512_loadu_si512(places), _mm512_loadu_si512(x));\n"
            f"#else{_PLACES}\n#endif",
            **dict.fromkeys(("avx2", "neon", "c"), _PLACES),
        },
        "i32x16__load",
    ),
    function("i32x16__dot_lanes", _I, f"{_I} sum, {_I} x, {_I} w", _DOT, "hapir__dot_u8_i8"),
    function(
        "i32x16__flip_bytes",
        _I,
        f"{_I} x",
        {
            "avx512": "return _mm512_xor_si512(x, _mm512_set1_epi8(-128));",
            "avx2": "x.a = _mm256_xor_si256(x.a, _mm256_set1_epi8(-128));\n"
            "x.b = _mm256_xor_si256(x.b, _mm256_set1_epi8(-128));\nreturn x;",
            "neon": "const int32x4_t sign = vreinterpretq_s32_u8(vdupq_n_u8(128));\n"
            "x.a = veorq_s32(x.a, sign);\nx.b = veorq_s32(x.b, sign);\n"
            "x.c = veorq_s32(x.c, sign);\nx.d = veorq_s32(x.d, sign);\nreturn x;",
            "c": lanes("(int32_t)((uint32_t)x.v[i] ^ 0x80808080U)"),
        },
    ),
    function(
        "i32x16__mul_add",
        _I,
        f"{_I} sum, {_I} x, {_I} w",
        {
            "avx512": "return _mm512_add_epi32(sum, _mm512_mullo_epi32(x, w));",
            "avx2": "sum.a = _mm256_add_epi32(sum.a, _mm256_mullo_epi32(x.a, w.a));\n"
            "sum.b = _mm256_add_epi32(sum.b, _mm256_mullo_epi32(x.b, w.b));\nreturn sum;",
            "neon": "sum.a = vmlaq_s32(sum.a, x.a, w.a);\nsum.b = vmlaq_s32(sum.b, x.b, w.b);\n"
            "sum.c = vmlaq_s32(sum.c, x.c, w.c);\nsum.d = vmlaq_s32(sum.d, x.d, w.d);\nreturn sum;",
            "c": "for (int i = 0; i < 16; ++i) {\n    sum.v[i] += x.v[i] * w.v[i];\n}\nreturn sum;",
        },
    ),
    function(
        "i32x16__repeat",
        _I,
        f"{_I} x, const int32_t *lane",
        {
            "avx512": "return _mm512_permutexvar_epi32(_mm512_loadu_si512(lane), x);",
            "avx2": "return (hapir__i32x16){\n"
            "    _mm256_permutevar8x32_epi32(x.a, _mm256_loadu_si256((const void *)lane)),\n"
            "    _mm256_permutevar8x32_epi32(x.a, _mm256_loadu_si256((const void *)(lane + 8)))};",
            "neon": "int32_t from[16], to[16];\ni32x16__store(from, x);\nfor (int i = 0; i < 16; ++i) {\n"
            "    to[i] = from[lane[i]];\n}\nreturn i32x16__load(to);",
            "c": lanes("x.v[lane[i]]"),
        },
        "i32x16__load",
        "i32x16__store",
    ),
    function(
        "f32x16__repeat",
        _F,
        f"{_F} x, const int32_t *lane",
        {
            "avx512": "return _mm512_permutexvar_ps(_mm512_loadu_si512(lane), x);",
            "avx2": "return (hapir__f32x16){\n"
            "    _mm256_permutevar8x32_ps(x.a, _mm256_loadu_si256((const void *)lane)),\n"
            "    _mm256_permutevar8x32_ps(x.a, _mm256_loadu_si256((const void *)(lane + 8)))};",
            "neon": "float from[16], to[16];\nf32x16__store(from, x);\nfor (int i = 0; i < 16; ++i) {\n"
            "    to[i] = from[lane[i]];\n}\nreturn f32x16__load(to);",
            "c": lanes("x.v[lane[i]]", floats=True),
        },
        "f32x16__load",
        "f32x16__store",
    ),
    function(
        "f32x16__gather",
        _F,
        "const float *x, const int32_t *places",
        {
            "avx512": "return _mm512_i32gather_ps(_mm512_loadu_si512(places), x, 4);",
            "avx2": "return (hapir__f32x16){\n"
            "    _mm256_i32gather_ps(x, _mm256_loadu_si256((const void *)places), 4),\n"
            "    _mm256_i32gather_ps(x, _mm256_loadu_si256((const void *)(places + 8)), 4)};",
            "neon": "float to[16];\nfor (int i = 0; i < 16; ++i) {\n    to[i] = x[places[i]];\n}\n"
            "return f32x16__load(to);",
            "c": lanes("x[places[i]]", floats=True),
        },
        "f32x16__load",
    ),
)
