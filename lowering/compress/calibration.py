"""From observed activations to affine quantizers: plain numpy, no IR.

An `Observed` holds what one tensor did on the calibration data: extremes and, where a method needs it, a histogram. The
methods choose the real range that the integers cover; values outside saturate. Every range contains 0, and 0 is an
integer of the grid, so padding and ReLU are exact (Jacob et al., CVPR 2018, section 2.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hapir.quantizers.gaussian_clipping import sigmas_for

Method = Literal["min_max", "percentile", "sqnr", "mse", "gamma"]
Floats = npt.NDArray[np.float64]

BINS = 2048
"""Histogram bins between the extremes: with 8-bit integers, eight bins per step."""

CLIPPING_STEPS = 64
"""How many thresholds the SQNR search tries for each end of the range."""

FITTING_ROUNDS = 16
"""Rounds of least squares at most; the noise settles sooner."""

LARGEST_SCALE = float(np.finfo(np.float32).max)
"""A wider range saturates."""

SMALLEST_RANGE = 1e-30
"""A range narrower than this counts as zero: its scale would leave f32."""


@dataclass
class Observed:
    """Extremes, moments and histogram of one tensor, filled batch by batch: first `see`, then, over the same data,
    `count`."""

    low: float = math.inf
    high: float = -math.inf
    size: int = 0
    total: float = 0.0
    squares: float = 0.0
    counts: npt.NDArray[np.int64] | None = None

    def see(self, values: npt.NDArray[np.generic]) -> None:
        """Widen the extremes. Infinities and not-a-number stay visible as such."""
        if values.size:
            # np.minimum propagates not-a-number, min() would lose it
            self.low = float(np.minimum(self.low, values.min()))
            self.high = float(np.maximum(self.high, values.max()))
            if not self.finite:
                return
            exact = values.astype(np.float64).ravel()
            self.size += exact.size
            self.total += float(exact.sum())
            self.squares += float(np.dot(exact, exact))

    def count(self, values: npt.NDArray[np.generic]) -> None:
        """Add to the histogram over the extremes."""
        if self.high <= self.low:
            return
        exact = values.astype(np.float64)  # in f32 the bins of a very wide or narrow range would not be finite
        found, _ = np.histogram(exact, bins=BINS, range=(self.low, self.high))
        self.counts = found if self.counts is None else self.counts + found

    @property
    def finite(self) -> bool:
        """Whether anything was seen and all of it was finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def mean(self) -> float:
        """The mean of everything seen; 0 of nothing."""
        return self.total / self.size if self.size else 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation of everything seen; 0 of nothing."""
        return math.sqrt(max(self.squares / self.size - self.mean**2, 0.0)) if self.size else 0.0

    def centres(self) -> Floats:
        """The middle of each histogram bin."""
        width = (self.high - self.low) / BINS
        return self.low + width * (np.arange(BINS, dtype=np.float64) + 0.5)


@dataclass(frozen=True)
class Affine:
    """An affine quantizer `q = clamp(round(x / scale) + zero_point, first, last)`."""

    scale: float
    zero_point: int
    first: int
    last: int


def affine_for(low: float, high: float, first: int, last: int) -> Affine:
    """The quantizer onto integers first..last whose range covers low..high and 0; the scale is representable in f32.

    A range that is only {0} (dead or constant-zero tensors) gets scale 1.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < SMALLEST_RANGE:
        return Affine(1.0, min(max(0, first), last), first, last)
    scale = float(np.float32(min((high - low) / (last - first), LARGEST_SCALE)))
    zero_point = min(max(round(first - low / scale), first), last)
    return Affine(scale, zero_point, first, last)


def choose_range(seen: Observed, method: Method, percentile: float, first: int, last: int) -> tuple[float, float]:
    """The real range that the integers first..last shall cover, by one of the methods; `gamma` is `gamma_range`."""
    if method == "min_max" or seen.counts is None:
        return seen.low, seen.high
    if method == "percentile":
        return _percentile_range(seen, seen.counts, percentile)
    clipped = _sqnr_range(seen, seen.counts, first, last)
    return clipped if method == "sqnr" else _fitted_range(seen, seen.counts, clipped, first, last)


