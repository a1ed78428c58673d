"""Constants that stand for codes: what the quantizing operators make of constants, kept as integers and scales.

Zero points are taken off, so that codes are symmetric; uint8 around 128 becomes int8. Sources: the pages of
QuantizeLinear and DequantizeLinear; of QONNX (Pappalardo et al., "QONNX: Representing Arbitrary-Precision Quantized
Neural Networks", 2022) the operators Quant, BipolarQuant and their rounding modes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import IntegerType

from hapir.dialects.num import SI32, BipolarType, dtype_of, integer_range, signed, unsigned
from hapir.importers.onnx.model import Array, Coded, GraphNode

Reals = npt.NDArray[np.float32]


def _away(x: Reals) -> Reals:
    return np.copysign(np.ceil(np.abs(x)), x)


def _half_away(x: Reals) -> Reals:
    return np.copysign(np.floor(np.abs(x) + np.float32(0.5)), x)


def _half_towards(x: Reals) -> Reals:
    return np.copysign(np.ceil(np.abs(x) - np.float32(0.5)), x)


ROUNDINGS: Mapping[str, Callable[[Reals], Reals]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": _away,
    "DOWN": np.trunc,
    "HALF_UP": _half_away,
    "HALF_DOWN": _half_towards,
}
"""The rounding modes of QONNX; UP and DOWN are away from 0 and towards it, so are HALF_UP and HALF_DOWN of ties."""


def quant_range(bits: int, *, is_signed: bool, narrow: bool) -> tuple[int, int]:
    """The least and the largest integer of a QONNX Quant. A narrow range lacks one: the least, or the largest."""
    if is_signed:
        return -(1 << bits - 1) + narrow, (1 << bits - 1) - 1
    return 0, (1 << bits) - 1 - narrow


def spread(array: Array, shape: Sequence[int], axis: int, block: int) -> Array:
    """A scale or zero point so that it broadcasts over a shape: one, one per index of an axis, or repeated blocks.

    Raises ValueError where it does not fit.
    """
    if array.size == 1:
        return array.reshape(())
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"there is no axis {axis} among {len(shape)}")
    axis %= len(shape)
    if block:
        repeated = np.repeat(array, block, axis) if array.ndim == len(shape) else array
        index = tuple(slice(0, size) for size in shape)
        if array.ndim != len(shape) or repeated[index].shape != tuple(shape):
            raise ValueError(f"blocks of {block} along axis {axis} with scales {array.shape} do not fit {tuple(shape)}")
        return repeated[index]
    if array.ndim != 1 or array.size != shape[axis]:
        raise ValueError(f"scales of shape {array.shape} do not fit axis {axis} of {tuple(shape)}")
    return along_axis(array, axis, len(shape))


def along_axis(values: Array, axis: int, rank: int) -> Array:
    """A vector shaped to broadcast along an axis; one number as it is."""
    flat = values.reshape(-1)
    return flat if flat.size == 1 else flat.reshape([-1 if i == axis else 1 for i in range(rank)])


def centred(array: Array, zero_point: Array) -> tuple[Array, IntegerType]:
    """Integers less their zero point, exactly, and the narrowest type of 8 bits or more that holds them, signed first.

    The zero point broadcasts. Raises ValueError past 17 bits.
    """
    values = array.astype(np.int64) - zero_point.astype(np.int64)
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    for codes in (signed(8), unsigned(8), signed(9), signed(16), signed(17)):
        first, last = integer_range(codes)
        if first <= low and high <= last:
            return values.astype(dtype_of(codes)), codes
    raise ValueError(f"the integers reach from {low} to {high}, weights have up to 16 bits")


def coded(array: Array, bits: int | None, scale: Array, zero_point: Array | None, axis: int) -> Coded | None:
    """Constant codes with one scale or one per index of an axis; None where some scale is not positive."""
    if not (np.isfinite(scale) & (scale > 0)).all() or scale.dtype != np.float32:
        return None
    zeros = np.zeros((), array.dtype) if zero_point is None else zero_point
    if array.dtype == np.int32 and not zeros.any() and scale.size in (1, *array.shape[axis : axis + 1]):
        return Coded(array, SI32, scale.reshape(-1), axis % max(1, array.ndim))  # a bias
    try:
        scales, offsets = spread(scale, array.shape, axis, 0), spread(zeros, array.shape, axis, 0)
        values, codes = centred(array, offsets)
    except ValueError:
        return None
    if bits is not None and not offsets.any():
        codes = (signed if array.dtype.kind == "i" else unsigned)(bits)
        values = array
    return Coded(values, codes, scales.reshape(-1), axis % max(1, array.ndim))


def dequantized(codes: Array, scale: Array, zero_point: Array | None, axis: int, block: int) -> Array:
    """What DequantizeLinear gives: `(codes - zero_point) * scale`, the product in f32. Raises ValueError."""
    centre = codes.astype(np.int64)
    if zero_point is not None:
        centre = centre - spread(zero_point, codes.shape, axis, block).astype(np.int64)
    return centre.astype(np.float32) * spread(scale, codes.shape, axis, block).astype(np.float32)


def quantized(x: Array, scale: Array, zero_point: Array, bounds: tuple[int, int], axis: int, block: int) -> Array:
    """What QuantizeLinear gives: `saturate(round(x / scale) + zero_point)`, the quotient in f32.

    Raises ValueError where scales do not fit, or a quotient is not finite.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        whole = np.rint(x / spread(scale, x.shape, axis, block)).astype(np.float64)
    if not np.isfinite(whole).all():
        raise ValueError("a quotient is not finite")
    return np.clip(whole + spread(zero_point, x.shape, axis, block), *bounds).astype(zero_point.dtype)


