"""The conversions against their definitions: fractions and Python's integers, exhaustively where the range is small."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hapir.dialects.num import Rounding
from hapir.reference import num
from hapir.reference.values import to_si32

ROUNDINGS = list(Rounding)
SI32 = st.integers(-(2**31), 2**31 - 1)
EXAMPLES = settings(max_examples=60, deadline=None)


def rounded(value: Fraction, rounding: Rounding) -> int:
    """The definition: an exact value to an integer."""
    below = math.floor(value)
    fraction = value - below
    half = Fraction(1, 2)
    match rounding:
        case Rounding.floor:
            return below
        case Rounding.half_up:
            return below + (fraction >= half)
        case Rounding.half_even:
            return round(value)
        case Rounding.half_away:
            return below + (fraction > half or (fraction == half and value > 0))


def requantized(acc: int, multiplier: int, shift: int, zero_point: int, low: int, high: int, by: Rounding) -> int:
    """The definition of `num.requantize`."""
    return min(max(rounded(Fraction(acc * multiplier, 1 << shift), by) + zero_point, low), high)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_requantize_equals_its_definition_on_all_small_numbers(rounding: Rounding) -> None:
    accs = list(range(-40, 41))
    for multiplier, shift, (zero_point, low, high) in product(
        range(10), range(6), ((0, -(10**6), 10**6), (3, -8, 7), (128, 0, 255))
    ):
        found = num.requantize(np.array(accs, np.int32), multiplier, shift, zero_point, (low, high), rounding)
        expected = [requantized(acc, multiplier, shift, zero_point, low, high, rounding) for acc in accs]
        assert found.tolist() == expected, (multiplier, shift, zero_point)


@EXAMPLES
@example(-(2**31), 2**32 - 1, 0, 255, Rounding.half_up)
@example(-(2**31), 2**32 - 1, 62, 0, Rounding.half_away)
@example(2**31 - 1, 2**32 - 1, 62, 255, Rounding.half_up)
@example(2**31 - 1, 2**32 - 1, 0, 0, Rounding.half_even)
@example(-1, 1 << 31, 32, 0, Rounding.half_away)
@example(1, 1 << 31, 32, 0, Rounding.half_even)
@given(SI32, st.integers(0, 2**32 - 1), st.integers(0, 62), st.integers(0, 255), st.sampled_from(ROUNDINGS))
def test_requantize_equals_its_definition_at_extremes(
    acc: int, multiplier: int, shift: int, zero_point: int, rounding: Rounding
) -> None:
    for low, high in ((0, 255), (-(2**40), 2**40)):
        found = num.requantize(
            np.array([acc], np.int32), np.array([multiplier], np.uint32), shift, zero_point, (low, high), rounding
        )
        assert found[0] == requantized(acc, multiplier, shift, zero_point, low, high, rounding)


@EXAMPLES
@example(5, 0.5, 0, Rounding.half_even)
@example(-5, 0.5, 0, Rounding.half_away)
@given(SI32, st.floats(0, 1e6, width=32), st.integers(-128, 127), st.sampled_from(ROUNDINGS))
def test_rescale_equals_its_definition(acc: int, scale: float, zero_point: int, rounding: Rounding) -> None:
    # the product is rounded to a double first, the sum with the zero point is exact in the range that is kept
    product = Fraction(float(Fraction(acc) * Fraction(scale)))
    expected = min(max(rounded(product, rounding) + zero_point, -1000), 1000)
    found = num.rescale(np.array([acc], np.int32), scale, zero_point, (-1000, 1000), rounding)
    assert found[0] == expected


@EXAMPLES
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**16), st.sampled_from(ROUNDINGS))
def test_channels_are_requantized_one_by_one(batch: int, channels: int, seed: int, rounding: Rounding) -> None:
    rng = np.random.default_rng(seed)
    acc = rng.integers(-(2**31), 2**31, (batch, channels, 3, 2)).astype(np.int32)
    multiplier, shift = rng.integers(0, 2**16, channels).astype(np.uint16), rng.integers(0, 63, channels)
    together = num.requantize(acc, num.along(multiplier, 1, 4), num.along(shift, 1, 4), 7, (0, 255), rounding)
    for k in range(channels):
        alone = num.requantize(acc[:, k], int(multiplier[k]), int(shift[k]), 7, (0, 255), rounding)
        assert np.array_equal(together[:, k], alone)


@EXAMPLES
@example(0.49999999999999994)  # the largest double below a half: adding a half to it gives 1
@example(-0.49999999999999994)
@example(4503599627370497.5)
@example(-2.5)
@given(st.floats(-1e15, 1e15) | st.integers(-100, 100).map(lambda n: n / 2))
def test_reals_are_rounded_exactly(value: float) -> None:
    for rounding in ROUNDINGS:
        assert num.round_real(np.array([value]), rounding)[0] == rounded(Fraction(value), rounding), rounding


@EXAMPLES
@given(st.floats(1e-6, 1e3), st.integers(-128, 127), st.sampled_from(ROUNDINGS), st.floats(-1e5, 1e5, width=32))
def test_quantize_equals_its_definition(scale: float, zero_point: int, rounding: Rounding, x: float) -> None:
    found = num.quantize(np.array([x], np.float32), scale, zero_point, (-128, 127), rounding)
    # the one rounding before the last is that of the division in f64
    expected = min(max(rounded(Fraction(x / scale), rounding) + zero_point, -128), 127)
    assert found[0] == expected


@pytest.mark.parametrize("rounding", [Rounding.half_even, Rounding.half_up, Rounding.half_away])
@EXAMPLES
@given(st.floats(1e-6, 1e3), st.integers(0, 255))
def test_every_grid_point_survives_the_round_trip(rounding: Rounding, scale: float, zero_point: int) -> None:
    q = np.arange(256).astype(np.uint8)
    reals = num.dequantize(q, scale, zero_point)
    assert reals.dtype == np.float32
    assert np.array_equal(num.quantize(reals, scale, zero_point, (0, 255), rounding), q)


def test_scale_is_a_double() -> None:
    # 0.1 is no f32: 12.8 / 0.1 is 128 in f64; with an f32 scale a value on a tie would fall to the other side
    x = np.array([0.25], np.float32)
    assert num.quantize(x, 0.1, 0, (0, 255), Rounding.half_even)[0] == 2
    assert num.quantize(x, 0.0999999999, 0, (0, 255), Rounding.half_even)[0] == 3


@EXAMPLES
@given(st.integers(0, 255), st.integers(-(2**31) // 255, (2**31 - 1) // 255), st.integers(0, 255))
def test_widen_equals_its_definition(q: int, multiplier: int, zero_point: int) -> None:
    found = num.widen(np.array([q], np.uint8), zero_point, multiplier)
    assert found.dtype == np.int32
    assert found[0] == (q - zero_point) * multiplier


@pytest.mark.parametrize("dtype", [np.int64, np.float64, object])
@pytest.mark.parametrize("value", [2**31, -(2**31) - 1])
def test_leaving_si32_raises(dtype: npt.DTypeLike, value: int) -> None:
    values: npt.NDArray[Any] = np.array([0, value], dtype)
    with pytest.raises(OverflowError, match=str(value)):
        to_si32(values)
    inside = np.array([2**31 - 1, -(2**31)], dtype)
    assert to_si32(inside).tolist() == [2**31 - 1, -(2**31)]
