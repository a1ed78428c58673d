"""The primitives of kernels with pixels in lanes: transposition into and out of planes, and sums of bytes in 16 bits.

`words__transpose` takes 16 words from each of 16 places and gives 16 rows of 16 words; `pack__words` and `pack__bytes`
make planes of whole pixels with it. `hapir__u16x32` is 32 lanes of 16 bits, which bytes are added to.
"""

from __future__ import annotations

from dataclasses import replace

from hapir.dialects.kernel import PATHS
from hapir.targets.c.simd.parts import function, lanes
from hapir.targets.c.simd.primitive import Primitive, everywhere

_TRANSPOSE_PARAMETERS = "const uint8_t *const *from, int32_t offset, uint8_t *to, int32_t stride, uint32_t flip"

_TRANSPOSE = {
    "avx512": """
const __m512i mask = _mm512_set1_epi32((int32_t)flip);
__m512i r[16], t[16];
for (int i = 0; i < 16; ++i) {
    r[i] = _mm512_xor_si512(_mm512_loadu_si512(from[i] + offset), mask);
}
for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
}
for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
}
for (int i = 0; i < 4; ++i) {
    const __m512i a = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88), b = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xDD);
    const __m512i c = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    const __m512i d = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xDD);
    t[i] = _mm512_shuffle_i32x4(a, c, 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
    t[i + 8] = _mm512_shuffle_i32x4(a, c, 0xDD);
    t[i + 12] = _mm512_shuffle_i32x4(b, d, 0xDD);
}
for (int i = 0; i < 16; ++i) {
    _mm512_storeu_si512(to + i * stride, t[i]);
}""",
    "avx2": """
const __m256i mask = _mm256_set1_epi32((int32_t)flip);
for (int q = 0; q < 4; ++q) { /* a quarter: 8 places, 8 words */
    const int32_t first = (q & 1) * 8, word = (q >> 1) * 8;
    __m256i r[8], t[8];
    for (int i = 0; i < 8; ++i) {
        const __m256i *p = (const __m256i *)(const void *)(from[first + i] + offset + word * 4);
        r[i] = _mm256_xor_si256(_mm256_loadu_si256(p), mask);
    }
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
        uint8_t *row = to + (word + i) * stride + first * 4;
        _mm256_storeu_si256((__m256i *)(void *)row, _mm256_permute2x128_si256(r[i], r[i + 4], 0x20));
        row += 4 * stride;
        _mm256_storeu_si256((__m256i *)(void *)row, _mm256_permute2x128_si256(r[i], r[i + 4], 0x31));
    }
}""",
    "neon": """
const uint32x4_t mask = vdupq_n_u32(flip);
for (int first = 0; first < 16; first += 4) {
    for (int word = 0; word < 16; word += 4) {
        uint32x4_t r[4];
        for (int i = 0; i < 4; ++i) {
            r[i] = veorq_u32(vreinterpretq_u32_u8(vld1q_u8(from[first + i] + offset + word * 4)), mask);
        }
        const uint32x4x2_t a = vtrnq_u32(r[0], r[1]), b = vtrnq_u32(r[2], r[3]);
        r[0] = vcombine_u32(vget_low_u32(a.val[0]), vget_low_u32(b.val[0]));
        r[1] = vcombine_u32(vget_low_u32(a.val[1]), vget_low_u32(b.val[1]));
        r[2] = vcombine_u32(vget_high_u32(a.val[0]), vget_high_u32(b.val[0]));
        r[3] = vcombine_u32(vget_high_u32(a.val[1]), vget_high_u32(b.val[1]));
        for (int i = 0; i < 4; ++i) {
            vst1q_u8(to + (word + i) * stride + first * 4, vreinterpretq_u8_u32(r[i]));
        }
    }
}""",
    "c": """
for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) {
        uint32_t word;
        memcpy(&word, from[i] + offset + 4 * j, sizeof(word));
        word ^= flip;
        memcpy(to + j * stride + 4 * i, &word, sizeof(word));
    }
}""",
}

_BYTES = {
    "avx512": """
const __m512i shifted = _mm512_srl_epi32(_mm512_loadu_si512(words), _mm_cvtsi32_si128(8 * byte));
_mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8(shifted));""",
    **dict.fromkeys(
        ("avx2", "neon", "c"),
        "for (int i = 0; i < 16; ++i) {\n    to[i] = words[4 * i + byte];\n}",
    ),
}

