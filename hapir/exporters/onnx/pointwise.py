"""Functions of each element, casts, and tensors of one number.

`DIRECT` holds the functions that are an operator of ONNX; the others are said in a few. What ONNX leaves open, hapir
defines: a division of integers by 0 is 0, and a shift by the width or more; these get a Where unless the right operand
is a parameter that never asks for it. A cast of reals that the integers do not reach stays open.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.dialects.builtin import Float32Type
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_functions import BOOLEAN, FUNCTIONS
from hapir.dialects.num import element_type, is_signed, shape_of, storage_of
from hapir.exporters.onnx import proto
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.elementwise import give_cast
from hapir.exporters.onnx.proto import Array
from hapir.exporters.onnx.styles import Unsayable, carried_dtype
from hapir.reference.values import dtype_of

DIRECT: dict[str, str] = {
    **{
        name: name.capitalize()
        for name in (
            *("exp", "log", "sqrt", "reciprocal", "erf", "floor", "ceil", "round", "sin", "cos", "tan", "asin", "acos"),
            *("atan", "sinh", "cosh", "asinh", "acosh", "atanh", "elu", "selu", "celu", "softplus", "softsign", "abs"),
            *("equal", "less", "greater", "pow", "mish", "shrink"),
        )
    },
    "thresholded_relu": "ThresholdedRelu",
    "is_nan": "IsNaN",
    "is_infinite": "IsInf",
    "signum": "Sign",
    "logical_not": "Not",
    "bit_not": "BitwiseNot",
    "minimum": "Min",
    "maximum": "Max",
    "wrapping_add": "Add",
    "wrapping_sub": "Sub",
    "wrapping_mul": "Mul",
    "less_equal": "LessOrEqual",
    "greater_equal": "GreaterOrEqual",
    "logical_and": "And",
    "logical_or": "Or",
    "logical_xor": "Xor",
    "bit_and": "BitwiseAnd",
    "bit_or": "BitwiseOr",
    "bit_xor": "BitwiseXor",
}
"""A function's operator."""

PARAMETERS = {"limit": "lambd"}
"""What ONNX calls a parameter where the name differs."""

ON_BOOLEANS = {"minimum": "And", "maximum": "Or"}
"""Functions of numbers that booleans have under other names."""
BOOLEAN_OPERATORS = ("equal", "where", "logical_not", "logical_and", "logical_or", "logical_xor")
"""Functions whose operator takes booleans."""


@writes(nn.PointwiseOp)
def pointwise(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.PointwiseOp)
    name = op.function.data
    elements = [element_type(v) for v in op.inputs]
    _check_widths(name, elements)
    inputs = [call.x(i) for i in range(len(op.inputs))]
    if name in ON_BOOLEANS and elements[0] == BOOLEAN:
        call.give(ON_BOOLEANS[name], *inputs)
    elif name in COMPOSED:
        COMPOSED[name](call, op, inputs)
    else:
        _direct(call, op, inputs)


def _direct(call: Call, op: nn.PointwiseOp, inputs: list[str]) -> None:
    name = op.function.data
    kind = DIRECT[name]
    _check_operator(call, kind, op)
    names = FUNCTIONS[name].parameters
    attributes: dict[str, Any] = {PARAMETERS.get(n, n): value for n, value in zip(names, op.constants, strict=True)}
    call.give(kind, *inputs, **attributes)


def _check_operator(call: Call, kind: str, op: nn.PointwiseOp) -> None:
    """Raise Unsayable where this opset has no such operator, or not for the types of the operands."""
    first = proto.first_opset(kind)
    if call.opset < first:
        raise Unsayable(f"{kind} needs opset {first}, this is {call.opset}", f"ask for `--opset {first}`")
    for position, value in enumerate(op.inputs):
        dtype = carried_dtype(element_type(value))
        if not proto.takes(kind, call.opset, position, dtype):
            what = f"{kind} of opset {call.opset} does not take {dtype}"
            raise Unsayable(what, "cast to si32 before it" if dtype.kind in "iu" else None)


