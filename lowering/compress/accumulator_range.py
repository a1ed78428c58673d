"""How large an integer accumulator can get: plain arithmetic over the actual weights, no IR."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ACCUMULATOR_LIMIT = 1 << 31
"""Magnitudes below this fit si32."""


def largest_magnitude(low: int, high: int, zero_point: int) -> int:
    """The largest |q - zero_point| for q in low..high."""
    return max(abs(low - zero_point), abs(high - zero_point))


def accumulator_bound(
    w: npt.NDArray[np.integer], bias: npt.NDArray[np.integer] | None, input_magnitude: int
) -> npt.NDArray[np.int64]:
    """Per output channel (axis 0 of w), a bound of every partial sum: `sum |w| * input_magnitude + |bias|`.

    It holds for every order of accumulation, so hardware that starts with the bias or with a tile is safe too.
    """
    total = np.abs(w.astype(np.int64)).reshape(w.shape[0], -1).sum(axis=1) * input_magnitude
    return total if bias is None else total + np.abs(bias.astype(np.int64))
