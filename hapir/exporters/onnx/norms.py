"""Normalizations, and the ops that end a network."""

from __future__ import annotations

import numpy as np

from hapir.dialects import nn
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
    call.give("Softmax", call.x(), axis=1)


@writes(nn.ArgmaxOp)
def argmax(call: Call) -> None:
    """ArgMax gives int64, hapir's is si32."""
    x = call.x()
    if not call.builder.carried_as_reals(call.operand(0)) and call.carried(0.0).dtype.itemsize == 2:
        x = call.cast(x, np.int32)
    give_cast(call, call.node("ArgMax", x, axis=1, keepdims=0), np.dtype(np.int32))
