"""Numbers on a line, cut into intervals: how many lie in each, and their mean.

All codebook quantizers put neighbours on one level, so each is a search for thresholds. Sorted once, with the sums of
all prefixes beside them, n weights answer every question about k intervals in k log n steps; a quantizer then costs one
sort, whatever it searches. A density that knows its integrals answers the same questions (`Values`).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Values(Protocol):
    """Weights, or a density of them."""

    @property
    def count(self) -> float:
        """How many there are; the mass of a density."""
        ...

    @property
    def energy(self) -> float:
        """The sum of their squares."""
        ...

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest; 0 and 0 of nothing."""
        ...

    def intervals(self, edges: Floats) -> tuple[Floats, Floats]:
        """Count and mean (0 of nothing) of the values in each of the intervals that ascending edges leave.

        Interval i holds the values `edges[i - 1] <= w < edges[i]`; the first has no lower end, the last no upper one.
        """
        ...


class SortedValues:
    """The weights of an array of any shape."""

    def __init__(self, w: npt.NDArray[np.floating]):
        self.sorted = np.sort(w, axis=None).astype(np.float64, copy=False)
        self._sums = np.empty(len(self.sorted) + 1)
        self._sums[0] = 0.0
        np.cumsum(self.sorted, out=self._sums[1:])
        self.energy = float(np.dot(self.sorted, self.sorted))

    @property
    def count(self) -> float:
        return len(self.sorted)

    @property
    def range(self) -> tuple[float, float]:
        return (float(self.sorted[0]), float(self.sorted[-1])) if len(self.sorted) else (0.0, 0.0)

    def intervals(self, edges: Floats) -> tuple[Floats, Floats]:
        cuts = np.concatenate([[0], np.searchsorted(self.sorted, edges), [len(self.sorted)]])
        counts = np.diff(cuts)
        if not len(self.sorted):
            return counts.astype(np.float64), np.zeros(len(counts))
        means = np.diff(self._sums[cuts]) / np.maximum(counts, 1)
        # the mean of equal numbers is that number, whatever the sums lost
        lowest = self.sorted[np.minimum(cuts[:-1], len(self.sorted) - 1)]
        highest = self.sorted[np.maximum(cuts[1:] - 1, 0)]
        return counts.astype(np.float64), np.where(counts > 0, np.clip(means, lowest, np.maximum(lowest, highest)), 0.0)


def midpoints(levels: Floats) -> Floats:
    """The edges that send each value to the nearest of ascending levels; a value half-way goes up."""
    return levels[:-1] + np.diff(levels) / 2


def outwards(edges: Floats) -> Floats:
    """The same edges, but a value on one that is below 0 lies below it: on either side of 0 it goes outwards."""
    return np.where(edges < 0, np.nextafter(edges, np.inf), edges)


def squared_error(values: Values, edges: Floats, levels: Floats) -> float:
    """The summed squared distance of the values in each interval from its level; never below 0."""
    counts, means = values.intervals(edges)
    return max(0.0, values.energy + float(np.dot(counts, levels * (levels - 2 * means))))
