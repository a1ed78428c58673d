"""Pools over windows and over the whole map."""

from __future__ import annotations

from math import prod

import numpy as np

from hapir.dialects import nn
from hapir.dialects.num import AffineType, element_type
from hapir.exporters.onnx import exact
from hapir.exporters.onnx.calls import Call, Style, Unsayable, writes
from hapir.exporters.onnx.conversions import put_sums, rescaled_reals
from hapir.exporters.onnx.elementwise import give_cast
from hapir.exporters.onnx.products import window_attributes

AXES_OPSET = 18
"""The first where all reductions take their axes as an input."""


@writes(nn.MaxPoolOp)
def max_pool(call: Call) -> None:
    """MaxPool on floats and bytes; wider codes are exact floats meanwhile."""
    op = call.op
    assert isinstance(op, nn.MaxPoolOp)
    attributes = window_attributes(op.window.window, len(call.shape()))
    dtype = call.carried(0.0).dtype
    if call.builder.carried_as_reals(op.x) or dtype.itemsize == 1:
        call.give("MaxPool", call.x(), **attributes)
        return
    if dtype.itemsize > 2:
        raise Unsayable(f"MaxPool works on floats and bytes, this is {dtype}", "requantize before the pool")
    give_cast(call, call.node("MaxPool", call.cast(call.x(), np.float32), **attributes), dtype)


@writes(nn.AvgPoolOp)
def avg_pool(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.AvgPoolOp)
    attributes = window_attributes(op.window.window, len(call.shape()), dilated=False)
    call.give("AveragePool", call.x(), count_include_pad=int(bool(op.count_include_pad.value.data)), **attributes)


@writes(nn.SumPoolOp)
def sum_pool(call: Call) -> None:
    """The mean of R S elements under a scale R S times as large."""
    op = call.op
    assert isinstance(op, nn.SumPoolOp)
    attributes = window_attributes(op.window.window, len(call.shape()), dilated=False)
    if call.style == Style.INTEGER:
        exact.sum_pool(call, op, attributes)
        return
    count = prod(attributes["kernel_shape"])
    reals = rescaled_reals(call, op.x, call.builder.units[op.result] * count)
    put_sums(call, call.node("AveragePool", reals, count_include_pad=1, **attributes))


@writes(nn.GlobalAvgPoolOp)
def global_avg_pool(call: Call) -> None:
    call.give("GlobalAveragePool", call.x())


@writes(nn.GlobalMaxPoolOp)
def global_max_pool(call: Call) -> None:
    """GlobalMaxPool on floats; of codes it is a reduction."""
    if call.builder.carried_as_reals(call.operand(0)):
        call.give("GlobalMaxPool", call.x())
        return
    axes = list(range(2, len(call.shape())))
    element = element_type(call.operand(0))
    dtype = call.carried(0.0).dtype
    x = call.x()
    narrow = isinstance(element, AffineType) and dtype.itemsize == 2
    if narrow:
        x = call.cast(x, np.int32)
    inputs = [x, call.array("axes", axes)] if call.opset >= AXES_OPSET else [x]
    attribute = None if call.opset >= AXES_OPSET else axes
    if narrow:
        give_cast(call, call.node("ReduceMax", *inputs, axes=attribute, keepdims=1), dtype)
    else:
        call.give("ReduceMax", *inputs, axes=attribute, keepdims=1)
