"""Evaluators on arrays: what they count, how ties fall, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hapir.search.accuracy import Accuracy
from hapir.search.agreement import Agreement
from hapir.search.evaluator import Evidence, among_first
from hapir.search.sqnr import Sqnr

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0], [0.3, 0.3, 0.4]], np.float32)


def evidence(
    results: npt.NDArray[Any], exact: npt.NDArray[Any] | None = None, labels: npt.NDArray[Any] | None = None
) -> Evidence:
    """Evidence of a network with one result."""
    return Evidence({"y": results}, {"y": results if exact is None else exact}, labels)


def test_accuracy_counts_the_first_of_equal_scores() -> None:
    assert Accuracy().score(evidence(SCORES, labels=np.array([1, 0, 2]))) == 1
    assert Accuracy().score(evidence(SCORES, labels=np.array([1, 1, 2]))) == pytest.approx(2 / 3)
    assert Accuracy(top=2).score(evidence(SCORES, labels=np.array([2, 1, 0]))) == 1
    assert Accuracy(top=2).score(evidence(SCORES, labels=np.array([2, 1, 1]))) == pytest.approx(2 / 3)


def test_accuracy_reads_classes_as_they_stand() -> None:
    assert Accuracy().score(evidence(np.array([1, 0, 2]), labels=np.array([1, 1, 2]))) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="names no class"):
        Accuracy().score(evidence(np.array([1.0, 0.0]), labels=np.array([1, 1])))
    with pytest.raises(ValueError, match="no labels"):
        Accuracy().score(evidence(SCORES))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused(label: int) -> None:
    with pytest.raises(ValueError, match="0 to 2"):
        Accuracy(top=2).score(evidence(SCORES, labels=np.array([0, 1, label])))


def test_agreement_needs_no_labels() -> None:
    assert Agreement().score(evidence(SCORES)) == 1
    assert Agreement().score(evidence(SCORES[[0, 2, 1]], SCORES)) == pytest.approx(1 / 3)
    assert Agreement(top=3).score(evidence(SCORES[[0, 2, 1]], SCORES)) == 1


@pytest.mark.parametrize("top", [1, 2, 3])
def test_among_first_counts_who_is_ahead(top: int) -> None:
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 3, (50, 4)).astype(np.float32)
    classes = rng.integers(0, 4, 50)

    def ahead(row: list[float], own: int) -> int:
        """How many classes come before one: of a larger score, or of the same and a lower index."""
        return sum(s > row[own] or (s == row[own] and i < own) for i, s in enumerate(row))

    expected = [ahead(row, c) < top for row, c in zip(scores.tolist(), classes.tolist(), strict=True)]
    assert among_first(scores, classes, top).tolist() == expected


def test_sqnr_of_all_results_together() -> None:
    exact = {"a": np.array([3.0, 4.0]), "b": np.array([[0.0], [12.0]])}
    found = {"a": np.array([3.0, 5.0]), "b": np.array([[0.0], [12.0]])}
    assert Sqnr().score(Evidence(found, exact)) == pytest.approx(10 * math.log10(169 / 1))
    assert Sqnr().score(Evidence(exact, exact)) == math.inf
    zero = {"a": np.zeros(2)}
    assert Sqnr().score(Evidence({"a": np.ones(2)}, zero)) == -math.inf


def test_options_have_bounds() -> None:
    with pytest.raises(ValueError, match="`top` of accuracy is 0"):
        Accuracy(top=0)
    with pytest.raises(ValueError, match="`top` of agreement is 0"):
        Agreement(top=0)
