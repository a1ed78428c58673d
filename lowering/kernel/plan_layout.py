"""Layers that move data: steps over values as they lie.

Law: exact. A reshape is a view of the network's order, the others are one `Move` per
result, from the layout that the operand has to the one that the result is to have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any, NoReturn, Protocol

import numpy as np
from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.nn_shapes import spread, text
from hapir.dialects.num import AffineType, element_type, on_grid, shape_of
from hapir.lowering.kernel.geometry import Origin
from hapir.lowering.kernel.plan_moves import Places, axis_of, loops, map_order, strides
from hapir.lowering.kernel.plan_stages import constant
from hapir.lowering.kernel.program_draft import Draft, Value
from hapir.lowering.kernel.steps import Axis, Move
from hapir.reference.nn_layout import pad
from hapir.weights import WeightStore


class Planner(Protocol):
    """What the plans of this file ask of `plan_program`."""

    draft: Draft
    weights: WeightStore
    values: dict[SSAValue, Value]

    def value(self, v: SSAValue, at: Operation) -> Value:
        """Where a value lies."""
        ...

    def plain(self, v: SSAValue, at: Operation) -> Value:
        """A value in the network's own order."""
        ...

    def lying(self, v: SSAValue, at: Operation) -> Value:
        """A value in the order in which it was made."""
        ...

    def relayout(self, value: Value, at: Operation, *, channels_last: bool) -> Value:
        """The same map in the other order."""
        ...

    def origin(self, op: Operation, words: str) -> Origin:
        """Where a step comes from."""
        ...


def no_kernel(op: Operation, form: str = "") -> NoReturn:
    """Raise HapirError (HAP0709) for an op, or a form of it, that the C target cannot compute."""
    fail("HAP0709", f"the C target has no kernel for {op.name}{form}", at=op, help="run it on the reference")


def _reshape(planner: Planner, op: nn.ReshapeOp) -> None:
    """A view of the elements in the network's order."""
    as_shape(planner, op.result, planner.plain(op.x, op), op)


def as_shape(planner: Planner, v: SSAValue, value: Value, at: Operation) -> None:
    """Record elements that lie in the network's order as a result of another shape."""
    in_network_order(planner, v, replace(value, shape=shape_of(v), step=None), at)


def in_network_order(planner: Planner, v: SSAValue, value: Value, at: Operation) -> None:
    """Record a result that lies in the network's order: a map is moved to channels-last."""
    last = map_order(value.shape) is not None
    planner.values[v] = planner.relayout(value, at, channels_last=True) if last else value


def _transpose(planner: Planner, op: nn.TransposeOp) -> None:
    """Axes in another order."""
    shape = shape_of(op.result)
    reads = [(axis.data, np.arange(size)) for axis, size in zip(op.axes, shape, strict=True)]
    planner.values[op.result] = moved(planner, op, op.x, shape, reads, f"transpose -> {text(shape)}")


def _split(planner: Planner, op: nn.SplitOp) -> None:
    """One move per piece that something reads."""
    axis, first = op.axis.value.data, 0
    for piece, size in zip(op.outputs, (p.data for p in op.pieces), strict=True):
        shape = shape_of(piece)
        reads = [(a, np.arange(n) + (first if a == axis else 0)) for a, n in enumerate(shape)]
        if piece.uses:
            planner.values[piece] = moved(planner, op, op.x, shape, reads, f"split {first}.. -> {text(shape)}")
        first += size


def _pad(planner: Planner, op: nn.PadOp) -> None:
    """Places beyond the edge lie at it or are mirrored; a constant fills everything first."""
    old, shape = shape_of(op.x), shape_of(op.result)
    before, after = [b.data for b in op.before], [a.data for a in op.after]
    words = f"pad {text(old)} -> {text(shape)}"
    if op.mode.data == nn.PadMode.constant:
        element, value = element_type(op.x), op.value.value.data
        fill = on_grid(element, value) if isinstance(element, AffineType) else value
        reads = [(a, np.arange(size)) for a, size in enumerate(old)]
        planner.values[op.result] = moved(planner, op, op.x, shape, reads, words, write_at=before, fill=fill)
        return
    reads = [
        (a, pad(np.arange(size), [b], [e], op.mode.data))
        for a, (size, b, e) in enumerate(zip(old, before, after, strict=True))
    ]
    planner.values[op.result] = moved(planner, op, op.x, shape, reads, words)


def _slice(planner: Planner, op: nn.SliceOp) -> None:
    """Every so many elements from a start on."""
    shape = shape_of(op.result)
    reads = [(a, start + step * np.arange(size)) for a, (start, size, step) in enumerate(op.cuts)]
    planner.values[op.result] = moved(planner, op, op.x, shape, reads, f"slice -> {text(shape)}")


def _tile(planner: Planner, op: nn.TileOp) -> None:
    """The same elements again."""
    old, shape = shape_of(op.x), shape_of(op.result)
    reads = [(a, np.arange(new) % size) for a, (size, new) in enumerate(zip(old, shape, strict=True))]
    planner.values[op.result] = moved(planner, op, op.x, shape, reads, f"tile {text(old)} -> {text(shape)}")


