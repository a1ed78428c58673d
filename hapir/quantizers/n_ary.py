"""N-ary quantization: thresholds from nested means, a zero band, and the mean of each cluster as its level.

After Schindler, "Compressing and Mapping Deep Neural Networks on Edge Computing Systems" (Heidelberg 2021, chapter 5,
L1039-1101). Two points differ from the text there. Weights that are exactly 0 stay out of the means, or pruning would
pull the thresholds in. And a negative weight on its threshold goes outwards like a positive one (there it goes
inwards): the rule is then symmetric, and a layer of equal weights keeps them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from hapir.quantizers.codebooks import codebook
from hapir.quantizers.coded import Codebook
from hapir.quantizers.sorted_values import Floats, SortedValues, Values, outwards

Thresholds = Literal["nested_means", "quantile", "max"]
LARGEST = 127
"""Levels on one side of 0: codes stay within 8 bits."""


@dataclass(frozen=True)
class NAry:
    """How weights are clustered: `negative` levels below 0, the level 0, and `positive` ones above.

    `thresholds`: `nested_means`: each one the mean of what lies beyond the one before. `max`: the innermost at
    `t * max|w|` on both sides (trained ternary quantization), the outer ones nested means. `quantile`: where a normal
    distribution with the mean and deviation of the weights puts the `shares` (L1159).
    `t`: what the innermost threshold on either side is multiplied by; for `max`, the share of max|w|.
    `shares`: of the weights, from the lowest level to the highest; for `quantile` alone.
    """

    positive: int = 1
    negative: int = 1
    thresholds: Thresholds = "nested_means"
    t: float = 1.0
    shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not (0 <= self.positive <= LARGEST and 0 <= self.negative <= LARGEST and self.positive + self.negative):
            raise ValueError(f"{self.negative} and {self.positive} levels beside 0: at least one, at most {LARGEST}")
        if (self.thresholds == "quantile") != bool(self.shares):
            raise ValueError("`shares` and the thresholds `quantile` go together")
        if self.shares and len(self.shares) != self.positive + self.negative + 1:
            raise ValueError(f"{len(self.shares)} shares for {self.positive + self.negative + 1} levels")
        if any(share <= 0 for share in self.shares) or sum(self.shares) > 1 + 1e-9:
            raise ValueError("shares must be above 0 and add up to at most 1")

    def edges(self, values: Values) -> Floats:
        """The ascending thresholds; infinite where nothing is left to be split."""
        if self.thresholds == "quantile":
            return self._quantiles(values)
        limit = max(-values.range[0], values.range[1])
        first = self.t * limit if self.thresholds == "max" else None
        below = _nested(values, self.negative, -1, first, self.t)
        return outwards(np.array([*reversed(below), *_nested(values, self.positive, 1, first, self.t)]))

    def _quantiles(self, values: Values) -> Floats:
        if not values.count:
            return np.full(len(self.shares) - 1, math.inf)
        mean = float(values.intervals(np.array([]))[1][0])
        deviation = math.sqrt(max(0.0, values.energy / values.count - mean**2))
        # shares that leave out some weights (11, 22, 33, 22, 11 in the thesis) are scaled up
        below = np.cumsum(self.shares)[:-1] / sum(self.shares)
        return mean + deviation * np.array([NormalDist().inv_cdf(float(p)) for p in below])


def _nested(values: Values, levels: int, sign: int, first: float | None, t: float) -> list[float]:
    """The thresholds of one side, from the inside out (Heidelberg L1085-1093)."""
    found: list[float] = []
    inner = math.nextafter(0.0, sign * math.inf)
    for i in range(levels):
        # the values from `inner` outwards
        counts, means = values.intervals(outwards(np.array([inner])))
        count, mean = (counts[1], means[1]) if sign > 0 else (counts[0], means[0])
        inner = float(mean) * t if i == 0 else float(mean)
        if i == 0 and first is not None:
            inner = sign * first
        if not count or not inner:
            # nothing is left on this side, or only numbers too small to be told from 0
            return found + [sign * math.inf] * (levels - i)
        found.append(inner)
    return found


def n_ary(w: Floats, rule: NAry) -> Codebook:
    """The weights with the mean of their cluster as level; the cluster around 0 is exactly 0 and always has a code.

    Clusters without weights get no code: an all-zero layer has the one level 0.
    """
    values = SortedValues(w)
    edges = rule.edges(values)
    counts, levels = values.intervals(edges)
    zero = rule.negative
    levels[zero] = 0.0
    used = counts > 0
    used[zero] = True
    return codebook(w, edges, levels, used)


def binary(w: Floats) -> Codebook:
    """Two levels and no zero: the mean of the weights below 0 and that of the others (Heidelberg, Table 5.8)."""
    values = SortedValues(w)
    edges = np.array([0.0])
    counts, levels = values.intervals(edges)
    return codebook(w, edges, levels, counts > 0)
