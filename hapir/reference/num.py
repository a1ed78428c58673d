"""What the conversions of `num` compute.

Reals are scaled in f64: a scale is a double, and a quantizer that computed in f32 would place ties differently. One
that says `single` does compute in f32, as the runtimes do that networks from outside were quantized for.
Requantization is integers only, so every witness can repeat it bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xdsl.ir import Attribute, Operation

from hapir.diagnostics import fail
from hapir.dialects import num
from hapir.dialects.num import (
    AffineType,
    CodebookType,
    PerChannelType,
    PlanesType,
    Rounding,
    ScaledType,
    code_range,
    element_type,
)
from hapir.quantizers import coded
from hapir.reference.values import Array, Meaning, Setting, dtype_of, single, to_si32


def round_real(values: npt.NDArray[np.float64], rounding: Rounding) -> npt.NDArray[np.float64]:
    """Reals to whole reals, exactly: 0.49999999999999994 goes to 0, where adding 0.5 first would give 1."""
    if rounding == Rounding.half_even:
        return np.rint(values)
    if rounding == Rounding.floor:
        return np.floor(values)
    magnitude = np.abs(values)
    below = np.floor(magnitude)
    fraction = magnitude - below  # exact, because the magnitude is not negative
    tie_goes_out = values > 0 if rounding == Rounding.half_up else True
    return np.copysign(below + ((fraction > 0.5) | ((fraction == 0.5) & tie_goes_out)), values)


def quantize(
    x: Array,
    scale: Array | float,
    zero_point: int,
    bounds: tuple[int, int],
    rounding: Rounding,
    *,
    single: bool = False,
) -> npt.NDArray[np.float64]:
    """`clamp(round(x / scale) + zero_point)` as whole doubles; the quotient is one of f64, of f32 where `single`."""
    real = np.float32 if single else np.float64
    with np.errstate(over="ignore"):
        quotient = np.asarray(x, real) / np.asarray(scale, real)
    return np.clip(round_real(_finite(quotient), rounding) + zero_point, *bounds)


def _finite(values: Array) -> npt.NDArray[np.float64]:
    """Reals in f64, those past f32 as numbers that every code is far below."""
    return np.clip(values.astype(np.float64), -1e300, 1e300)


def dequantize(q: Array, scale: Array | float, zero_point: int) -> npt.NDArray[np.float32]:
    """`scale * (q - zero_point)`, in f64 and rounded once to f32."""
    return ((q.astype(np.float64) - zero_point) * scale).astype(np.float32)


def shift_right(products: npt.NDArray[np.int64], shift: Array | int, rounding: Rounding) -> npt.NDArray[np.int64]:
    """`round(products / 2^shift)` for shifts 0..62, exact for every int64.

    Rounds the floor up by looking at the remainder: adding half of 2^shift first could leave 64 bits.
    """
    shifts = np.asarray(shift, np.int64)
    below = products >> shifts
    if rounding == Rounding.floor:
        return below
    one = np.int64(1)
    remainder = products & ((one << shifts) - one)
    half = one << np.maximum(shifts - one, 0)  # a shift by 0 leaves no remainder, which stays below its half of 1
    if rounding == Rounding.half_up:
        return below + (remainder >= half)
    tie_goes_up = (below & one) == 1 if rounding == Rounding.half_even else products > 0
    return below + ((remainder > half) | ((remainder == half) & tie_goes_up))


def requantize(
    acc: Array,
    multiplier: Array | int,
    shift: Array | int,
    zero_point: int,
    bounds: tuple[int, int],
    rounding: Rounding,
) -> npt.NDArray[np.int64]:
    """`clamp(round(acc * multiplier / 2^shift) + zero_point, low, high)`.

    acc int32, multiplier unsigned of at most 32 bits, shift 0..62. The product is at most 2^31 * (2^32 - 1) < 2^63, so
    it is exact in int64; the clamp comes before the zero point is added, which therefore cannot leave int64 either.
    """
    product = acc.astype(np.int64) * np.asarray(multiplier, np.int64)
    low, high = bounds
    return np.clip(shift_right(product, shift, rounding), low - zero_point, high - zero_point) + zero_point


def widen(q: Array, zero_point: int, multiplier: int) -> npt.NDArray[np.int32]:
    """`(q - zero_point) * multiplier`, exact. Raises OverflowError past si32."""
    return to_si32((q.astype(np.int64) - zero_point) * multiplier)


def threshold(acc: Array, thresholds: Array, flips: Array) -> npt.NDArray[np.int64]:
    """How many thresholds each integer of N C ... has reached, turned round where its channel flips.

    thresholds C x L or 1 x L, each row ascending; flips as many rows.
    """
    count = np.zeros(acc.shape, np.int64)
    for level in range(thresholds.shape[1]):
        count += acc >= along(thresholds[:, level], min(1, acc.ndim - 1), acc.ndim)
    flipped = along(flips, min(1, acc.ndim - 1), acc.ndim) != 0
    return np.where(flipped, thresholds.shape[1] - count, count)


def along(values: Array, axis: int, rank: int) -> Array:
    """A vector shaped so that it broadcasts along one axis of a tensor of `rank` dimensions."""
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


def reals(codes: Array, element: Attribute, setting: Setting) -> npt.NDArray[np.float32]:
    """What codes of an element type mean, in f32."""
    match element:
        case ScaledType():
            return coded.scaled_reals(codes, setting.table(element))
        case CodebookType():
            return coded.codebook_reals(codes, setting.table(element))
        case PlanesType():
            return coded.planes_reals(codes, setting.table(element))
        case _:
            scale, zero_point = _scale_of(element, codes.ndim, setting)
            return dequantize(codes, scale, zero_point)


def _scale_of(element: Attribute, rank: int, setting: Setting) -> tuple[Array | float, int]:
    """Scale (broadcastable) and zero point of an affine or per-channel type."""
    if isinstance(element, PerChannelType):
        return along(setting.table(element), element.axis.data, rank), 0
    assert isinstance(element, AffineType)
    return element.scale.data, element.zero_point.data


def _quantize_op(op: num.QuantizeOp, operands: Sequence[Array], setting: Setting) -> Array:
    element = element_type(op.result)
    if not np.isfinite(operands[0]).all():
        raise FloatingPointError("a value to quantize is not finite")
    scale, zero_point = _scale_of(element, operands[0].ndim, setting)
    single = op.single is not None
    q = quantize(operands[0], scale, zero_point, code_range(element), op.rounding.data, single=single)
    return q.astype(dtype_of(element))


def _dequantize_op(op: num.DequantizeOp, operands: Sequence[Array], setting: Setting) -> Array:
    return reals(operands[0], element_type(op.q), setting)


def _widen_op(op: num.WidenOp, operands: Sequence[Array], _: Setting) -> Array:
    return widen(operands[0], num.zero_point_of(element_type(op.q)), op.multiplier.value.data)


def _requantize_op(op: num.RequantizeOp, operands: Sequence[Array], _: Setting) -> Array:
    acc, multiplier, shift = operands
    if (shift > op.MAX_SHIFT).any():
        raise OverflowError(f"a shift of {shift.max()} is past {op.MAX_SHIFT}")
    element = element_type(op.result)
    if acc.ndim > 1:
        multiplier, shift = along(multiplier, 1, acc.ndim), along(shift, 1, acc.ndim)
    bounds = op.low.value.data, op.high.value.data
    q = requantize(acc, multiplier, shift, num.zero_point_of(element), bounds, op.rounding.data)
    return q.astype(dtype_of(element))


def _threshold_op(op: num.ThresholdOp, operands: Sequence[Array], _: Setting) -> Array:
    acc, thresholds, flips = operands
    check_ascending(thresholds, op)
    counts = threshold(acc, thresholds, flips)
    return (op.low.value.data + op.step * counts).astype(dtype_of(element_type(op.result)))


def check_ascending(thresholds: Array, op: num.ThresholdOp) -> None:
    """Raise HapirError (HAP0540) where the thresholds of a channel do not ascend."""
    falls = np.argwhere(thresholds[:, 1:] < thresholds[:, :-1])
    if len(falls):
        channel, level = (int(i) for i in falls[0])
        what = f"threshold {level + 1} of channel {channel} is {thresholds[channel, level + 1]}, below the one before"
        fail("HAP0540", what, at=op, help="sort the thresholds of each channel")


def rescale(
    acc: Array,
    scale: Array | float,
    zero_point: int,
    bounds: tuple[int, int],
    rounding: Rounding,
    *,
    single: bool = False,
) -> npt.NDArray[np.float64]:
    """`clamp(round(acc * scale) + zero_point)` as whole doubles; the product is one of f64, of f32 where `single`."""
    real = np.float32 if single else np.float64
    with np.errstate(over="ignore"):
        product = acc.astype(real) * np.asarray(scale, real)
    return np.clip(round_real(_finite(product), rounding) + zero_point, *bounds)


def _rescale_op(op: num.RescaleOp, operands: Sequence[Array], _: Setting) -> Array:
    acc, scale = operands
    element = element_type(op.result)
    scale = scale.astype(np.float64)
    bounds = op.low.value.data, op.high.value.data
    q = rescale(
        acc,
        along(scale, 1, acc.ndim) if acc.ndim > 1 else scale,
        num.zero_point_of(element),
        bounds,
        op.rounding.data,
        single=op.single is not None,
    )
    return q.astype(dtype_of(element))


MEANINGS: dict[type[Operation], Meaning] = dict(
    (
        single(num.QuantizeOp, _quantize_op),
        single(num.DequantizeOp, _dequantize_op),
        single(num.WidenOp, _widen_op),
        single(num.RequantizeOp, _requantize_op),
        single(num.RescaleOp, _rescale_op),
        single(num.ThresholdOp, _threshold_op),
        single(num.ViewOp, lambda _, operands, __: operands[0]),
    )
)
"""The op classes of `num` and what they compute."""