def plan_gather(planner: Planner, op: nn.GatherOp) -> None:
    """Constant indices: places of one axis, which is cut into those of the indices afterwards."""
    indices = constant(planner.weights, op.indices, op).astype(np.int64)
    op.check_indices(int(indices.min()), int(indices.max()))
    axis, old, shape = op.axis.value.data, shape_of(op.x), shape_of(op.result)
    words = f"gather {indices.size} of axis {axis} -> {text(shape)}"
    line = (*old[:axis], indices.size, *old[axis + 1 :])
    reads = [(a, np.arange(n) if a != axis else indices.reshape(-1) % old[axis]) for a, n in enumerate(line)]
    value = moved(planner, op, op.x, line, reads, words)
    planner.values[op.result] = value
    if line != shape:
        plain = value if value.order is None else planner.relayout(value, op, channels_last=False)
        as_shape(planner, op.result, plain, op)


def plan_nearest(planner: Planner, op: nn.ResizeOp) -> None:
    """Nearest elements."""
    old, shape = shape_of(op.x), shape_of(op.result)
    reads = [(a, np.arange(new) * size // new) for a, (size, new) in enumerate(zip(old, shape, strict=True))]
    planner.values[op.result] = moved(planner, op, op.x, shape, reads, f"resize {text(old)} -> {text(shape)}")


def _gather_taps(planner: Planner, op: nn.GatherTapsOp) -> None:
    """A copy per tap; the places that taps read come from a table."""
    x, window = planner.value(op.x, op), op.window.window
    (r, s), shape = window.kernel, spread(shape_of(op.result))
    _, _, height, width = spread(x.shape)
    of_batch, of_channel, of_row, of_column = strides((*x.shape[:2], height, width), channels_last=x.order is not None)
    taps = constant(planner.weights, op.taps, op).astype(np.int64)
    op.check_taps(int(taps.min()), int(taps.max()))
    channels, places = np.divmod(taps, r * s)
    rows, columns = places // s * window.dilation[0], places % s * window.dilation[1]
    reads = channels * of_channel + rows * of_row + columns * of_column
    down, right = of_row * window.stride[0], of_column * window.stride[1]
    n, _, p, q = shape
    walk = [(np.arange(n), of_batch), (reads, 1), (np.arange(p), down), (np.arange(q), right)]
    order = map_order(shape_of(op.result))
    target = planner.draft.buffer(planner.draft.buffers[x.buffer].ctype, prod(shape))
    origin = planner.origin(op, f"gather {len(taps)} taps -> {text(shape_of(op.result))}")
    axes: list[Axis] = []
    read_from = 0
    for (indices, step), write in zip(walk, strides(shape, channels_last=order is not None), strict=True):
        loop, first = axis_of(indices, step, write, f"{origin.layer}.places")
        axes.append(loop)
        read_from += first
    planner.draft.add(Move(origin, target, (), x.buffer, loops(axes), read_from, 0))
    planner.values[op.result] = Value(target, shape_of(op.result), order, x.bounds)


def moved(
    planner: Planner,
    op: Operation,
    v: SSAValue,
    shape: tuple[int, ...],
    reads: Sequence[tuple[int, Places]],
    words: str,
    *,
    write_at: Sequence[int] | None = None,
    fill: float | int | None = None,
) -> Value:
    """A value of this shape made of the elements of another.

    Per axis of the result, `reads` says along which axis of the source it reads, and which index per index of its
    own; they are written from `write_at` on, in a result that is all `fill` before.
    """
    x = planner.lying(v, op)
    last = x.order is not None or map_order(x.shape) is None
    order = map_order(shape) if last else None
    ctype = planner.draft.buffers[x.buffer].ctype
    target = planner.draft.buffer(ctype, prod(shape))
    read_strides = strides(x.shape, channels_last=x.order is not None)
    write_strides = strides(shape, channels_last=order is not None)
    origin = planner.origin(op, words)
    axes: list[Axis] = []
    read_from = 0
    for (axis, places), write in zip(reads, write_strides, strict=True):
        loop, first = axis_of(places, read_strides[axis], write, f"{origin.layer}.places")
        axes.append(loop)
        read_from += first
    write_to = sum(at * stride for at, stride in zip(write_at or [0] * len(shape), write_strides, strict=True))
    if fill is not None:
        fill = float(fill) if ctype == "float" else int(fill)
    planner.draft.add(Move(origin, target, (), x.buffer, loops(axes), read_from, write_to, fill))
    bounds = x.bounds
    if bounds is not None and fill is not None:
        bounds = min(bounds[0], int(fill)), max(bounds[1], int(fill))
    value = Value(target, shape, order, bounds)
    copied = order is None and map_order(shape) is not None
    return planner.relayout(value, op, channels_last=True) if copied else value


LAYOUT_PLANS: dict[type[Operation], Callable[[Planner, Any], None]] = {
    nn.ReshapeOp: _reshape,
    nn.TransposeOp: _transpose,
    nn.SplitOp: _split,
    nn.PadOp: _pad,
    nn.SliceOp: _slice,
    nn.TileOp: _tile,
    nn.GatherTapsOp: _gather_taps,
}
"""How each op of this file is planned."""