_PACK_WORDS = """
int32_t i = 0;
for (; i + 64 <= bytes; i += 64, to += 16 * stride) {
    words__transpose(from, i, to, stride, flip);
}
if (i < bytes) {
    _Alignas(64) uint8_t block[16][64];
    words__rest(from, i, bytes - i, block[0], flip);
    for (int j = 0; 4 * j < bytes - i; ++j) {
        memcpy(to + j * stride, block[j], sizeof(block[j]));
    }
}"""

_REST = """
_Alignas(64) uint8_t rest[16][64] = {{0}};
const uint8_t *rows[16];
for (int i = 0; i < 16; ++i) {
    memcpy(rest[i], from[i] + offset, (size_t)bytes);
    rows[i] = rest[i];
}
words__transpose(rows, 0, to, 64, flip);"""

_PACK_BYTES = """
_Alignas(64) uint8_t block[16][64];
for (int32_t i = 0; i < bytes; i += 64) {
    const int32_t count = bytes - i < 64 ? bytes - i : 64;
    if (count == 64) {
        words__transpose(from, i, block[0], 64, flip);
    } else {
        words__rest(from, i, count, block[0], flip);
    }
    for (int32_t j = 0; j < count; ++j, to += stride) {
        bytes__of_words(block[j / 4], j % 4, to);
    }
}"""

_PACK_PARAMETERS = "const uint8_t *const *from, int32_t bytes, uint8_t *to, int32_t stride, uint32_t flip"

_U16_TYPES = {
    "avx512": "typedef __m512i hapir__u16x32;",
    "avx2": "typedef struct {\n    __m256i a, b;\n} hapir__u16x32;",
    "neon": "typedef struct {\n    uint16x8_t a, b, c, d;\n} hapir__u16x32;",
    "c": "typedef struct {\n    uint16_t v[32];\n} hapir__u16x32;",
}

_SET_16 = {
    "avx512": "return _mm512_set1_epi16((int16_t)x);",
    "avx2": "const __m256i v = _mm256_set1_epi16((int16_t)x);\nreturn (hapir__u16x32){v, v};",
    "neon": "const uint16x8_t v = vdupq_n_u16((uint16_t)x);\nreturn (hapir__u16x32){v, v, v, v};",
    "c": "hapir__u16x32 r;\nfor (int i = 0; i < 32; ++i) {\n    r.v[i] = (uint16_t)x;\n}\nreturn r;",
}


def _with_bytes(word: str, neon: str, sign: str) -> dict[str, str]:
    """The bodies that add or subtract 32 bytes."""
    load = "_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(p{})))"
    return {
        "avx512": f"const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);\n"
        f"return _mm512_{word}_epi16(sum, _mm512_cvtepu8_epi16(x));",
        "avx2": f"sum.a = _mm256_{word}_epi16(sum.a, {load.format('')});\n"
        f"sum.b = _mm256_{word}_epi16(sum.b, {load.format(' + 16')});\nreturn sum;",
        "neon": "const uint8x16_t x = vld1q_u8(p), y = vld1q_u8(p + 16);\n"
        f"sum.a = {neon}_u8(sum.a, vget_low_u8(x));\nsum.b = {neon}_u8(sum.b, vget_high_u8(x));\n"
        f"sum.c = {neon}_u8(sum.c, vget_low_u8(y));\nsum.d = {neon}_u8(sum.d, vget_high_u8(y));\nreturn sum;",
        "c": f"for (int i = 0; i < 32; ++i) {{\n    sum.v[i] = (uint16_t)(sum.v[i] {sign} p[i]);\n}}\nreturn sum;",
    }


def _half(high: bool) -> dict[str, str]:
    """The bodies that widen 16 of the 32 lanes."""
    part = "_mm512_extracti64x4_epi64(x, 1)" if high else "_mm512_castsi512_si256(x)"
    register = "b" if high else "a"
    first, second = ("c", "d") if high else ("a", "b")
    quarters = [f"vget_{half}_u16(x.{q})" for q in (first, second) for half in ("low", "high")]
    widened = ", ".join(f"vreinterpretq_s32_u32(vmovl_u16({q}))" for q in quarters)
    return {
        "avx512": f"return _mm512_cvtepu16_epi32({part});",
        "avx2": f"return (hapir__i32x16){{\n    _mm256_cvtepu16_epi32(_mm256_castsi256_si128(x.{register})),\n"
        f"    _mm256_cvtepu16_epi32(_mm256_extracti128_si256(x.{register}, 1))}};",
        "neon": f"return (hapir__i32x16){{{widened}}};",
        "c": lanes(f"x.v[i{' + 16' if high else ''}]"),
    }


