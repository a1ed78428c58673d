"""Windows that lose some of their rows and columns: plain arithmetic, no IR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hapir.dialects.nn_shapes import Window
from hapir.pruners.magnitude import Floats, Mask


@dataclass(frozen=True)
class Narrowed:
    """A smaller window that reads the same elements, and what must be cut off the map before it.

    `crop` is top, left, bottom, right, in elements: taps that are gone may leave less than no padding.
    """

    window: Window
    crop: tuple[int, int, int, int]


def grid_of(kept: Mask) -> tuple[list[int], list[int]] | None:
    """The rows and columns whose crossings are exactly the kept positions of a kernel R x S, evenly spaced; or None."""
    rows, columns = (np.flatnonzero(kept.any(axis=axis)).tolist() for axis in (1, 0))
    even = all(len(set(np.diff(places).tolist())) <= 1 for places in (rows, columns))
    return (rows, columns) if even and bool(kept[np.ix_(rows, columns)].all()) else None


def narrowed(window: Window, rows: Sequence[int], columns: Sequence[int], height: int, width: int) -> Narrowed:
    """The window of these evenly spaced rows and columns of another, over the same H x W map, with as many results."""
    results = window.output(height, width)
    kernel, dilation, before, after, cut_before, cut_after = ([0, 0] for _ in range(6))
    for axis, (places, size) in enumerate(((rows, height), (columns, width))):
        step = places[1] - places[0] if len(places) > 1 else 1
        kernel[axis] = len(places)
        dilation[axis] = window.dilation[axis] * step if len(places) > 1 else 1
        extent = (kernel[axis] - 1) * dilation[axis] + 1
        first = places[0] * window.dilation[axis] - window.padding[axis]  # the element that result 0 reads first
        before[axis], cut_before[axis] = max(-first, 0), max(first, 0)
        needed = (results[axis] - 1) * window.stride[axis] + extent
        left = before[axis] + size - cut_before[axis] - needed  # elements behind the last one read, or missing ones
        after[axis] = max(-left, 0)
        cut_after[axis] = left if left >= window.stride[axis] else 0
    smaller = Window(
        (kernel[0], kernel[1]), window.stride, (before[0], before[1], after[0], after[1]), (dilation[0], dilation[1])
    )
    return Narrowed(smaller, (cut_before[0], cut_before[1], cut_after[0], cut_after[1]))


def slices_to_drop(worth: Floats, largest: int, threshold: float | None = None) -> tuple[slice, slice]:
    """The rows and columns of a kernel R x S that stay when outermost slices go, the least worth per position first.

    `worth` scores each position. Slices go while at most `largest` positions have gone and, where a threshold is given,
    while the next slice is worth less than it per position; one position stays. Heidelberg thesis, section 7.4, L1651.
    """
    top, bottom, left, right = 0, worth.shape[0], 0, worth.shape[1]
    while True:
        box = worth[top:bottom, left:right]
        borders: list[tuple[float, int, int]] = []  # mean worth, side, positions
        if box.shape[0] > 1:
            borders += [(float(box[0].mean()), 0, box.shape[1]), (float(box[-1].mean()), 1, box.shape[1])]
        if box.shape[1] > 1:
            borders += [(float(box[:, 0].mean()), 2, box.shape[0]), (float(box[:, -1].mean()), 3, box.shape[0])]
        if not borders:
            break
        mean, side, positions = min(borders)
        gone = worth.size - box.size + positions
        if gone > largest or (threshold is not None and mean >= threshold):
            break
        top, bottom = top + (side == 0), bottom - (side == 1)
        left, right = left + (side == 2), right - (side == 3)
    return slice(top, bottom), slice(left, right)
