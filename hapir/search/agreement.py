"""The share of samples that get the class which the float network gives them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from hapir.bounds import bounded, check_bounds
from hapir.search.evaluator import Evaluator, Evidence, among_first, classes_of, first_result


@dataclass(frozen=True)
class Agreement(Evaluator):
    """The share of samples whose class is the float network's. Needs no labels; the float network itself scores 1.

    `top`: in how many of the largest scores the float network's class may be.

    Example: `keep_accuracy(within = 2 points, data = "digits_test.npz", evaluator = agreement)`
    """

    name: ClassVar[str] = "agreement"
    top: int = field(default=1, metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def score(self, evidence: Evidence) -> float:
        wanted = classes_of(first_result(evidence.exact))
        return float(among_first(first_result(evidence.results), wanted, self.top).mean())