_DOT_BYTES = {
    "avx512": "return i32x16__dot_u8_i8(sum, x, w);",
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
    "neon": "\n".join(f"sum.{r} = hapir__dot_u8_i8(sum.{r}, x.{r}, w.{r});" for r in "abcd") + "\nreturn sum;",
    "c": """
uint8_t pixels[64];
int8_t weights[64];
memcpy(pixels, x.v, sizeof(pixels));
memcpy(weights, w.v, sizeof(weights));
for (int i = 0; i < 16; ++i) {
    for (int j = 4 * i; j < 4 * i + 4; ++j) {
        sum.v[i] += pixels[j] * weights[j];
    }
}
return sum;""",
}

_DOT_HALVES = {
    "avx512": "return i32x16__dot_i16(sum, x, w);",
    "avx2": """
sum.a = _mm256_add_epi32(sum.a, _mm256_madd_epi16(x.a, w.a));
sum.b = _mm256_add_epi32(sum.b, _mm256_madd_epi16(x.b, w.b));
return sum;""",
    "neon": "\n".join(f"sum.{r} = hapir__dot_i16(sum.{r}, x.{r}, w.{r});" for r in "abcd") + "\nreturn sum;",
    "c": """
int16_t pixels[32], weights[32];
memcpy(pixels, x.v, sizeof(pixels));
memcpy(weights, w.v, sizeof(weights));
for (int i = 0; i < 16; ++i) {
    const uint32_t first = (uint32_t)(pixels[2 * i] * weights[2 * i]);
    const uint32_t second = (uint32_t)(pixels[2 * i + 1] * weights[2 * i + 1]);
    sum.v[i] = (int32_t)((uint32_t)sum.v[i] + first + second);
}
return sum;""",
}

_VECTOR = "hapir__i32x16"
_DOT_PARAMETERS = f"{_VECTOR} sum, {_VECTOR} x, {_VECTOR} w"


def _called(name: str, parameters: str, bodies: dict[str, str], *needs: str) -> Primitive:
    """A function that is too long to be inlined wherever it is used."""
    primitive = function(name, "void", parameters, bodies, *needs)
    return replace(primitive, texts={path: t.replace("HAPIR__INLINE", "static") for path, t in primitive.texts.items()})


PRIMITIVES = (
    _called("words__transpose", _TRANSPOSE_PARAMETERS, _TRANSPOSE),
    _called(
        "words__rest",
        "const uint8_t *const *from, int32_t offset, int32_t bytes, uint8_t *to, uint32_t flip",
        dict.fromkeys(PATHS, _REST),
        "words__transpose",
    ),
    _called(
        "pack__words",
        _PACK_PARAMETERS,
        dict.fromkeys(PATHS, _PACK_WORDS),
        "words__transpose",
        "words__rest",
    ),
    function("bytes__of_words", "void", "const uint8_t *words, int32_t byte, uint8_t *to", _BYTES),
    _called(
        "pack__bytes",
        _PACK_PARAMETERS,
        dict.fromkeys(PATHS, _PACK_BYTES),
        "words__transpose",
        "words__rest",
        "bytes__of_words",
    ),
    Primitive("types_u16", _U16_TYPES),
    function("u16x32__set", "hapir__u16x32", "uint32_t x", _SET_16, "types_u16"),
    function(
        "u16x32__add_bytes",
        "hapir__u16x32",
        "hapir__u16x32 sum, const uint8_t *p",
        _with_bytes("add", "vaddw", "+"),
        "types_u16",
    ),
    function(
        "u16x32__subtract_bytes",
        "hapir__u16x32",
        "hapir__u16x32 sum, const uint8_t *p",
        _with_bytes("sub", "vsubw", "-"),
        "types_u16",
    ),
    function("u16x32__low", _VECTOR, "hapir__u16x32 x", _half(high=False), "types_u16"),
    function("u16x32__high", _VECTOR, "hapir__u16x32 x", _half(high=True), "types_u16"),
    # the dot products of `base` take one word of x for all lanes; these take any two vectors
    function("i32x16__dot_bytes", _VECTOR, _DOT_PARAMETERS, _DOT_BYTES, "i32x16__dot_u8_i8", "hapir__dot_u8_i8"),
    function("i32x16__dot_halves", _VECTOR, _DOT_PARAMETERS, _DOT_HALVES, "i32x16__dot_i16", "hapir__dot_i16"),
    everywhere(
        "prefetch__line",
        """
/* Fetch a cache line ahead of its use. */
HAPIR__INLINE void prefetch__line(const void *p)
{
#if defined(__GNUC__)
    __builtin_prefetch(p);
#else
    (void)p;
#endif
}""",
    ),
)
