"""Functions of 16 floats without a library: exp, sigmoid, tanh, silu, gelu, by polynomials.

Largest errors, in units in the last place of the result (denormal ones: of the smallest normal): exp 2, sigmoid 3,
tanh 3, silu 4 (from -86 on), gelu 16 (from -14 on, where 1 + erf has long lost all digits). What is not a number stays
so; infinities give the limits.

exp: x = n ln 2 + r with |r| <= ln 2 / 2, where exp(r) - 1 is r + r^2 times a polynomial of degree 4 (minimax, relative
error 2^-26). gelu: v times the tail of the normal distribution, exp(-v^2 / 2) times t times a polynomial of degree 8 in
t = 1 / (1 + 0.35 |v|) (minimax, relative error 2^-25).
"""

from __future__ import annotations

from hapir.targets.c.simd.parts import each, per_path
from hapir.targets.c.simd.primitive import Primitive

_F, _I = "hapir__f32x16", "hapir__i32x16"
_PATHS = ("avx512", "avx2", "neon", "c")


def _everywhere(name: str, parameters: str, body: str) -> Primitive:
    """A function that is written in other functions."""
    return per_path(name, _F, parameters, **dict.fromkeys(_PATHS, body))


def _polynomial(variable: str, coefficients: tuple[float, ...]) -> str:
    """Statements that evaluate a polynomial from its highest coefficient down into `s`."""
    first, *rest = reversed(coefficients)
    lines = [f"{_F} s = f32x16__set({first!r}f);"]
    lines += [f"s = f32x16__fma(f32x16__set({value!r}f), s, {variable});" for value in rest]
    return "\n".join(lines)


def _halves(join: str) -> str:
    """The statements that join the lanes of x, the upper half to the lower, until one is left."""
    return f"""
        float lanes[16];
        f32x16__store(lanes, x);
        for (int half = 8; half > 0; half /= 2) {{
            for (int i = 0; i < half; ++i) {{
                {join}
            }}
        }}
        return lanes[0];
        """


_EXP = (0.5, 0.1666654348373413, 0.04166628047823906, 0.00836661085486412, 0.0013946497347205877)
_TAIL = (
    *(0.139621302485466, 0.139863520860672, 0.11982129514217377, 0.10555246472358704, -0.02321224845945835),
    *(0.15931951999664307, -0.2558388411998749, 0.14403082430362701, -0.029157863929867744),
)

