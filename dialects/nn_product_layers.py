"""The layer statements that multiply by weights or by each other: convolutions, dense layers, matmul.

Layers on codes (see `num_layers`) have coded weights, a bias in i32, and give exact sums in i32. On floats, layers of
coded weights multiply by the reals behind the codes.

`weights`: the format of the codes of the weights (`i8`, `ternary`, `bipolar(1)`), where they are coded.
`weight_scale`: the scale of coded weights; without it `<layer>.weight.scale` has one for each output channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_layers import (
    Ends,
    LayerDefinition,
    Padding,
    Pair,
    Parameters,
    at_least_one,
    channels_of,
    line_of,
    pair_of,
    window_of,
)
from hapir.dialects.nn_shapes import ShapeError, text
from hapir.dialects.num import shape_of
from hapir.dialects.num_layers import bias_parameter, weight_options, weight_parameter
from hapir.registered import FormatText


@dataclass(frozen=True)
class Conv2d(LayerDefinition):
    """Two-dimensional convolution of N C H W to N K P Q; depthwise is `groups` = C. Parameters: weight, bias.

    Example: `c1 = conv2d(image, channels = 16, kernel = 3, padding = 1)`
    """

    parameters: ClassVar[int] = 2

    channels: int
    kernel: Pair
    stride: Pair = 1
    padding: Padding = 0
    dilation: Pair = 1
    groups: int = 1
    bias: bool = True
    weights: FormatText | None = None
    weight_scale: float | None = None

    def __post_init__(self) -> None:
        at_least_one(channels=self.channels, groups=self.groups)
        window_of(self.kernel, self.stride, self.padding, self.dilation)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        window = window_of(self.kernel, self.stride, self.padding, self.dilation)
        c = channels_of(inputs[0], 4, "conv2d")
        _check_groups(self.groups, c, self.channels)
        shape = (self.channels, c // self.groups, *window.kernel)
        weight = weight_parameter(parameter, shape, inputs[0], self.weights, self.weight_scale, layer)
        bias = bias_parameter(parameter, self.channels, inputs[0]) if self.bias else None
        return nn.Conv2dOp(inputs[0], weight, bias, window=window, groups=self.groups, layer=layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        return weight_options(op)


def _check_groups(groups: int, inputs: int, outputs: int) -> None:
    if inputs % groups or outputs % groups:
        raise ShapeError(f"{groups} groups must divide both {inputs} input and {outputs} output channels")


@dataclass(frozen=True)
class Conv1d(LayerDefinition):
    """Convolution along sequences of N C L to N K Q. Parameters: weight (K, C / groups, kernel), bias.

    Example: `c1 = conv1d(signal, channels = 16, kernel = 9, padding = 4)`
    """

    parameters: ClassVar[int] = 2

    channels: int
    kernel: int
    stride: int = 1
    padding: Ends = 0
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    weights: FormatText | None = None
    weight_scale: float | None = None

    def __post_init__(self) -> None:
        at_least_one(channels=self.channels, groups=self.groups)
        line_of(self.kernel, self.stride, self.padding, self.dilation)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        window = line_of(self.kernel, self.stride, self.padding, self.dilation)
        c = channels_of(inputs[0], 3, "conv1d")
        _check_groups(self.groups, c, self.channels)
        shape = (self.channels, c // self.groups, self.kernel)
        weight = weight_parameter(parameter, shape, inputs[0], self.weights, self.weight_scale, layer)
        bias = bias_parameter(parameter, self.channels, inputs[0]) if self.bias else None
        return nn.Conv1dOp(inputs[0], weight, bias, window=window, groups=self.groups, layer=layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        return weight_options(op)


@dataclass(frozen=True)
class TransposedConv2d(LayerDefinition):
    """Transposed convolution of N C H W to N K P Q, P = (H - 1) * stride + dilated kernel - padding + extra.

    Parameters: weight (C, K / groups, R, S), bias.

    `padding`: what is cut off around the result, one number, `[vertical, horizontal]` or `[top, left, bottom, right]`.
    `extra`: rows and columns added at the bottom and right (PyTorch's output_padding), below the stride.

    Example: `up = transposed_conv2d(r1, channels = 8, kernel = 2, stride = 2)`
    """

    parameters: ClassVar[int] = 2

    channels: int
    kernel: Pair
    stride: Pair = 1
    padding: Padding = 0
    extra: Pair = 0
    dilation: Pair = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        at_least_one(channels=self.channels, groups=self.groups)
        window_of(self.kernel, self.stride, self.padding, self.dilation)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        window = window_of(self.kernel, self.stride, self.padding, self.dilation)
        c = channels_of(inputs[0], 4, "transposed_conv2d")
        _check_groups(self.groups, c, self.channels)
        weight = parameter("weight", (c, self.channels // self.groups, *window.kernel))
        bias = parameter("bias", (self.channels,)) if self.bias else None
        extra, groups = pair_of(self.extra), self.groups
        return nn.TransposedConv2dOp(inputs[0], weight, bias, window=window, extra=extra, groups=groups, layer=layer)


@dataclass(frozen=True)
class TransposedConv1d(LayerDefinition):
    """Transposed convolution of N C L to N K Q, Q = (L - 1) * stride + dilated kernel - padding + extra.

    Parameters: weight (C, K / groups, kernel), bias.

    `padding`: what is cut off at both ends of the result, one number or `[before, after]`.
    `extra`: places added at the end (PyTorch's output_padding), below the stride.

    Example: `up = transposed_conv1d(r1, channels = 8, kernel = 4, stride = 2, padding = 1)`
    """

    parameters: ClassVar[int] = 2

    channels: int
    kernel: int
    stride: int = 1
    padding: Ends = 0
    extra: int = 0
    dilation: int = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        at_least_one(channels=self.channels, groups=self.groups)
        line_of(self.kernel, self.stride, self.padding, self.dilation)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        window = line_of(self.kernel, self.stride, self.padding, self.dilation)
        c = channels_of(inputs[0], 3, "transposed_conv1d")
        _check_groups(self.groups, c, self.channels)
        weight = parameter("weight", (c, self.channels // self.groups, self.kernel))
        bias = parameter("bias", (self.channels,)) if self.bias else None
        extra, groups = (0, self.extra), self.groups
        return nn.TransposedConv1dOp(inputs[0], weight, bias, window=window, extra=extra, groups=groups, layer=layer)


@dataclass(frozen=True)
class Dense(LayerDefinition):
    """Fully connected layer of N C to N K with K = `units`. Parameters: weight, bias.

    `units`: the number of outputs.

    Example: `f1 = dense(flatten(p1), units = 10)`
    """

    parameters: ClassVar[int] = 2

    units: int
    bias: bool = True
    weights: FormatText | None = None
    weight_scale: float | None = None

    def __post_init__(self) -> None:
        at_least_one(units=self.units)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = (self.units, channels_of(inputs[0], 2, "dense", ": flatten it first"))
        weight = weight_parameter(parameter, shape, inputs[0], self.weights, self.weight_scale, layer)
        bias = bias_parameter(parameter, self.units, inputs[0]) if self.bias else None
        return nn.DenseOp(inputs[0], weight, bias, layer=layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        return weight_options(op)


@dataclass(frozen=True)
class Linear(LayerDefinition):
    """Fully connected layer along the last axis, of ... C to ... K with K = `units`: of steps N T C.

    Of a matrix N C it is `dense`. Parameters: weight, bias.

    `units`: the number of outputs.

    Example: `queries = linear(steps, units = 64)`
    """

    parameters: ClassVar[int] = 2

    units: int
    bias: bool = True

    def __post_init__(self) -> None:
        at_least_one(units=self.units)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = shape_of(inputs[0])
        if len(shape) < 2:
            raise ShapeError(f"linear needs a matrix N x C, or steps N x T x C, got shape {text(shape)}")
        weight = parameter("weight", (self.units, shape[-1]))
        bias = parameter("bias", (self.units,)) if self.bias else None
        kind = nn.DenseOp if len(shape) == 2 else nn.LinearOp
        return kind(inputs[0], weight, bias, layer=layer)


@dataclass(frozen=True)
class Matmul(LayerDefinition):
    """Products of the matrices in the last two axes of two tensors: ... M K times ... K P is ... M P.

    The axes before them are equal, or 1 or missing in one of the two and repeat. A vector is a row on the left and a
    column on the right, without an axis in the result.

    Example: `scores = matmul(queries, transpose(keys, axes = [0, 2, 1]))`
    """

    inputs: ClassVar[int | None] = 2

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.MatmulOp(inputs[0], inputs[1], layer=layer)
