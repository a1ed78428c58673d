"""Searches by halving: the golden counts, and that what comes out was itself accepted, whatever the evaluator."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapir.search.half_interval import (
    half_interval_evaluations,
    integer_evaluations,
    largest_accepted,
    smallest_accepted,
)


@pytest.mark.parametrize(("eps", "evaluations"), [(1 / 64, 6), (1 / 128, 7), (0.01, 7), (1.0, 0), (0.5, 1)])
def test_evaluations_of_a_resolution(eps: float, evaluations: int) -> None:
    """HAPPi-Net A5 (RAO), checks: ceil(log2(1/eps)) evaluations, 6 for 1/64, 7 for 1/128 or 0.01."""
    asked: list[float] = []
    largest_accepted(lambda point: asked.append(point) is None, eps)
    assert len(asked) == half_interval_evaluations(eps) == evaluations == math.ceil(math.log2(1 / eps))


@given(st.floats(0, 1), st.sampled_from([1 / 64, 1 / 128, 0.01, 0.3]))
def test_a_threshold_is_found_to_the_resolution(threshold: float, eps: float) -> None:
    """HAPPi-Net A5, checks: the stub `acc(pr) = 1 if pr <= p* else 0` gives a result in [p* - eps, p*]."""
    found = largest_accepted(lambda point: point <= threshold, eps) or 0.0
    assert threshold - eps <= found <= threshold


@given(st.lists(st.booleans(), min_size=7, max_size=7))
def test_any_answers_end_in_an_accepted_point(answers: list[bool]) -> None:
    """HAPPi-Net A5, checks: the stored snapshot is the accepted one, even where accuracy is not monotone."""
    given_answers = iter(answers)
    asked: dict[float, bool] = {}

    def accepts(point: float) -> bool:
        asked[point] = next(given_answers)
        return asked[point]

    found = largest_accepted(accepts, 1 / 128)
    accepted = [point for point, answer in asked.items() if answer]
    assert found == (max(accepted) if accepted else None)


@given(st.integers(1, 12), st.integers(0, 12), st.data())
def test_the_smallest_of_integers(first: int, length: int, data: st.DataObject) -> None:
    last = first + length - 1
    threshold = data.draw(st.integers(first, last + 1))
    asked: list[int] = []

    def accepts(value: int) -> bool:
        asked.append(value)
        return value >= threshold

    assert smallest_accepted(accepts, first, last) == (threshold if threshold <= last else None)
    assert len(asked) <= integer_evaluations(first, last)
    assert all(first <= value <= last for value in asked)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_resolution_finer_than_numbers_ends(share: float) -> None:
    asked = list[float]()
    found = largest_accepted(lambda point: asked.append(point) is None and point <= share, 1e-300)
    assert len(asked) == half_interval_evaluations(1e-300) == 52
    assert (found or 0.0) == pytest.approx(share, abs=1e-15)


def test_a_resolution_of_nothing_never_ends() -> None:
    with pytest.raises(ValueError, match="never ends"):
        largest_accepted(lambda _: True, 0.0)
