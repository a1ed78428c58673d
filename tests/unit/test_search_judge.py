"""Judges and trials: what a score is where results are no numbers, how near a bound is kept, which scores are one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from hapir.dialects.nn import NetworkOp
from hapir.lowering.compress.search.judge import Bound, Judge
from hapir.lowering.compress.search.trial import Trial
from hapir.search.accuracy import Accuracy
from hapir.search.agreement import Agreement
from hapir.search.journal import Journal
from hapir.weights import Array, WeightStore
from tests.property.pipelines import compilation
from tests.property.test_pass_filter_prune import chain

SAMPLE = chain(3, 2)
NETWORK = compilation(SAMPLE).network
INPUTS = SAMPLE.inputs(6)
LABELS = np.array([0, 1, 0, 1, 1, 0])


def judge(**changes: object) -> Judge:
    return replace(Judge.on(NETWORK, SAMPLE.weights, Accuracy(top=3), INPUTS, LABELS), **changes)  # pyright: ignore[reportArgumentType]  # fields by name


def test_results_that_are_no_numbers_are_the_worst() -> None:
    broken = WeightStore(SAMPLE.weights)
    for key in ("c1.weight", "c2.weight"):  # finite, but not what they give
        broken.put(key, np.full(SAMPLE.weights[key].shape, 3e38, np.float32))
    found = Judge.on(NETWORK, SAMPLE.weights, Agreement(), INPUTS, None)
    assert found.baseline == 1
    assert found.score(NETWORK, broken) == -math.inf


@pytest.mark.parametrize(("baseline", "within", "score"), [(0.9, 0.2, 0.7), (0.4, 0.1, 0.3), (1.0, 0.9, 0.1)])
def test_a_bound_is_kept_as_people_count(baseline: float, within: float, score: float) -> None:
    """What may be lost exactly is good enough, though binary fractions differ in the last place."""
    found = judge(baseline=baseline)
    assert score >= found.floor(Bound(within))
    assert score - 1e-6 < found.floor(Bound(within))
    assert score >= found.floor(Bound(None, score)) > score - 1e-6
    assert found.floor(Bound(within, 0.99)) == pytest.approx(0.99), "the stricter of the two holds"


def test_whatever_scores_depend_on_is_in_the_digest() -> None:
    image = INPUTS["image"]
    digests = [
        found.digest()
        for found in (
            judge(),
            judge(evaluator=Accuracy(top=1)),
            judge(evaluator=Agreement()),
            judge(labels=1 - LABELS),
            judge(labels=None),
            judge(inputs={"image": image + 1}),
            judge(inputs={"picture": image}),
            judge(exact={name: np.negative(array) for name, array in judge().exact.items()}),  # pyright: ignore[reportArgumentType]  # reals
        )
    ]
    assert len(set(digests)) == len(digests)
    assert judge().digest() == digests[0]


def test_scores_depend_on_the_decisions_before() -> None:
    """The same last step after another history is another score."""
    journal = Journal()
    asked: list[float] = []

    def score(_: NetworkOp, arrays: Mapping[str, Array]) -> float:
        asked.append(float(arrays["a"].astype(np.float64)[0]))
        return 1.0

    def trial() -> Trial:
        return Trial(NETWORK, SAMPLE.weights, score, 0.5, journal)

    one, other = trial(), trial()
    one.take("first", {"a": np.ones(1)})
    other.take("second", {"a": np.zeros(1)})
    for each in (one, other, one, other):
        assert each.accepts("last", {})
    assert asked == [1, 0]
    assert (one.asked, journal.measured, journal.known) == (2, 2, 2)
