"""Normalizations over channels, groups of them, and trailing axes."""

from __future__ import annotations

import numpy as np

from hapir.dialects import nn
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.proto import first_opset
from hapir.exporters.onnx.reductions import reduced
from hapir.exporters.onnx.styles import Unsayable


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


@writes(nn.GroupNormOp)
def group_norm(call: Call) -> None:
    """GroupNormalization where there is one with a factor per channel; else the pieces that exporters wrote before.

    One group per channel is InstanceNormalization, which has been there always.
    """
    op = call.op
    assert isinstance(op, nn.GroupNormOp)
    groups, epsilon, shape = op.groups.value.data, op.epsilon.value.data, list(call.shape())
    if groups == shape[1] and len(shape) > 2:
        call.give("InstanceNormalization", *(call.x(i) for i in range(3)), epsilon=epsilon)
        return
    if call.opset >= GROUP_NORM_OPSET and len(shape) > 2:
        call.give("GroupNormalization", *(call.x(i) for i in range(3)), epsilon=epsilon, num_groups=groups)
        return
    rows = call.node("Reshape", call.x(), call.array("rows", [0, groups, -1]))
    ones, zeros = (call.array(name, np.full(groups, v), np.float32) for name, v in (("ones", 1), ("zeros", 0)))
    normal = call.node("InstanceNormalization", rows, ones, zeros, epsilon=epsilon)
    normal = call.node("Reshape", normal, call.array("shape", [0, *shape[1:]]))
    per_channel = call.array("channels", [shape[1], *(1 for _ in shape[2:])])
    gamma, beta = (call.node("Reshape", call.x(i), per_channel) for i in (1, 2))
    call.give("Add", call.node("Mul", normal, gamma), beta)


GROUP_NORM_OPSET = 21
"""The first where GroupNormalization has a factor per channel."""


@writes(nn.RmsNormOp)
def rms_norm(call: Call) -> None:
    """RMSNormalization, or its pieces."""
    op = call.op
    assert isinstance(op, nn.RmsNormOp)
    axis, epsilon = op.axis.value.data, op.epsilon.value.data
    if call.opset >= first_opset("RMSNormalization"):
        call.give("RMSNormalization", call.x(0), call.x(1), axis=axis, epsilon=epsilon)
        return
    axes = list(range(axis, len(call.shape())))
    squares = call.node("Mul", call.x(), call.x())
    mean = reduced(call, "ReduceMean", squares, axes)
    root = call.node("Sqrt", call.node("Add", mean, call.array("epsilon", epsilon, np.float32)))
    call.give("Mul", call.node("Div", call.x(), root), call.x(1))


@writes(nn.LocalResponseNormOp)
def local_response_norm(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.LocalResponseNormOp)
    alpha, beta, bias = (a.value.data for a in (op.alpha, op.beta, op.bias))
    call.give("LRN", call.x(), size=op.size.value.data, alpha=alpha, beta=beta, bias=bias)
