"""The statements that join elements along axes: reductions, softmax, argmax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.nn_layers import LayerDefinition, Parameters
from hapir.dialects.nn_reductions import CHANNELS


@dataclass(frozen=True)
class Reduction(LayerDefinition):
    """Elements along axes joined to one."""

    function: ClassVar[str]
    axes: tuple[int, ...]
    keep: bool = False

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.ReduceOp(self.function, inputs[0], sorted(self.axes), keep=self.keep, layer=layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        if not isinstance(op, nn.ReduceOp) or op.function.data != cls.function:
            raise LookupError(op.name)
        return {"axes": tuple(integers(op.axes)), "keep": op.keep is not None}


@dataclass(frozen=True)
class ReduceSum(Reduction):
    """Sum of the elements along axes; of integers modulo 2^width.

    `axes`: the axes that are joined, counted from 0.
    `keep`: whether they stay, with size 1.

    Example: `s1 = reduce_sum(x, axes = [2, 3], keep = true)`
    """

    function: ClassVar[str] = "sum"


@dataclass(frozen=True)
class ReduceMean(Reduction):
    """Mean of the elements along axes.

    `axes`: the axes that are joined, counted from 0.
    `keep`: whether they stay, with size 1.

    Example: `m1 = reduce_mean(x, axes = [2, 3])`
    """

    function: ClassVar[str] = "mean"


@dataclass(frozen=True)
class ReduceMax(Reduction):
    """Largest of the elements along axes.

    `axes`: the axes that are joined, counted from 0.
    `keep`: whether they stay, with size 1.

    Example: `m1 = reduce_max(x, axes = [2, 3])`
    """

    function: ClassVar[str] = "max"


@dataclass(frozen=True)
class ReduceMin(Reduction):
    """Smallest of the elements along axes.

    `axes`: the axes that are joined, counted from 0.
    `keep`: whether they stay, with size 1.

    Example: `m1 = reduce_min(x, axes = [2, 3])`
    """

    function: ClassVar[str] = "min"


@dataclass(frozen=True)
class ReduceProduct(Reduction):
    """Product of the elements along axes; of integers modulo 2^width.

    `axes`: the axes that are joined, counted from 0.
    `keep`: whether they stay, with size 1.

    Example: `p1 = reduce_product(x, axes = 1)`
    """

    function: ClassVar[str] = "product"


@dataclass(frozen=True)
class Softmax(LayerDefinition):
    """`exp(x) / sum(exp(x))` along an axis.

    `axis`: the axis, counted from 0; 1 is that of the channels.

    Example: `return softmax(f1)`
    """

    axis: int = CHANNELS

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.SoftmaxOp(inputs[0], axis=self.axis, layer=layer)


@dataclass(frozen=True)
class LogSoftmax(LayerDefinition):
    """The natural logarithm of softmax along an axis, without the detour over small numbers.

    `axis`: the axis, counted from 0; 1 is that of the channels.

    Example: `return log_softmax(f1)`
    """

    axis: int = CHANNELS

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.LogSoftmaxOp(inputs[0], axis=self.axis, layer=layer)


@dataclass(frozen=True)
class Argmax(LayerDefinition):
    """Index of the largest value along an axis, as i32.

    `axis`: the axis, counted from 0; 1 is that of the channels.
    `keep`: whether the axis stays, with size 1.
    `last`: whether the highest index wins a tie, not the lowest.

    Example: `return argmax(f1)`
    """

    axis: int = CHANNELS
    keep: bool = False
    last: bool = False

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.ArgmaxOp(inputs[0], axis=self.axis, keep=self.keep, last=self.last, layer=layer)
