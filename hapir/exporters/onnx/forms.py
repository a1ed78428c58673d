"""Codes and reals as forms of one another: the nodes between what carries a value and what a reader asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from xdsl.ir import Operation, SSAValue

from hapir.dialects.num import AffineType, PerChannelType, dtype_of, element_type, shape_of
from hapir.exporters.onnx.proto import Array, element_code
from hapir.exporters.onnx.styles import Unit, Unsayable, carried_dtype
from hapir.lowering.network_edits import key_stem
from hapir.reference.num import along

if TYPE_CHECKING:
    from hapir.exporters.onnx.builder import Builder

WIDE_OPSET = 21
"""The first with 16 bit and 4 bit codes in QuantizeLinear and DequantizeLinear."""


def codes_of(builder: Builder, value: SSAValue) -> str:
    """The integers of a value that is no f32."""
    if value in builder.units:
        return builder.once(value, "codes", lambda: _rounded_sums(builder, value))
    if builder.carried_as_reals(value):
        return builder.once(value, "codes", lambda: _codes_of_reals(builder, value))
    return builder.carrier(value)


def reals_of(builder: Builder, value: SSAValue) -> str:
    """The reals that a value stands for; of an accumulator, those of its unit."""
    if builder.carried_as_reals(value):
        return builder.carrier(value)
    return builder.once(value, "reals", lambda: dequantized(builder, value, None))


def _rounded_sums(builder: Builder, value: SSAValue) -> str:
    """An accumulator that reals carry, as si32."""
    reals, unit, stem = reals_of(builder, value), builder.units[value], _stem(builder, value)
    if not np.array_equal(unit, np.ones(())):
        reals = _node(builder, value, "Div", stem, reals, along_channels(builder, value, unit, f"{stem}/unit"))
    rounded = _node(builder, value, "Round", stem, reals)
    return _node(builder, value, "Cast", stem, rounded, to=element_code(np.dtype(np.int32)))


def _codes_of_reals(builder: Builder, value: SSAValue) -> str:
    element, stem = element_type(value), _stem(builder, value)
    assert isinstance(element, AffineType)
    scale = builder.array(f"{stem}/scale", np.asarray(element.scale.data, np.float32))
    zero_point = builder.array(f"{stem}/zero_point", np.asarray(element.zero_point.data, np.float32))
    reals = _node(builder, value, "Div", stem, builder.carrier(value), scale)
    rounded = _node(builder, value, "Add", stem, _node(builder, value, "Round", stem, reals), zero_point)
    return _node(builder, value, "Cast", stem, rounded, to=element_code(carried_dtype(element)))


def reals_of_codes(builder: Builder, value: SSAValue) -> str:
    """The reals of codes that an input of the network holds, in `qonnx`."""
    element, codes = element_type(value), codes_of(builder, value)
    assert isinstance(element, AffineType)
    return shifted_and_scaled(builder, value, codes, element)


def shifted_and_scaled(builder: Builder, value: SSAValue, codes: str, element: AffineType) -> str:
    """`(codes - zero_point) * scale` of integers of any width."""
    stem = f"{codes}/reals"
    zero_point = builder.array(f"{stem}/zero_point", np.asarray(element.zero_point.data, np.float32))
    scale = builder.array(f"{stem}/scale", np.asarray(element.scale.data, np.float32))
    reals = _node(builder, value, "Cast", stem, codes, to=element_code(np.dtype(np.float32)))
    return _node(builder, value, "Mul", stem, _node(builder, value, "Sub", stem, reals, zero_point), scale)


def dequantized(builder: Builder, value: SSAValue, result: SSAValue | None) -> str:
    """DequantizeLinear of codes that are affine or scaled per channel; `result` is what it is named after."""
    element, stem = element_type(value), builder.carrier(value)
    if isinstance(element, AffineType):
        scale, zero_point, axis = np.asarray(element.scale.data), element.zero_point.data, None
    elif isinstance(element, PerChannelType):
        table = builder.weights[element.scales.data]
        scale, zero_point, axis = table.astype(np.float64), 0, element.axis.data
    else:
        raise Unsayable(f"{element} has no scale that DequantizeLinear takes", "export `Scheduled.decoded`")
    return dequantize_linear(builder, stem, stem, scale, zero_point, dtype_of(element), axis, result=result)


def dequantize_linear(
    builder: Builder,
    codes: str,
    stem: str,
    scale: Array,
    zero_point: int,
    dtype: np.dtype[Any],
    axis: int | None = None,
    at: Operation | None = None,
    result: SSAValue | None = None,
) -> str:
    """A DequantizeLinear node; the scale is a number or one per index of an axis, `result` what is named after it.

    Raises Unsayable for wide codes.
    """
    need_width(builder, dtype)
    names = [codes, builder.array(f"{stem}/scale", scale.astype(np.float32))]
    if dtype != np.int32:  # the zero point of int32 is 0 and left out
        names.append(builder.array(f"{stem}/zero_point", np.full(scale.shape, zero_point, dtype)))
    output = builder.unused(f"{stem}/reals") if result is None else builder.output(result, f"{stem}/reals")
    axis = axis if scale.ndim else None
    builder.node("DequantizeLinear", names, [output], name=f"{stem}/dequantize", at=at, axis=axis)
    return output


def need_width(builder: Builder, dtype: np.dtype[Any]) -> None:
    """Raise Unsayable for codes that this opset has not got."""
    if dtype.itemsize == 2 and builder.opset < WIDE_OPSET:
        reason = f"codes of 16 bits need opset {WIDE_OPSET}, this is {builder.opset}"
        raise Unsayable(reason, f"ask for `--opset {WIDE_OPSET}`, or quantize to 8 bits")


def _node(builder: Builder, value: SSAValue, kind: str, stem: str, *inputs: str, **attributes: Any) -> str:
    owner = value.owner if isinstance(value.owner, Operation) else None
    output = builder.unused(f"{stem}/{kind.lower()}")
    builder.node(kind, inputs, [output], name=output, at=owner, **attributes)
    return output


def _stem(builder: Builder, value: SSAValue) -> str:
    owner = value.owner
    return key_stem(owner) if isinstance(owner, Operation) else builder.carrier(value)


def along_channels(builder: Builder, value: SSAValue, numbers: Unit, name: str) -> str:
    """A number, or one per index of a value's axis 1, as an array of f32 that broadcasts."""
    rank = len(shape_of(value))
    return builder.array(name, (along(numbers, 1, rank) if numbers.ndim else numbers).astype(np.float32))
