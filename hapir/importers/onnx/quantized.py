"""What handlers of quantized operators share: integers read as codes, weights with their zero point taken off, sums
that become codes as onnxruntime does it.

Invariant: a value of an ONNX integer tensor is of plain integers. Codes with their scale are views of them, and a view
of a view is the value behind both, so between two quantized operators nothing is left of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import FloatData, IntAttr, IntegerType, StringAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import nn, num
from hapir.dialects.num import (
    SI32,
    AffineType,
    PerChannelType,
    code_range,
    dtype_of,
    element_type,
    is_float,
    shape_of,
    signed,
    unsigned,
)
from hapir.importers.onnx.codes import along_axis, centred
from hapir.importers.onnx.nodes import Call, Unsupported

Reals = npt.NDArray[np.float32]


def codes_of(element: Attribute) -> IntegerType:
    """An element type as a set of codes. Raises Unsupported where it is none."""
    storage = num.storage_of(element)
    if storage is None or storage != element:
        raise Unsupported(f"codes are integers, not {element}", "uint8, int8, uint16, int16, uint4 or int4")
    return storage


def single_number(call: Call, index: int, what: str) -> float | int:
    """The one number of a constant input."""
    array = call.constant(index)
    if array.size != 1:
        raise Unsupported(f"the {what} has shape {array.shape}", "one number for the whole tensor")
    return array.reshape(()).item()


def affine(codes: IntegerType, scale: float, zero_point: int) -> AffineType:
    """Codes of a scale. Raises Unsupported where it is not positive."""
    if not (np.isfinite(scale) and scale > 0):
        raise Unsupported(f"the scale is {scale}", "a positive scale")
    return AffineType(codes, FloatData(float(scale)), IntAttr(zero_point))


def grid(call: Call, scale: int, zero_point: int, codes: IntegerType | None = None) -> AffineType:
    """The type that a constant scale and zero point at these inputs say; without a zero point it is 0 of `codes`."""
    offset = int(single_number(call, zero_point, "zero point")) if call.has(zero_point) else 0
    found = codes_of(call.element(zero_point)) if call.has(zero_point) else codes or unsigned(8)
    return affine(found, float(single_number(call, scale, "scale")), offset)


def as_codes(call: Call, value: SSAValue, element: AffineType, name: str = "codes") -> SSAValue:
    """Plain integers read as codes."""
    owner = value.owner
    if isinstance(owner, num.ViewOp) and element_type(owner.x) == element:
        return owner.x
    return call.add(num.ViewOp(value, element, call.sub(name)))


def as_integers(call: Call, value: SSAValue) -> SSAValue:
    """Codes read as plain integers."""
    element = element_type(value)
    assert isinstance(element, AffineType)
    return call.add(num.ViewOp(value, element.storage, call.sub("integers")))


def narrowed(codes: IntegerType, original: Attribute) -> IntegerType:
    """The type of weights that had no zero point: their own where it is narrower than a byte."""
    own = codes_of(original)
    return own if own.width.data < 8 else codes


def weight_codes(
    call: Call, index: int, scales: Reals, zero_point: int, *, columns: bool = False, taps: bool = False
) -> SSAValue:
    """The weights at an input, as the parameter `weight` of the node's layer or as the value that gives them.

    Scales (one, or one per output channel) become part of the type. `columns`: the matrix holds a filter per column;
    `taps`: it becomes filters of one tap.
    """
    if not call.is_constant(index):
        return _given_codes(call, index, scales, zero_point, columns=columns)
    array = call.constant(index)
    zeros = call.constant(zero_point) if call.has(zero_point) else np.zeros(1, array.dtype)
    filters = array.ndim - 1 if columns else 0
    values, codes = centred(array, along_axis(zeros, filters, array.ndim))
    if not zeros.any():
        codes = narrowed(codes, call.element(index))
    values = np.ascontiguousarray(values.T if columns else values).astype(dtype_of(codes))
    values = values[:, :, None] if taps else values
    return call.parameter("weight", values, _scaled(call, codes, scales))


def _scaled(call: Call, codes: IntegerType, scales: Reals) -> Attribute:
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise Unsupported("the scales of the weights are not all positive", "positive scales")
    if scales.size == 1:
        return affine(codes, float(scales.reshape(-1)[0]), 0)
    key = call.table("weight.scale", scales.reshape(-1).astype(np.float32))
    return PerChannelType(codes, IntAttr(0), StringAttr(key))


def _given_codes(call: Call, index: int, scales: Reals, zero_point: int, *, columns: bool) -> SSAValue:
    """Weights that are computed or an input: less a constant zero point, of one scale."""
    if scales.size != 1:
        raise Unsupported(f"the weights are no constant and have {scales.size} scales", "one scale, or an initializer")
    value, scale = call.tensor(index), float(scales.reshape(-1)[0])
    zeros = call.constant(zero_point) if call.has(zero_point) else np.zeros(1, np.int8)
    if not zeros.any():
        return as_codes(call, value, affine(codes_of(element_type(value)), scale, 0), "weights")
    rank = len(shape_of(value))
    wider = signed(codes_of(element_type(value)).width.data + 1)
    offsets = along_axis(zeros, rank - 1 if columns else 0, rank).astype(dtype_of(wider))
    wide = call.add(nn.CastOp(value, wider, layer=call.sub("weights")))
    zero = call.parameter("weight_zero", offsets if offsets.size > 1 else offsets.reshape(()), wider)
    around = call.add(nn.PointwiseOp("wrapping_sub", [wide, zero], layer=call.sub("centred")))
    return as_codes(call, around, affine(wider, scale, 0), "weight_codes")


def bias_sums(call: Call, index: int, features: int | None = None) -> SSAValue | None:
    """The bias at an input, in steps of the sums; None where there is none. One number serves all `features`."""
    if not call.has(index):
        return None
    if not call.is_constant(index):
        return call.tensor(index)
    given = call.constant(index)
    if any(size != 1 for size in given.shape[:-1]):
        raise Unsupported("the bias differs from row to row", "one number per column")
    array = given.astype(np.int32).reshape(-1)
    if array.size == 1 and features is not None:
        array = np.repeat(array, features)
    return call.parameter("bias", array, SI32)


def ratios_of(x_scale: float, w_scales: Reals, y_scale: float) -> Reals:
    """What a step of the sums is in steps of the result: `x * w / y` in f32 from left to right, as onnxruntime does."""
    return np.float32(x_scale) * w_scales.reshape(-1).astype(np.float32) / np.float32(y_scale)


def rescaled(
    call: Call, sums: SSAValue, ratios: Reals, element: AffineType, bounds: tuple[int, int] | None = None
) -> SSAValue:
    """Sums in si32 as codes: `clamp(round(f32(sum) * ratio) + zero_point)`; the ratios are one, or one per channel.

    Channels lie along axis 1. Ratios of several axes, as those of the columns of stacked matrices, and of the elements
    of a vector scale step by step with the same result.
    """
    shape = shape_of(sums)
    low, high = bounds or code_range(element)
    if ratios.size == 1 or (ratios.ndim == 1 and len(shape) > 1):
        layer = call.sub("q")
        ratio = call.parameter("ratio", ratios.reshape(-1), f32, layer=layer)
        result, half_even = TensorType(element, shape), num.Rounding.half_even
        return call.add(
            num.RescaleOp(sums, ratio, result, rounding=half_even, low=low, high=high, layer=layer, single=True)
        )
    real = call.add(nn.CastOp(sums, f32, layer=call.sub("real")))
    factor = call.parameter("ratio", ratios)
    product = call.add(nn.MulOp(real, factor, layer=call.sub("scaled")))
    zero_point = call.parameter("zero_point", np.array(element.zero_point.data, np.float32))
    return as_codes(call, to_integers(call, product, zero_point, element.storage), element)


def to_integers(call: Call, quotient: SSAValue, zero_point: SSAValue | None, codes: IntegerType) -> SSAValue:
    """`saturate(round(quotient) + zero_point)` by functions of elements; the zero point is f32 and broadcasts."""
    whole = call.add(nn.PointwiseOp("round", [quotient], layer=call.sub("rounded")))
    if zero_point is not None:
        whole = call.add(nn.AddOp(whole, zero_point, layer=call.sub("shifted")))
    return call.add(nn.CastOp(whole, codes, layer=call.layer))


def centred_input(call: Call, index: int, zero_point: int, scale: float = 1.0) -> SSAValue:
    """An input of plain integers as codes around its zero point, which may be computed."""
    value = call.tensor(index)
    codes = codes_of(element_type(value))
    if not call.has(zero_point) or call.is_constant(zero_point):
        offset = int(single_number(call, zero_point, "zero point")) if call.has(zero_point) else 0
        return as_codes(call, value, affine(codes, scale, offset), "codes")
    wider = signed(codes.width.data + 1)
    return as_codes(call, less(call, index, zero_point, wider), affine(wider, scale, 0), "codes")


def less(call: Call, index: int, zero_point: int, wide: IntegerType) -> SSAValue:
    """An input of plain integers less its zero point, in wider integers."""
    name = f"input{index}"
    value = call.add(nn.CastOp(call.tensor(index), wide, layer=call.sub(f"{name}_wide")))
    if not call.has(zero_point):
        return value
    offset = call.add(nn.CastOp(call.tensor(zero_point), wide, layer=call.sub(f"{name}_zero")))
    return call.add(nn.PointwiseOp("wrapping_sub", [value, offset], layer=call.sub(f"{name}_centred")))


def dequantized(call: Call, index: int, scale: int, zero_point: int) -> SSAValue:
    """The reals of an input of codes with one constant scale."""
    value = call.tensor(index)
    if is_float(value):
        raise Unsupported("it reads reals as codes", "integers")
    element = grid(call, scale, zero_point, codes_of(element_type(value)))
    codes = as_codes(call, value, element, f"codes{index}")
    return call.add(num.DequantizeOp(codes, call.sub(f"real{index}")))


def quantized(call: Call, x: SSAValue, element: AffineType, layer: str | None = None) -> SSAValue:
    """Reals as plain integers: the codes of a type."""
    op = num.QuantizeOp(x, TensorType(element, shape_of(x)), layer=layer or call.layer, single=True)
    return as_integers(call, call.add(op))
