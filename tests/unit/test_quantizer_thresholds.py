"""Thresholds against exact fractions, for every accumulator of the range; the numbers that the sources print."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hapir.dialects.num import Rounding
from hapir.quantizers.thresholds import (
    Bound,
    Line,
    Thresholds,
    TwoRootsError,
    narrowest_width,
    rounding_bounds,
    thresholds_of,
)
from hapir.reference.num import quantize, requantize, threshold

SIGN = [Bound(Fraction(0))]
SMALL = st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0, -0.75, 2.0, 3.0, 1e-3, -7.5, 1e4, 2.0**-149])
REALS = st.one_of(SMALL, st.floats(-100, 100, width=32))
FIRST, LAST = -40, 40
ALL = np.arange(FIRST, LAST + 1)


def counts(found: Thresholds, acc: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What the oracle makes of the thresholds of one channel."""
    return threshold(acc[:, np.newaxis], found.levels, found.flips)[:, 0]


def at_least(line: Line, acc: int, bound: Bound) -> bool:
    """Whether a line is past a bound, by comparing squares: a second way that knows no integer square root."""
    left, right = line.slope * acc + line.offset, bound.value - line.shift
    left_square = left * abs(left)
    right_square = right * abs(right) * line.square
    return left_square >= right_square if bound.closed else left_square > right_square


@settings(max_examples=300, deadline=None)
@given(REALS, REALS, REALS, st.floats(2.0**-20, 100), REALS, st.floats(2.0**-20, 8, width=32), st.booleans(), REALS)
@example(1.0, 0.0, 3.0, 1.0, 0.0, 1.0, True, 0.0)  # a tie on an integer
@example(-1.0, 2.0, 0.5, 4.0, 0.25, 0.5, False, 2.0)  # a falling line whose bound is open
@example(0.0, 0.0, 3.0, 2.0, 0.0, 1.0, True, 0.0)  # gamma = 0 and beta = 0: sign(0) = 1
def test_a_batch_norm_and_a_bound(
    gamma: float, beta: float, mean: float, variance: float, bias: float, scale: float, closed: bool, value: float
) -> None:
    line = Line(Fraction(scale), Fraction(bias)).normalized(gamma, beta, mean, variance)
    bound = Bound(Fraction(value), closed)
    found = thresholds_of([line], [bound], FIRST, LAST)
    expected = [int(at_least(line, int(acc), bound)) for acc in ALL]
    np.testing.assert_array_equal(counts(found, ALL), expected)
    assert FIRST <= found.levels.min() <= found.levels.max() <= LAST + 1
    assert found.flips.tolist() == [gamma < 0]
    if gamma == 0:
        assert len(set(expected)) == 1


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**16 - 1),
    st.integers(0, 24),
    st.sampled_from(list(Rounding)),
    st.integers(-8, 8),
    st.integers(-8, 7),
    st.integers(0, 15),
)
@example(0, 0, Rounding.half_up, 0, 0, 3)  # a factor of 0: every code is the zero point's
@example(1 << 15, 16, Rounding.half_away, 0, -8, 15)  # ties at every odd accumulator, of both signs
def test_thresholds_are_a_requantization(
    multiplier: int, shift: int, rounding: Rounding, zero_point: int, low: int, steps: int
) -> None:
    acc = np.arange(-3000, 3001)
    line = Line(Fraction(multiplier, 1 << shift))
    bounds = rounding_bounds(range(low + 1, low + steps + 1), Fraction(1), zero_point, rounding)
    found = thresholds_of([line], bounds, -3000, 3000)
    assert (np.diff(found.levels) >= 0).all()
    expected = requantize(acc, multiplier, shift, zero_point, (low, low + steps), rounding)
    np.testing.assert_array_equal(low + counts(found, acc), expected)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([1.0, -1.0, 0.5, -0.25, 3.0, 0.0]),
    st.integers(-16, 16),
    st.sampled_from([0.25, 1.0, 4.0]),
    st.sampled_from([0.25, 0.5, 2.0]),
    st.sampled_from(list(Rounding)),
    st.integers(0, 3),
    st.integers(1, 4),
)
def test_a_batch_norm_and_a_quantizer_of_few_bits(
    gamma: float, beta: int, variance: float, scale: float, rounding: Rounding, zero_point: int, bits: int
) -> None:
    """Numbers whose f64 arithmetic is exact, ties among them, so that floats are an oracle too."""
    top = (1 << bits) - 1
    line = Line(Fraction(1, 2)).normalized(gamma, beta / 8, 0.5, variance)
    bounds = rounding_bounds(range(1, top + 1), Fraction(scale), zero_point, rounding)
    found = thresholds_of([line], bounds, FIRST, LAST)
    assert (np.diff(found.levels) >= 0).all()
    real = gamma * (ALL / 2 - 0.5) / np.sqrt(variance) + beta / 8
    expected = quantize(real, scale, zero_point, (0, top), rounding)
    np.testing.assert_array_equal(counts(found, ALL), expected)


