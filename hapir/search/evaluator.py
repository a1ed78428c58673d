"""What an evaluator is: a number that says how good the results of a network are; larger is better.

Evaluators are registered values (universe field `evaluators`), so an option takes one as `accuracy` or
`accuracy(top = 5)`. An evaluator sees arrays and nothing else, and gives the same number for the same arrays: a search
that uses it is deterministic and can be resumed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an evaluator judges by: the results of the network and of the float network that it came from.

    `results` and `exact` have the same names and shapes and are in order, axis 0 are the samples. `labels` holds the
    expected class of each sample where it is known.
    """

    results: Mapping[str, Array]
    exact: Mapping[str, Array]
    labels: Array | None = None


class Evaluator(ABC):
    """The base of evaluators: frozen dataclasses whose fields are their options."""

    name: ClassVar[str]
    unit: ClassVar[str] = "share"
    """What a score counts: a share of the samples, or `dB`."""
    needs_labels: ClassVar[bool] = False

    @abstractmethod
    def score(self, evidence: Evidence) -> float:
        """The score of the results, never NaN. Raises ValueError for results that it cannot judge."""

    def text(self, score: float) -> str:
        """A score for people."""
        return f"{score:.2f} dB" if self.unit == "dB" else f"{score:.3f}"


def first_result(arrays: Mapping[str, Array]) -> Array:
    """The first result, which classes are read from."""
    return next(iter(arrays.values()))


def scores_of(result: Array) -> npt.NDArray[np.float64]:
    """A result N x C ... as N x C classes, all but axis 0 flattened. Raises ValueError where it has one axis."""
    if result.ndim < 2:
        raise ValueError("the first result is one number per sample, it has no scores of classes")
    return result.reshape(len(result), -1).astype(np.float64)


def classes_of(result: Array) -> npt.NDArray[np.int64]:
    """The class of each sample: the index of the largest score, or the value itself where that is a whole number.

    Of equal scores the first wins. Raises ValueError for one real number per sample.
    """
    if result.ndim == 1:
        if result.dtype.kind not in "iu":
            raise ValueError("the first result is one real number per sample, which names no class")
        return result.astype(np.int64)
    return scores_of(result).argmax(axis=1).astype(np.int64)


def among_first(result: Array, classes: npt.NDArray[np.int64], top: int) -> npt.NDArray[np.bool_]:
    """Whether each sample's class has one of the `top` largest scores; of equal scores, the first classes win.

    Raises ValueError for a class that has no score.
    """
    if result.ndim == 1:
        return classes_of(result) == classes
    scores = scores_of(result)
    if classes.size and (classes.min() < 0 or classes.max() >= scores.shape[1]):
        raise ValueError(f"classes are 0 to {scores.shape[1] - 1}, not {classes.min()} to {classes.max()}")
    first: npt.NDArray[np.intp] = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    found: npt.NDArray[np.bool_] = (first == classes[:, None]).any(axis=1)
    return found
