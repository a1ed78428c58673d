"""The layer statements that pool: over windows of maps and sequences, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_layers import (
    Ends,
    LayerDefinition,
    Padding,
    Pair,
    Parameters,
    channels_of,
    line_of,
    window_of,
)


@dataclass(frozen=True)
class MaxPool(LayerDefinition):
    """Maximum over windows; the stride is the kernel where it is not said. Padding never wins.

    Example: `p1 = max_pool(r1, kernel = 2)`
    """

    kernel: Pair
    stride: Pair | None = None
    padding: Padding = 0
    dilation: Pair = 1

    def __post_init__(self) -> None:
        window_of(self.kernel, self.kernel if self.stride is None else self.stride, self.padding, self.dilation)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        stride = self.kernel if self.stride is None else self.stride
        return nn.MaxPoolOp(inputs[0], window=window_of(self.kernel, stride, self.padding, self.dilation), layer=layer)


@dataclass(frozen=True)
class MaxPoolIndices(LayerDefinition):
    """Where the maximum of each window of a map lies, as `i64`: its place in the whole tensor, the first of equal ones.

    `columns_first`: the places within a map are counted column by column instead of row by row.

    Example: `at = max_pool_indices(r1, kernel = 2)`
    """

    kernel: Pair
    stride: Pair | None = None
    padding: Padding = 0
    dilation: Pair = 1
    columns_first: bool = False

    def __post_init__(self) -> None:
        window_of(self.kernel, self.kernel if self.stride is None else self.stride, self.padding, self.dilation)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        stride = self.kernel if self.stride is None else self.stride
        window = window_of(self.kernel, stride, self.padding, self.dilation)
        channels_of(inputs[0], 4, "max_pool_indices")
        return nn.MaxPoolIndicesOp(inputs[0], window=window, columns_first=self.columns_first, layer=layer)


@dataclass(frozen=True)
class AvgPool(LayerDefinition):
    """Mean over windows; the stride is the kernel where it is not said.

    `count_include_pad`: padding counts as zeros, or, where this is false, not at all.

    Example: `p1 = avg_pool(r1, kernel = [2, 2], stride = 2)`
    """

    kernel: Pair
    stride: Pair | None = None
    padding: Padding = 0
    dilation: Pair = 1
    count_include_pad: bool = False

    def __post_init__(self) -> None:
        window_of(self.kernel, self.kernel if self.stride is None else self.stride, self.padding, self.dilation)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        stride = self.kernel if self.stride is None else self.stride
        window = window_of(self.kernel, stride, self.padding, self.dilation)
        return nn.AvgPoolOp(inputs[0], window=window, count_include_pad=self.count_include_pad, layer=layer)


@dataclass(frozen=True)
class MaxPool1d(LayerDefinition):
    """Maximum over windows of a sequence N C L; the stride is the kernel where it is not said. Padding never wins.

    Example: `p1 = max_pool1d(r1, kernel = 2)`
    """

    kernel: int
    stride: int | None = None
    padding: Ends = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        line_of(self.kernel, self.kernel if self.stride is None else self.stride, self.padding, self.dilation)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        channels_of(inputs[0], 3, "max_pool1d")
        stride = self.kernel if self.stride is None else self.stride
        return nn.MaxPoolOp(inputs[0], window=line_of(self.kernel, stride, self.padding, self.dilation), layer=layer)


@dataclass(frozen=True)
class AvgPool1d(LayerDefinition):
    """Mean over windows of a sequence N C L; the stride is the kernel where it is not said.

    `count_include_pad`: padding counts as zeros, or, where this is false, not at all.

    Example: `p1 = avg_pool1d(r1, kernel = 4, stride = 2)`
    """

    kernel: int
    stride: int | None = None
    padding: Ends = 0
    dilation: int = 1
    count_include_pad: bool = False

    def __post_init__(self) -> None:
        line_of(self.kernel, self.kernel if self.stride is None else self.stride, self.padding, self.dilation)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        channels_of(inputs[0], 3, "avg_pool1d")
        stride = self.kernel if self.stride is None else self.stride
        window = line_of(self.kernel, stride, self.padding, self.dilation)
        return nn.AvgPoolOp(inputs[0], window=window, count_include_pad=self.count_include_pad, layer=layer)


@dataclass(frozen=True)
class GlobalAvgPool(LayerDefinition):
    """Mean over the whole map: N C H W to N C 1 1, a sequence N C L to N C 1.

    Example: `g = global_avg_pool(r5)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.GlobalAvgPoolOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class GlobalMaxPool(LayerDefinition):
    """Maximum over the whole map: N C H W to N C 1 1, a sequence N C L to N C 1.

    Example: `g = global_max_pool(r5)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.GlobalMaxPoolOp(inputs[0], layer=layer)
