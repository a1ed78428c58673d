"""The layer statements of `.hap`: which tensors and options each takes, and the `nn` op it becomes.

One frozen dataclass per statement: its fields are the options (typed, so the checker needs no further knowledge),
`inputs` is the number of tensors, `build` makes the op. Parameters are named `<layer>.<suffix>` with the suffixes
weight, bias, gamma, beta, mean and variance. Options that several statements share:

`kernel`: the size of the window, one number or `[vertical, horizontal]`.
`stride`: the step of the window, one number or `[vertical, horizontal]`.
`padding`: what is added around the map, one number, `[vertical, horizontal]` or `[top, left, bottom, right]`.
`dilation`: the distance of neighbours in the window, one number or `[vertical, horizontal]`.
`bias`: whether a bias, a parameter, is added to each output channel.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Shape, ShapeError, Window, text
from hapir.dialects.num import shape_of

Pair: TypeAlias = int | tuple[int, int]
Padding: TypeAlias = int | tuple[int, int] | tuple[int, int, int, int]


class Parameters(Protocol):
    """Makes the `nn.weight` of a layer's parameter."""

    def __call__(self, suffix: str, shape: Shape, /) -> SSAValue:
        """The f32 parameter `<layer>.<suffix>` of this shape."""
        ...


@dataclass(frozen=True)
class LayerDefinition(ABC):
    """A layer statement. Options out of range raise ValueError at construction, shapes that do not fit ShapeError or
    VerifyException in `build`.
    """

    inputs: ClassVar[int | None] = 1
    """How many tensors the statement takes; None: one or more."""

    @abstractmethod
    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        """The op for these inputs, with its `layer` set."""


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _window(kernel: Pair, stride: Pair, padding: Padding, dilation: Pair = 1) -> Window:
    if isinstance(padding, int):
        padding = (padding, padding)
    if len(padding) == 2:
        padding = (*padding, *padding)
    window = Window(_pair(kernel), _pair(stride), padding, _pair(dilation))
    window.check()
    return window


