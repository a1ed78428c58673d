"""Arithmetic of the style `integer`: hapir's own numbers, bit for bit, from ONNX's operators on integers and doubles.

Sums of products come from ConvInteger and MatMulInteger on bytes; the weights are unsigned there with the zero point
128, because kernels that multiply unsigned by signed bytes may saturate on CPUs without VNNI. Activations of 16 bits
are two bytes. The right shift of a requantization is a division that is corrected to round down, as the remainder says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn, num
from hapir.dialects.num import (
    AffineType,
    PerChannelType,
    Rounding,
    code_range,
    element_type,
    integer_range,
    is_signed,
    shape_of,
    storage_of,
)
from hapir.exporters.onnx.calls import Call
from hapir.exporters.onnx.proto import Array, element_code
from hapir.exporters.onnx.styles import Unsayable, carried_dtype
from hapir.reference.num import along
from hapir.reference.values import dtype_of

# --- edges ------------------------------------------------------------------------------------------------------------


def quantize(call: Call, op: num.QuantizeOp, name: str) -> None:
    """`clamp(round(x / scale) + zero_point)` in doubles; the quotient alone in f32 where it is `single`."""
    element = element_type(op.result)
    scale, zero_point = _scale(call, op.result), num.zero_point_of(element)
    if op.single is not None:
        ratio = call.cast(call.node("Div", call.x(), call.array("scale", scale, np.float32)), np.float64)
    else:
        ratio = call.node("Div", call.cast(call.x(), np.float64), call.array("scale", scale, np.float64))
    _finish_real(call, ratio, op.rounding.data, zero_point, code_range(element), name)


def dequantize(call: Call) -> None:
    """`scale * (q - zero_point)` in doubles, rounded once."""
    value = call.operand(0)
    zero_point = num.zero_point_of(element_type(value))
    codes = call.cast(call.x(), np.float64)
    if zero_point:
        codes = call.node("Sub", codes, call.array("zero_point", zero_point, np.float64))
    reals = call.node("Mul", codes, call.array("scale", _scale(call, value), np.float64))
    result = call.op.results[0]
    output = call.builder.output(result, f"{call.x()}/reals")
    call.builder.node("Cast", [reals], [output], name=output, at=call.op, to=element_code(np.dtype(np.float32)))
    call.builder.put(result, output)
    call.builder.describe(result, output, np.dtype(np.float32))


def _scale(call: Call, value: SSAValue) -> Array:
    element = element_type(value)
    if isinstance(element, AffineType):
        return np.asarray(element.scale.data)
    if isinstance(element, PerChannelType):
        table = np.asarray(call.builder.weights[element.scales.data], np.float64)
        return along(table, element.axis.data, len(shape_of(value)))
    raise Unsayable(f"{element} has no scale per tensor or channel", "export `Scheduled.decoded`")


def _finish_real(
    call: Call, real: str, rounding: Rounding, zero_point: int, bounds: tuple[int, int], name: str | None = None
) -> None:
    """`clamp(round(real) + zero_point, bounds)` of doubles as the op's result."""
    whole = _round_real(call, real, rounding)
    if zero_point:
        whole = call.node("Add", whole, call.array("zero_point", zero_point, np.float64))
    ends = (call.array(end, bound, np.float64) for end, bound in zip(("low", "high"), bounds, strict=True))
    _finish_codes(call, call.node("Clip", whole, *ends), name)


def _finish_codes(call: Call, codes: str, name: str | None = None) -> None:
    """Whole numbers within the range as the op's result."""
    result = call.op.results[0]
    dtype = carried_dtype(element_type(result))
    output = call.builder.output(result, name or call.layer)
    stem = f"{call.layer}/cast"
    call.builder.node("Cast", [codes], [output], name=stem, at=call.op, to=element_code(dtype))
    call.builder.put(result, output)
    call.builder.describe(result, output, dtype)


