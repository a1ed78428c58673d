"""The ops of `num` as nodes.

`qdq` says codes by QuantizeLinear and DequantizeLinear, `qonnx` by Quant. A quantizer of fewer codes than its type
holds is preceded by a Clip. Rounding is half even, as in ONNX, also for Quant: others read its mode ROUND alone. Only
`floor`, which differs by more than ties, is said by a Floor, or by the mode FLOOR. `integer` computes on integers and
doubles, see `exact`.
"""

from __future__ import annotations

import numpy as np
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import num
from hapir.dialects.num import (
    AffineType,
    BipolarType,
    Rounding,
    TernaryType,
    code_bits,
    code_range,
    element_type,
    is_signed,
    storage_of,
)
from hapir.exporters.onnx import exact
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.forms import (
    along_channels,
    codes_of,
    dequantize_linear,
    dequantized,
    need_width,
    reals_of,
    shifted_and_scaled,
)
from hapir.exporters.onnx.proto import Array
from hapir.exporters.onnx.styles import QONNX, Style, Unit, Unsayable, carried_dtype
from hapir.exporters.onnx.units import plain, rescaling, scale_of
from hapir.reference.values import dtype_of

BIASES = 24
"""Bits of integers that f32, and so Quant, holds."""

# --- quantizers -------------------------------------------------------------------------------------------------------


def quantize_to(call: Call, reals: str, bounds: tuple[int, int], rounding: Rounding, name: str | None = None) -> None:
    """The op's result as codes of reals, in the styles `qdq` and `qonnx`; `name` is what the codes are called."""
    result = call.op.results[0]
    element = element_type(result)
    if not isinstance(element, AffineType):
        raise Unsayable(f"it quantizes to {element}, and activations have one scale in ONNX")
    if isinstance(element.codes, BipolarType):
        raise Unsayable(f"{element.codes} has odd numbers only, and ONNX rounds to all", "call threshold() for these")
    reals = _clipped(call, reals, element, bounds)
    output = call.builder.output(result, name or call.result_name(result))
    if call.style == Style.QONNX:
        _quant(call, reals, output, element, rounding)
    else:
        _quantize_linear(call, reals, output, element, rounding)
    call.builder.put(result, output)
    reals_carry = call.builder.carried_as_reals(result)
    call.builder.describe(result, output, np.dtype(np.float32) if reals_carry else carried_dtype(element))


def _clipped(call: Call, reals: str, element: AffineType, bounds: tuple[int, int]) -> str:
    """Reals within the bounds of codes, where the type that holds the codes does not see to it."""
    first, last = _held(call, element)
    scale, zero_point = element.scale.data, element.zero_point.data
    low, high = ((bound - zero_point) * scale for bound in bounds)
    need_low, need_high = bounds[0] > first, bounds[1] < last
    if need_low and low == 0 and not need_high:
        return call.node("Relu", reals)
    if not (need_low or need_high):
        return reals
    ends = [call.array(end, value, np.float32) if need else ""
            for end, value, need in (("low", low, need_low), ("high", high, need_high))]  # fmt: skip
    return call.node("Clip", reals, *(ends if need_high else ends[:1]))


def _held(call: Call, element: AffineType) -> tuple[int, int]:
    """The codes that a quantizer node saturates to by itself."""
    if call.style == Style.QONNX:
        return code_range(element)
    limits = np.iinfo(dtype_of(element))
    return int(limits.min), int(limits.max)


def _quantize_linear(call: Call, reals: str, output: str, element: AffineType, rounding: Rounding) -> None:
    dtype = dtype_of(element)
    need_width(call.builder, dtype)
    scale = call.array("scale", element.scale.data, np.float32)
    if rounding == Rounding.floor:
        reals = call.node("Mul", call.node("Floor", call.node("Div", reals, scale)), scale)
    zero_point = call.array("zero_point", element.zero_point.data, dtype)
    name = f"{call.layer}/quantize"
    call.builder.node("QuantizeLinear", [reals, scale, zero_point], [output], name=name, at=call.op)


