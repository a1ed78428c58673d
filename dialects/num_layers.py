"""The layer statements of quantized networks: reals to integers and back, and sums of products to codes.

A network that was quantized elsewhere is written with its own numbers. A tensor of codes is an integer type with a
scale and a zero point, `real = scale * (q - zero_point)`; products of codes give sums in i32, and `rescale` (one factor
in f32, as processors compute) or `requantize` (an integer factor and a shift, as hardware does) makes codes of them:

    q = quantize(image, type = u8, scale = 0.0186, zero_point = 114)
    c1 = conv2d(q, channels = 8, kernel = 3, weights = i8)
    r1 = rescale(c1, type = u8, scale = 0.023, low = 0)
    return dequantize(r1)

The weights file holds what belongs to channels: `c1.weight` (int8), `c1.weight.scale` (f32, one per output channel),
`c1.bias` (int32) and `r1.ratio` (f32: what one step of a sum is in steps of the result). Scales are f32 numbers: the
shortest decimals that name them are read back exactly. Options that several statements share:

`type`: the integers that hold the codes: `u8`, `i4`, `i16`; of signs `bipolar(1)`, of signs and zeros `ternary`.
`scale`: the distance of neighbouring codes as a real, an f32.
`zero_point`: the code that stands for 0.
`low`: the least code that comes out; a ReLU is `low = zero_point`.
`high`: the largest code that comes out.
`rounding`: where a result between two codes goes.
`granularity`: whether each channel (axis 1) has factors of its own, or one serves all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from xdsl.dialects.builtin import FloatData, IntAttr, IntegerType, StringAttr, TensorType, f32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.exceptions import VerifyException

from hapir.dialects import nn, num
from hapir.dialects.formats import Bipolar, Integer, Ternary
from hapir.dialects.nn_layers import LayerDefinition, Padding, Pair, Parameters, window_of
from hapir.dialects.nn_op import stored
from hapir.dialects.nn_pointwise_layers import text_of
from hapir.dialects.nn_shapes import Shape
from hapir.dialects.num import (
    AffineType,
    BipolarType,
    PerChannelType,
    Rounding,
    TernaryType,
    code_range,
    element_type,
    shape_of,
    signed,
    storage_of,
    unsigned,
)
from hapir.registered import FORMAT, FormatText, spell, value_of

RoundingWord: TypeAlias = Literal["half_even", "half_up", "half_away", "floor"]
Granularity: TypeAlias = Literal["channel", "tensor"]


def codes_type(format: Integer | Bipolar | Ternary) -> Attribute:
    """The type of a format's codes."""
    match format:
        case Integer():
            return signed(format.width) if format.signed else unsigned(format.width)
        case Bipolar():
            return BipolarType(format.width)
        case Ternary():
            return TernaryType()


def codes_named(text: str) -> Attribute:
    """The type of codes that a format's text names. Raises ValueError for a format that is no set of integers."""
    format = value_of(text, FORMAT)
    if not isinstance(format, Integer | Bipolar | Ternary):
        raise ValueError(f"codes are integers, bipolar or ternary numbers, not {text}")
    return codes_type(format)


def single(scale: float) -> float:
    """The f32 nearest to a scale. Raises ValueError where that is not positive and finite."""
    with np.errstate(over="ignore"):
        nearest = float(np.float32(scale))
    if not (math.isfinite(nearest) and nearest > 0):
        raise ValueError(f"a scale is a positive number that f32 holds, got {scale}")
    return nearest


def affine(codes: Attribute, scale: float, zero_point: int) -> AffineType:
    """Codes with the f32 nearest to a scale. Raises ValueError where they do not fit together."""
    low, high = code_range(codes)
    if not low <= zero_point <= high:
        raise ValueError(f"the zero point {zero_point} lies outside of {low}..{high}")
    return AffineType(codes, FloatData(single(scale)), IntAttr(zero_point))


def bounds_in(element: AffineType, low: int | None, high: int | None) -> tuple[int, int]:
    """Clamp bounds, those of the type where none are given. Raises ValueError where they lie outside of it."""
    first, last = code_range(element)
    low, high = first if low is None else low, last if high is None else high
    if not first <= low <= high <= last:
        raise ValueError(f"the bounds {low}..{high} do not lie in {first}..{last}")
    return low, high


