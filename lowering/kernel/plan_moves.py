"""Data that only move: which element goes where, as loops over the axes of a result.

Plain arithmetic over strides; no IR. Both sides lie as they lie: in the network's order, or channels-last. Loops run in
the order of what is written, loops that continue each other are one, and an axis whose places follow no multiple (a
mirrored edge, a rounded sampling) reads them from a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from hapir.dialects.nn_shapes import as_map
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.steps import Axis

Order = tuple[int, int, int]
"""C, H, W of a map, or C, 1, L of a sequence, that lies channels-last."""

Places = npt.NDArray[np.int64]
"""Along one axis of a result, the index of the element that is read along its source axis."""


def map_order(shape: Sequence[int]) -> Order | None:
    """The (C, H, W) of a map or sequence whose channels-last order differs from the network's; None where both are the
    same, and for other shapes, which always lie in the network's order.
    """
    if len(shape) not in (3, 4) or shape[1] <= 1 or prod(shape[2:]) <= 1:
        return None
    _, c, h, w = as_map(tuple(shape))
    return c, h, w


def strides(shape: Sequence[int], *, channels_last: bool) -> tuple[int, ...]:
    """Elements between neighbours along each axis N C ..., in the order in which a value lies."""
    order = [0, *range(2, len(shape)), 1] if channels_last else list(range(len(shape)))
    found = [0] * len(shape)
    for position, axis in enumerate(order):
        found[axis] = prod(shape[a] for a in order[position + 1 :])
    return tuple(found)


def axis_of(places: Places, read_stride: int, write_stride: int, role: str) -> tuple[Axis, int]:
    """The loop over one axis of a result, and what its first turn reads beyond the beginning."""
    read = places * read_stride
    steps = np.unique(np.diff(read))
    if len(steps) <= 1:
        return Axis(len(places), int(steps[0]) if len(steps) else 0, write_stride), int(read[0])
    return Axis(len(places), Table(role, "int32_t", read.astype(np.int32)), write_stride), 0


def loops(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """The same loops in the order of what they write, without those of one turn, and neighbours joined if possible."""
    found: list[Axis] = []
    for axis in sorted((a for a in axes if a.size > 1), key=lambda a: a.write, reverse=True):
        outer = found[-1] if found else None
        if (
            outer is not None
            and isinstance(outer.read, int)
            and isinstance(axis.read, int)
            and (outer.read, outer.write) == (axis.read * axis.size, axis.write * axis.size)
        ):
            found[-1] = replace(axis, size=outer.size * axis.size)
        else:
            found.append(axis)
    return tuple(found)
