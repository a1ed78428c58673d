"""Weights in the order the kernels read them, and the proof that sums of products fit 32 bits.

Plain functions over numpy; no IR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapir.lowering.kernel.geometry import LANES, Runs
from hapir.weights import Array

Int64 = npt.NDArray[np.int64]

INT32_MAX = (1 << 31) - 1


def round_up(value: int, multiple: int) -> int:
    """`value` rounded up to a multiple."""
    return -(-value // multiple) * multiple


def channels_last(weights: Array) -> Array:
    """K C R S -> K (R S C), or K C S -> K (S C): the order of a patch of a channels-last map or sequence."""
    return np.ascontiguousarray(np.moveaxis(weights, 1, -1)).reshape(weights.shape[0], -1)


def dense_rows(weights: Array, order: tuple[int, int, int] | None) -> Array:
    """K C -> K C with the columns of a flattened C H W map (`order`) moved to its channels-last order."""
    if order is None:
        return weights
    k = weights.shape[0]
    return np.ascontiguousarray(weights.reshape(k, *order).transpose(0, 2, 3, 1)).reshape(k, -1)


def pack_words(rows: Array, groups: int, runs: Runs, elements: int, superblock: int) -> Array:
    """K x E -> groups x strips x words x `superblock` x 16 x `elements`, zero padded, flat.

    E is the window in (r, s, c) order, which `runs` cuts into runs of as many elements; each is filled up to whole
    words. A strip holds the weights of 16 * `superblock` filters, word by word.
    """
    k, window = rows.shape
    count = runs.rows * runs.columns
    per_group, strip = k // groups, superblock * LANES
    padded = np.zeros((groups, round_up(per_group, strip), count, runs.words * elements), rows.dtype)
    padded[:, :per_group, :, : window // count] = rows.reshape(groups, per_group, count, window // count)
    words = padded.reshape(groups, -1, strip, runs.total_words, elements).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(words).reshape(-1)


@dataclass(frozen=True)
class SumRange:
    """What integer sums can reach: the results' range, and a bound on every partial sum in any order."""

    low: int
    high: int
    partial: int


def sum_range(rows: Array, bias: Int64, values: tuple[int, int], zero_point: int, raw: tuple[int, int]) -> SumRange:
    """The range of `bias + sum (x - zero_point) * w` over rows (K x E), x in `values`.

    `raw` is the range of what the kernel multiplies (x, or x lifted to unsigned); the partial sums are those of
    `raw * w`, plus the bias with the zero point folded in.
    """
    wide = rows.astype(np.int64)
    positive = np.where(wide > 0, wide, 0).sum(axis=1)
    negative = np.where(wide < 0, wide, 0).sum(axis=1)
    # padding contributes x - zero_point = 0
    low, high = min(values[0] - zero_point, 0), max(values[1] - zero_point, 0)
    lows = bias + positive * low + negative * high
    highs = bias + positive * high + negative * low
    magnitude = (positive - negative) * max(abs(raw[0]), abs(raw[1]))
    return SumRange(int(lows.min()), int(highs.max()), int(magnitude.max()))


def folded_bias(rows: Array, bias: Int64, zero_point: int) -> Int64:
    """`bias - zero_point * sum(w)`: what is left to add to `sum x * w`."""
    return bias - zero_point * rows.astype(np.int64).sum(axis=1)
