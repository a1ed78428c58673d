"""Weight sharing by k-means: the weights of a layer become a few shared values.

After Han, Mao, Dally, "Deep Compression" (ICLR 2016, section 3). On a line a cluster is an interval, so an iteration
needs the midpoints of k centroids and k sums: k log n steps on sorted weights, and no pass over them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hapir.quantizers.codebooks import code_type
from hapir.quantizers.coded import Codebook
from hapir.quantizers.sorted_values import Floats, SortedValues, midpoints

Start = Literal["linear", "density", "random"]


@dataclass(frozen=True)
class KMeans:
    """How the shared values are found.

    `bits`: 2^bits centroids, 1 to 8.
    `start`: the first centroids: evenly between the least and the largest weight; evenly over the ranks of the weights;
    or weights drawn at random by `seed`. Linear keeps the few large weights best (Deep Compression, section 3.2).
    `keep_zeros`: weights that are exactly 0 stay 0 and take no part; 0 then is one level more, and where there are such
    weights a code is one bit longer than `bits` (a sparse encoding, which skips them, stores `bits`).
    `iterations`: at most so many; it ends before where no weight moves any more.
    """

    bits: int = 4
    start: Start = "linear"
    seed: int = 0
    keep_zeros: bool = True
    iterations: int = 300


def k_means(w: Floats, rule: KMeans, stored: Callable[[Floats], Floats] = np.asarray) -> Codebook:
    """The weights as indices of centroids, which `stored` rounds to what is kept of them.

    Where there are no more distinct weights than centroids, and all of them can be kept, it is exact.
    """
    zeros = w == 0 if rule.keep_zeros else np.zeros(w.shape, np.bool_)
    any_zero = bool(zeros.any())
    values = SortedValues(w[~zeros] if any_zero else w)
    centroids = stored(clusters(values, rule)).astype(np.float32) + np.float32(0)
    # what is stored is f32, and each weight goes to the nearest of what is stored
    centroids = np.unique(centroids)
    index = np.searchsorted(midpoints(centroids.astype(np.float64)), w, side="right")
    levels = np.unique(np.append(centroids, np.float32(0))) if any_zero or not len(centroids) else centroids
    table = np.searchsorted(levels, centroids).astype(code_type(len(levels)))
    codes = table[index] if len(table) else np.zeros(w.shape, code_type(len(levels)))
    if any_zero:
        codes[zeros] = np.searchsorted(levels, 0.0)
    return Codebook(codes, levels)


def clusters(values: SortedValues, rule: KMeans) -> Floats:
    """The centroids, ascending; those of no weight are left out.

    Lloyd's iterations: no one raises the summed squared error (Lloyd, IEEE Trans. Inf. Theory 28, 1982, method I).
    """
    wanted = 1 << rule.bits
    ordered = values.sorted
    if not len(ordered):
        return np.array([])
    starts = np.flatnonzero(np.diff(ordered)) + 1
    if len(starts) < wanted:
        return ordered[np.concatenate([[0], starts])]
    centroids, counts = _first(values, rule, wanted), np.zeros(0)
    for _ in range(rule.iterations):
        moved, means = values.intervals(midpoints(centroids))
        if np.array_equal(moved, counts):
            break
        counts = moved
        # a centroid that no weight is nearest to waits where it is: its neighbours may move away
        centroids = np.where(counts > 0, means, centroids)
    return centroids[values.intervals(midpoints(centroids))[0] > 0]


def _first(values: SortedValues, rule: KMeans, wanted: int) -> Floats:
    """The centroids to start from, ascending."""
    ordered = values.sorted
    match rule.start:
        case "linear":
            return np.linspace(*values.range, wanted)
        case "density":
            return ordered[((np.arange(wanted) + 0.5) / wanted * len(ordered)).astype(np.intp)]
        case "random":
            draw = np.random.Generator(np.random.PCG64(rule.seed)).random(wanted)
            return ordered[np.sort((draw * len(ordered)).astype(np.intp))]