@dataclass(frozen=True)
class RangeRule:
    """How the range of an activation follows from what it did: a method and its settings."""

    method: Method = "min_max"
    percentile: float = 99.99
    sigmas: float | None = None

    @property
    def needs_histogram(self) -> bool:
        """Whether extremes and moments are not enough."""
        return self.method in ("percentile", "sqnr", "mse")

    def range_of(self, before: Observed, seen: Observed, first: int, last: int) -> tuple[float, float]:
        """The real range for the integers first..last; `before` is the layer's, `seen` that behind its ReLU."""
        if self.method == "gamma":
            return gamma_range(before, seen, self.sigmas, (last - first).bit_length())
        return choose_range(seen, self.method, self.percentile, first, last)


def gamma_range(before: Observed, seen: Observed, sigmas: float | None, bits: int) -> tuple[float, float]:
    """The range of `mean +- sigmas * deviation` of what a layer gives, within what is `seen` behind its ReLU and pools.

    `before` is the layer's own result, near to normal. Without `sigmas` it is the multiple with the best ratio for so
    many bits (see `gaussian_clipping`); where both signs are seen, each has half of the codes.
    """
    n = sigmas_for(bits if seen.low >= 0 else max(bits - 1, 1)) if sigmas is None else sigmas
    reach = n * before.deviation
    return max(seen.low, before.mean - reach), min(seen.high, before.mean + reach)


def _percentile_range(seen: Observed, counts: npt.NDArray[np.int64], percentile: float) -> tuple[float, float]:
    """Leaves out `100 - percentile` per cent of the values at each end, to the resolution of the histogram."""
    share = np.cumsum(counts) / counts.sum()
    width = (seen.high - seen.low) / BINS
    left_out = 1 - percentile / 100
    low_bin = int(np.searchsorted(share, left_out, side="right"))
    high_bin = int(np.searchsorted(share, 1 - left_out, side="left"))
    return seen.low + width * min(low_bin, BINS - 1), seen.low + width * (min(high_bin, BINS - 1) + 1)


def _sqnr_range(seen: Observed, counts: npt.NDArray[np.int64], first: int, last: int) -> tuple[float, float]:
    """Clips the high end, then the low end, where the signal-to-quantization-noise ratio on the histogram is largest.

    The signal does not depend on the thresholds, so the least noise is the best ratio; ties keep the wider range.
    """
    centres = seen.centres()
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    fractions = np.arange(CLIPPING_STEPS, 0, -1) / CLIPPING_STEPS

    def noise(candidate: tuple[float, float]) -> float:
        return quantization_noise(centres, counts, affine_for(*candidate, first, last))

    high = min(((low, float(high * f)) for f in fractions), key=noise)[1]
    low = min(((float(low * f), high) for f in fractions), key=noise)[0]
    return low, high


def _fitted_range(
    seen: Observed, counts: npt.NDArray[np.int64], clipped: tuple[float, float], first: int, last: int
) -> tuple[float, float]:
    """From the best clipping on, scale and integers in turn the best for each other, as long as the noise falls.

    For given integers q the least squared error has the scale `sum x (q - z) / sum (q - z)^2`; the zero point z stays.
    """
    centres = seen.centres()
    best = affine_for(*clipped, first, last)
    least = quantization_noise(centres, counts, best)
    for _ in range(FITTING_ROUNDS):
        steps = np.clip(np.rint(centres / best.scale) + best.zero_point, first, last) - best.zero_point
        energy = float((counts * steps * steps).sum())
        scale = float((counts * steps * centres).sum()) / energy if energy else best.scale
        fitted = affine_for((first - best.zero_point) * scale, (last - best.zero_point) * scale, first, last)
        noise = quantization_noise(centres, counts, fitted)
        if not noise < least:
            break
        best, least = fitted, noise
    return (first - best.zero_point) * best.scale, (last - best.zero_point) * best.scale


def quantization_noise(values: Floats, counts: npt.NDArray[np.int64], affine: Affine) -> float:
    """The summed squared error of quantizing weighted values."""
    q = np.clip(np.rint(values / affine.scale) + affine.zero_point, affine.first, affine.last)
    error = affine.scale * (q - affine.zero_point) - values
    return float((counts * error * error).sum())


def sqnr_db(exact: Floats, approximate: Floats) -> float:
    """Signal-to-quantization-noise ratio `10 log10(sum x^2 / sum (x - y)^2)` in dB; infinite where nothing was lost."""
    noise = float(((exact - approximate) ** 2).sum())
    signal = float((exact**2).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
