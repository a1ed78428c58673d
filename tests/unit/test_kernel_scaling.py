"""Scaling on lanes of 32 bits: whatever is proven gives exact results, and nothing on the way leaves its lane."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hapir.dialects.num import Rounding
from hapir.lowering.kernel.plan_scaling import Scaled, plan_scaling
from hapir.reference import num as reference
from hapir.targets.c.vector_stages import FOLDED_ZERO_POINT

LIMIT = 1 << 31


def lane(value: int) -> int:
    """The value, which 32 bits must hold."""
    assert -LIMIT <= value < LIMIT, value
    return value


def on_lanes(v: int, scaled: Scaled, channel: int, rounding: Rounding, zero_point: int) -> int:
    """What a lane makes of v, with numbers that do not wrap."""
    m, s, form = int(scaled.multiplier[channel]), int(scaled.shift[channel]), scaled.form
    assert 0 <= m < (2 * LIMIT if form.wide else LIMIT)
    folded = zero_point if abs(zero_point) < FOLDED_ZERO_POINT else 0
    floor = 32 - form.lift if form.half == "high" else 0
    ties = rounding in (Rounding.half_even, Rounding.half_away)
    p = lane(v << form.lift) * m
    if form.half == "high":
        assert s >= floor
        if (scaled.shift == floor).all():
            assert not ties
            whole = p + (1 << 31 if rounding == Rounding.half_up else 0)
            return lane(lane((whole >> 32) + folded) + zero_point - folded)
        p = p >> 32 | (ties and p % (1 << 32) != 0)
    p, shift = lane(p), s - floor
    match rounding:
        case Rounding.floor:
            assert 0 <= shift < 32
            found = p >> shift
        case Rounding.half_up:
            assert 1 <= shift <= 32
            if folded == 0 and (scaled.shift == s).all():
                return lane((lane(p + (1 << shift >> 1)) >> shift) + zero_point)
            return lane((lane((p >> shift - 1) + 2 * folded + 1) >> 1) + zero_point - folded)
        case _:
            assert 1 <= shift < 32
            half, odd = 1 << shift - 1, p >> shift & 1
            added = half - 1 + odd if rounding == Rounding.half_even else half - (p < 0)
            found = lane(p + added) >> shift
    return lane(found + zero_point)


@st.composite
def near_powers(draw: st.DrawFn, largest: int) -> int:
    """Numbers around powers of two, and any others."""
    if draw(st.booleans()):
        return draw(st.integers(0, (1 << largest) - 1))
    return min(max((1 << draw(st.integers(0, largest))) + draw(st.integers(-2, 2)), 0), (1 << largest) - 1)


@st.composite
def channels(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and shifts of one to three channels, which often differ by little."""
    count, base = draw(st.integers(1, 3)), draw(st.integers(0, 62))
    shifts = [min(62, base + draw(st.sampled_from((0, 0, 1, 5, 30)))) for _ in range(count)]
    return np.array([draw(near_powers(32)) for _ in range(count)], np.int64), np.array(shifts)


@st.composite
def reaches(draw: st.DrawFn, multiplier: int) -> int:
    """How large sums can be: anything, or just so that products fit 31 or 32 bits."""
    most = ((1 << draw(st.integers(30, 32))) - draw(st.integers(0, 9))) // max(multiplier, 1)
    return min(draw(st.one_of(near_powers(31), st.just(max(most, 0)))), LIMIT - 1)


@pytest.mark.parametrize("rounding", list(Rounding))
@given(channels(), st.data(), st.one_of(st.integers(-9, 9), near_powers(31), near_powers(31).map(int.__neg__)))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_lane_overflows(
    rounding: Rounding, numbers: tuple[np.ndarray, np.ndarray], data: st.DataObject, zero_point: int
):
    multiplier, shift = numbers
    reach = data.draw(reaches(int(multiplier[0])))
    scaled = plan_scaling(multiplier, shift, (-reach, reach), rounding, zero_point)
    if scaled is None:
        return
    for channel, (m, s) in enumerate(zip(multiplier.tolist(), shift.tolist(), strict=True)):
        tie = (1 << s >> 1) // max(m, 1)
        values = {
            -reach,
            reach,
            reach - 1,
            1 - reach,
            0,
            1,
            -1,
            reach // 3,
            *(n * t for n in (1, -1, 3, -3) for t in (tie, tie + 1)),
        }
        for v in (v for v in values if abs(v) <= reach):
            wide = np.array([[v]], np.int64)
            exact = reference.requantize(wide, m, s, zero_point, (-LIMIT, LIMIT - 1), rounding)
            assert on_lanes(v, scaled, channel, rounding, zero_point) == exact.item()


@pytest.mark.parametrize("zero_point", [7, -7, 1 << 27])
@pytest.mark.parametrize(("m", "s"), [(1, 1), (3, 1), (5, 2)])
def test_a_zero_point_beside_the_largest_product(m: int, s: int, zero_point: int):
    reach = (LIMIT - 2) // m
    scaled = plan_scaling(np.array([m]), np.array([s]), (-reach, reach), Rounding.half_up, zero_point)
    assert scaled is not None
    for v in (reach, -reach):
        assert on_lanes(v, scaled, 0, Rounding.half_up, zero_point) == (v * m + (1 << s >> 1) >> s) + zero_point


@pytest.mark.parametrize("rounding", list(Rounding))
def test_results_that_may_not_fit_have_no_form(rounding: Rounding):
    numbers = np.array([1]), np.array([1]), (-(1 << 29), 1 << 29), rounding
    assert plan_scaling(*numbers, 1 << 29) is not None
    assert plan_scaling(*numbers, LIMIT - (1 << 28)) is None
    assert plan_scaling(*numbers, (1 << 28) - LIMIT - 1) is None


@pytest.mark.parametrize("shift", [1, 2, 30])
def test_half_of_the_shift_fits_beside_the_largest_product(shift: int):
    for most in range(LIMIT - (1 << shift >> 1) - 2, LIMIT - (1 << shift >> 1) + 1):
        scaled = plan_scaling(np.array([1]), np.array([shift]), (-most, most), Rounding.half_up, 0)
        assert scaled is not None
        assert on_lanes(most, scaled, 0, Rounding.half_up, 0) == most + (1 << shift >> 1) >> shift


@pytest.mark.parametrize("rounding", list(Rounding))
def test_every_form_is_drawn(rounding: Rounding):
    """The pairs of a usual network have each form that their rounding can have."""
    rng = np.random.default_rng(1)
    forms: set[tuple[str, bool] | None] = set()
    for bits, reach in ((1, 12), (8, 20), (16, 20), (31, 20), (32, 20), (32, 31), (31, 31)):
        for _ in range(20):
            m = rng.integers(1 << bits - 1, 1 << bits, 2)
            s = np.clip(bits + reach - 8 + rng.integers(0, 3, 2), 0, 62)
            found = plan_scaling(m, s, (-(1 << reach) + 1, (1 << reach) - 1), rounding, 3)
            forms.add(None if found is None else (found.form.half, found.form.wide))
    assert {("low", False), ("high", False)} <= forms
    assert (("high", True) in forms) == (rounding not in (Rounding.half_even, Rounding.half_away))
