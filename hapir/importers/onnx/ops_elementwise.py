"""Elementwise operators: activations, arithmetic, comparisons, logic, casts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from xdsl.dialects.builtin import Float32Type, f32
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import nn
from hapir.dialects.assembly import shortest
from hapir.dialects.nn_functions import BOOLEAN
from hapir.dialects.num import element_type, is_float, signed, unsigned
from hapir.importers.onnx.elements import element_name
from hapir.importers.onnx.model import element_of
from hapir.importers.onnx.nodes import Call, Handler, Unsupported, handles, scalar
from hapir.reference.values import dtype_of

# --- activations ------------------------------------------------------------------------------------------------------

_OPS = {
    "Sigmoid": nn.SigmoidOp,
    "Tanh": nn.TanhOp,
    "HardSwish": nn.HardSwishOp,
}
_FUNCTIONS = {
    "Abs": "abs",
    "Acos": "acos",
    "Acosh": "acosh",
    "And": "logical_and",
    "Asin": "asin",
    "Asinh": "asinh",
    "Atan": "atan",
    "Atanh": "atanh",
    "BitwiseAnd": "bit_and",
    "BitwiseNot": "bit_not",
    "BitwiseOr": "bit_or",
    "BitwiseXor": "bit_xor",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Div": "div",
    "Equal": "equal",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "IsNaN": "is_nan",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Log": "log",
    "Mish": "mish",
    "Neg": "neg",
    "Not": "logical_not",
    "Or": "logical_or",
    "PRelu": "prelu",
    "Pow": "pow",
    "Reciprocal": "reciprocal",
    "Round": "round",
    "Sign": "signum",
    "Sin": "sin",
    "Sinh": "sinh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Sqrt": "sqrt",
    "Tan": "tan",
    "Where": "where",
    "Xor": "logical_xor",
}
"""Operators that are a function of their operands and have no attributes."""


def _op(make: Callable[..., nn.LayerOp]) -> Handler:
    return lambda call: call.add(make(call.tensor(0), layer=call.layer))


def _function(name: str) -> Handler:
    return lambda call: call.add(nn.PointwiseOp(name, call.tensors(), layer=call.layer))


for _name, _make in _OPS.items():
    handles(_name)(_op(_make))
for _name, _word in _FUNCTIONS.items():
    handles(_name)(_function(_word))


@handles("Identity")
def identity(call: Call) -> SSAValue:
    """What it is given."""
    return call.tensor(0)


@handles("Relu")
def relu(call: Call) -> SSAValue:
    """`max(x, 0)`."""
    return call.add(nn.ReluOp(call.tensor(0), layer=call.layer))


@handles("LeakyRelu")
def leaky_relu(call: Call) -> SSAValue:
    """x or `alpha * x`."""
    return call.add(nn.LeakyReluOp(call.tensor(0), slope=call.real("alpha", 0.01), layer=call.layer))


@handles("Elu")
def elu(call: Call) -> SSAValue:
    """Exponential linear unit."""
    return call.add(nn.PointwiseOp("elu", [call.tensor(0)], [call.real("alpha", 1.0)], layer=call.layer))


@handles("Selu")
def selu(call: Call) -> SSAValue:
    """Scaled exponential linear unit; up to opset 5 its defaults had fewer digits."""
    alpha, gamma = (1.6732, 1.0507) if call.opset < 6 else (1.67326319217681884765625, 1.05070102214813232421875)
    constants = [call.real("alpha", alpha), call.real("gamma", gamma)]
    return call.add(nn.PointwiseOp("selu", [call.tensor(0)], constants, layer=call.layer))


@handles("Celu")
def celu(call: Call) -> SSAValue:
    """Continuously differentiable exponential linear unit."""
    return call.add(nn.PointwiseOp("celu", [call.tensor(0)], [call.real("alpha", 1.0)], layer=call.layer))


@handles("ThresholdedRelu")
def thresholded_relu(call: Call) -> SSAValue:
    """x above a threshold, else 0."""
    constants = [call.real("alpha", 1.0)]
    return call.add(nn.PointwiseOp("thresholded_relu", [call.tensor(0)], constants, layer=call.layer))


@handles("Shrink")
def shrink(call: Call) -> SSAValue:
    """Soft or hard shrinking."""
    constants = [call.real("bias"), call.real("lambd", 0.5)]
    return call.add(nn.PointwiseOp("shrink", [call.tensor(0)], constants, layer=call.layer))


@handles("HardSigmoid")
def hard_sigmoid(call: Call) -> SSAValue:
    """A line between 0 and 1."""
    slope, offset = call.real("alpha", 0.2), call.real("beta", 0.5)
    return call.add(nn.HardSigmoidOp(call.tensor(0), slope=slope, offset=offset, layer=call.layer))


@handles("Gelu")
def gelu(call: Call) -> SSAValue:
    """By the error function, or by its approximation with tanh."""
    if call.word("approximate", "none") == "tanh":
        return call.add(nn.PointwiseOp("gelu_tanh", [call.tensor(0)], layer=call.layer))
    return call.add(nn.GeluOp(call.tensor(0), layer=call.layer))


@handles("Swish")
def swish(call: Call) -> SSAValue:
    """`x * sigmoid(alpha * x)`."""
    return _swish(call, call.layer)


@handles("SwiGLU")
def swish_gated(call: Call) -> SSAValue:
    """The swish of the first input times the second."""
    return call.add(nn.MulOp(_swish(call, call.sub("swish")), call.tensor(1), layer=call.layer))


def _swish(call: Call, layer: str) -> SSAValue:
    alpha = call.real("alpha", 1.0)
    if alpha == 1.0:
        return call.add(nn.SiluOp(call.tensor(0), layer=layer))
    x = call.tensor(0)
    scaled = call.add(nn.MulOp(x, call.add(nn.FillOp(alpha, f32)), layer=call.sub("scaled")))
    return call.add(nn.MulOp(x, call.add(nn.SigmoidOp(scaled, layer=call.sub("sigmoid"))), layer=layer))


@handles("IsInf")
def is_infinite(call: Call) -> SSAValue:
    """Both infinities, or one of them: what lies beyond the largest number."""
    x = call.tensor(0)
    negative, positive = bool(call.integer("detect_negative", 1)), bool(call.integer("detect_positive", 1))
    if negative and positive:
        return call.add(nn.PointwiseOp("is_infinite", [x], layer=call.layer))
    if not negative and not positive:
        return call.add(nn.PointwiseOp("less", [x, x], layer=call.layer))  # never
    largest = float(np.finfo(np.float32).max)
    function, bound = ("less", -largest) if negative else ("greater", largest)
    return call.add(nn.PointwiseOp(function, [x, call.add(nn.FillOp(bound, f32))], layer=call.layer))


# --- arithmetic -------------------------------------------------------------------------------------------------------

_ARITHMETIC: dict[str, tuple[type[nn.BinaryOp], str]] = {
    "Add": (nn.AddOp, "wrapping_add"),
    "Sub": (nn.SubOp, "wrapping_sub"),
    "Mul": (nn.MulOp, "wrapping_mul"),
}


def _arithmetic(call: Call) -> SSAValue:
    op, wrapping = _ARITHMETIC[call.node.op]
    return _binary(call, op, wrapping, call.tensor(0), call.tensor(1), call.layer)


def _binary(call: Call, op: type[nn.BinaryOp], wrapping: str, a: SSAValue, b: SSAValue, layer: str) -> SSAValue:
    """Of reals an op of its own, of integers the function that wraps."""
    if isinstance(element_type(a), Float32Type):
        return call.add(op(a, b, layer=layer))
    return call.add(nn.PointwiseOp(wrapping, [a, b], layer=layer))


for _name in _ARITHMETIC:
    handles(_name)(_arithmetic)


def _fold(call: Call, join: Callable[[SSAValue, SSAValue, str], SSAValue]) -> SSAValue:
    """Join all operands, two at a time; one alone is given on."""
    values = call.tensors()
    last = len(values) - 1
    if last < 1:
        return values[0]
    numbered = enumerate(values[1:], 1)
    return reduce(lambda a, b: join(a, b[1], call.layer if b[0] == last else call.sub(str(b[0]))), numbered, values[0])


@handles("Max", "Min")
def extreme(call: Call) -> SSAValue:
    """The largest or smallest of all operands."""
    function = "maximum" if call.node.op == "Max" else "minimum"
    return _fold(call, lambda a, b, layer: call.add(nn.PointwiseOp(function, [a, b], layer=layer)))


@handles("Sum")
def total(call: Call) -> SSAValue:
    """The sum of all operands."""
    return _fold(call, lambda a, b, layer: _binary(call, *_ARITHMETIC["Add"], a, b, layer))


@handles("Mean")
def mean(call: Call) -> SSAValue:
    """The sum of all operands over their number."""
    values = call.tensors()
    if len(values) == 1:
        return values[0]
    total = values[0]
    for index, value in enumerate(values[1:], 1):
        total = call.add(nn.AddOp(total, value, layer=call.sub(f"sum{index}")))
    count = call.add(nn.FillOp(float(len(values)), element_type(total)))
    return call.add(nn.PointwiseOp("div", [total, count], layer=call.layer))


@handles("Mod")
def mod(call: Call) -> SSAValue:
    """With the sign of the divisor, or with that of the dividend where `fmod` is 1."""
    function = "fmod" if call.integer("fmod") else "floor_mod"
    return call.add(nn.PointwiseOp(function, call.tensors(), layer=call.layer))


@handles("BitShift")
def shift(call: Call) -> SSAValue:
    """To the left or to the right."""
    function = {"LEFT": "shift_left", "RIGHT": "shift_right"}.get(call.word("direction"))
    if function is None:
        raise Unsupported(f"the direction `{call.word('direction')}` is none", "LEFT or RIGHT")
    return call.add(nn.PointwiseOp(function, call.tensors(), layer=call.layer))


@handles("Clip")
def clip(call: Call) -> SSAValue:
    """Bounds as attributes (to opset 10) or as inputs; of f32 with constant bounds one op."""
    x = call.tensor(0)
    element = element_type(x)
    if call.opset < 11:
        bounds = [call.real(name) if name in call.node.attributes else None for name in ("min", "max")]
    else:
        bounds = [float(scalar(call.constant(i))) if call.is_constant(i) else None for i in (1, 2)]
    if isinstance(element, Float32Type) and all(call.is_constant(i) or not call.has(i) for i in (1, 2)):
        return _clip(call, x, bounds)
    for index, function in ((1, "maximum"), (2, "minimum")):
        if call.has(index):
            bound = call.tensor(index)
            last = index == 2 or not call.has(2)
            layer = call.layer if last else call.sub("low")
            x = call.add(nn.PointwiseOp(function, [x, bound], layer=layer))
    return x


def _clip(call: Call, x: SSAValue, bounds: Sequence[float | None]) -> SSAValue:
    """f32 between constant bounds, where they bind."""
    limit = float(np.finfo(np.float32).max)
    low, high = (None if b is None or abs(b) >= limit else shortest(b) for b in bounds)
    if low is not None and high is not None and low <= high:
        return call.add(nn.ClipOp(x, low=low, high=high, layer=call.layer))
    if low == 0 and high is None:
        return call.add(nn.ReluOp(x, layer=call.layer))
    for bound, function in ((low, "maximum"), (high, "minimum")):
        if bound is not None:
            layer = call.layer if function == "minimum" or high is None else call.sub("low")
            x = call.add(nn.PointwiseOp(function, [x, call.add(nn.FillOp(bound, element_type(x)))], layer=layer))
    return x


# --- casts ------------------------------------------------------------------------------------------------------------

_ELEMENTS: dict[int, Attribute] = {
    2: unsigned(8),
    3: signed(8),
    4: unsigned(16),
    5: signed(16),
    6: signed(32),
    7: signed(64),
    9: BOOLEAN,
    12: unsigned(32),
    13: unsigned(64),
}
"""TensorProto's numbers of element types: integers and booleans."""
_NARROW: dict[int, Attribute] = {21: unsigned(4), 22: signed(4), 25: unsigned(2), 26: signed(2)}
"""Those of fewer bits than a byte."""
_FLOAT = 1
_REALS = (_FLOAT, 10, 11, 16)
"""FLOAT, FLOAT16, DOUBLE, BFLOAT16: all are f32 here."""


