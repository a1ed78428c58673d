"""Learned bases: a code of M bits chooses the signs of M numbers, and their sum is the weight.

After Zhang, Yang, Ye, Hua, "LQ-Nets" (ECCV 2018, algorithm 1): codes by the nearest sum, bases by least squares, in
turns. Neither step raises the squared error. Codes are intervals of the line, so a turn needs the counts and means of
2^M intervals alone.
"""

from __future__ import annotations

import numpy as np

from hapir.quantizers.codebooks import code_type
from hapir.quantizers.coded import Planes
from hapir.quantizers.sorted_values import Floats, SortedValues, Values, midpoints, squared_error

ITERATIONS = 100


def lq_net(w: Floats, bits: int, groups: int = 1, iterations: int = ITERATIONS) -> Planes:
    """Weights as signs of `bits` bases, for each of `groups` equal blocks of rows; bases >= 0, the largest last.

    One bit gives the mean magnitude with the sign, as binary weight networks do. An all-zero block has bases 0.
    """
    blocks = np.split(w, groups)
    bases = np.stack([learned_bases(SortedValues(block), bits, iterations).astype(np.float32) for block in blocks])
    codes = [_nearest(block, base.astype(np.float64)) for block, base in zip(blocks, bases, strict=True)]
    if groups == 1:
        return Planes(codes[0], bases[0])
    return Planes(np.concatenate(codes), bases)


def learned_bases(values: Values, bits: int, iterations: int = ITERATIONS) -> Floats:
    """The bases, ascending; the squared error falls from turn to turn until no weight changes its code."""
    bases = _first(values, bits)
    coded = np.zeros(0), np.zeros(0)
    for _ in range(iterations):
        levels, signs = sums(bases)
        counts, means = values.intervals(midpoints(levels))
        # levels that pass each other change codes too, where no weight leaves its interval
        if np.array_equal(counts, coded[0]) and np.array_equal(signs, coded[1]):
            break
        coded = counts, signs
        # min |w - B v|^2 over all weights is a sum over intervals; codes that no weight has drop out of it
        root = np.sqrt(counts)
        bases = np.linalg.lstsq(root[:, np.newaxis] * signs, root * means, rcond=None)[0]
        # turning a base round and its bit with it changes nothing; so does their order
        bases = np.sort(np.abs(bases))
    return bases


def sums(bases: Floats) -> tuple[Floats, Floats]:
    """The 2^M levels of M bases in ascending order, and the signs (2^M x M, +-1) that give each."""
    signs = np.array([[2.0 * (code >> i & 1) - 1 for i in range(len(bases))] for code in range(1 << len(bases))])
    levels = signs @ bases
    order = np.argsort(levels, kind="stable")
    return levels[order], signs[order]


def error(values: Values, bases: Floats) -> float:
    """The summed squared error of weights at their nearest level."""
    levels, _ = sums(bases)
    return squared_error(values, midpoints(levels), levels)


def _first(values: Values, bits: int) -> Floats:
    """Bases to start from: each one the mean magnitude of what the ones before left over, found on one sign of it.

    What is left is followed level by level: sign and mean magnitude of an interval's distance from its level.
    """
    bases = np.zeros(0)
    for _ in range(bits):
        levels = sums(bases)[0] if len(bases) else np.zeros(1)
        edges = np.sort(np.concatenate([midpoints(levels), levels]))
        counts, means = values.intervals(edges)
        distances = np.abs(means - np.repeat(levels, 2))
        total = counts.sum()
        bases = np.append(bases, float(counts @ distances) / total if total else 0.0)
    return np.sort(bases)


def _nearest(w: Floats, bases: Floats) -> np.ndarray:
    """The code of the nearest level of each weight."""
    levels, signs = sums(bases)
    codes = ((signs > 0) @ (1 << np.arange(len(bases)))).astype(code_type(1 << len(bases)))
    return codes[np.searchsorted(midpoints(levels), w, side="right")]
