"""Functions of 16 floats: exp, tanh, erfc, and what activations are made of them; no libm.

The polynomials are those of Cephes (S. Moshier, `expf` and `tanhf`) and of Abramowitz and Stegun, 7.1.26. Against the
exact values: exp and tanh are within 3e-7 of the result, erfc within 5e-7 of 1.
"""

from __future__ import annotations

from hapir.dialects.kernel import PATHS
from hapir.targets.c.simd import Primitive
from hapir.targets.c.simd_parts import each, per_path

_F, _I = "hapir__f32x16", "hapir__i32x16"


def _one_text(name: str, body: str, parameters: str = "f32 x") -> Primitive:
    """The same text on every path, made of functions that have one for each."""
    return per_path(name, _F, parameters, **dict.fromkeys(PATHS, body))


def _polynomial(variable: str, *coefficients: str) -> str:
    """Horner's rule; the first coefficient is that of the highest power."""
    text = f"f32x16__set({coefficients[0]}f)"
    for coefficient in coefficients[1:]:
        text = f"f32x16__fma(f32x16__set({coefficient}f), {text}, {variable})"
    return text


_EXP = _polynomial(
    *("r", "1.9875691500e-4", "1.3981999507e-3", "8.3334519073e-3", "4.1665795894e-2", "1.6666665459e-1"),
    "5.0000001201e-1",
)
_TANH = _polynomial(
    "z", "-5.70498872745e-3", "2.06390887954e-2", "-5.37397155531e-2", "1.33314422036e-1", "-3.33332819422e-1"
)
_ERFC = _polynomial("t", "1.061405429", "-1.453152027", "1.421413741", "-0.284496736", "0.254829592")

PRIMITIVES = (
    each("f32x16__div", _F, "f32 a, f32 b", "_mm512_div_ps(a@, b@)", "_mm256_div_ps(a@, b@)", "vdivq_f32(a@, b@)",
         "a@ / b@"),
    each("f32x16__nearest", _F, "f32 a", "_mm512_roundscale_ps(a@, 0x08)", "_mm256_round_ps(a@, 0x08)",
         "vrndnq_f32(a@)", "rintf(a@)"),
    # of whole numbers
    each("f32x16__to_i32", _I, "f32 a", "_mm512_cvttps_epi32(a@)", "_mm256_cvttps_epi32(a@)", "vcvtq_s32_f32(a@)",
         "(int32_t)a@"),
    # a * 2^n, for n of -126 to 127
    each("f32x16__scale_by_power", _F, "f32 a, i32 n",
         "_mm512_mul_ps(a@, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n@, _mm512_set1_epi32(127)), 23)))",
         "_mm256_mul_ps(a@, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n@, _mm256_set1_epi32(127)), 23)))",
         "vmulq_f32(a@, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n@, vdupq_n_s32(127)), 23)))",
         "ldexpf(a@, n@)"),
    _one_text(
        "f32x16__exp",
        f"""
        x = f32x16__at_most(f32x16__number_at_least(x, f32x16__set(-87.0f)), f32x16__set(88.0f));
        const hapir__f32x16 n = f32x16__nearest(f32x16__mul(x, f32x16__set(1.44269504088896341f)));
        hapir__f32x16 r = f32x16__fma(x, n, f32x16__set(-0.693359375f));
        r = f32x16__fma(r, n, f32x16__set(2.12194440e-4f));
        const hapir__f32x16 p = {_EXP};
        r = f32x16__add(f32x16__fma(r, p, f32x16__mul(r, r)), f32x16__set(1.0f));
        return f32x16__scale_by_power(r, f32x16__to_i32(n));
        """,
    ),
    _one_text(
        "f32x16__magnitude",
        "return f32x16__if_less(x, f32x16__set(0.0f), f32x16__sub(f32x16__set(0.0f), x), x);",
    ),
    _one_text(
        "f32x16__sigmoid",
        """
        const hapir__f32x16 one = f32x16__set(1.0f), zero = f32x16__set(0.0f);
        const hapir__f32x16 e = f32x16__exp(f32x16__sub(zero, f32x16__magnitude(x)));
        return f32x16__div(f32x16__if_less(x, zero, e, one), f32x16__add(one, e));
        """,
    ),
    _one_text(
        "f32x16__tanh",
        f"""
        const hapir__f32x16 one = f32x16__set(1.0f), zero = f32x16__set(0.0f), size = f32x16__magnitude(x);
        const hapir__f32x16 z = f32x16__mul(x, x), p = {_TANH};
        const hapir__f32x16 small = f32x16__fma(x, p, f32x16__mul(x, z));
        const hapir__f32x16 e = f32x16__exp(f32x16__mul(size, f32x16__set(-2.0f)));
        const hapir__f32x16 large = f32x16__div(f32x16__sub(one, e), f32x16__add(one, e));
        const hapir__f32x16 signed_large = f32x16__if_less(x, zero, f32x16__sub(zero, large), large);
        return f32x16__if_less(size, f32x16__set(0.625f), small, signed_large);
        """,
    ),
    # of x >= 0
    _one_text(
        "f32x16__erfc",
        f"""
        const hapir__f32x16 one = f32x16__set(1.0f);
        const hapir__f32x16 t = f32x16__div(one, f32x16__fma(one, x, f32x16__set(0.3275911f)));
        const hapir__f32x16 p = f32x16__mul({_ERFC}, t);
        return f32x16__mul(p, f32x16__exp(f32x16__sub(f32x16__set(0.0f), f32x16__mul(x, x))));
        """,
    ),
    # x / 2 * (1 + erf(x / sqrt(2)))
    _one_text(
        "f32x16__gelu",
        """
        const hapir__f32x16 size = f32x16__mul(f32x16__magnitude(x), f32x16__set(0.70710678f));
        const hapir__f32x16 half = f32x16__mul(f32x16__set(0.5f), f32x16__erfc(size)), one = f32x16__set(1.0f);
        return f32x16__mul(x, f32x16__if_less(x, f32x16__set(0.0f), half, f32x16__sub(one, half)));
        """,
    ),
)  # fmt: skip
