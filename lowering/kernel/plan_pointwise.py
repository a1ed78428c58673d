"""Functions of elements, casts, and sums of operands that repeat, as loops.

Law: exact on integers; functions of f32 are those of the C library, within a few units in the last place of numpy's.
A map lies as the operands of its shape do: in the network's order where all of them were made so, else channels-last.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_functions import BOOLEAN
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import element_type, shape_of, storage_of
from hapir.lowering.kernel.loops import Apply, Element, Expression, LoopAxis, Loops, Number, in_written_order
from hapir.lowering.kernel.plan_layout import Planner, in_network_order
from hapir.lowering.kernel.plan_moves import Order, map_order, strides
from hapir.lowering.kernel.plan_stages import ctype_of, range_of
from hapir.lowering.kernel.program_draft import Value


def plan_function(planner: Planner, op: nn.PointwiseOp) -> None:
    """Any function of the table."""
    plan_elements(planner, op, op.inputs, op.function.data, op.constants)


def plan_cast(planner: Planner, op: nn.CastOp) -> None:
    """Between reals and integers."""
    plan_elements(planner, op, [op.x], "truth" if element_type(op.result) == BOOLEAN else "cast", ())


def plan_elements(
    planner: Planner, op: nn.LayerOp, inputs: Sequence[SSAValue], function: str, constants: Sequence[float]
) -> None:
    """A function of the C target of the elements of operands that repeat to fit the result."""
    (result,) = op.results
    shape, ctype = shape_of(result), ctype_of(element_type(result), op)
    buffers: list[int] = []
    reads: list[tuple[int, ...]] = []
    arguments: list[Expression] = []
    orders: list[Order | None] = []
    for v in inputs:
        if isinstance(v.owner, nn.FillOp):
            arguments.append(filled(v.owner))
            continue
        arguments.append(Element(len(buffers), ctype_of(element_type(v), op)))
        value = planner.lying(v, op)
        if value.shape == shape and not isinstance(v.owner, nn.WeightOp):
            orders.append(value.order)
        buffers.append(value.buffer)
        reads.append(repeated(value, shape))
    plain = bool(orders) and not any(orders)  # as what it is made of lies
    order = None if plain else map_order(shape)
    writes = strides(shape, channels_last=order is not None)
    axes = [LoopAxis(size, tuple(r[a] for r in reads), writes[a]) for a, size in enumerate(shape)]
    target = planner.draft.buffer(ctype, int(np.prod(shape, dtype=np.int64)))
    storage = storage_of(element_type(result))
    width = storage.width.data if storage is not None and storage.width.data not in (8, 16, 32, 64) else None
    body = Apply(function, tuple(arguments), ctype, tuple(constants), width)
    origin = planner.origin(op, f"{function} {text(shape)}")
    zeros = (0,) * len(buffers)
    planner.draft.add(Loops(origin, target, (), tuple(buffers), zeros, in_written_order(axes), body))
    value = Value(target, shape, order, range_of(element_type(result)))
    if plain:
        in_network_order(planner, result, value, op)
    else:
        planner.values[result] = value


def filled(op: nn.FillOp) -> Number:
    """The number of a fill, as C holds it."""
    value = op.value
    return Number(value.value.data, ctype_of(element_type(op.result), op))


def repeated(value: Value, shape: Sequence[int]) -> tuple[int, ...]:
    """What a step along each axis of the result moves in a value that repeats to fit it."""
    own = strides(value.shape, channels_last=value.order is not None)
    missing = len(shape) - len(value.shape)
    found = [0] * missing
    for size, stride in zip(value.shape, own, strict=True):
        found.append(stride if size != 1 else 0)
    return tuple(found)