@handles("Cast")
def cast(call: Call) -> SSAValue:
    """To another element type; nothing where it has that type."""
    return _cast(call, call.integer("to", 1))


@handles("CastLike")
def cast_like(call: Call) -> SSAValue:
    """To the element type of the second input."""
    return _cast_to(call, element_type(call.tensor(1)))


@handles("BitCast")
def bit_cast(call: Call) -> SSAValue:
    """The same bits as another type of their width: of integers a cast, of f32 a function."""
    x, to = call.tensor(0), call.integer("to", 1)
    element, target = element_type(x), f32 if to == _FLOAT else _ELEMENTS.get(to)
    if target is None:
        raise Unsupported(f"there is no element type {element_name(to)}", "float32, integers of 8 to 64 bits, or bool")
    if _bits(element) != _bits(target) or to in _REALS[1:]:
        raise Unsupported("the types have another number of bits here", "float32 and integers of 32 bits, or integers")
    if element == target:
        return x
    if isinstance(element, Float32Type):
        bits = call.add(nn.PointwiseOp("bits", [x], layer=call.layer))
        return bits if target == signed(32) else call.add(nn.CastOp(bits, target, layer=call.sub("cast")))
    if isinstance(target, Float32Type):
        bits = x if element == signed(32) else call.add(nn.CastOp(x, signed(32), layer=call.sub("cast")))
        return call.add(nn.PointwiseOp("from_bits", [bits], layer=call.layer))
    return call.add(nn.CastOp(x, target, layer=call.layer))


