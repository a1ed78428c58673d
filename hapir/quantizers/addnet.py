"""AddNet: weights as coefficients of a multiplier, `scale * c` with one scale for a layer.

After Faraone, "Simplification of Deep Neural Networks for Efficient Inference" (Sydney 2021, chapter 6, L1613-1719): a
set of coefficients is chosen by the divergence of its histogram from that of the weights; then each weight goes to the
nearest coefficient. The thesis trains the scale; here it is searched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from hapir.dialects.formats import Integer
from hapir.quantizers.codebooks import codebook
from hapir.quantizers.coded import Codebook, Scaled
from hapir.quantizers.rccm import Magnitudes
from hapir.quantizers.sorted_values import Floats, SortedValues, Values, midpoints, outwards, squared_error

ScaleRule = Literal["least_squares", "divergence", "maximum"]
BINS = 31
"""Bins of the histograms (L1667)."""
SMOOTHING = 1e-10
"""Added to each bin's share, so that empty bins have a finite divergence."""
_STEPS = 400
_NARROWEST, _WIDEST = 0.5, 64.0


def symmetric(magnitudes: Magnitudes) -> Floats:
    """The signed coefficients, ascending."""
    m = np.array(sorted(set(magnitudes)), dtype=np.float64)
    return np.concatenate([-m[m > 0][::-1], m])


def edges_of(coefficients: Floats, scale: float) -> Floats:
    """The thresholds between scaled coefficients; a weight half-way goes outwards on either side."""
    return outwards(scale * midpoints(coefficients))


def best_scale(values: Values, magnitudes: Magnitudes, rule: ScaleRule = "least_squares") -> float:
    """The scale of the coefficients; 1 where all weights are 0.

    `maximum`: the largest coefficient is the largest weight (the thesis before training). `least_squares`: the least
    squared error. `divergence`: the least divergence of the coefficients' histogram over the weights' range from
    theirs. Searched on a grid of ratios from the largest coefficient to the deviation of the weights, and for
    `least_squares` then followed down: the best scale of the weights as they are coded, and their codes, in turns.
    """
    largest = max(-values.range[0], values.range[1])
    deviation = float(np.sqrt(values.energy / values.count)) if values.count else 0.0
    top = float(max(magnitudes))
    if not deviation or not top:
        return 1.0
    if rule == "maximum":
        return largest / top
    coefficients = symmetric(magnitudes)
    widest = min(largest / deviation, _WIDEST) if np.isfinite(largest) else _WIDEST
    scales = deviation / top * np.geomspace(_NARROWEST, max(widest, 2 * _NARROWEST), _STEPS)
    if rule == "divergence":
        target = histogram(values, largest, BINS)
        costs = [divergence(target, _coefficient_histogram(s * coefficients, largest, BINS)) for s in scales]
        return float(scales[int(np.argmin(costs))])
    costs = [squared_error(values, edges_of(coefficients, s), s * coefficients) for s in scales]
    return _followed(values, coefficients, float(scales[int(np.argmin(costs))]))


def _followed(values: Values, coefficients: Floats, scale: float) -> float:
    """A scale near by that no least-squares step betters."""
    for _ in range(100):
        counts, means = values.intervals(edges_of(coefficients, scale))
        weight = float(counts @ coefficients**2)
        if not weight:
            break
        better = float(counts @ (coefficients * means)) / weight
        if better <= 0 or abs(better - scale) <= 1e-12 * scale:
            break
        scale = better
    return scale


def histogram(values: Values, limit: float, bins: int) -> Floats:
    """The share of the values in each of equal bins over -limit .. limit; what lies outside counts in the last bin."""
    edges = np.linspace(-limit, limit, bins + 1)[1:-1]
    counts, _ = values.intervals(edges)
    return counts / counts.sum()


def _coefficient_histogram(levels: Floats, limit: float, bins: int) -> Floats:
    """That of levels of equal weight."""
    return histogram(SortedValues(levels), limit, bins)


def divergence(p: Floats, r: Floats, smoothing: float = SMOOTHING) -> float:
    """Kullback and Leibler's divergence of histogram r from p, `sum p log(p / r)`, in nats."""
    p, r = p + smoothing, r + smoothing
    p, r = p / p.sum(), r / r.sum()
    return float(np.sum(p * np.log(p / r)))


def ranked(values: Values, sets: Iterable[Magnitudes], smoothing: float = SMOOTHING) -> list[tuple[float, Magnitudes]]:
    """Sets with 0 by the divergence of their histogram from that of the weights, each over its own range (L1667)."""
    limit = max(-values.range[0], values.range[1])
    target = histogram(values, limit, BINS)
    found = [
        (divergence(target, _coefficient_histogram(symmetric(s), float(max(s)), BINS), smoothing), s)
        for s in sets
        if 0 in s and max(s) > 0
    ]
    return sorted(found)


def matching_set(values: Values, sets: Iterable[Magnitudes], top: int = 5) -> Magnitudes:
    """Of the `top` sets of least divergence the one with most coefficients; of equal ones that of less divergence.

    Raises ValueError where no set holds 0 and another coefficient.
    """
    found = ranked(values, sets)[:top]
    if not found:
        raise ValueError("no set of coefficients holds 0 and another one")
    return max(found, key=lambda entry: (len(entry[1]), -entry[0]))[1]


def nearest_coefficients(w: Floats, magnitudes: Magnitudes, scale: float) -> Codebook:
    """The weights as indices of `scale * c`, over all coefficients in ascending order."""
    coefficients = symmetric(magnitudes)
    used = np.ones(len(coefficients), np.bool_)
    return codebook(w, edges_of(coefficients, scale), np.float64(np.float32(scale)) * coefficients, used)


def integer_coefficients(w: Floats, magnitudes: Magnitudes, scale: float) -> Scaled:
    """The same numbers as the coefficients themselves, in steps of the scale."""
    coefficients = symmetric(magnitudes).astype(np.int32)
    width = 1 + max(int(max(magnitudes)).bit_length(), 1)
    kind = np.int8 if width <= 8 else np.int16 if width <= 16 else np.int32
    index = np.searchsorted(edges_of(symmetric(magnitudes), scale), w, side="right")
    scales = np.full((1,) * w.ndim, scale, np.float32)
    return Scaled(coefficients.astype(kind)[index], Integer(width), scales)