def _check_widths(name: str, elements: list[Attribute]) -> None:
    """Raise Unsayable for integers of a width that ONNX does not compute with, and for arithmetic on booleans."""
    for position, element in enumerate(elements):
        storage = storage_of(element)
        chooses = name == "where" and position == 0
        if storage is None or chooses:
            continue
        if element == BOOLEAN:
            if name not in (*BOOLEAN_OPERATORS, *ON_BOOLEANS):
                raise Unsayable(f"`{name}` of ui1 is no function of ONNX's booleans", "cast to ui8 before it")
        elif storage.width.data not in (8, 16, 32, 64):
            raise Unsayable(f"ONNX does not compute with {storage}", "cast to 8, 16, 32 or 64 bits before it")


# --- functions that are said in a few operators -----------------------------------------------------------------------


def _scalar(call: Call, suffix: str, value: Any, dtype: Any = np.float32) -> str:
    return call.array(suffix, value, dtype)


def _mish(call: Call, op: nn.PointwiseOp, inputs: list[str]) -> None:
    (x,) = inputs
    if call.opset >= proto.first_opset("Mish"):
        _direct(call, op, inputs)
    else:
        call.give("Mul", x, call.node("Tanh", call.node("Softplus", x)))


def _gelu_tanh(call: Call, _: nn.PointwiseOp, inputs: list[str]) -> None:
    (x,) = inputs
    if call.opset >= proto.first_opset("Gelu"):
        call.give("Gelu", x, approximate="tanh")
        return
    cube = call.node("Mul", call.node("Mul", x, x), x)
    inner = call.node("Add", x, call.node("Mul", cube, _scalar(call, "cubic", 0.044715)))
    turned = call.node("Tanh", call.node("Mul", inner, _scalar(call, "root", math.sqrt(2 / math.pi))))
    half = call.node("Mul", x, _scalar(call, "half", 0.5))
    call.give("Mul", half, call.node("Add", turned, _scalar(call, "one", 1)))


def _neg(call: Call, op: nn.PointwiseOp, inputs: list[str]) -> None:
    element = element_type(op.inputs[0])
    storage = storage_of(element)
    if storage is None or is_signed(storage):
        call.give("Neg", *inputs)
    else:
        call.give("Sub", _scalar(call, "zero", 0, dtype_of(element)), *inputs)


def _div(call: Call, op: nn.PointwiseOp, inputs: list[str]) -> None:
    _guarded(call, op, inputs, lambda x, y, give: give("Div", x, y))


def _fmod(call: Call, op: nn.PointwiseOp, inputs: list[str]) -> None:
    _guarded(call, op, inputs, lambda x, y, give: give("Mod", x, y, fmod=1))


def _floor_mod(call: Call, op: nn.PointwiseOp, inputs: list[str]) -> None:
    """Mod of integers; of reals what is left by fmod, brought to the sign of y."""
    x, y = inputs
    if not isinstance(element_type(op.inputs[0]), Float32Type):
        _guarded(call, op, inputs, lambda x, y, give: give("Mod", x, y))
        return
    zero = _scalar(call, "zero", 0)
    left = call.node("Mod", x, y, fmod=1)
    other_sign = call.node("Xor", call.node("Less", left, zero), call.node("Less", y, zero))
    nothing = call.node("Equal", left, zero)
    call.give("Where", call.node("And", other_sign, call.node("Not", nothing)), call.node("Add", left, y), left)


Say = Callable[[str, str, Callable[..., Any]], Any]


def _guarded(call: Call, op: nn.PointwiseOp, inputs: list[str], say: Say) -> None:
    """A division of integers that gives 0 where the divisor is 0."""
    x, y = inputs
    dtype = carried_dtype(element_type(op.inputs[1]))
    if dtype.kind == "f" or _never(call, op.inputs[1], lambda divisors: divisors == 0):
        say(x, y, call.give)
        return
    zero, one = (_scalar(call, name, value, dtype) for name, value in (("zero", 0), ("one", 1)))
    empty = call.node("Equal", y, zero)
    call.give("Where", empty, zero, say(x, call.node("Where", empty, one, y), call.node))


