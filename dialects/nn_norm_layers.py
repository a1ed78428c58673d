"""The layer statements that normalize."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_layers import LayerDefinition, Parameters, at_least_one
from hapir.dialects.nn_shapes import Shape, ShapeError, text
from hapir.dialects.num import shape_of


@dataclass(frozen=True)
class BatchNorm(LayerDefinition):
    """Inference batch normalization over axis 1. Parameters: gamma, beta, mean, variance.

    Example: `b1 = batch_norm(c1, epsilon = 1e-5)`
    """

    parameters: ClassVar[int] = 4

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _check_epsilon(self.epsilon)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = shape_of(inputs[0])
        if len(shape) < 2:
            raise ShapeError(f"batch_norm needs a channel dimension, got shape {text(shape)}")
        gamma, beta, mean, variance = (parameter(s, (shape[1],)) for s in ("gamma", "beta", "mean", "variance"))
        return nn.BatchNormOp(inputs[0], gamma, beta, mean, variance, epsilon=self.epsilon, layer=layer)


def _check_epsilon(epsilon: float) -> None:
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise ValueError(f"epsilon must not be negative, got {epsilon}")


@dataclass(frozen=True)
class LayerNorm(LayerDefinition):
    """Normalization over the axes from `axis` on (the last one where it is not said). Parameters: gamma, beta.

    `axis`: the first axis that is normalized; the last one where it is not said.

    Example: `n1 = layer_norm(x, axis = 1)`
    """

    parameters: ClassVar[int] = 2

    axis: int | None = None
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _check_epsilon(self.epsilon)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = shape_of(inputs[0])
        axis = _first_axis(self.axis, shape, "layer_norm")
        gamma, beta = (parameter(suffix, shape[axis:]) for suffix in ("gamma", "beta"))
        return nn.LayerNormOp(inputs[0], gamma, beta, axis=axis, epsilon=self.epsilon, layer=layer)


def _first_axis(axis: int | None, shape: Shape, what: str) -> int:
    """The first axis that is normalized; the last one where it is not said."""
    first = len(shape) - 1 if axis is None else axis
    if not 0 <= first < len(shape):
        raise ShapeError(f"{what} of shape {text(shape)} starts at an axis of 0..{len(shape) - 1}, not {first}")
    return first


@dataclass(frozen=True)
class RmsNorm(LayerDefinition):
    """`x / sqrt(mean(x^2) + epsilon)` times gamma, the mean over the axes from `axis` on. Parameter: gamma.

    `axis`: the first axis that is normalized; the last one where it is not said.
    `epsilon`: what is added to the mean before its root is taken.

    Example: `n1 = rms_norm(x, epsilon = 1e-6)`
    """

    parameters: ClassVar[int] = 1

    axis: int | None = None
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _check_epsilon(self.epsilon)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = shape_of(inputs[0])
        axis = _first_axis(self.axis, shape, "rms_norm")
        gamma = parameter("gamma", shape[axis:])
        return nn.RmsNormOp(inputs[0], gamma, axis=axis, epsilon=self.epsilon, layer=layer)


@dataclass(frozen=True)
class GroupNorm(LayerDefinition):
    """Normalization of each group of channels of each item over all its places. Parameters: gamma, beta, per channel.

    `groups`: the channels fall into so many groups of neighbours; as many as channels is instance normalization.

    Example: `n1 = group_norm(c1, groups = 2)`
    """

    parameters: ClassVar[int] = 2

    groups: int
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        at_least_one(groups=self.groups)
        _check_epsilon(self.epsilon)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = shape_of(inputs[0])
        if len(shape) < 2:
            raise ShapeError(f"group_norm needs a channel dimension, got shape {text(shape)}")
        gamma, beta = (parameter(suffix, (shape[1],)) for suffix in ("gamma", "beta"))
        return nn.GroupNormOp(inputs[0], gamma, beta, groups=self.groups, epsilon=self.epsilon, layer=layer)


@dataclass(frozen=True)
class LocalResponseNorm(LayerDefinition):
    """`x / (bias + alpha / size * sum x^2)^beta`, the sum over `size` neighbouring channels, as in AlexNet.

    `size`: how many channels the sum runs over; those outside count as 0.
    `alpha`: the factor of the sum.
    `beta`: the exponent.
    `bias`: what is added to the sum, above 0.

    Example: `n1 = local_response_norm(r1, size = 5, alpha = 0.0001, beta = 0.75, bias = 2)`
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def __post_init__(self) -> None:
        at_least_one(size=self.size)
        if not (all(map(math.isfinite, (self.alpha, self.beta, self.bias))) and self.alpha >= 0 and self.bias > 0):
            raise ValueError("alpha must not be negative, bias must be positive, and all must be finite")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        size, alpha, beta, bias = self.size, self.alpha, self.beta, self.bias
        return nn.LocalResponseNormOp(inputs[0], size=size, alpha=alpha, beta=beta, bias=bias, layer=layer)