def weight_parameter(
    parameter: Parameters, shape: Shape, x: SSAValue, weights: str | None, scale: float | None, layer: str
) -> SSAValue:
    """The parameter `<layer>.weight` of a layer that multiplies.

    Plain f32 without `weights`; else codes of that format, scaled by `scale`, or by `<layer>.weight.scale` per output
    channel. A layer on floats reads the reals behind them. Raises ValueError for a scale that scales nothing.
    """
    if weights is None:
        if scale is not None:
            raise ValueError("weight_scale belongs to coded weights: say `weights = i8` too")
        return parameter("weight", shape)
    codes = codes_named(weights)
    element: Attribute
    if scale is None:
        element = PerChannelType(codes, IntAttr(0), StringAttr(f"{layer}.weight.scale"))
    else:
        element = affine(codes, scale, 0)
    return parameter("weight", shape, element, reals=num.is_float(x))


def bias_parameter(parameter: Parameters, channels: int, x: SSAValue) -> SSAValue:
    """The parameter `<layer>.bias`: f32 of a layer on floats, i32 of one on codes."""
    return parameter("bias", (channels,), f32 if num.is_float(x) else num.SI32)


def codes_text(codes: Attribute) -> str:
    """The text that names a type of codes: the inverse of `codes_named`. Raises LookupError where there is none."""
    match codes:
        case BipolarType():
            return spell(Bipolar(codes.width.data))
        case TernaryType():
            return spell(Ternary())
        case _:
            return text_of(codes)


def affine_options(element: Attribute) -> dict[str, object]:
    """The options `type`, `scale` and `zero_point` that make a type. Raises LookupError for another kind of type."""
    if not isinstance(element, AffineType):
        raise LookupError(f"{element} has no scale of its own")
    scale = float(str(np.float32(element.scale.data)))
    return {"type": codes_text(element.codes), "scale": scale, "zero_point": element.zero_point.data}


def weight_options(op: Operation) -> dict[str, object]:
    """The options `weights` and `weight_scale` that make an op's coded weights. Raises LookupError for other codes."""
    weight = stored(op.operands[1]) if len(op.operands) > 1 else None
    element = f32 if weight is None else element_type(weight.results[0])
    match element:
        case PerChannelType():
            return {"weights": codes_text(element.codes), "weight_scale": None}
        case AffineType():
            return {"weights": codes_text(element.codes), "weight_scale": affine_options(element)["scale"]}
        case _:
            return {}


@dataclass(frozen=True)
class Quantize(LayerDefinition):
    """Reals to codes: `clamp(round(x / scale) + zero_point)`, the quotient in f32, as ONNX and onnxruntime do.

    Example: `q = quantize(image, type = u8, scale = 0.0186, zero_point = 114)`
    """

    type: FormatText
    scale: float
    zero_point: int = 0
    rounding: RoundingWord = "half_even"

    def __post_init__(self) -> None:
        affine(codes_named(self.type), self.scale, self.zero_point)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> Operation:
        element = affine(codes_named(self.type), self.scale, self.zero_point)
        result = TensorType(element, shape_of(inputs[0]))
        return num.QuantizeOp(inputs[0], result, Rounding(self.rounding), layer, single=True)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        return affine_options(element_type(op.results[0]))


