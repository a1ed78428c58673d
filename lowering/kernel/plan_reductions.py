"""Reductions, softmax and argmax: rows at a time where the axis is the last, else loops.

Law: exact on integers. Sums of f32 run from the first element on, or in the 16 lanes of the kernel of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, cast

from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.nn_reductions import reduced
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import element_type, shape_of
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.loops import (
    Apply,
    Element,
    Expression,
    Joining,
    LoopAxis,
    Loops,
    Number,
    Reduced,
    Reduction,
    in_written_order,
    joined,
)
from hapir.lowering.kernel.plan_layout import Planner, in_network_order
from hapir.lowering.kernel.plan_moves import map_order, strides
from hapir.lowering.kernel.plan_pointwise import repeated
from hapir.lowering.kernel.plan_stages import ctype_of, range_of
from hapir.lowering.kernel.program_draft import Value
from hapir.lowering.kernel.steps import Argmax, Softmax


def _reduce(planner: Planner, op: nn.ReduceOp) -> None:
    """Any reduction."""
    ctype, shape, axes = ctype_of(element_type(op.x), op), shape_of(op.x), integers(op.axes)
    function = op.function.data
    finish: Expression | None = None
    if function == "mean":
        count = prod(shape[a] for a in axes)
        finish = Apply("div", (Reduced(ctype), Number(float(count), ctype)), ctype)
    joining = cast(Joining, "sum" if function == "mean" else function)
    x = planner.lying(op.x, op)
    target = _joined(planner, op, x, axes, joining, ctype, finish=finish)
    _record(planner, op.result, target, op)


def _record(planner: Planner, v: SSAValue, target: int, at: Operation) -> None:
    """A result that was written in the network's order."""
    in_network_order(planner, v, Value(target, shape_of(v), bounds=range_of(element_type(v))), at)


def _joined(
    planner: Planner,
    op: Operation,
    x: Value,
    axes: Sequence[int],
    joining: Joining,
    ctype: CType,
    *,
    body: Callable[[Expression], Expression] = lambda x: x,
    finish: Expression | None = None,
    of: CType | None = None,
) -> int:
    """Loops that join `body` of the elements along axes; the buffer of the results, in the network's order."""
    shape = reduced(x.shape, axes, True)
    reads, writes = strides(x.shape, channels_last=x.order is not None), strides(shape, channels_last=False)
    outer = [LoopAxis(n, (reads[a],), writes[a]) for a, n in enumerate(x.shape) if a not in axes]
    inner = joined([LoopAxis(x.shape[a], (reads[a],)) for a in axes])
    element = Element(0, planner.draft.buffers[x.buffer].ctype)
    target = planner.draft.buffer(ctype, prod(shape))
    origin = planner.origin(op, f"{joining} of {text(x.shape)} along {', '.join(map(str, axes))}")
    planner.draft.add(
        Loops(
            origin,
            target,
            (),
            (x.buffer,),
            (0,),
            in_written_order(outer),
            body(element),
            inner,
            Reduction(joining, ctype),
            finish,
        )
    )
    return target


def _argmax(planner: Planner, op: nn.ArgmaxOp) -> None:
    """A row at a time, or the number of the turn along an axis."""
    shape, axis = shape_of(op.x), op.along
    bounds = (0, shape[axis] - 1)
    if axis == len(shape) - 1 and op.last is None:
        x = planner.plain(op.x, op)
        target = planner.draft.buffer("int32_t", prod(shape_of(op.result)))
        origin = planner.origin(op, f"argmax {text(shape)}")
        planner.draft.add(Argmax(origin, target, (), x.buffer, prod(shape[:-1]), shape[-1]))
    else:
        joining: Joining = "first_max" if op.last is None else "last_max"
        target = _joined(planner, op, planner.lying(op.x, op), [axis], joining, "int32_t")
    in_network_order(planner, op.result, Value(target, shape_of(op.result), bounds=bounds), op)


def _softmax(planner: Planner, op: nn.SoftmaxOp | nn.LogSoftmaxOp) -> None:
    """A row at a time; along another axis, or of logarithms, in loops: the largest, the sum, the shares."""
    shape, axis = shape_of(op.x), op.along
    if axis == len(shape) - 1 and isinstance(op, nn.SoftmaxOp):
        x = planner.plain(op.x, op)
        target = planner.draft.buffer("float", prod(shape))
        origin = planner.origin(op, f"softmax {text(shape)}")
        planner.draft.add(Softmax(origin, target, (), x.buffer, prod(shape[:-1]), shape[-1]))
        in_network_order(planner, op.result, Value(target, shape), op)
        return
    x, small = planner.value(op.x, op), reduced(shape, [axis], True)
    order = map_order(shape)
    largest = Value(_joined(planner, op, x, [axis], "max", "float"), small)
    below = Apply("sub", (Element(0, "float"), Element(1, "float")), "float")
    logarithms = isinstance(op, nn.LogSoftmaxOp)
    first = Value(
        _shares(planner, op, (x, largest), below if logarithms else Apply("exp", (below,), "float")), shape, order
    )
    raised = (lambda v: Apply("exp", (v,), "float")) if logarithms else (lambda v: v)
    finish = Apply("log", (Reduced("float"),), "float") if logarithms else None
    total = Value(_joined(planner, op, first, [axis], "sum", "float", body=raised, finish=finish), small)
    last = Apply("sub" if logarithms else "div", (Element(0, "float"), Element(1, "float")), "float")
    planner.values[op.result] = Value(_shares(planner, op, (first, total), last), shape, order)


def _shares(planner: Planner, op: Operation, operands: tuple[Value, Value], body: Expression) -> int:
    """An expression of two operands, the second of which repeats, in the order in which a map lies."""
    shape = operands[0].shape
    writes = strides(shape, channels_last=map_order(shape) is not None)
    reads = [repeated(value, shape) for value in operands]
    axes = [LoopAxis(n, tuple(r[a] for r in reads), writes[a]) for a, n in enumerate(shape)]
    target = planner.draft.buffer("float", prod(shape))
    origin = planner.origin(op, f"{op.name.split('.')[-1]} {text(shape)}")
    sources = tuple(value.buffer for value in operands)
    planner.draft.add(Loops(origin, target, (), sources, (0, 0), in_written_order(axes), body))
    return target


REDUCTION_PLANS: dict[type[Operation], Callable[[Planner, Any], None]] = {
    nn.ReduceOp: _reduce,
    nn.SoftmaxOp: _softmax,
    nn.LogSoftmaxOp: _softmax,
    nn.ArgmaxOp: _argmax,
}
"""How each op of this file is planned."""
