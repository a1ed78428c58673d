"""Ops that join the elements along axes: reductions, softmax, argmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.num import element_type
from hapir.exporters.onnx import proto
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.elementwise import give_cast
from hapir.exporters.onnx.styles import Unsayable, carried_dtype

KINDS = {
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "product": "ReduceProd",
}
"""A reduction's operator."""
AXES_OPSET = 18
"""The first where all reductions take their axes as an input; those by sums do in every opset that is written."""


def give_reduced(call: Call, kind: str, x: str, axes: Sequence[int], *, keep: bool = True) -> None:
    """A reduction along axes as the op's result."""
    inputs, attributes = _along(call, kind, x, axes)
    call.give(kind, *inputs, keepdims=int(keep), **attributes)


def reduced(call: Call, kind: str, x: str, axes: Sequence[int], *, keep: bool = True) -> str:
    """A reduction along axes as a further node."""
    inputs, attributes = _along(call, kind, x, axes)
    return call.node(kind, *inputs, keepdims=int(keep), **attributes)


def _along(call: Call, kind: str, x: str, axes: Sequence[int]) -> tuple[list[str], dict[str, Any]]:
    if kind == "ReduceSum" or call.opset >= AXES_OPSET:
        return [x, call.array("axes", axes, np.int64)], {}
    return [x], {"axes": list(axes)}


@writes(nn.ReduceOp)
def reduce(call: Call) -> None:
    """Integers that a reduction does not take are joined in 32 bits, whose low bits are the same."""
    op = call.op
    assert isinstance(op, nn.ReduceOp)
    axes, kind, keep = integers(op.axes), KINDS[op.function.data], op.keep is not None
    dtype = carried_dtype(element_type(op.x))
    if not axes:
        call.give("Identity", call.x())
    elif proto.takes(kind, call.opset, 0, dtype):
        give_reduced(call, kind, call.x(), axes, keep=keep)
    elif dtype.kind == "b":
        raise Unsayable(f"{kind} of opset {call.opset} does not take ui1", "cast to si32 before it")
    else:
        wide = call.cast(call.x(), np.int32 if dtype.kind == "i" else np.uint32)
        give_cast(call, reduced(call, kind, wide, axes, keep=keep), dtype)


@writes(nn.SoftmaxOp)
def softmax(call: Call) -> None:
    assert isinstance(call.op, nn.SoftmaxOp)
    call.give("Softmax", call.x(), axis=call.op.along)


@writes(nn.LogSoftmaxOp)
def log_softmax(call: Call) -> None:
    assert isinstance(call.op, nn.LogSoftmaxOp)
    call.give("LogSoftmax", call.x(), axis=call.op.along)


@writes(nn.ArgmaxOp)
def argmax(call: Call) -> None:
    """ArgMax gives int64, hapir's is si32; runtimes have none on 16 bits."""
    op = call.op
    assert isinstance(op, nn.ArgmaxOp)
    x = call.x()
    if not call.builder.carried_as_reals(call.operand(0)) and call.carried(0.0).dtype.itemsize == 2:
        x = call.cast(x, np.int32)
    keep, last = int(op.keep is not None), int(op.last is not None)
    found = call.node("ArgMax", x, axis=op.along, keepdims=keep, select_last_index=last or None)
    give_cast(call, found, np.dtype(np.int32))