@settings(max_examples=100, deadline=None)
@given(REALS, REALS, REALS, st.sampled_from([0.25, 1.0, 6.25]), REALS, REALS, REALS, st.floats(0.01, 9), st.booleans())
def test_two_batch_norms_are_one_line(
    g1: float, b1: float, m1: float, v1: float, g2: float, b2: float, m2: float, v2: float, swap: bool
) -> None:
    (first, second) = ((g2, b2, m2, v2), (g1, b1, m1, v1)) if swap else ((g1, b1, m1, v1), (g2, b2, m2, v2))
    line = Line(Fraction(1)).normalized(*first).normalized(*second)
    inner = first[0] * (ALL - first[2]) / np.sqrt(first[3]) + first[1]
    real = second[0] * (inner - second[2]) / np.sqrt(second[3]) + second[1]
    at = np.array([float(line.slope * int(a) + line.offset) for a in ALL]) / np.sqrt(float(line.square))
    np.testing.assert_allclose(at + float(line.shift), real, rtol=1e-9, atol=1e-6)


def test_two_irrational_deviations_are_refused() -> None:
    line = Line(Fraction(1)).normalized(1.0, 0.0, 0.0, 2.0)
    with pytest.raises(TwoRootsError):
        line.normalized(1.0, 0.0, 0.0, 3.0)


def test_ties_on_an_irrational_root_are_exact() -> None:
    """`acc - sqrt(2) * 2^k` is never 0: neighbours of the root fall on either side, however close they are."""
    for k in (0, 10, 20, 28):
        line = Line(Fraction(1)).normalized(1.0, -(2.0**k), 0.0, 2.0)
        ((level,),) = thresholds_of([line], SIGN, -(2**31), 2**31 - 2).levels.tolist()
        assert (level - 1) ** 2 < 2 * 4**k < level**2


def test_the_popcount_of_the_notes() -> None:
    """K = 16, tau = 2.0, g > 0: the bit is set where popc(xor) <= 7, as acc = K - 2 popc(xor) (Heidelberg thesis, L676;
    seed row H12), and where popc(xnor) >= ceil((thr + N) / 2) (HAPPi-Net, A10).
    """
    tau, inputs = 2.0, 16
    line = Line(Fraction(1)).normalized(1.0, 0.0, tau, 1.0)
    ((level,),) = thresholds_of([line], SIGN, -inputs, inputs).levels.tolist()
    passing = [xor for xor in range(inputs + 1) if inputs - 2 * xor >= level]
    assert passing == list(range(8))
    assert (inputs - level) // 2 == 7
    assert min(inputs - xor for xor in passing) == 9 == -(-(int(tau) + inputs) // 2)


@pytest.mark.parametrize(("gamma", "beta", "mean"), [(1.0, 0.5, 3.0), (-2.0, 0.25, -1.5), (0.5, -4.0, 0.0)])
def test_the_formula_of_the_thesis(gamma: float, beta: float, mean: float) -> None:
    """tau = mu - beta * sd / g; x >= ceil(tau) where g > 0, x <= floor(tau) where g < 0 (Heidelberg thesis, L676)."""
    tau = Fraction(mean) - Fraction(beta) * 2 / Fraction(gamma)
    line = Line(Fraction(1)).normalized(gamma, beta, mean, 4.0)
    found = thresholds_of([line], SIGN, FIRST, LAST)
    expected = [int(acc >= tau if gamma > 0 else acc <= tau) for acc in ALL]
    np.testing.assert_array_equal(counts(found, ALL), expected)
    assert found.levels[0, 0] == (-(-tau // 1) if gamma > 0 else tau // 1 + 1)


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.5])
def test_gamma_zero_is_the_constant_sign_of_beta(beta: float) -> None:
    """(Heidelberg thesis, L676; HAPPi-Net, A10); the sign of 0 is 1."""
    found = thresholds_of([Line(Fraction(1)).normalized(0.0, beta, 3.0, 2.0)], SIGN, FIRST, LAST)
    assert set(counts(found, ALL)) == {int(beta >= 0)}


def test_the_quantizer_g_of_two_bits() -> None:
    """G(x) = 2^-f floor(2^f x + 1/2) with k = f = 2 steps at odd multiples of 1/8 (Sydney thesis, L899)."""
    bounds = rounding_bounds(range(1, 4), Fraction(1, 4), 0, Rounding.half_up)
    assert [(bound.value, bound.closed) for bound in bounds] == [(Fraction(n, 8), True) for n in (1, 3, 5)]


@pytest.mark.parametrize(
    ("first", "last", "width"), [(-1, 0, 2), (-512, 510, 10), (-512, 511, 11), (0, 126, 8), (-9, 3, 5)]
)
def test_the_width_of_thresholds(first: int, last: int, width: int) -> None:
    assert narrowest_width(first, last) == width