def _never(call: Call, value: SSAValue, asks: Callable[[Array], Array]) -> bool:
    """Whether a value is stored, and no element of it asks for what ONNX leaves open."""
    owner = value.owner
    if isinstance(owner, nn.FillOp):
        return not bool(asks(np.asarray(owner.value.value.data)))
    return isinstance(owner, nn.WeightOp) and not asks(call.builder.stored(value)).any()


def _shift(direction: str) -> Callable[[Call, nn.PointwiseOp, list[str]], None]:
    def say(call: Call, op: nn.PointwiseOp, inputs: list[str]) -> None:
        x, y = inputs
        _check_operator(call, "BitShift", op)  # of unsigned integers
        dtype = carried_dtype(element_type(op.inputs[0]))
        width = 8 * dtype.itemsize
        if _never(call, op.inputs[1], lambda bits: bits >= width):
            call.give("BitShift", x, y, direction=direction)
            return
        zero = _scalar(call, "zero", 0, dtype)
        inside = call.node("Less", y, _scalar(call, "width", width, dtype))
        moved = call.node("BitShift", x, call.node("Where", inside, y, zero), direction=direction)
        call.give("Where", inside, moved, zero)

    return say


def _prelu(call: Call, op: nn.PointwiseOp, inputs: list[str]) -> None:
    """PRelu, whose slope repeats to fit x; where x repeats too it is a choice."""
    x, slope = inputs
    if shape_of(op.inputs[0]) == shape_of(op.result) and isinstance(element_type(op.inputs[0]), Float32Type):
        call.give("PRelu", x, slope)
        return
    zero = _scalar(call, "zero", 0, carried_dtype(element_type(op.inputs[0])))
    call.give("Where", call.node("Less", x, zero), call.node("Mul", x, slope), x)


def _where(call: Call, op: nn.PointwiseOp, inputs: list[str]) -> None:
    """Where; between booleans it is logic, which runtimes have."""
    if element_type(op.inputs[1]) != BOOLEAN:
        call.give("Where", *inputs)
        return
    condition, yes, no = inputs
    both = call.node("And", condition, yes), call.node("And", call.node("Not", condition), no)
    call.give("Or", *both)


def _bits(call: Call, op: nn.PointwiseOp, inputs: list[str]) -> None:
    """BitCast, which came late."""
    _check_operator(call, "BitCast", op)
    call.give("BitCast", *inputs, to=proto.element_code(carried_dtype(element_type(op.result))))


COMPOSED: dict[str, Callable[[Call, nn.PointwiseOp, list[str]], None]] = {
    "bits": _bits,
    "from_bits": _bits,
    "mish": _mish,
    "gelu_tanh": _gelu_tanh,
    "neg": _neg,
    "div": _div,
    "fmod": _fmod,
    "floor_mod": _floor_mod,
    "shift_left": _shift("LEFT"),
    "shift_right": _shift("RIGHT"),
    "prelu": _prelu,
    "where": _where,
}


# --- casts and constants ----------------------------------------------------------------------------------------------


@writes(nn.CastOp)
def cast(call: Call) -> None:
    element = element_type(call.op.results[0])
    storage = storage_of(element)
    if storage is not None and element != BOOLEAN and storage.width.data not in (8, 16, 32, 64):
        raise Unsayable(f"ONNX has no cast to {storage} that runtimes know", "cast to 8, 16, 32 or 64 bits")
    give_cast(call, call.x(), carried_dtype(element))


@writes(nn.FillOp)
def fill(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.FillOp)
    number = np.full(shape_of(op.result), op.value.value.data, carried_dtype(element_type(op.result)))
    call.alias(call.array("value", number))
