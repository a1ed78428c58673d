"""Knapsacks against trying out everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.search import allocation
from hapir.search.allocation import Frontier, combined, either, greedy, options

CHOICES = st.dictionaries(
    st.integers(1, 8), st.tuples(st.integers(0, 30), st.integers(0, 50).map(float)), min_size=1, max_size=4
)
PARTS = st.lists(CHOICES, min_size=1, max_size=4)
Parts = list[dict[int, tuple[int, float]]]


def frontiers(parts: Parts) -> list[Frontier]:
    return [options(str(k), choices) for k, choices in enumerate(parts)]


def total(parts: Parts, picks: dict[str, int]) -> tuple[int, float]:
    """Cost and loss of a plan."""
    chosen = [choices[picks[str(k)]] for k, choices in enumerate(parts)]
    return sum(c for c, _ in chosen), sum(loss for _, loss in chosen)


def best(parts: Parts, budget: float) -> float | None:
    """The least loss within a budget, by trying out everything."""
    plans = (total(parts, {str(k): n for k, n in enumerate(p)}) for p in itertools.product(*parts))
    return min((loss for cost, loss in plans if cost <= budget), default=None)


@given(PARTS, st.integers(-1, 80))
def test_the_best_plan_within_a_budget(parts: Parts, budget: int) -> None:
    frontier = combined(frontiers(parts))
    place = frontier.within(budget)
    expected = best(parts, budget)
    assert (place is None) == (expected is None)
    if place is not None:
        cost, loss = total(parts, frontier.picks(place))
        assert cost == frontier.costs[place] <= budget
        assert loss == frontier.losses[place] == expected
    limited = combined(frontiers(parts), budget)
    assert len(limited) == len(frontier.costs[frontier.costs <= budget])


@given(PARTS)
def test_dearer_plans_lose_less(parts: Parts) -> None:
    frontier = combined(frontiers(parts))
    assert (np.diff(frontier.costs) > 0).all()
    assert (np.diff(frontier.losses) < 0).all()


@given(PARTS, st.integers(-1, 80))
def test_greedy_fits_and_is_no_better_than_the_best(parts: Parts, budget: int) -> None:
    picks = greedy(frontiers(parts), budget)
    expected = best(parts, budget)
    assert (picks is None) == (expected is None)
    if picks is not None and expected is not None:
        cost, loss = total(parts, picks)
        assert cost <= budget
        assert loss >= expected


@given(CHOICES, CHOICES, st.integers(0, 40))
def test_alternatives(first: dict[int, tuple[int, float]], second: dict[int, tuple[int, float]], budget: int) -> None:
    frontier = either("way", {4: options("x", first), 8: options("x", second)})
    place = frontier.within(budget)
    fits = [loss for cost, loss in (*first.values(), *second.values()) if cost <= budget]
    assert (place is None) == (not fits)
    if place is not None:
        picks = frontier.picks(place)
        assert {4: first, 8: second}[picks["way"]][picks["x"]] == (frontier.costs[place], frontier.losses[place])
        assert frontier.losses[place] == min(fits)


def test_greedy_takes_the_first_of_equal_steps() -> None:
    choices = {4: (4, 1.0), 8: (8, 0.0)}
    assert greedy(frontiers([choices, choices]), 12) == {"0": 4, "1": 8}


@settings(max_examples=20)
@given(st.integers(0, 1 << 30))
def test_many_plans_are_thinned_and_stay_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts: Parts = [
        {b: (int(rng.integers(1, 1000)) * b, float(2.0**-b * rng.random())) for b in (2, 4, 8)} for _ in range(8)
    ]
    whole = combined(frontiers(parts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allocation, "MOST_PLANS", 16)
        thin = combined(frontiers(parts))
    assert len(thin) <= 16
    for place in range(len(thin)):
        assert total(parts, thin.picks(place)) == (thin.costs[place], pytest.approx(thin.losses[place]))
        optimum = whole.within(int(thin.costs[place]))
        assert optimum is not None
        assert whole.losses[optimum] <= thin.losses[place] * (1 + 1e-12)
    assert thin.losses[-1] == pytest.approx(whole.losses[-1])


@settings(max_examples=20)
@given(st.integers(0, 1 << 30))
def test_what_fits_a_budget_is_found_among_many_plans(seed: int) -> None:
    """Also by plans that were thinned: a few large parts and many small ones, and the least budget that fits."""
    rng = np.random.default_rng(seed)
    parts: Parts = [
        {b: (int(10 ** rng.uniform(1, 6)) * b, float(4.0**-b * rng.random())) for b in (2, 4, 8)} for _ in range(10)
    ]
    least = sum(min(cost for cost, _ in choices.values()) for choices in parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allocation, "MOST_PLANS", 16)
        for frontier in (
            combined(frontiers(parts)),
            combined(frontiers(parts), least),
            combined(frontiers(parts), 2 * least),
        ):
            assert frontier.costs[0] == least
            assert frontier.within(least) == 0
            assert frontier.within(least - 1) is None
            assert len(frontier) <= 16
        assert greedy([combined(frontiers(parts))], least) is not None


def test_a_part_that_can_only_lose_everything_has_a_plan() -> None:
    """A score of minus infinity is an infinite loss; the cheapest of such choices is taken."""
    parts: Parts = [{2: (2, np.inf), 4: (4, np.inf)}, {2: (2, 5.0), 4: (4, 1.0)}]
    frontier = combined(frontiers(parts))
    place = frontier.within(8)
    assert place is not None
    assert frontier.picks(place)["0"] == 2