def quant(node: GraphNode, x: Array, scale: Array, zero_point: Array, bits: Array) -> tuple[Array, Coded | None] | None:
    """What a QONNX Quant gives for constants, and its codes where their scale is one or one per index of an axis.

    None where the node is of another form.
    """
    rounding = ROUNDINGS.get(str(node.attributes.get("rounding_mode", "ROUND")).upper())
    width = int(bits.reshape(-1)[0]) if bits.size == 1 else 0
    if rounding is None or width < 1 or width != bits.reshape(-1)[0] or width > 24:
        return None
    is_signed, narrow = bool(node.attributes.get("signed", 1)), bool(node.attributes.get("narrow", 0))
    real = x / scale + zero_point
    bipolar = width == 1 and is_signed
    if bipolar:
        whole = np.where(real >= 0, np.float32(1), np.float32(-1))
    else:
        whole = rounding(np.clip(real, *quant_range(width, is_signed=is_signed, narrow=narrow)).astype(np.float32))
    reals = ((whole - zero_point) * scale).astype(np.float32)
    if not np.isfinite(reals).all():
        return None
    codes = BipolarType(width) if bipolar else (signed if is_signed else unsigned)(width)
    return reals, _of_scales(whole - zero_point, codes, np.asarray(scale, np.float32), zero_point, x.shape)


def bipolar_quant(x: Array, scale: Array) -> tuple[Array, Coded | None]:
    """What a QONNX BipolarQuant gives for constants, and its codes."""
    whole = np.where(x >= 0, np.float32(1), np.float32(-1))
    codes = _of_scales(whole, BipolarType(1), np.asarray(scale, np.float32), np.zeros(()), x.shape)
    return (whole * scale).astype(np.float32), codes


def _of_scales(
    whole: Reals, codes: IntegerType | BipolarType, scale: Reals, zero_point: Array, shape: Sequence[int]
) -> Coded | None:
    """Whole numbers as codes, where one axis at most tells the scales apart."""
    axes = [i for i, n in enumerate(scale.shape) if n > 1]
    axis = axes[0] + len(shape) - scale.ndim if axes else 0
    if len(axes) > 1 or not (np.isfinite(scale) & (scale > 0)).all() or not (whole == np.rint(whole)).all():
        return None
    if zero_point.any():
        try:
            values, codes = centred(whole.astype(np.int64), np.zeros((), np.int64))
        except ValueError:
            return None
        return Coded(values, codes, scale.reshape(-1), axis)
    return Coded(whole.astype(dtype_of(codes)), codes, scale.reshape(-1), axis)


def transposed(found: Coded, order: Sequence[int]) -> Coded:
    """The same codes with their axes in another order."""
    axis = list(order).index(found.axis) if found.scales.size > 1 else 0
    return replace(found, codes=np.ascontiguousarray(found.codes.transpose(order)), axis=axis)
