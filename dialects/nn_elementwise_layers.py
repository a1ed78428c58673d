"""The elementwise layer statements: activations, sums, differences and products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_layers import LayerDefinition, Parameters


@dataclass(frozen=True)
class Relu(LayerDefinition):
    """`max(x, 0)`.

    Example: `r1 = relu(c1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.ReluOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class LeakyRelu(LayerDefinition):
    """x where it is not negative, else `slope * x`.

    `slope`: what negative numbers are multiplied by.

    Example: `r1 = leaky_relu(c1, slope = 0.1)`
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        _need_finite(slope=self.slope)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.LeakyReluOp(inputs[0], slope=self.slope, layer=layer)


def _need_finite(**values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite, got {value}")


@dataclass(frozen=True)
class Clip(LayerDefinition):
    """`min(max(x, low), high)`; hard tanh is `low = -1, high = 1`.

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
class Sigmoid(LayerDefinition):
    """`1 / (1 + exp(-x))`.

    Example: `g = sigmoid(c1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.SigmoidOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class Sign(LayerDefinition):
    """1 where x is not negative, else -1: the activation of binarized networks.

    `quantize` makes its results integers of one bit; `threshold` then compares sums with one number per channel. The
    padding of a layer behind it is 0, on floats and integers alike.

    Example: `a1 = sign(n1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.SignOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class Tanh(LayerDefinition):
    """Hyperbolic tangent.

    Example: `a1 = tanh(c1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.TanhOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class HardSigmoid(LayerDefinition):
    """`min(max(x * slope + offset, 0), 1)`.

    `slope`: the rise around 0; 1/6 is that of MobileNetV3 and PyTorch, ONNX and Keras 2 have 0.2.
    `offset`: the value at 0.

    Example: `g = hard_sigmoid(c1, slope = 0.2)`
    """

    slope: float = 1 / 6
    offset: float = 0.5

    def __post_init__(self) -> None:
        _need_finite(slope=self.slope, offset=self.offset)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.HardSigmoidOp(inputs[0], slope=self.slope, offset=self.offset, layer=layer)


@dataclass(frozen=True)
class HardSwish(LayerDefinition):
    """`x * min(max(x / 6 + 1/2, 0), 1)`.

    Example: `a1 = hard_swish(c1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.HardSwishOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class Silu(LayerDefinition):
    """`x * sigmoid(x)`, also called swish.

    Example: `a1 = silu(c1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.SiluOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class Gelu(LayerDefinition):
    """`x / 2 * (1 + erf(x / sqrt(2)))`.

    Example: `a1 = gelu(f1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.GeluOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class Add(LayerDefinition):
    """Elementwise sum of two tensors; axes of size 1 repeat. Integers are those of `widen`, in equal shapes.

    Example: `s = add(c2, image)`
    """

    takes_numbers: ClassVar[bool] = True
    inputs: ClassVar[int | None] = 2

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.AddOp(inputs[0], inputs[1], layer=layer)


@dataclass(frozen=True)
class Sub(LayerDefinition):
    """Elementwise difference of two tensors; axes of size 1 repeat.

    Example: `d = sub(image, background)`
    """

    takes_numbers: ClassVar[bool] = True
    inputs: ClassVar[int | None] = 2

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.SubOp(inputs[0], inputs[1], layer=layer)


@dataclass(frozen=True)
class Mul(LayerDefinition):
    """Elementwise product of two tensors; axes of size 1 repeat.

    So N C 1 1 scales the channels of N C H W.

    Example: `s = mul(c2, sigmoid(gate))`
    """

    takes_numbers: ClassVar[bool] = True
    inputs: ClassVar[int | None] = 2

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.MulOp(inputs[0], inputs[1], layer=layer)