def _quant(call: Call, reals: str, output: str, element: AffineType, rounding: Rounding) -> None:
    scale = np.asarray(element.scale.data)
    quant(call, f"{call.layer}/quant", reals, output, scale, element, rounding)


def quant(
    call: Call,
    name: str,
    reals: str,
    output: str,
    scale: Array,
    element: Attribute,
    rounding: Rounding = Rounding.half_even,
    bits: int | None = None,
) -> None:
    """The node of QONNX that makes codes of an element type of reals, under a scale that broadcasts.

    `bits` are those that the codes take, where that is known to be less than the type has.

    Ternary codes are 2 bits without the lowest number. Bipolar codes of one bit are BipolarQuant; more bits are the
    numbers `2c - (2^W - 1)`, so unsigned codes c under twice the scale and a zero point between two of them.
    """
    codes, storage = num.codes_of(element), storage_of(element)
    assert storage is not None
    zero_point = float(num.zero_point_of(element))
    bits, signed = bits or code_bits(element), int(is_signed(storage))
    if isinstance(codes, BipolarType):
        if bits == 1:
            factor = call.builder.array(f"{name}/scale", scale.astype(np.float32))
            call.builder.node("BipolarQuant", [reals, factor], [output], name=name, domain=QONNX, at=call.op)
            return
        scale, zero_point, signed = 2 * scale, (2**bits - 1) / 2, 0
    values = (("scale", scale), ("zero_point", zero_point), ("bits", bits))
    parameters = [call.builder.array(f"{name}/{suffix}", np.asarray(v, np.float32)) for suffix, v in values]
    attributes = {
        "signed": signed,
        "narrow": int(isinstance(codes, TernaryType)),
        "rounding_mode": "FLOOR" if rounding == Rounding.floor else "ROUND",
    }
    call.builder.node("Quant", [reals, *parameters], [output], name=name, domain=QONNX, at=call.op, **attributes)


# --- the ops ----------------------------------------------------------------------------------------------------------


@writes(num.QuantizeOp)
def quantize(call: Call) -> None:
    op = call.op
    assert isinstance(op, num.QuantizeOp)
    element, name = element_type(op.result), f"{call.x()}/codes"
    if call.style == Style.INTEGER:
        exact.quantize(call, op, name)
    else:
        quantize_to(call, call.x(), code_range(element), op.rounding.data, name)


@writes(num.DequantizeOp)
def dequantize(call: Call) -> None:
    if call.style == Style.INTEGER:
        exact.dequantize(call)
    else:
        builder, value, result = call.builder, call.operand(0), call.op.results[0]
        if builder.carried_as_reals(value):
            call.alias(builder.carrier(value))
        else:
            call.alias(builder.once(value, "reals", lambda: dequantized(builder, value, result)))


@writes(num.WidenOp)
def widen(call: Call) -> None:
    op = call.op
    assert isinstance(op, num.WidenOp)
    if call.style == Style.INTEGER:
        exact.widen(call, op)
        return
    unit, factor = call.builder.units[op.result], op.multiplier.value.data
    put_sums(call, rescaled_reals(call, op.q, unit * factor))


def rescaled_reals(call: Call, value: SSAValue, scale: Unit) -> str:
    """The reals of affine codes if their scale were another: a number, or one per index of axis 1.

    A scale per channel is a factor behind DequantizeLinear: runtimes fuse pools and sums with scales that are numbers.
    """
    element = element_type(value)
    assert isinstance(element, AffineType)
    builder, wanted = call.builder, scale.astype(np.float32)
    if np.array_equal(wanted, np.float32(element.scale.data)):
        return reals_of(builder, value)
    if call.style != Style.QONNX and not scale.ndim:
        stem, zero_point = f"{call.layer}/{builder.carrier(value)}", element.zero_point.data
        dtype = dtype_of(element)
        return dequantize_linear(builder, builder.carrier(value), stem, scale, zero_point, dtype, at=call.op)
    ratio = along_channels(builder, value, scale / element.scale.data, f"{call.layer}/ratio")
    return call.node("Mul", reals_of(builder, value), ratio)


