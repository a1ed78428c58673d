"""Uniform symmetric weights: which step each block of weights gets. Plain numpy, no IR.

`real = scale * code` with codes -qmax..qmax, `qmax = 2^(width - 1) - 1`, so two bits are ternary. A block is what has
one scale; blocks tile the weight evenly along every axis. The methods choose how much of a block the codes cover:

- `min_max`: all of it, `scale = max|w| / qmax`.
- `percentile`: that share of the magnitudes; the rest saturates.
- `sqnr`: the clipping point, out of 64, with the best signal-to-quantization-noise ratio. The signal does not depend on
  it, so it is the one with the least noise.
- `mse`: from that point on, codes and scale are fitted to each other by least squares, `scale = sum(w q) / sum(q q)`,
  as Lloyd's algorithm does on a uniform grid; the noise never grows (Lin, Talathi and Annapureddy, ICML 2016, section 3
  give the optimum for known distributions; here it is that of the weights themselves).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hapir.dialects.formats import Integer
from hapir.quantizers.coded import Floats, Scaled, Singles, spread

WeightMethod = Literal["min_max", "percentile", "sqnr", "mse"]

CLIPPING_STEPS = 64
"""How many clipping points the search tries, evenly down from the largest magnitude."""

FITTING_ROUNDS = 8
"""Rounds of least squares; codes hardly change after a few."""

CHUNK = 1 << 17
"""Weights that are worked on at a time: they and their codes stay in a cache, and memory stays small."""


@dataclass(frozen=True)
class UniformRule:
    """How weights become uniform codes: signed, of `width` bits 2 to 8; `percentile` in per cent, of that method."""

    width: int
    method: WeightMethod = "min_max"
    percentile: float = 99.99

    @property
    def largest(self) -> int:
        """The largest code; the smallest is its negative."""
        return (1 << (self.width - 1)) - 1


def block_rows(w: Floats, blocks: Sequence[int]) -> Floats:
    """The weights of each block as one row; rows in the order of the blocks. Raises ValueError for uneven blocks.

    `blocks` counts blocks along every axis of `w`, as the shape of their scales does.
    """
    if len(blocks) != w.ndim or any(b < 1 or n % b for n, b in zip(w.shape, blocks, strict=True)):
        raise ValueError(f"blocks {tuple(blocks)} do not tile weights of shape {w.shape}")
    split = [size for n, b in zip(w.shape, blocks, strict=True) for size in (b, n // b)]
    outer, inner = range(0, 2 * w.ndim, 2), range(1, 2 * w.ndim, 2)
    count = int(np.prod(blocks))
    return w.reshape(split).transpose(*outer, *inner).reshape(count, -1)


def block_scales(w: Floats, blocks: Sequence[int], rule: UniformRule) -> Floats:
    """The scale of each block, of shape `blocks`; 0 where all its weights are 0. Linear in the number of weights."""
    rows = block_rows(w, blocks)
    step = max(1, CHUNK // max(1, rows.shape[1]))
    found = [_row_scales(np.abs(rows[start : start + step]), rule) for start in range(0, len(rows), step)]
    return np.concatenate([*found, np.zeros(0)]).reshape(tuple(blocks))


def uniform_codes(w: Floats, blocks: Sequence[int], rule: UniformRule) -> Scaled:
    """Weights as integers of the rule's width with a scale per block; a block of zeros has the scale 1.

    Codes are rounded by the scales as they are stored, in f32, ties to even.
    """
    scales = stored_scales(np.where((found := block_scales(w, blocks, rule)) > 0, found, 1.0))
    return Scaled(nearest_codes(w, scales, rule), Integer(rule.width), scales)


def stored_scales(scales: Floats) -> Singles:
    """Scales as f32, none of them rounded to 0."""
    return np.maximum(scales, float(np.finfo(np.float32).tiny)).astype(np.float32)


def nearest_codes(w: Floats, scales: Singles, rule: UniformRule) -> npt.NDArray[np.int8]:
    """The codes nearest to weights, ties to even, saturating; `scales` are those of blocks of `w`."""
    steps = w / spread(scales.astype(np.float64), w.shape)
    return np.clip(np.rint(steps, out=steps), -rule.largest, rule.largest, out=steps).astype(np.int8)


def _row_scales(magnitudes: Floats, rule: UniformRule) -> Floats:
    largest = magnitudes.max(axis=1, initial=0.0)
    match rule.method:
        case "min_max":
            return largest / rule.largest
        case "percentile":
            covered = np.quantile(magnitudes, rule.percentile / 100, axis=1) if magnitudes.size else largest
            # where so many weights are 0 that nothing else is left in the share, the rest counts all the same
            return np.where(covered > 0, covered, largest) / rule.largest
        case "sqnr":
            return _clipped(magnitudes, largest, rule.largest)
        case "mse":
            return _fitted(magnitudes, _clipped(magnitudes, largest, rule.largest), rule.largest)


def _clipped(magnitudes: Floats, largest: Floats, top: int) -> Floats:
    """The scale with the least noise of each row; of equal ones the widest.

    What a clipping point cuts off only grows further down, so a row is done where that alone is more than its least
    noise so far.
    """
    best, least = largest / top, np.full(len(largest), np.inf)
    rows = np.flatnonzero(largest > 0)
    for step in range(CLIPPING_STEPS, 0, -1):
        limit = largest[rows, None] * (step / CLIPPING_STEPS)
        x = magnitudes[rows]
        cut = np.maximum(x - limit, 0.0)
        open_ = (cut * cut).sum(axis=1) < least[rows]
        if not open_.all():
            rows, x, limit = rows[open_], x[open_], limit[open_]
            if not len(rows):
                break
        scales = limit / top
        noise = _noise(x, scales, top)
        better = noise < least[rows]
        best[rows[better]], least[rows[better]] = scales[better, 0], noise[better]
    return best


def _noise(magnitudes: Floats, scales: Floats, top: int) -> Floats:
    """The summed squared error of each row; `scales` has one column."""
    error = np.minimum(np.rint(magnitudes / scales), top) * scales - magnitudes
    return (error * error).sum(axis=1)


def _fitted(magnitudes: Floats, scales: Floats, top: int) -> Floats:
    """Scales and codes in turn the best for each other, as long as the noise falls."""
    found = np.where(scales > 0, scales, 1.0)[:, None]
    least = _noise(magnitudes, found, top)
    for _ in range(FITTING_ROUNDS):
        codes = np.minimum(np.rint(magnitudes / found), top)
        energy = (codes * codes).sum(axis=1)
        fitted = np.where(energy > 0, (codes * magnitudes).sum(axis=1) / np.maximum(energy, 1.0), found[:, 0])[:, None]
        noise = _noise(magnitudes, fitted, top)
        better = noise < least
        if not better.any():
            break
        found, least = np.where(better[:, None], fitted, found), np.minimum(noise, least)
    return np.where(scales > 0, found[:, 0], 0.0)
