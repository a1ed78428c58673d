"""Operators that join elements along axes: reductions, softmax, argmax."""

from __future__ import annotations

from math import prod

import numpy as np
from xdsl.dialects.builtin import Float32Type
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.num import element_type, shape_of, signed
from hapir.importers.onnx.nodes import Call, Handler, Unsupported, axis_in, handles

_REDUCTIONS = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "product",
}
_INPUT_SINCE = {"ReduceSum": 13}
"""The opset from which the axes are an input, 18 for all others."""


def _axes(call: Call) -> list[int] | None:
    """The axes that are joined, in order; None where nothing is to be done."""
    rank = len(call.shape(0))
    if call.opset >= _INPUT_SINCE.get(call.node.op, 18):
        given = [int(axis) for axis in call.constant(1).reshape(-1)] if call.has(1) else []
    else:
        given = call.integers("axes")
    if not given:
        return None if call.integer("noop_with_empty_axes") else list(range(rank))
    return sorted({axis_in(axis, rank) for axis in given})


def _check_elements(x: SSAValue, function: str) -> None:
    """Raise Unsupported where there is nothing to join and nothing stands for it."""
    if function in ("max", "min", "mean") and 0 in shape_of(x):
        raise Unsupported("it joins no elements", "a tensor that has some")


def _reduce(call: Call, function: str, x: SSAValue, layer: str) -> SSAValue:
    axes = _axes(call)
    if axes is None:
        return x
    _check_elements(x, function)
    return call.add(nn.ReduceOp(function, x, axes, keep=bool(call.integer("keepdims", 1)), layer=layer))


def _reduction(function: str) -> Handler:
    return lambda call: _reduce(call, function, call.tensor(0), call.layer)


for _name, _function in _REDUCTIONS.items():
    handles(_name)(_reduction(_function))


def _square(call: Call) -> SSAValue:
    x = call.tensor(0)
    layer = call.sub("square")
    if isinstance(element_type(x), Float32Type):
        return call.add(nn.MulOp(x, x, layer=layer))
    return call.add(nn.PointwiseOp("wrapping_mul", [x, x], layer=layer))


@handles("ReduceSumSquare")
def sum_of_squares(call: Call) -> SSAValue:
    """The sum of squares."""
    return _reduce(call, "sum", _square(call), call.layer)


@handles("ReduceL2")
def norm(call: Call) -> SSAValue:
    """The root of the sum of squares."""
    total = _reduce(call, "sum", _square(call), call.sub("sum"))
    return call.add(nn.PointwiseOp("sqrt", [total], layer=call.layer))


@handles("ReduceL1")
def sum_of_magnitudes(call: Call) -> SSAValue:
    """The sum of magnitudes."""
    magnitudes = call.add(nn.PointwiseOp("abs", [call.tensor(0)], layer=call.sub("abs")))
    return _reduce(call, "sum", magnitudes, call.layer)


@handles("ReduceLogSum")
def log_of_sum(call: Call) -> SSAValue:
    """The logarithm of the sum."""
    total = _reduce(call, "sum", call.tensor(0), call.sub("sum"))
    return call.add(nn.PointwiseOp("log", [total], layer=call.layer))


@handles("ReduceLogSumExp")
def log_of_sum_of_powers(call: Call) -> SSAValue:
    """`max + log(sum(exp(x - max)))`, so that nothing overflows."""
    x, axes = call.tensor(0), _axes(call)
    if axes is None:
        return x
    _check_elements(x, "max")
    keep = bool(call.integer("keepdims", 1))
    largest = call.add(nn.ReduceOp("max", x, axes, keep=True, layer=call.sub("max")))
    below = call.add(nn.SubOp(x, largest, layer=call.sub("below")))
    powers = call.add(nn.PointwiseOp("exp", [below], layer=call.sub("exp")))
    total = call.add(nn.ReduceOp("sum", powers, axes, keep=keep, layer=call.sub("sum")))
    log = call.add(nn.PointwiseOp("log", [total], layer=call.sub("log")))
    if not keep:
        largest = call.add(nn.ReduceOp("max", x, axes, layer=call.sub("top")))
    return call.add(nn.AddOp(log, largest, layer=call.layer))


# --- softmax ----------------------------------------------------------------------------------------------------------

_SOFTMAX: dict[str, type[nn.SoftmaxOp | nn.LogSoftmaxOp]] = {"Softmax": nn.SoftmaxOp, "LogSoftmax": nn.LogSoftmaxOp}


@handles("Softmax", "LogSoftmax")
def softmax(call: Call) -> SSAValue:
    """Along one axis; up to opset 12 along all axes from one on, taken as one."""
    op, x = _SOFTMAX[call.node.op], call.tensor(0)
    shape = shape_of(x)
    if call.opset >= 13:
        return call.add(op(x, axis=axis_in(call.integer("axis", -1), len(shape)), layer=call.layer))
    axis = axis_in(call.integer("axis", 1), len(shape))
    if all(size == 1 for size in shape[axis + 1 :]):
        return call.add(op(x, axis=axis, layer=call.layer))
    first = min(axis, 1)  # so that the batch stays what it is
    rows = call.add(nn.ReshapeOp(x, [*shape[first:axis], prod(shape[axis:])], axis=first, layer=call.sub("rows")))
    found = call.add(op(rows, axis=axis, layer=call.sub("softmax")))
    return call.add(nn.ReshapeOp(found, shape[first:], axis=first, layer=call.layer))


@handles("Hardmax")
def hardmax(call: Call) -> SSAValue:
    """1 at the first of the largest along an axis, 0 elsewhere."""
    x = call.tensor(0)
    shape = shape_of(x)
    axis = axis_in(call.integer("axis", -1 if call.opset >= 13 else 1), len(shape))
    best = call.add(nn.ArgmaxOp(x, axis=axis, keep=True, layer=call.sub("best")))
    places = np.arange(shape[axis], dtype=np.int32).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    at = call.keyed(f"{call.sub('places')}.value", places)
    hit = call.add(nn.PointwiseOp("equal", [best, at], layer=call.sub("hit")))
    return call.add(nn.CastOp(hit, element_type(x), layer=call.layer))


@handles("ArgMax", "ArgMin")
def argmax(call: Call) -> SSAValue:
    """The place of the largest or smallest element along an axis, as int64."""
    x = call.tensor(0)
    if call.node.op == "ArgMin":  # what falls where x rises, and never overflows
        function = "neg" if isinstance(element_type(x), Float32Type) else "bit_not"
        x = call.add(nn.PointwiseOp(function, [x], layer=call.sub("falling")))
    axis = axis_in(call.integer("axis"), len(shape_of(x)))
    keep, last = bool(call.integer("keepdims", 1)), bool(call.integer("select_last_index"))
    found = call.add(nn.ArgmaxOp(x, axis=axis, keep=keep, last=last, layer=call.sub("index")))
    return call.add(nn.CastOp(found, signed(64), layer=call.layer))
