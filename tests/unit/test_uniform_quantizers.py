"""The arithmetic of uniform quantizers: clipping points, steps of weights, binary points, equalization."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hapir.dialects.formats import Fixed
from hapir.quantizers.coded import spread
from hapir.quantizers.equalization import (
    LARGEST_FACTOR,
    equalizing_factors,
    made_ranges,
    read_ranges,
    scale_made,
    scale_read,
)
from hapir.quantizers.fixed_point import PointMethod, choose_fixed, fixed_codes, format_for, integer_bits
from hapir.quantizers.gaussian_clipping import batch_norm_range, half_wave_sqnr_db, sigmas_for
from hapir.quantizers.uniform import Floats, UniformRule, WeightMethod, block_rows, block_scales

METHODS: tuple[WeightMethod, ...] = ("min_max", "percentile", "sqnr", "mse")

# Heidelberg thesis, L1105-1123: the ratio of a half-wave Gaussian in dB for 2, 4 and 8 bits
HALF_WAVE = {1: (8.0, 8.2, 8.2), 2: (13.3, 18.9, 19.4), 3: (10.8, 24.3, 33.8), 4: (8.3, 22.3, 45.7)}


@pytest.mark.parametrize(("gamma", "ratios"), HALF_WAVE.items())
def test_the_ratio_of_a_half_wave_gaussian_is_the_printed_one(gamma: int, ratios: tuple[float, ...]) -> None:
    assert [round(half_wave_sqnr_db(gamma, bits), 1) for bits in (2, 4, 8)] == list(ratios)


def test_the_best_whole_gamma_is_2_3_and_4() -> None:
    """Heidelberg thesis, L1105-1123: 3 is the right constant at 4 bit, 2 at 2 bit and 4 at 8 bit."""
    best = [max(range(1, 7), key=lambda gamma, bits=bits: half_wave_sqnr_db(gamma, bits)) for bits in (2, 4, 8)]
    assert best == [2, 3, 4]


def test_gamma_by_bits() -> None:
    assert [sigmas_for(bits) for bits in range(1, 9)] == [1.2, 1.95, 2.45, 2.9, 3.25, 3.6, 3.9, 4.2]


def test_three_sigmas_leave_out_the_printed_share() -> None:
    """Heidelberg thesis, L1105-1123: P(x > 3) = 0.135 %."""
    assert round(100 * 0.5 * math.erfc(3 / math.sqrt(2)), 3) == 0.135


@pytest.mark.parametrize(("gamma", "bits"), [(3.0, 4), (1.5, 2), (4.0, 6)])
def test_the_analytic_ratio_is_that_of_a_sample(gamma: float, bits: int) -> None:
    x = np.maximum(np.random.default_rng(7).standard_normal(1_000_000), 0)
    step = gamma / (2**bits - 1)
    q = step * np.rint(np.clip(x, 0, gamma) / step)
    assert half_wave_sqnr_db(gamma, bits) == pytest.approx(
        10 * math.log10((x**2).sum() / ((x - q) ** 2).sum()), abs=0.1
    )


def test_the_range_of_a_batch_norm_holds_every_channel() -> None:
    low, high = batch_norm_range(np.array([0.0, 1.0]), np.array([1.0, -0.5]), 3)
    assert (low, high) == (-3.0, 3.0)
    assert batch_norm_range(np.array([0.5]), np.array([-2.0]), 3)[1] == 6.5


# weights


def quantized(w: Floats, scales: Floats, rule: UniformRule) -> Floats:
    """The reals that codes of a rule mean; a scale of 0 means 0."""
    wide = spread(scales, w.shape).astype(np.float64)
    safe = np.where(wide > 0, wide, 1.0)
    return np.clip(np.rint(w / safe), -rule.largest, rule.largest) * wide


def noise(w: Floats, scales: Floats, rule: UniformRule) -> float:
    return float(((quantized(w, scales, rule) - w) ** 2).sum())


def drawn(seed: int, shape: tuple[int, ...] = (6, 4, 3, 3)) -> Floats:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(shape) * np.exp(rng.standard_normal((shape[0], *[1] * (len(shape) - 1))))
    w[rng.integers(0, shape[0])] = 0
    return w


BLOCKS = st.sampled_from(((6, 1, 1, 1), (1, 1, 1, 1), (3, 1, 1, 1), (2, 2, 1, 1), (1, 1, 3, 3), (6, 4, 1, 1)))


@given(st.integers(0, 200), BLOCKS, st.integers(2, 8))
def test_better_methods_are_no_worse(seed: int, blocks: tuple[int, ...], width: int) -> None:
    w = drawn(seed)
    by = {
        method: noise(w, block_scales(w, blocks, UniformRule(width, method)), UniformRule(width)) for method in METHODS
    }
    assert by["mse"] <= by["sqnr"] * (1 + 1e-12) <= by["min_max"] * (1 + 1e-9)


@given(st.integers(0, 200), BLOCKS, st.sampled_from(METHODS), st.floats(1e-3, 1e3))
def test_scales_follow_the_weights(seed: int, blocks: tuple[int, ...], method: WeightMethod, factor: float) -> None:
    w, rule = drawn(seed), UniformRule(4, method)
    scales = block_scales(w, blocks, rule)
    assert scales.shape == blocks
    np.testing.assert_array_equal(scales == 0, np.abs(block_rows(w, blocks)).max(axis=1).reshape(blocks) == 0)
    np.testing.assert_allclose(block_scales(w * factor, blocks, rule), scales * factor, rtol=1e-9)
    np.testing.assert_array_equal(block_scales(-w, blocks, rule), scales)


@given(st.integers(0, 100), st.integers(2, 8))
def test_extremes_are_within_half_a_step(seed: int, width: int) -> None:
    w, rule = drawn(seed), UniformRule(width)
    scales = block_scales(w, (6, 1, 1, 1), rule)
    assert (np.abs(quantized(w, scales, rule) - w) <= scales / 2 * (1 + 1e-12)).all()


@pytest.mark.parametrize("outlier", [1, 20])
def test_clipping_is_the_best_of_all_64_points(outlier: int) -> None:
    rule = UniformRule(3, "sqnr")
    w = np.random.default_rng(3).standard_normal((1, 20_000))
    w[0, 0] = outlier * np.abs(w).max()
    candidates = [np.abs(w).max() / 3 * n / 64 for n in range(1, 65)]
    best = min(noise(w, np.array([[c]]), rule) for c in candidates)
    assert noise(w, block_scales(w, (1, 1), rule), rule) == pytest.approx(best, rel=1e-12)


def test_percentiles_cover_their_share() -> None:
    w = np.linspace(-1, 1, 1001).reshape(1, -1)
    assert block_scales(w, (1, 1), UniformRule(8, "percentile", 90.0))[0, 0] * 127 == pytest.approx(0.9, abs=1e-3)
    sparse = np.zeros((1, 100))
    sparse[0, 5] = 4.0
    assert block_scales(sparse, (1, 1), UniformRule(8, "percentile", 90.0))[0, 0] == 4.0 / 127


def test_dead_and_tiny_weights_have_no_strange_scale() -> None:
    for method in METHODS:
        assert block_scales(np.zeros((2, 3)), (2, 1), UniformRule(4, method)).tolist() == [[0.0], [0.0]]
        one = block_scales(np.array([[0.5]]), (1, 1), UniformRule(4, method))
        assert one[0, 0] == pytest.approx(0.5 / 7)
        tiny = block_scales(np.full((1, 4), 1e-44), (1, 1), UniformRule(4, method))
        assert 0 < tiny[0, 0] < 1e-43
        assert block_scales(np.zeros((2, 0)), (2, 1), UniformRule(4, method)).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("blocks", [(4, 1), (2, 2), (0, 1), (2, 1, 1)])
def test_uneven_blocks_are_refused(blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not tile"):
        block_rows(np.zeros((6, 3)), blocks)


def test_blocks_are_what_they_say() -> None:
    w = np.arange(16.0).reshape(4, 4)
    assert block_rows(w, (2, 2)).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert spread(np.array([[1.0], [2.0]]), (4, 3))[:, 0].tolist() == [1, 1, 2, 2]


# binary points

# HAPPi-Net notes, A4: eps, f_min and f_max by (IB, FB)
FIXED = {(2, 5): (0.03125, -4, 3.96875), (0, 7): (2.0**-7, -1, 0.9921875), (3, 4): (2.0**-4, -8, 7.9375)}


@pytest.mark.parametrize(("point", "expected"), FIXED.items())
def test_ranges_of_fixed_point_are_the_printed_ones(
    point: tuple[int, int], expected: tuple[float, float, float]
) -> None:
    format = format_for(point[0], 1 + sum(point), signed=True)
    assert format == Fixed(point[0] + 1, point[1])
    assert (2.0**-format.fraction, *format.range) == expected
    # p = (f_max - f_min) / eps = 2^Q - 1 intervals
    assert (expected[2] - expected[1]) / expected[0] == 2 ** (1 + sum(point)) - 1


def test_unsigned_and_signed_ranges_of_the_sydney_formats() -> None:
    """Sydney thesis, L899-903: codes 0..2^k-1 reach M = 2^(k-f) - 2^-f; L438: (B, IBW, FBW) is -2^IBW to 2^IBW."""
    for k, f in ((2, 1), (4, 4), (8, 6)):
        assert format_for(k - f, k, signed=False).range == (0.0, 2.0 ** (k - f) - 2.0**-f)
    low, high = format_for(2, 8, signed=True).range
    assert (low, high + 2.0**-5) == (-4, 4)


# UCSD thesis, L1586-1704 (S16): 5 integer bits for maps, 1 for weights, out of 16
@pytest.mark.parametrize(("largest", "expected"), [(13.0, (5, 11)), (0.7, (1, 15)), (1.0, (2, 14)), (0.1, (-2, 18))])
def test_integer_bits_are_the_least_that_hold_the_range(largest: float, expected: tuple[int, int]) -> None:
    found = choose_fixed(np.array([-largest, 0.0]), None, 16, "max_abs", np.rint)
    assert (found.integer, found.fraction) == expected
    assert found.range[1] + 2.0**-found.fraction > largest


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), st.integers(2, 16), st.booleans())
def test_fixed_point_is_within_a_step(values: list[float], bits: int, signed: bool) -> None:
    x = np.abs(values) if not signed else np.array(values)
    found = choose_fixed(x, None, bits, "max_abs", np.rint, signed=signed)
    eps = 2.0**-found.fraction
    codes = fixed_codes(x, found, np.rint)
    assert found.bits == bits
    assert (np.abs(codes * eps - x) <= eps).all()
    np.testing.assert_array_equal(fixed_codes(codes * eps, found, np.rint), codes)


@given(st.integers(0, 200), st.integers(2, 8))
def test_the_best_ratio_is_no_worse_than_the_extremes(seed: int, bits: int) -> None:
    x = np.random.default_rng(seed).laplace(size=200)

    def error(method: PointMethod) -> float:
        found = choose_fixed(x, None, bits, method, np.rint)
        return float(((fixed_codes(x, found, np.rint) * 2.0**-found.fraction - x) ** 2).sum())

    assert error("sqnr") <= error("max_abs")


@example(58, 2)  # the best point is 2 below that of the extremes
@given(st.integers(0, 200), st.integers(2, 8))
def test_the_best_ratio_is_the_best_of_all_points(seed: int, bits: int) -> None:
    """By brute force, each value as often as its count says."""
    rng = np.random.default_rng(seed)
    x, counts = np.round(rng.laplace(size=30), 2), rng.integers(1, 9, 30)
    error = {
        format: float((counts * (fixed_codes(x, format, np.rint) * 2.0**-format.fraction - x) ** 2).sum())
        for format in (format_for(point, bits, signed=True) for point in range(-12, 12))
    }
    found = choose_fixed(x, counts, bits, "sqnr", np.rint)
    assert error[found] == min(error.values())
    assert choose_fixed(np.repeat(x, counts), None, bits, "sqnr", np.rint) == found


def test_one_more_bit_is_six_decibels() -> None:
    """HAPPi-Net notes, A4: 5.5 to 6.5 dB per bit on uniform noise."""
    x = np.random.default_rng(1).uniform(-0.75, 0.75, 20_000)

    def ratio(bits: int) -> float:
        codes = fixed_codes(x, Fixed(1, bits - 1), np.rint)
        return 10 * math.log10((x**2).sum() / ((codes * 2.0 ** (1 - bits) - x) ** 2).sum())

    assert all(5.5 <= ratio(bits + 1) - ratio(bits) <= 6.5 for bits in range(3, 10))


def test_outliers_move_the_point_by_the_ratio_only() -> None:
    x = np.append(np.random.default_rng(0).normal(size=5000) * 0.1, 3.0)
    assert choose_fixed(x, None, 3, "max_abs", np.rint).integer == 3
    assert choose_fixed(x, None, 3, "sqnr", np.rint).integer < 3
    # of two bits 2 is the largest code of the point that holds 3.9, and 4 that of the next one
    assert choose_fixed(np.array([3.9]), None, 2, "sqnr", np.rint) == format_for(3, 2, signed=True)
    assert integer_bits(0.0) == 0
    assert integer_bits(1e-300) == -48


# equalization


@given(st.integers(0, 100), st.sampled_from((1, 2, 6)), st.booleans())
def test_equal_ranges_afterwards(seed: int, groups: int, powers_of_two: bool) -> None:
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((6, 3, 3, 3)) * np.exp(rng.standard_normal((6, 1, 1, 1)))
    second = rng.standard_normal((6, 6 // groups, 3, 3))
    factors = equalizing_factors(made_ranges(first), read_ranges(second, groups), powers_of_two=powers_of_two)
    made = made_ranges(scale_made(first, 1 / factors))
    read = read_ranges(scale_read(second, factors, groups), groups)
    if powers_of_two:
        assert ((made / read > 0.49) & (made / read < 2.01)).all()
        assert (np.frexp(factors)[0] == 0.5).all()
    else:
        np.testing.assert_allclose(made, read)


def test_dead_channels_stay() -> None:
    assert equalizing_factors(np.array([0.0, 2.0, 0.0]), np.array([1.0, 0.0, 0.0])).tolist() == [1, 1, 1]
    assert equalizing_factors(np.array([1e300]), np.array([1e-300])).tolist() == [LARGEST_FACTOR]


def test_features_of_a_flattened_channel_share_a_range() -> None:
    w = np.array([[1.0, -2.0, 0.5, 0.25], [0.0, 1.0, -4.0, 0.0]])
    assert read_ranges(w, 1, block=2).tolist() == [2.0, 4.0]
    assert scale_read(w, np.array([2.0, 10.0]), 1, block=2)[0].tolist() == [2.0, -4.0, 5.0, 2.5]
