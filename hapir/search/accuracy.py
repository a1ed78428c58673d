"""The share of samples whose class is right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hapir.bounds import bounded, check_bounds
from hapir.search.evaluator import Evaluator, Evidence, among_first, first_result


@dataclass(frozen=True)
class Accuracy(Evaluator):
    """The share of samples whose label is among the classes of the largest scores. Needs labels.

    `top`: how many classes count as right; 1 is the usual accuracy.

    Example: `keep_accuracy(within = 1 point, data = "digits_test.npz", evaluator = accuracy(top = 2))`
    """

    name: ClassVar[str] = "accuracy"
    needs_labels: ClassVar[bool] = True
    top: int = field(default=1, metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def score(self, evidence: Evidence) -> float:
        if evidence.labels is None:
            raise ValueError("there are no labels")
        labels = evidence.labels.astype(np.int64)
        return float(among_first(first_result(evidence.results), labels, self.top).mean())