def put_sums(call: Call, reals: str) -> None:
    """The op's result is an accumulator that these reals carry."""
    result = call.op.results[0]
    call.builder.once(result, "reals", lambda: reals)


@writes(num.RequantizeOp, num.RescaleOp)
def requantize(call: Call) -> None:
    op = call.op
    assert isinstance(op, num.RequantizeOp | num.RescaleOp)
    bounds = op.low.value.data, op.high.value.data
    if call.style == Style.INTEGER:
        exact.requantize(call, op)
        return
    wanted = rescaling(op, call.builder.weights)
    if wanted is None:
        raise Unsayable("its multiplier is computed, and must be an array")
    unit = call.builder.units.get(op.acc)
    if unit is None:  # integers that are no accumulator
        reals = call.cast(call.x(), np.float32)
        unit = np.ones(())
    else:
        reals = reals_of(call.builder, op.acc)
    if not np.array_equal(unit, wanted):
        ratio = plain(np.asarray(wanted / unit))
        reals = call.node("Mul", reals, along_channels(call.builder, op.acc, ratio, f"{call.layer}/ratio"))
    quantize_to(call, reals, bounds, op.rounding.data)


@writes(num.ThresholdOp)
def threshold(call: Call) -> None:
    op = call.op
    assert isinstance(op, num.ThresholdOp)
    element = element_type(op.result)
    assert isinstance(element, AffineType)
    if call.style == Style.QONNX:
        _multi_threshold(call, op, element)
    else:
        exact.threshold(call, op, codes_of(call.builder, op.acc), element)


def _multi_threshold(call: Call, op: num.ThresholdOp, element: AffineType) -> None:
    """QONNX's MultiThreshold, `out_scale * count + out_bias`; a flipped channel counts `-acc >= 1 - t`."""
    table, flips = call.stored(1).astype(np.float32), call.stored(2) != 0
    sums = call.cast(codes_of(call.builder, op.acc), np.float32)
    if flips.any():
        channels = 1 if len(call.shape()) < 2 else call.shape()[1]
        signs = np.where(np.broadcast_to(flips, (channels,)), -1, 1)
        sums = call.node("Mul", sums, along_channels(call.builder, op.acc, signs, f"{call.layer}/signs"))
        table = np.where(np.broadcast_to(flips, (channels,))[:, None], 1 - table[:, ::-1], table).astype(np.float32)
    scale = element.scale.data
    call.give(
        "MultiThreshold",
        sums,
        call.builder.array(f"{call.layer}/thresholds", table),
        domain=QONNX,
        out_scale=float(op.step * scale),
        out_bias=float((op.low.value.data - element.zero_point.data) * scale),
        out_dtype="FLOAT32",
        data_layout="NCHW" if len(call.shape()) == 4 else "NC" if len(call.shape()) == 2 else None,
    )


@writes(num.ViewOp)
def view(call: Call) -> None:
    op, builder = call.op, call.builder
    assert isinstance(op, num.ViewOp)
    unit, wanted = builder.units.get(op.x), scale_of(op.result, builder.weights)
    same = unit is not None and wanted is not None and np.array_equal(unit, wanted)
    if builder.carried_as_reals(op.result):
        call.alias(reals_of(builder, op.x) if same else _read_as(call, op.x, op.result))
        return
    builder.put_later(op.result, lambda: codes_of(builder, op.x))
    if same:
        builder.once(op.result, "reals", lambda: reals_of(builder, op.x))


def _read_as(call: Call, before: SSAValue, after: SSAValue) -> str:
    """The reals of the same integers under another affine type, in `qonnx`."""
    element = element_type(after)
    assert isinstance(element, AffineType)
    return shifted_and_scaled(call.builder, after, codes_of(call.builder, before), element)
