"""Pools over windows and over the whole map."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, element_type
from hapir.exporters.onnx import exact
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.conversions import put_sums, rescaled_reals
from hapir.exporters.onnx.elementwise import give_cast
from hapir.exporters.onnx.products import window_attributes
from hapir.exporters.onnx.reductions import give_reduced, reduced
from hapir.exporters.onnx.styles import Style, Unsayable

DILATED_OPSET = 19
"""The first where AveragePool has dilations."""


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


@writes(nn.MaxPoolIndicesOp)
def max_pool_indices(call: Call) -> None:
    """The second output of MaxPool."""
    op = call.op
    assert isinstance(op, nn.MaxPoolIndicesOp)
    attributes = window_attributes(op.window.window, len(call.shape()))
    dtype = call.carried(0.0).dtype
    if not (call.builder.carried_as_reals(op.x) or dtype.itemsize == 1):
        raise Unsayable(f"MaxPool works on floats and bytes, this is {dtype}", "cast to f32 before it")
    output = call.builder.output(op.result, call.layer)
    maxima, order = call.builder.unused(f"{call.layer}/maxima"), int(bool(op.columns_first.value.data))
    names = [maxima, output]
    call.builder.node("MaxPool", [call.x()], names, name=call.layer, at=op, storage_order=order, **attributes)
    call.builder.put(op.result, output)
    call.builder.describe(op.result, output, np.dtype(np.int64))


@writes(nn.AvgPoolOp)
def avg_pool(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.AvgPoolOp)
    attributes = _mean_window(call, op.window.window)
    call.give("AveragePool", call.x(), count_include_pad=int(bool(op.count_include_pad.value.data)), **attributes)


def _mean_window(call: Call, window: Window) -> dict[str, Any]:
    """The attributes of AveragePool, which has dilations in its later versions only."""
    dilated = window.dilation != (1, 1)
    if dilated and call.opset < DILATED_OPSET:
        reason = f"AveragePool has dilations from opset {DILATED_OPSET} on, this is {call.opset}"
        raise Unsayable(reason, f"ask for `--opset {DILATED_OPSET}`")
    return window_attributes(window, len(call.shape()), dilated=dilated)


@writes(nn.SumPoolOp)
def sum_pool(call: Call) -> None:
    """The mean of R S elements under a scale R S times as large."""
    op = call.op
    assert isinstance(op, nn.SumPoolOp)
    if call.style == Style.INTEGER:
        exact.sum_pool(call, op, window_attributes(op.window.window, len(call.shape())))
        return
    attributes = _mean_window(call, op.window.window)
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
    if narrow:
        give_cast(call, reduced(call, "ReduceMax", x, axes), dtype)
    else:
        give_reduced(call, "ReduceMax", x, axes)