PRIMITIVES = (
    each("f32x16__div", _F, "f32 a, f32 b", "_mm512_div_ps(a@, b@)", "_mm256_div_ps(a@, b@)", "vdivq_f32(a@, b@)",
         "a@ / b@"),
    each("f32x16__abs", _F, "f32 a", "_mm512_abs_ps(a@)", "_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a@)",
         "vabsq_f32(a@)", "a@ < 0.0f ? -a@ : a@ + 0.0f"),
    # the nearest integer, of numbers below 2^22
    each("f32x16__nearest", _F, "f32 a", "_mm512_roundscale_ps(a@, 8)", "_mm256_round_ps(a@, 8)", "vrndnq_f32(a@)",
         "(a@ + 12582912.0f) - 12582912.0f"),
    each("f32x16__nearest_i32", _I, "f32 a", "_mm512_cvtps_epi32(a@)", "_mm256_cvtps_epi32(a@)", "vcvtnq_s32_f32(a@)",
         "(int32_t)((a@ + 12582912.0f) - 12582912.0f)"),
    # 2^n for integers n of -126 to 127
    each("f32x16__power_of_2", _F, "f32 n",
         "_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtps_epi32(_mm512_add_ps(n@, _mm512_set1_ps(127.0f))), 23))",
         "_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtps_epi32(_mm256_add_ps(n@, _mm256_set1_ps(127.0f))), 23))",
         "vreinterpretq_f32_s32(vshlq_n_s32(vcvtq_s32_f32(vaddq_f32(n@, vdupq_n_f32(127.0f))), 23))",
         "hapir__power_of_2(n@)"),
    Primitive("hapir__power_of_2", {"c": """\
HAPIR__INLINE float hapir__power_of_2(float n)
{
    const uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof(power));
    return power;
}"""}),
    per_path("f32x16__sum", "float", "f32 x", **dict.fromkeys(_PATHS, _halves("lanes[i] += lanes[i + half];"))),
    per_path("f32x16__largest", "float", "f32 x", **dict.fromkeys(
        _PATHS, _halves("lanes[i] = lanes[i + half] > lanes[i] ? lanes[i + half] : lanes[i];"))),
    # x = n ln 2 + r: n, and exp(r) - 1; n is a number even where x is not
    _everywhere("f32x16__exp_whole", "f32 x", """
        return f32x16__nearest(
            f32x16__mul(f32x16__number_at_least(x, f32x16__set(-104.0f)), f32x16__set(1.44269504f)));
        """),
    _everywhere("f32x16__exp_rest", "f32 x, f32 n, f32 low", f"""
        hapir__f32x16 r = f32x16__fma(x, n, f32x16__set(-0.693145752f));
        r = f32x16__fma(f32x16__add(r, low), n, f32x16__set(-1.42860677e-6f));
        {_polynomial("r", _EXP).replace(chr(10), chr(10) + 8 * " ")}
        return f32x16__fma(r, f32x16__mul(r, r), s);
        """),
    # exp(x + low) for a small `low`
    _everywhere("f32x16__exp_sum", "f32 x, f32 low", """
        x = f32x16__at_most(f32x16__at_least(x, f32x16__set(-104.0f)), f32x16__set(89.0f));
        const hapir__f32x16 n = f32x16__exp_whole(f32x16__add(x, low)), p = f32x16__exp_rest(x, n, low);
        const hapir__f32x16 half = f32x16__nearest(f32x16__mul(n, f32x16__set(0.5f)));
        const hapir__f32x16 power = f32x16__power_of_2(half);
        return f32x16__mul(f32x16__fma(power, power, p), f32x16__power_of_2(f32x16__sub(n, half)));
        """),
    _everywhere("f32x16__exp", "f32 x", "return f32x16__exp_sum(x, f32x16__zero());"),
    _everywhere("f32x16__sigmoid", "f32 x", """
        const hapir__f32x16 one = f32x16__set(1.0f), zero = f32x16__zero();
        const hapir__f32x16 e = f32x16__exp(f32x16__sub(zero, f32x16__abs(x)));
        return f32x16__div(f32x16__if_less(x, zero, e, one), f32x16__add(e, one));
        """),
    _everywhere("f32x16__silu", "f32 x", "return f32x16__mul(x, f32x16__sigmoid(x));"),
    # (exp(2 |x|) - 1) / (exp(2 |x|) + 1), with exp - 1 computed as such
    _everywhere("f32x16__tanh", "f32 x", """
        const hapir__f32x16 zero = f32x16__zero(), one = f32x16__set(1.0f);
        hapir__f32x16 twice = f32x16__at_most(f32x16__abs(x), f32x16__set(10.0f));
        twice = f32x16__add(twice, twice);
        const hapir__f32x16 n = f32x16__exp_whole(twice), power = f32x16__power_of_2(n);
        const hapir__f32x16 e = f32x16__fma(f32x16__sub(power, one), power, f32x16__exp_rest(twice, n, zero));
        const hapir__f32x16 y = f32x16__div(e, f32x16__add(e, f32x16__set(2.0f)));
        return f32x16__if_less(x, zero, f32x16__sub(zero, y), y);
        """),
    # the square is split where its first part is exact: u = z + d with z of few bits
    _everywhere("f32x16__gelu", "f32 x", f"""
        const hapir__f32x16 zero = f32x16__zero(), one = f32x16__set(1.0f);
        const hapir__f32x16 u = f32x16__at_most(f32x16__abs(x), f32x16__set(15.0f));
        const hapir__f32x16 t = f32x16__div(one, f32x16__fma(one, u, f32x16__set(0.35f)));
        {_polynomial("t", _TAIL).replace(chr(10), chr(10) + 8 * " ")}
        const hapir__f32x16 z = f32x16__mul(
            f32x16__nearest(f32x16__mul(f32x16__number_at_least(u, zero), f32x16__set(16.0f))), f32x16__set(0.0625f));
        const hapir__f32x16 low = f32x16__mul(f32x16__sub(z, u), f32x16__mul(f32x16__add(z, u), f32x16__set(0.5f)));
        const hapir__f32x16 e = f32x16__exp_sum(f32x16__mul(f32x16__mul(z, z), f32x16__set(-0.5f)), low);
        const hapir__f32x16 tail = f32x16__mul(f32x16__mul(s, t), e);
        return f32x16__mul(x, f32x16__if_less(x, zero, tail, f32x16__sub(one, tail)));
        """),
    # sums[j] += v[0] w[0][j] + v[1] w[1][j] + ..., in this order; rows of w lie `stride` apart
    Primitive("hapir__add_row_times_matrix", dict.fromkeys(_PATHS, """\
HAPIR__INLINE void hapir__add_row_times_matrix(
    const float *v, const float *w, int32_t stride, float *sums, int32_t rows, int32_t columns)
{
    int32_t j = 0;
    for (; j + 64 <= columns; j += 64) {
        hapir__f32x16 a = f32x16__load(sums + j), b = f32x16__load(sums + j + 16);
        hapir__f32x16 c = f32x16__load(sums + j + 32), d = f32x16__load(sums + j + 48);
        for (int32_t i = 0; i < rows; ++i) {
            const hapir__f32x16 x = f32x16__set(v[i]);
            const float *row = w + i * stride + j;
            a = f32x16__fma(a, x, f32x16__load(row));
            b = f32x16__fma(b, x, f32x16__load(row + 16));
            c = f32x16__fma(c, x, f32x16__load(row + 32));
            d = f32x16__fma(d, x, f32x16__load(row + 48));
        }
        f32x16__store(sums + j, a);
        f32x16__store(sums + j + 16, b);
        f32x16__store(sums + j + 32, c);
        f32x16__store(sums + j + 48, d);
    }
    for (; j + 16 <= columns; j += 16) {
        hapir__f32x16 a = f32x16__load(sums + j);
        for (int32_t i = 0; i < rows; ++i) {
            a = f32x16__fma(a, f32x16__set(v[i]), f32x16__load(w + i * stride + j));
        }
        f32x16__store(sums + j, a);
    }
    for (; j < columns; ++j) {
        float sum = sums[j];
        for (int32_t i = 0; i < rows; ++i) {
            sum += v[i] * w[i * stride + j];
        }
        sums[j] = sum;
    }
}"""), ("types", "f32x16__set", "f32x16__load", "f32x16__store", "f32x16__fma")),
)  # fmt: skip
