"""Ternary weights with one scale. Plain numpy, no IR.

Li, Zhang, Liu: Ternary weight networks, 2016: `w ~ scale * t`, t in {-1, 0, 1}, t = 0 where `|w| <= delta`, and the
scale is the mean of |w| over the others, the best for these codes (eq. 4). The best threshold maximizes
`(sum of |w| above it)^2 / (how many are above it)` (eq. 5); the paper takes `delta = 0.7 mean |w|` (eq. 6), close to it
for normal (0.75) and uniform (2/3) weights. Sorting finds the best one exactly: it lies between two neighbours of the
sorted magnitudes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from hapir.dialects.formats import Ternary
from hapir.quantizers.coded import Floats, Scaled, spread
from hapir.quantizers.scale_groups import Codes, Shape, least_squares_scales, scale_shape

Tie = Literal["zero", "nonzero"]
"""What a magnitude equal to the threshold becomes. A weight that is 0 stays 0 in any case."""

TwnThreshold = Literal["mean", "optimal"]
"""A factor times the mean magnitude, or the threshold of the least squared error."""


def ternary_codes(w: Floats, threshold: Floats, tie: Tie) -> Codes:
    """-1, 0 and 1 by the sign of what is above the threshold of its block (see `coded.spread`)."""
    magnitude, delta = np.abs(w), spread(threshold, w.shape)
    kept = magnitude > delta if tie == "zero" else magnitude >= delta
    return (np.sign(w) * kept).astype(np.int8)


def ternarize(w: Floats, threshold: Floats, tie: Tie, shape: Shape) -> Scaled:
    """Ternary codes with the scales of the given shape that have the least squared error."""
    codes = ternary_codes(w, threshold, tie)
    return Scaled(codes, Ternary(), least_squares_scales(w, codes, shape))


def twn(w: Floats, groups: int = 1, threshold: TwnThreshold = "mean", factor: float = 0.7, tie: Tie = "zero") -> Scaled:
    """Ternary weights with a threshold and a scale for each of as many equal blocks of rows (axis 0).

    `factor` belongs to threshold mean, `tie` too: the optimal threshold lies between magnitudes.
    """
    shape = scale_shape(w.shape, groups)
    rows = np.abs(w).reshape(shape[0], -1)
    if threshold == "optimal":
        return ternarize(w, optimal_thresholds(rows).reshape(shape), "nonzero", shape)
    return ternarize(w, factor * rows.mean(axis=1).reshape(shape), tie, shape)


def optimal_thresholds(magnitudes: Floats) -> Floats:
    """The least magnitude that is kept, per row, so that the squared error is least; of equal choices the sparser.

    Keeping the k largest with their mean as the scale takes `(sum)^2 / k` off the squared error. Equal magnitudes are
    kept together. A row of zeros keeps them all, which changes nothing.
    """
    descending = -np.sort(-magnitudes, axis=1)
    totals = descending.cumsum(axis=1)
    kept = np.arange(1, descending.shape[1] + 1, dtype=np.float64)
    best = np.argmax(totals * totals / kept, axis=1)
    return descending[np.arange(len(descending)), best]