def _round_real(call: Call, real: str, rounding: Rounding) -> str:
    """Doubles to whole doubles: what `hapir.reference.num.round_real` computes."""
    if rounding in (Rounding.half_even, Rounding.floor):
        return call.node("Round" if rounding == Rounding.half_even else "Floor", real)
    half = call.array("half", 0.5, np.float64)
    magnitude = call.node("Abs", real)
    below = call.node("Floor", magnitude)
    fraction = call.node("Sub", magnitude, below)
    out = call.node("GreaterOrEqual", fraction, half)
    if rounding == Rounding.half_up:  # a tie goes out only above 0
        positive = call.node("Greater", real, call.array("zero", 0, np.float64))
        out = call.node("Or", call.node("Greater", fraction, half), call.node("And", out, positive))
    rounded = call.node("Add", below, call.cast(out, np.float64))
    return call.node("Mul", call.node("Sign", real), rounded)


# --- accumulators -----------------------------------------------------------------------------------------------------


def widen(call: Call, op: num.WidenOp) -> None:
    """`(q - zero_point) * multiplier` in int32."""
    shifted = call.cast(call.x(), np.int32)
    zero_point = num.zero_point_of(element_type(op.q))
    if zero_point:
        shifted = call.node("Sub", shifted, call.array("zero_point", zero_point, np.int32))
    put_sums(call, call.node("Mul", shifted, call.array("multiplier", op.multiplier.value.data, np.int32)))


def put_sums(call: Call, sums: str) -> None:
    """The op's result is this accumulator."""
    call.builder.put(call.op.results[0], sums)


def requantize(call: Call, op: num.RequantizeOp | num.RescaleOp) -> None:
    """`clamp(round(acc * factor) + zero_point, bounds)`: on int64 by multiplier and shift, on doubles by a scale."""
    rank, bounds = len(shape_of(op.acc)), (op.low.value.data, op.high.value.data)
    zero_point = num.zero_point_of(element_type(op.result))

    def channels(index: int, dtype: Any) -> Array:
        stored = call.stored(index)
        return (along(stored, 1, rank) if rank > 1 else stored).astype(dtype)

    if isinstance(op, num.RescaleOp):
        real = np.float64 if op.single is None else np.float32
        product = call.node("Mul", call.cast(call.x(), real), call.array("scale", channels(1, real)))
        if op.single is not None:
            product = call.cast(product, np.float64)
        _finish_real(call, product, op.rounding.data, zero_point, bounds)
        return
    multiplier, shift = channels(1, np.int64), channels(2, np.int64)
    product = call.node("Mul", call.cast(call.x(), np.int64), call.array("multiplier", multiplier))
    rounded = _shift_right(call, product, shift, op.rounding.data)
    ends = [call.array(end, bound - zero_point) for end, bound in zip(("low", "high"), bounds, strict=True)]
    codes = call.node("Clip", rounded, *ends)
    if zero_point:
        codes = call.node("Add", codes, call.array("zero_point", zero_point))
    _finish_codes(call, codes)


def _shift_right(call: Call, product: str, shift: Array, rounding: Rounding) -> str:
    """`round(product / 2^shift)` of int64: what `hapir.reference.num.shift_right` computes.

    ONNX's Div rounds to zero; a negative remainder says that the quotient is one too high.
    """
    divisor, zero = call.array("divisor", np.int64(1) << shift), call.array("zero", 0)
    quotient = call.node("Div", product, divisor)
    rest = call.node("Sub", product, call.node("Mul", quotient, divisor))
    negative = call.cast(call.node("Less", rest, zero), np.int64)
    below = call.node("Sub", quotient, negative)
    if rounding == Rounding.floor:
        return below
    remainder = call.node("Add", rest, call.node("Mul", negative, divisor))
    # a shift by 0 leaves no remainder, which stays below its half of 1
    half = call.array("half", np.int64(1) << np.maximum(shift - 1, 0))
    up = call.node("GreaterOrEqual", remainder, half)
    if rounding != Rounding.half_up:
        if rounding == Rounding.half_even:
            one, two = call.array("one", 1), call.array("two", 2)
            tie_goes_up = call.node("Equal", call.node("Mod", below, two), one)
        else:
            tie_goes_up = call.node("Greater", product, zero)
        up = call.node("Or", call.node("Greater", remainder, half), call.node("And", up, tie_goes_up))
    return call.node("Add", below, call.cast(up, np.int64))


