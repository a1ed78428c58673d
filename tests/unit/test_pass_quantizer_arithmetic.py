"""The plain arithmetic behind quantization and pruning."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapir.dialects.formats import Ternary
from hapir.lowering.compress.accumulator_range import accumulator_bound
from hapir.lowering.compress.calibration import (
    BINS,
    Observed,
    affine_for,
    choose_range,
    gamma_range,
    quantization_noise,
    sqnr_db,
)
from hapir.lowering.compress.layer_parameters import keep_parameters, quantize_parameters
from hapir.lowering.compress.requantization import RatioError, common_scale, fixed_point
from hapir.pruners.magnitude import pruned_count, smallest
from hapir.quantizers.coded import Scaled
from hapir.quantizers.uniform import UniformRule


@given(st.floats(2.0**-30, 2.0**15), st.integers(2, 31))
def test_multipliers_are_as_fine_as_their_bits(ratio: float, bits: int) -> None:
    if ratio >= 2.0**bits - 1:
        return
    found = fixed_point(ratio, bits, 62)
    assert 2 ** (bits - 1) <= found.multiplier < 2**bits or found.shift == 62
    assert abs(found.value - ratio) <= max(ratio * 2.0**-bits, 2.0**-63)


def test_small_ratios_stay_within_the_largest_shift() -> None:
    assert fixed_point(2.0**-45, 16, 47).shift == 47
    assert fixed_point(2.0**-45, 16, 47).multiplier == 4
    assert fixed_point(2.0**-60, 16, 47).multiplier == 0
    assert fixed_point(0.0, 16, 47).value == 0


@pytest.mark.parametrize("ratio", [65536.0, math.inf, math.nan, -1.0])
def test_ratios_without_a_multiplier_are_refused(ratio: float) -> None:
    with pytest.raises(RatioError):
        fixed_point(ratio, 16, 47)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_common_scales_keep_both_within_30_bits(left: float, right: float) -> None:
    common = common_scale(left, right)
    assert 255 * (common.left + common.right) < 1 << 30
    for scale, multiplier in ((left, common.left), (right, common.right)):
        assert abs(multiplier * common.scale - scale) <= 0.5000001 * common.scale


@given(st.floats(-1e5, 1e5), st.floats(0, 1e5), st.sampled_from([(0, 255), (-128, 127), (0, 63), (-8, 7)]))
def test_affine_ranges_hold_zero_and_the_ends(low: float, width: float, storage: tuple[int, int]) -> None:
    high = low + width
    affine = affine_for(low, high, *storage)
    assert storage[0] <= affine.zero_point <= storage[1]
    assert affine.scale > 0
    for end in (low, high):
        q = round(end / affine.scale) + affine.zero_point
        clipped = min(max(q, storage[0]), storage[1])
        assert abs(affine.scale * (clipped - affine.zero_point) - end) <= affine.scale * 1.001


def test_constant_zero_gets_a_scale() -> None:
    assert affine_for(0.0, 0.0, 0, 255).scale == 1.0
    assert affine_for(0.0, 0.0, -128, 127).zero_point == 0


def outlier() -> Observed:
    seen = Observed()
    values = np.concatenate([np.linspace(0, 1, 10_000), [100.0]])
    seen.see(values)
    seen.count(values)
    return seen


def test_methods_differ_on_an_outlier() -> None:
    assert choose_range(outlier(), "min_max", 99.0, 0, 255) == (0.0, 100.0)
    low, high = choose_range(outlier(), "percentile", 99.0, 0, 255)
    assert low >= 0.0
    assert high == pytest.approx(1.0, abs=0.1)
    assert 10 < choose_range(outlier(), "sqnr", 99.0, 0, 255)[1] <= 100


@given(st.integers(0, 200), st.floats(60, 99.9))
def test_percentiles_leave_out_no_more_than_their_share(seed: int, percentile: float) -> None:
    """At each end; the bin that holds the percentile is covered whole."""
    seen, values = Observed(), np.random.default_rng(seed).laplace(size=300)
    seen.see(values)
    seen.count(values)
    low, high = choose_range(seen, "percentile", percentile, 0, 255)
    left_out, width = 1 - percentile / 100, (values.max() - values.min()) / BINS
    slack = 1e-9  # ends are rounded
    for beyond in (values - high, low - values):
        assert (beyond > slack).mean() <= left_out + slack
        assert (beyond > -width - slack).mean() >= left_out - slack


def test_sqnr_clips_where_that_loses_less() -> None:
    """With 3 bits, 10 000 values spread over 0..1 outweigh one at 3."""
    seen = Observed()
    values = np.concatenate([np.linspace(0, 1, 10_000), [3.0]])
    seen.see(values)
    seen.count(values)
    assert 0.9 < choose_range(seen, "sqnr", 99.99, 0, 7)[1] < 1.5


def test_not_a_number_is_seen() -> None:
    seen = Observed()
    seen.see(np.array([1.0, np.nan]))
    seen.see(np.array([2.0]))
    assert not seen.finite


def test_dead_channels_keep_their_bias() -> None:
    w, bias = np.array([[0.0, 0.0], [1.0, -0.5]]), np.array([0.75, 0.0])
    found = quantize_parameters(w, bias, 0.1, 0.01, UniformRule(8), (2, 1))
    assert np.isfinite(found.scales).all()
    assert found.w.tolist() == [[0, 0], [127, -64]]
    assert found.bias is not None
    # bias in output steps: 0.75 / 0.01
    assert found.bias[0] * found.ratios[0] == pytest.approx(75, abs=0.01)


def test_dead_channels_of_codes_keep_their_bias() -> None:
    """Whatever scale a coder gave to codes of 0 alone: a coarse one would round the bias away."""
    codes, scales = np.array([[0, 0], [1, -1]], np.int8), np.array([[64.0], [0.5]], np.float32)
    found = keep_parameters(Scaled(codes, Ternary(), scales), np.array([0.75, 0.0]), 0.1, 0.01)
    assert found is not None
    assert found.bias is not None
    assert found.scales[1] == 0.5
    assert found.bias[0] * found.ratios[0] == pytest.approx(75, abs=0.01)


def test_tiny_weights_do_not_push_the_bias_out_of_32_bits() -> None:
    found = quantize_parameters(np.array([[1e-12]]), np.array([5.0]), 0.01, 0.02, UniformRule(8), (1, 1))
    assert found.bias is not None
    assert abs(int(found.bias[0])) <= 1 << 30
    assert found.bias[0] * found.ratios[0] == pytest.approx(250, rel=1e-6)


def test_one_scale_per_tensor() -> None:
    found = quantize_parameters(np.array([[0.5], [2.0], [0.0]]), None, 1.0, 1.0, UniformRule(8), (1, 1))
    assert found.scales.shape == (1,)
    assert found.w.ravel().tolist() == [32, 127, 0]


def test_accumulator_bounds_are_reached() -> None:
    w = np.array([[127, -127], [1, 0]], dtype=np.int8)
    assert accumulator_bound(w, np.array([-10, 5]), 255).tolist() == [254 * 255 + 10, 255 + 5]


def test_counts_are_floors_of_what_was_meant() -> None:
    assert pruned_count(100, 0.07) == 7  # 0.07 * 100 is 7.000000000000001
    assert pruned_count(100, 0.29) == 29  # 0.29 * 100 is 28.999999999999996
    assert pruned_count(7, 0.5) == 3


def test_ties_go_by_index() -> None:
    assert smallest(np.array([1.0, 0.0, 1.0, 1.0]), 0.5).tolist() == [True, True, False, False]


def test_sqnr_in_decibels() -> None:
    assert sqnr_db(np.array([10.0]), np.array([9.0])) == pytest.approx(20)
    assert sqnr_db(np.array([1.0]), np.array([1.0])) == math.inf


def test_least_squares_after_clipping_loses_no_more() -> None:
    """The noise on the histogram, which both methods look at."""
    rng = np.random.default_rng(4)
    for values in (rng.laplace(size=5000), np.maximum(rng.standard_normal(5000), 0), rng.standard_normal(5000) + 1):
        seen = Observed()
        seen.see(values)
        seen.count(values)
        assert seen.counts is not None
        for first, last in ((0, 1), (0, 7), (-8, 7), (0, 255)):
            noise = {
                method: quantization_noise(
                    seen.centres(), seen.counts, affine_for(*choose_range(seen, method, 99.9, first, last), first, last)
                )
                for method in ("sqnr", "mse")
            }
            assert noise["mse"] <= noise["sqnr"]


def test_gamma_covers_the_deviations_of_what_comes_before_the_relu() -> None:
    before, seen = Observed(), Observed()
    values = np.random.default_rng(0).standard_normal(100_000) * 2 + 1
    before.see(values[:50_000])
    before.see(values[50_000:])
    seen.see(np.maximum(values, 0))
    assert before.mean == pytest.approx(values.mean())
    assert before.deviation == pytest.approx(values.std())
    assert gamma_range(before, seen, 3.0, 4) == (0.0, pytest.approx(7, abs=0.1))
    # without a number it is what suits the bits, of which a signed range has one less for each side
    assert gamma_range(before, seen, None, 2)[1] == pytest.approx(1 + 1.95 * 2, abs=0.1)
    low, high = gamma_range(before, before, None, 3)
    assert (high - low) / 2 == pytest.approx(1.95 * 2, abs=0.1)
    constant = Observed()
    constant.see(np.full(10, 2.5))
    assert gamma_range(constant, constant, None, 8) == (2.5, 2.5)