def _bits(element: Attribute) -> int:
    """The bits that a number takes in memory."""
    return 8 * dtype_of(element).itemsize


def _cast(call: Call, to: int) -> SSAValue:
    target = f32 if to in _REALS else _ELEMENTS.get(to) or _NARROW.get(to)
    if target is None:
        raise Unsupported(f"there is no element type {element_name(to)}", "float32, integers of 2 to 64 bits, or bool")
    return _cast_to(call, target)


def _cast_to(call: Call, target: Attribute) -> SSAValue:
    x = call.tensor(0)
    if element_type(x) == target:
        return x
    if is_float(x) and target in _NARROW.values():
        # `nn.cast` keeps the low bits of integers, as ONNX does here, but not those of reals, where it saturates
        x = call.add(nn.CastOp(x, signed(32), layer=call.sub("whole")))
    return call.add(nn.CastOp(x, target, layer=call.layer))


# --- numbers ----------------------------------------------------------------------------------------------------------


@handles("ConstantOfShape")
def filled(call: Call) -> SSAValue:
    """One number in all places. Where it is small enough it was computed before."""
    shape, value = call.constant(0), call.attribute("value")
    number = np.zeros(1, np.float32) if value is None else np.asarray(value)
    element = element_of(number.dtype)
    if element is None:
        raise Unsupported(f"its numbers are {number.dtype}", "float32, integers or bool")
    return call.add(nn.FillOp(scalar(number), element, [int(size) for size in shape]))
