"""Tensors sampled along axes: one step per axis, or a move where results are elements.

Law: exact where elements move; else each sum runs over the elements that a result reads, in f32, as the reference does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import shape_of
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.plan_layout import Planner, moved
from hapir.lowering.kernel.plan_moves import map_order
from hapir.lowering.kernel.program_draft import Value
from hapir.lowering.kernel.steps import Step
from hapir.reference.nn_resize import Reals, Taps, taps_of


@dataclass(frozen=True)
class Resample(Step):
    """Sums along one axis of outer x size x inner: `taps` places and weights per result, and what is added to them."""

    source: int
    outer: int
    size: int
    inner: int
    taps: int
    places: Table
    weights: Table
    offsets: Table | None

    @property
    def own_reads(self) -> tuple[int, ...]:
        return (self.source,)

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        return (self.places, self.weights, self.offsets)


def _resample(planner: Planner, op: nn.ResampleOp) -> None:
    """Nearest elements move, all axes at once; sums are taken along one axis after the other."""
    old, shape = shape_of(op.x), shape_of(op.result)
    words = f"resample {text(old)} -> {text(shape)}, {op.mode.data}"
    along = taps_of(op)
    if all(taps.weights is None for _, taps in along):
        places = {axis: taps.places[:, 0] for axis, taps in along}
        reads = [(axis, places.get(axis, np.arange(size))) for axis, size in enumerate(shape)]
        planner.values[op.result] = moved(planner, op, op.x, shape, reads, words)
        return
    value = planner.value(op.x, op)
    for axis, taps in along:
        value = _sampled(planner, op, value, axis, taps, words)
    planner.values[op.result] = value


def _sampled(planner: Planner, op: nn.ResampleOp, x: Value, axis: int, taps: Taps, words: str) -> Value:
    """A value sampled along one axis, in the order in which it lies."""
    assert taps.weights is not None
    count, width = taps.places.shape
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    order = [0, *range(2, len(shape)), 1] if len(shape) in (3, 4) else list(range(len(shape)))
    lies, place = [x.shape[a] for a in order], order.index(axis)
    origin = planner.origin(op, words)
    role = f"{origin.layer}.axis{axis}"

    def floats(name: str, array: Reals) -> Table:
        return Table(f"{role}.{name}", "float", np.ascontiguousarray(array).reshape(-1))

    places = Table(f"{role}.places", "int32_t", np.ascontiguousarray(taps.places, np.int32).reshape(-1))
    offsets = None if taps.offsets is None else floats("offsets", taps.offsets)
    target = planner.draft.buffer("float", prod(shape))
    outer, inner = prod(lies[:place]), prod(lies[place + 1 :])
    weights = floats("weights", taps.weights)
    planner.draft.add(
        Resample(origin, target, (), x.buffer, outer, x.shape[axis], inner, width, places, weights, offsets)
    )
    return Value(target, shape, map_order(shape))


RESAMPLE_PLANS: dict[type[Operation], Callable[[Planner, Any], None]] = {nn.ResampleOp: _resample}
"""How the op of this file is planned."""
