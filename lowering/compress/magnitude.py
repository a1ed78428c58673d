"""Which of n scores are pruned: plain numpy, no IR."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def pruned_count(groups: int, sparsity: float) -> int:
    """How many of n groups a sparsity prunes: the floor, safe against `0.07 * 100 = 7.000000000000001` and its like."""
    return math.floor(round(sparsity * groups, 9))


def smallest(scores: npt.NDArray[np.float64], sparsity: float) -> npt.NDArray[np.bool_]:
    """A mask of the `pruned_count` smallest scores; of equal ones those that come first."""
    mask = np.zeros(len(scores), dtype=np.bool_)
    mask[np.argsort(scores, kind="stable")[: pruned_count(len(scores), sparsity)]] = True
    return mask