@dataclass(frozen=True)
class Dequantize(LayerDefinition):
    """Codes to the reals that they stand for, in f32.

    Example: `x = dequantize(quantize(image, type = u8, scale = 0.02))`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> Operation:
        return num.DequantizeOp(inputs[0], layer)


@dataclass(frozen=True)
class View(LayerDefinition):
    """The same integers, read as codes of this scale and zero point; without them, as plain integers.

    So an input of bytes gets its meaning, `q = view(image, scale = 0.0186)` of `image: u8[1, 3, 32, 32]`.

    Example: `b = view(quantize(image, type = u8, scale = 0.02))`
    """

    scale: float | None = None
    zero_point: int = 0

    def __post_init__(self) -> None:
        if self.scale is not None:
            single(self.scale)
        elif self.zero_point != 0:
            raise ValueError("a zero point needs a scale")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> Operation:
        codes = storage_of(element_type(inputs[0]))
        if codes is None:
            raise VerifyException(f"view reads integers, got {element_type(inputs[0])}: quantize them")
        element = codes if self.scale is None else affine(codes, self.scale, self.zero_point)
        return num.ViewOp(inputs[0], element, layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        element = element_type(op.results[0])
        if isinstance(element, IntegerType):
            return {"scale": None, "zero_point": 0}
        said = affine_options(element)
        return {"scale": said["scale"], "zero_point": said["zero_point"]}


@dataclass(frozen=True)
class Rescale(LayerDefinition):
    """Sums in i32 to codes: `clamp(round(x * ratio) + zero_point, low, high)`, the product in f32, as onnxruntime does.

    Parameter: ratio (f32), which is scale of x * scale of the weights / `scale`.

    Example: `r = rescale(widen(quantize(x, type = u8, scale = 0.02)), type = i4, scale = 0.5, zero_point = -3)`
    """

    type: FormatText
    scale: float
    zero_point: int = 0
    low: int | None = None
    high: int | None = None
    rounding: RoundingWord = "half_even"
    granularity: Granularity = "channel"

    def __post_init__(self) -> None:
        bounds_in(affine(codes_named(self.type), self.scale, self.zero_point), self.low, self.high)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> Operation:
        element = affine(codes_named(self.type), self.scale, self.zero_point)
        low, high = bounds_in(element, self.low, self.high)
        ratio = parameter("ratio", (_factors(inputs[0], self.granularity),))
        result = TensorType(element, shape_of(inputs[0]))
        rounding = Rounding(self.rounding)
        return num.RescaleOp(inputs[0], ratio, result, rounding=rounding, low=low, high=high, layer=layer, single=True)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        return affine_options(element_type(op.results[0]))


@dataclass(frozen=True)
class Requantize(LayerDefinition):
    """Sums in i32 to codes by integers alone: `clamp(round(x * multiplier / 2^shift) + zero_point, low, high)`.

    Parameters: multiplier, shift (u8, at most 62).

    `multiplier`: the integers that hold the multipliers.

    Example: `r = requantize(widen(quantize(x, type = u8, scale = 0.02)), type = i4, scale = 0.5, zero_point = -3)`
    """

    type: FormatText
    scale: float
    zero_point: int = 0
    low: int | None = None
    high: int | None = None
    rounding: RoundingWord = "half_up"
    granularity: Granularity = "channel"
    multiplier: IntegerType = num.UI16

    def __post_init__(self) -> None:
        bounds_in(affine(codes_named(self.type), self.scale, self.zero_point), self.low, self.high)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> Operation:
        element = affine(codes_named(self.type), self.scale, self.zero_point)
        low, high = bounds_in(element, self.low, self.high)
        factors = (_factors(inputs[0], self.granularity),)
        multiplier, shift = parameter("multiplier", factors, self.multiplier), parameter("shift", factors, num.UI8)
        result = TensorType(element, shape_of(inputs[0]))
        rounding = Rounding(self.rounding)
        return num.RequantizeOp(
            inputs[0], multiplier, shift, result, rounding=rounding, low=low, high=high, layer=layer
        )

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        if not isinstance(op, num.RequantizeOp):
            return {}
        return {**affine_options(element_type(op.result)), "multiplier": element_type(op.multiplier)}


def _factors(x: SSAValue, granularity: Granularity) -> int:
    shape = shape_of(x)
    return shape[1] if granularity == "channel" and len(shape) > 1 else 1


@dataclass(frozen=True)
class Widen(LayerDefinition):
    """Codes to i32: `(q - zero_point) * by`. So codes of different scales come onto one before they are added.

    `by`: the integer factor.

    Example: `s = widen(quantize(image, type = u8, scale = 0.02), by = 181)`
    """

    by: int = 1

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> Operation:
        return num.WidenOp(inputs[0], self.by, layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        return {"by": op.multiplier.value.data} if isinstance(op, num.WidenOp) else {}


@dataclass(frozen=True)
class SumPool(LayerDefinition):
    """Sums of `q - zero_point` over windows, in i32: what an average pool of codes is before it is rescaled.

    Example: `s = sum_pool(quantize(image, type = u8, scale = 0.02), kernel = 2)`
    """

    kernel: Pair
    stride: Pair | None = None
    padding: Padding = 0

    def __post_init__(self) -> None:
        window_of(self.kernel, self.kernel if self.stride is None else self.stride, self.padding)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> Operation:
        window = window_of(self.kernel, self.kernel if self.stride is None else self.stride, self.padding)
        return nn.SumPoolOp(inputs[0], window=window, layer=layer)