def _at_least_one(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _channels(x: SSAValue, rank: int, what: str, hint: str = "") -> int:
    """The size of axis 1 of an input that must have `rank` dimensions."""
    shape = shape_of(x)
    if len(shape) != rank:
        wanted = {2: "a matrix N x C", 4: "a map N x C x H x W"}[rank]
        raise ShapeError(f"{what} needs {wanted}, got shape {text(shape)}{hint}")
    return shape[1]


@dataclass(frozen=True)
class Conv2d(LayerDefinition):
    """Two-dimensional convolution of N C H W to N K P Q; depthwise is `groups` = C. Parameters: weight, bias.

    `channels`: the number K of output channels.
    `groups`: the channels fall into so many groups, each convolved on its own.

    Example: `c1 = conv2d(image, channels = 16, kernel = 3, padding = 1)`
    """

    channels: int
    kernel: Pair
    stride: Pair = 1
    padding: Padding = 0
    dilation: Pair = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        _at_least_one(channels=self.channels, groups=self.groups)
        _window(self.kernel, self.stride, self.padding, self.dilation)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        window = _window(self.kernel, self.stride, self.padding, self.dilation)
        c = _channels(inputs[0], 4, "conv2d")
        if c % self.groups or self.channels % self.groups:
            raise ShapeError(f"{self.groups} groups must divide both {c} input and {self.channels} output channels")
        weight = parameter("weight", (self.channels, c // self.groups, *window.kernel))
        bias = parameter("bias", (self.channels,)) if self.bias else None
        return nn.Conv2dOp(inputs[0], weight, bias, window=window, groups=self.groups, layer=layer)


@dataclass(frozen=True)
class Dense(LayerDefinition):
    """Fully connected layer of N C to N K with K = `units`. Parameters: weight, bias.

    `units`: the number of outputs.

    Example: `f1 = dense(flatten(p1), units = 10)`
    """

    units: int
    bias: bool = True

    def __post_init__(self) -> None:
        _at_least_one(units=self.units)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        weight = parameter("weight", (self.units, _channels(inputs[0], 2, "dense", ": flatten it first")))
        bias = parameter("bias", (self.units,)) if self.bias else None
        return nn.DenseOp(inputs[0], weight, bias, layer=layer)


@dataclass(frozen=True)
class MaxPool(LayerDefinition):
    """Maximum over windows; the stride is the kernel where it is not said. Padding never wins.

    Example: `p1 = max_pool(r1, kernel = 2)`
    """

    kernel: Pair
    stride: Pair | None = None
    padding: Padding = 0

    def __post_init__(self) -> None:
        _window(self.kernel, self.kernel if self.stride is None else self.stride, self.padding)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        stride = self.kernel if self.stride is None else self.stride
        return nn.MaxPoolOp(inputs[0], window=_window(self.kernel, stride, self.padding), layer=layer)


@dataclass(frozen=True)
class AvgPool(LayerDefinition):
    """Mean over windows; the stride is the kernel where it is not said.

    `count_include_pad`: padding counts as zeros, or, where this is false, not at all.

    Example: `p1 = avg_pool(r1, kernel = [2, 2], stride = 2)`
    """

    kernel: Pair
    stride: Pair | None = None
    padding: Padding = 0
    count_include_pad: bool = False

    def __post_init__(self) -> None:
        _window(self.kernel, self.kernel if self.stride is None else self.stride, self.padding)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        stride = self.kernel if self.stride is None else self.stride
        window = _window(self.kernel, stride, self.padding)
        return nn.AvgPoolOp(inputs[0], window=window, count_include_pad=self.count_include_pad, layer=layer)


@dataclass(frozen=True)
class GlobalAvgPool(LayerDefinition):
    """Mean over the whole map: N C H W to N C 1 1.

    Example: `g = global_avg_pool(r5)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.GlobalAvgPoolOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class GlobalMaxPool(LayerDefinition):
    """Maximum over the whole map: N C H W to N C 1 1.

    Example: `g = global_max_pool(r5)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.GlobalMaxPoolOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class Relu(LayerDefinition):
    """`max(x, 0)`.

    Example: `r1 = relu(c1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.ReluOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class Clip(LayerDefinition):
    """`min(max(x, low), high)`.

    `low`: the least value that comes out.
    `high`: the largest value that comes out.

    Example: `r1 = clip(c1, low = 0, high = 6)` (ReLU6)
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"the bounds {self.low}..{self.high} are empty")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.ClipOp(inputs[0], low=self.low, high=self.high, layer=layer)


@dataclass(frozen=True)
class Add(LayerDefinition):
    """Elementwise sum of two tensors of one shape.

    Example: `s = add(c2, image)`
    """

    inputs: ClassVar[int | None] = 2

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.AddOp(inputs[0], inputs[1], layer=layer)


@dataclass(frozen=True)
class Concat(LayerDefinition):
    """Tensors joined along an axis.

    `axis`: the axis to join along; 1 joins channels.

    Example: `j = concat(a, b, c, axis = 1)`
    """

    inputs: ClassVar[int | None] = None
    axis: int = 1

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.ConcatOp(inputs, axis=self.axis, layer=layer)


@dataclass(frozen=True)
class Flatten(LayerDefinition):
    """N ... to N x (product of the rest), row-major.

    Example: `f = flatten(p1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.FlattenOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class BatchNorm(LayerDefinition):
    """Inference batch normalization over axis 1. Parameters: gamma, beta, mean, variance.

    `epsilon`: what is added to the variance before its root is taken.

    Example: `b1 = batch_norm(c1, epsilon = 1e-5)`
    """

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise ValueError(f"epsilon must not be negative, got {self.epsilon}")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = shape_of(inputs[0])
        if len(shape) < 2:
            raise ShapeError(f"batch_norm needs a channel dimension, got shape {text(shape)}")
        gamma, beta, mean, variance = (parameter(s, (shape[1],)) for s in ("gamma", "beta", "mean", "variance"))
        return nn.BatchNormOp(inputs[0], gamma, beta, mean, variance, epsilon=self.epsilon, layer=layer)


@dataclass(frozen=True)
class Softmax(LayerDefinition):
    """`exp(x) / sum(exp(x))` along axis 1 of N C.

    Example: `return softmax(f1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.SoftmaxOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class Argmax(LayerDefinition):
    """Index of the largest value along axis 1 of N C, as `i32[N]`; the lowest index wins a tie.

    Example: `return argmax(f1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.ArgmaxOp(inputs[0], layer=layer)