def threshold(call: Call, op: num.ThresholdOp, sums: str, element: AffineType) -> None:
    """`low + step * count`, the count over thresholds as a last axis that is summed away; exact."""
    table, flips, rank = call.stored(1), call.stored(2), len(shape_of(op.acc))
    axis = min(1, rank - 1)
    rows = [len(table) if i == axis else 1 for i in range(rank)]
    wide = call.node("Unsqueeze", call.cast(sums, np.int32), call.array("last", [rank]))
    levels = call.array("thresholds", table.reshape(*rows, op.levels), np.int32)
    reached = call.cast(call.node("GreaterOrEqual", wide, levels), np.int32)
    count = call.node("ReduceSum", reached, call.array("last", [rank]), keepdims=0)
    # where a channel flips, L - n counts: the same as step * -n from low + step * L
    signs = np.where(flips != 0, -op.step, op.step).reshape(rows)
    starts = np.where(flips != 0, op.low.value.data + op.step * op.levels, op.low.value.data).reshape(rows)
    scaled = call.node("Mul", count, call.array("steps", signs, np.int32))
    _finish_codes(call, call.node("Add", scaled, call.array("starts", starts, np.int32)))


# --- sums of products -------------------------------------------------------------------------------------------------


def product(call: Call, op: nn.ProductOp, attributes: dict[str, Any] | None) -> None:
    """A convolution, or without attributes a dense layer, of codes: its sums with the bias, as int32."""
    storage = storage_of(element_type(op.w))
    assert storage is not None
    if storage.width.data > 8:
        raise Unsayable(f"its weights are {storage}, and ONNX's integer products take bytes", "use the style `qdq`")
    lowest = -128 if is_signed(storage) else 0
    weights = (call.stored(1).astype(np.int16) - lowest).astype(np.uint8)
    sums = _sums(call, op.x, weights, -lowest, attributes)
    if op.bias is not None:
        bias = call.stored(2)
        if attributes is not None:
            bias = along(bias, 1, len(shape_of(op.x)))
        sums = call.node("Add", sums, call.array("bias", bias))
    put_sums(call, sums)


def sum_pool(call: Call, op: nn.SumPoolOp, attributes: dict[str, Any]) -> None:
    """Sums over windows: a convolution of each channel with ones."""
    channels = shape_of(op.x)[1]
    ones = np.ones((channels, 1, *attributes["kernel_shape"]), np.uint8)
    put_sums(call, _sums(call, op.x, ones, 0, {**attributes, "group": channels}))


def _sums(call: Call, x: SSAValue, weights: Array, weight_zero: int, attributes: dict[str, Any] | None) -> str:
    """Sums of `(x - its zero point) * (weights - weight_zero)` in int32; weights are bytes."""
    element = element_type(x)
    assert isinstance(element, AffineType)
    zero_point = element.zero_point.data
    matrix = attributes is None
    w = call.builder.array(f"{call.layer}/weight", weights.T if matrix else weights)
    kind, options = ("MatMulInteger", {}) if matrix else ("ConvInteger", attributes or {})
    w_zero = call.array("weight_zero_point", weight_zero, np.uint8)
    dtype = dtype_of(element)

    def one(codes: str, zero: int, dtype: Any) -> str:
        return call.node(kind, codes, w, call.array("zero_point", zero, dtype), w_zero, **options)

    if dtype.itemsize == 1:
        return one(call.x(), zero_point, dtype)
    lowest = integer_range(element.storage)[0]
    base = call.array("base", 256, np.int32)
    codes = call.node("Sub", call.cast(call.x(), np.int32), call.array("lowest", lowest, np.int32))
    high = call.cast(call.node("Div", codes, base), np.uint8)
    low = call.cast(call.node("Mod", codes, base), np.uint8)
    upper, lower = divmod(zero_point - lowest, 256)
    # the upper half alone may leave int32, the sum of both does not
    shifted = call.node("Mul", call.cast(one(high, upper, np.uint8), np.int64), call.array("base", 256))
    return call.cast(call.node("Add", shifted, call.cast(one(low, lower, np.uint8), np.int64)), np.int32)
