"""Normalizations, and the ops that end a network."""

from __future__ import annotations

import numpy as np

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.exporters.onnx.calls import Call, Unsayable, writes
from hapir.exporters.onnx.elementwise import give_cast
from hapir.exporters.onnx.proto import first_opset


@writes(nn.BatchNormOp)
def batch_norm(call: Call) -> None:
    assert isinstance(call.op, nn.BatchNormOp)
    call.give("BatchNormalization", *(call.x(i) for i in range(5)), epsilon=call.op.epsilon.value.data)


@writes(nn.LayerNormOp)
def layer_norm(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.LayerNormOp)
    first = first_opset("LayerNormalization")
    if call.opset < first:
        raise Unsayable(f"LayerNormalization needs opset {first}, this is {call.opset}", f"ask for `--opset {first}`")
    parameters = (call.x(i) for i in range(3))
    call.give("LayerNormalization", *parameters, axis=op.axis.value.data, epsilon=op.epsilon.value.data)


@writes(nn.LocalResponseNormOp)
def local_response_norm(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.LocalResponseNormOp)
    alpha, beta, bias = (a.value.data for a in (op.alpha, op.beta, op.bias))
    call.give("LRN", call.x(), size=op.size.value.data, alpha=alpha, beta=beta, bias=bias)


@writes(nn.SoftmaxOp)
def softmax(call: Call) -> None:
    assert isinstance(call.op, nn.SoftmaxOp)
    call.give("Softmax", call.x(), axis=call.op.along)


@writes(nn.LogSoftmaxOp)
def log_softmax(call: Call) -> None:
    assert isinstance(call.op, nn.LogSoftmaxOp)
    call.give("LogSoftmax", call.x(), axis=call.op.along)


_REDUCTIONS = {
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "product": "ReduceProd",
}
_AXES_AS_INPUT = 18
"""The opset from which all reductions take their axes as an input; sums do so in every opset that is written."""


@writes(nn.ReduceOp)
def reduction(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.ReduceOp)
    axes, kind, keep = list(integers(op.axes)), _REDUCTIONS[op.function.data], int(op.keep is not None)
    if not axes:
        call.give("Identity", call.x())
    elif kind == "ReduceSum" or call.opset >= _AXES_AS_INPUT:
        call.give(kind, call.x(), call.array("axes", axes, np.int64), keepdims=keep)
    else:
        call.give(kind, call.x(), axes=axes, keepdims=keep)


@writes(nn.ArgmaxOp)
def argmax(call: Call) -> None:
    """ArgMax gives int64, hapir's is si32."""
    op = call.op
    assert isinstance(op, nn.ArgmaxOp)
    x = call.x()
    if not call.builder.carried_as_reals(call.operand(0)) and call.carried(0.0).dtype.itemsize == 2:
        x = call.cast(x, np.int32)
    which = {"keepdims": int(op.keep is not None), "select_last_index": int(op.last is not None)}
    give_cast(call, call.node("ArgMax", x, axis=op.along, **which), np.dtype(np.int32))
