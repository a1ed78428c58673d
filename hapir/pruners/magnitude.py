"""Scores of weights and of groups of them, and which of n scores are pruned: plain numpy, no IR.

A score says what a group is worth: the lowest go first, of equal ones those of the lowest index.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from hapir.bounds import whole_share

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

Criterion = Literal["magnitude", "l2", "psp", "random"]
"""How a group of weights is scored: the sum of magnitudes (l1 norm); the l2 norm; the mean magnitude over that of all
weights of the layer, which needs no units (an untrained stand-in for the structure parameter of Parameterised
Structured Pruning); or a number from a seed."""


def pruned_count(groups: int, sparsity: float) -> int:
    """How many of n groups a sparsity prunes."""
    return whole_share(sparsity, groups)


def smallest(scores: npt.NDArray[np.floating], sparsity: float) -> Mask:
    """A mask of the `pruned_count` smallest scores; of equal ones those that come first. Linear in the scores."""
    count = pruned_count(len(scores), sparsity)
    if not count:
        return np.zeros(len(scores), dtype=np.bool_)
    last = np.partition(scores, count - 1)[count - 1]
    mask = scores < last
    mask[np.flatnonzero(scores == last)[: count - int(mask.sum())]] = True
    return mask


def below(scores: Floats, threshold: float) -> Mask:
    """A mask of the scores below a threshold, without the largest of them all (the last of equal ones): it stays."""
    mask = scores < threshold
    if mask.all() and mask.size:
        mask[np.argsort(scores, kind="stable")[-1]] = False
    return mask


def score(w: Floats, axes: tuple[int, ...], criterion: Criterion, draw: np.random.Generator) -> Floats:
    """What the groups of weights along the other axes are worth; a layer of zeros scores 0 everywhere."""
    match criterion:
        case "magnitude":
            return np.abs(w).sum(axis=axes)
        case "l2":
            return np.sqrt(np.square(w).sum(axis=axes))
        case "psp":
            mean = float(np.abs(w).mean()) if w.size else 0.0
            means = np.abs(w).mean(axis=axes)
            return means / mean if mean else np.zeros_like(means)
        case "random":
            shape = tuple(size for axis, size in enumerate(w.shape) if axis not in axes)
            return draw.permutation(math.prod(shape)).reshape(shape).astype(np.float64)
