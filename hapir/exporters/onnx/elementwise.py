"""Elementwise ops: activations of one tensor, sums and products of two."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hapir.dialects import nn
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.conversions import put_sums
from hapir.exporters.onnx.forms import reals_of
from hapir.exporters.onnx.proto import Array, element_code, first_opset


def _simple(kind: str) -> Callable[[Call], None]:
    return lambda call: call.give(kind, *(call.x(i) for i in range(len(call.op.operands))))


for _op, _kind in ((nn.SigmoidOp, "Sigmoid"), (nn.TanhOp, "Tanh"), (nn.SubOp, "Sub"), (nn.MulOp, "Mul")):
    writes(_op)(_simple(_kind))


@writes(nn.ReluOp)
def relu(call: Call) -> None:
    if call.builder.carried_as_reals(call.operand(0)):
        call.give("Relu", call.x())
    else:
        bound_codes(call, call.carried(0.0), None)


@writes(nn.ClipOp)
def clip(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.ClipOp)
    low, high = (call.carried(bound.value.data) for bound in (op.low, op.high))
    if call.builder.carried_as_reals(op.x):
        call.give("Clip", call.x(), call.array("low", low, np.float32), call.array("high", high, np.float32))
    else:
        bound_codes(call, low, high)


def bound_codes(call: Call, low: Array, high: Array | None) -> None:
    """Codes within bounds; runtimes have Clip on bytes and on int32, but not on 16 bits."""
    bounds = [("low", low)] if high is None else [("low", low), ("high", high)]
    if low.dtype.itemsize != 2:
        call.give("Clip", call.x(), *(call.array(name, bound) for name, bound in bounds))
        return
    wide = call.cast(call.x(), np.int32)
    clipped = call.node("Clip", wide, *(call.array(name, bound, np.int32) for name, bound in bounds))
    give_cast(call, clipped, low.dtype)


def give_cast(call: Call, name: str, dtype: np.dtype[Any]) -> None:
    """The op's result is a value as another element type."""
    call.give("Cast", name, to=element_code(dtype))


@writes(nn.LeakyReluOp)
def leaky_relu(call: Call) -> None:
    assert isinstance(call.op, nn.LeakyReluOp)
    call.give("LeakyRelu", call.x(), alpha=call.op.slope.value.data)


@writes(nn.HardSigmoidOp)
def hard_sigmoid(call: Call) -> None:
    assert isinstance(call.op, nn.HardSigmoidOp)
    call.give("HardSigmoid", call.x(), alpha=call.op.slope.value.data, beta=call.op.offset.value.data)


@writes(nn.HardSwishOp)
def hard_swish(call: Call) -> None:
    if call.opset >= first_opset("HardSwish"):
        call.give("HardSwish", call.x())
    else:
        call.give("Mul", call.x(), call.node("HardSigmoid", call.x(), alpha=1 / 6, beta=0.5))


@writes(nn.SiluOp)
def silu(call: Call) -> None:
    call.give("Mul", call.x(), call.node("Sigmoid", call.x()))


@writes(nn.GeluOp)
def gelu(call: Call) -> None:
    """Gelu, or the pieces that exporters wrote before there was one."""
    if call.opset >= first_opset("Gelu"):
        call.give("Gelu", call.x())
        return
    root, one, half = (call.array(n, v, np.float32) for n, v in (("root", math.sqrt(2)), ("one", 1), ("half", 0.5)))
    erf = call.node("Erf", call.node("Div", call.x(), root))
    call.give("Mul", call.node("Mul", call.x(), call.node("Add", erf, one)), half)


@writes(nn.SignOp)
def sign(call: Call) -> None:
    """ONNX's Sign gives 0 for 0, so this is a choice between 1 and -1."""
    zero, one, minus = (call.array(n, v, np.float32) for n, v in (("zero", 0), ("one", 1), ("minus", -1)))
    call.give("Where", call.node("GreaterOrEqual", call.x(), zero), one, minus)


@writes(nn.AddOp)
def add(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.AddOp)
    if op.result not in call.builder.units:
        call.give("Add", call.x(0), call.x(1))
        return
    unit = call.builder.units[op.result]
    sides: list[str] = []
    for index, side in enumerate((op.lhs, op.rhs)):
        reals, own = reals_of(call.builder, side), call.builder.units[side]
        if not np.array_equal(own, unit):
            ratio = np.asarray(unit / own)
            shape = (-1, *(1,) * (len(call.shape()) - 2)) if ratio.ndim else ()
            reals = call.node("Mul", reals, call.array(f"ratio{index}", ratio.reshape(shape), np.float32))
        sides.append(reals)
    put_sums(call, call.node("Add", *sides))
