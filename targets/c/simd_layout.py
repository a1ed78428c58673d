"""The primitive of layouts of bytes: squares of 16 x 16, transposed. `words__transpose` is the one of words."""

from __future__ import annotations

from dataclasses import replace

from hapir.targets.c.simd import Primitive
from hapir.targets.c.simd_base import function

# four rounds of interleaving row i with row i + 8 turn rows into columns
_X86 = """
__m128i r[16], t[16];
for (int i = 0; i < 16; ++i) {
    r[i] = _mm_loadu_si128((const __m128i *)(const void *)(from + i * pitch));
}
for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 8; ++i) {
        t[2 * i] = _mm_unpacklo_epi8(r[i], r[i + 8]);
        t[2 * i + 1] = _mm_unpackhi_epi8(r[i], r[i + 8]);
    }
    for (int i = 0; i < 16; ++i) {
        r[i] = t[i];
    }
}
for (int i = 0; i < 16; ++i) {
    _mm_storeu_si128((__m128i *)(void *)(to + i * stride), r[i]);
}"""

_NEON = """
uint8x16_t r[16], t[16];
for (int i = 0; i < 16; ++i) {
    r[i] = vld1q_u8(from + i * pitch);
}
for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 8; ++i) {
        t[2 * i] = vzip1q_u8(r[i], r[i + 8]);
        t[2 * i + 1] = vzip2q_u8(r[i], r[i + 8]);
    }
    for (int i = 0; i < 16; ++i) {
        r[i] = t[i];
    }
}
for (int i = 0; i < 16; ++i) {
    vst1q_u8(to + i * stride, r[i]);
}"""

_PLAIN = """
for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) {
        to[j * stride + i] = from[i * pitch + j];
    }
}"""

_PARAMETERS = "const uint8_t *from, int32_t pitch, uint8_t *to, int32_t stride"
_TRANSPOSE = function(
    "bytes__transpose", "void", _PARAMETERS, {"avx512": _X86, "avx2": _X86, "neon": _NEON, "c": _PLAIN}
)

PRIMITIVES: tuple[Primitive, ...] = (
    # too long to be inlined wherever it is used
    replace(_TRANSPOSE, texts={path: t.replace("HAPIR__INLINE", "static") for path, t in _TRANSPOSE.texts.items()}),
)
