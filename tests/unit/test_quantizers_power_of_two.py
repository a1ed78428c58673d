"""Powers of two: the exponents, the two roundings, and the same numbers as integers."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hapir.quantizers.power_of_two import PowerOfTwo, power_of_two, shifts

WEIGHTS = arrays(np.float64, array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-8, 8, width=32))
RULES = st.builds(
    PowerOfTwo,
    st.integers(2, 5),
    st.sampled_from(["linear", "log"]),
    st.sampled_from(["zero", "lowest"]),
    st.none() | st.integers(-3, 3),
)


@given(WEIGHTS, RULES)
def test_levels_are_powers_of_two_and_each_weight_takes_the_right_one(w: np.ndarray, rule: PowerOfTwo):
    coded = power_of_two(w, rule)
    reals = coded.reals().astype(np.float64)
    mantissa, exponent = np.frexp(np.abs(reals[reals != 0]))
    assert (mantissa == 0.5).all()
    assert len(np.unique(exponent)) <= rule.exponents
    assert (np.sign(reals) * np.sign(w) >= 0).all()
    assert coded.bits <= rule.bits
    if rule.rounding == "linear" and rule.small == "zero":
        nearest = np.abs(w[..., np.newaxis] - coded.levels.astype(np.float64)).min(axis=-1)
        np.testing.assert_array_equal(np.abs(w - reals), nearest)
    if rule.small == "lowest":
        np.testing.assert_array_equal(reals != 0, w != 0)
    if rule.rounding == "log" and rule.small == "lowest":
        # x_q = sign(x) 2^clip(round(log2|x|), e_min, e_max): half of an exponent at most, except where clipped
        inside = (np.abs(w) >= coded.levels[coded.levels > 0].min()) & (np.abs(w) <= coded.levels.max())
        assert (np.abs(np.log2(np.abs(w[inside] / reals[inside]))) <= 0.5 + 1e-9).all()


@given(WEIGHTS, RULES)
def test_twice_is_once_and_integers_mean_the_same(w: np.ndarray, rule: PowerOfTwo):
    once = power_of_two(w, rule).reals()
    np.testing.assert_array_equal(power_of_two(once.astype(np.float64), rule).reals(), once)
    integers = shifts(w, rule)
    np.testing.assert_array_equal(integers.reals(), once)
    low, high = integers.format.range
    assert low <= integers.codes.min(initial=0) <= integers.codes.max(initial=0) <= high


@pytest.mark.parametrize(
    ("largest", "rounding", "highest"),
    [
        (1.0, "linear", 0),
        (1.49, "linear", 0),
        (1.5, "linear", 1),
        (1.41, "log", 0),
        (1.42, "log", 1),
        (0.75, "linear", 0),
    ],
)
def test_the_highest_exponent(largest: float, rounding: Literal["linear", "log"], highest: int):
    # Zhou et al., ICLR 2017, equation 2: floor(log2(4 max|w| / 3)) for the nearest power
    if rounding == "linear":
        assert highest == math.floor(math.log2(4 * largest / 3))
    coded = power_of_two(np.array([[largest, 0.1]]), PowerOfTwo(4, rounding))
    assert coded.levels.max() == 2.0**highest
    assert coded.levels.min() == -(2.0**highest)
    assert len(coded.levels) == 15


def test_both_roundings_differ_between_their_thresholds():
    w = np.array([[1.0, 1.45, 0.35]])  # sqrt(2) < 1.45 < 1.5
    assert power_of_two(w, PowerOfTwo(3, "log")).reals()[0, 1] == 2
    assert power_of_two(w, PowerOfTwo(3, "linear")).reals()[0, 1] == 1


@pytest.mark.parametrize("rule", [PowerOfTwo(2), PowerOfTwo(4, "log", "lowest"), PowerOfTwo(8)])
def test_degenerate_layers(rule: PowerOfTwo):
    assert not power_of_two(np.zeros((2, 2)), rule).reals().any()
    assert power_of_two(np.array([[0.25]]), rule).reals().tolist() == [[0.25]]
    tiny = power_of_two(np.array([[1e-45, -1e-45, 1e-30]]), rule).reals()
    assert np.isfinite(tiny).all()


def test_too_many_exponents_for_an_integer():
    with pytest.raises(ValueError, match="64 bits"):
        shifts(np.ones((1, 1)), PowerOfTwo(7))
