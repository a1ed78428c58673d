"""The layer statements that move data: joining, cutting, reordering, padding and resizing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.nn_layers import LayerDefinition, Padding, Pair, Parameters, padding_of, pair_of
from hapir.dialects.nn_shapes import Shape, ShapeError, text
from hapir.dialects.num import shape_of

MAXIMUM_PIECES = 4096
"""Pieces of one split: each is a tensor of its own."""


@dataclass(frozen=True)
class Concat(LayerDefinition):
    """Tensors joined along an axis; 1 joins channels.

    `axis`: the axis to join along; 1 joins channels.

    Example: `j = concat(a, b, c, axis = 1)`
    """

    inputs: ClassVar[int | None] = None
    axis: int = 1

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.ConcatOp(inputs, axis=self.axis, layer=layer)


@dataclass(frozen=True)
class Split(LayerDefinition):
    """A tensor cut along an axis (1: channels) into `parts` equal pieces, or into pieces of the given `sizes`.

    The pieces of `s` are `s[1]`, `s[2]` and so on; `s` alone names no tensor.

    `parts`: how many pieces of one size, 1 to 4096.
    `sizes`: the size of each piece; they add up to the axis.
    `axis`: the axis to cut; 1 cuts channels.

    Example: `s = split(c1, parts = 2)` (then `s[1]` and `s[2]` are tensors)
    """

    parts: int | None = None
    sizes: tuple[int, ...] | None = None
    axis: int = 1

    def __post_init__(self) -> None:
        if (self.parts is None) == (self.sizes is None):
            raise ValueError("say either `parts`, how many equal pieces, or `sizes`, one size per piece")
        if self.parts is not None and not 1 <= self.parts <= MAXIMUM_PIECES:
            raise ValueError(f"parts is 1 to {MAXIMUM_PIECES}, got {self.parts}")
        if self.sizes is not None and (not self.sizes or min(self.sizes) < 1):
            raise ValueError(f"sizes must be at least 1, got {list(self.sizes)}")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = shape_of(inputs[0])
        if not 0 <= self.axis < len(shape):
            raise ShapeError(f"axis {self.axis} is outside 0..{len(shape) - 1}")
        sizes = self.sizes or ()
        if self.parts is not None:
            if shape[self.axis] % self.parts:
                raise ShapeError(
                    f"the {shape[self.axis]} of axis {self.axis} do not split into {self.parts} equal parts"
                )
            sizes = (shape[self.axis] // self.parts,) * self.parts
        return nn.SplitOp(inputs[0], sizes, axis=self.axis, layer=layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        if not isinstance(op, nn.SplitOp):
            return {}
        sizes = integers(op.pieces)
        return {"parts": len(sizes)} if len(set(sizes)) == 1 else {"sizes": sizes}

    def result_names(self, count: int) -> Sequence[str | int]:
        return range(1, count + 1)


@dataclass(frozen=True)
class Flatten(LayerDefinition):
    """N ... to N x (product of the rest), row-major.

    Example: `f = flatten(p1)`
    """

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.FlattenOp(inputs[0], layer=layer)


@dataclass(frozen=True)
class Reshape(LayerDefinition):
    """N ... to N x `shape`: the same elements in row-major order. The axes before `axis` stay and are not written.

    `shape`: the sizes of the axes from `axis` on.
    `axis`: the first axis that changes; 1 keeps the batch, with 0 the shape is the whole one.

    Example: `m = reshape(f1, shape = [16, 4, 4])`
    """

    shape: tuple[int, ...]
    axis: int = 1

    def __post_init__(self) -> None:
        if min(self.shape, default=1) < 1:
            raise ValueError(f"shape holds sizes of at least 1, got {list(self.shape)}")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.ReshapeOp(inputs[0], self.shape, axis=self.axis, layer=layer)


@dataclass(frozen=True)
class Transpose(LayerDefinition):
    """The axes in another order: axis i of the result is axis `axes[i]`.

    `axes`: which axis each axis of the result is, all of them; the batch is 0.

    Example: `t = transpose(x, axes = [0, 2, 1])`
    """

    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(self.axes) != list(range(len(self.axes))):
            raise ValueError(f"axes is a permutation of 0, 1, 2 ..., got {list(self.axes)}")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.TransposeOp(inputs[0], self.axes, layer=layer)


@dataclass(frozen=True)
class Pad(LayerDefinition):
    """A map N C H W, or a sequence N C L, with elements around it, and with channels before and after its own.

    Any tensor takes `before` and `after` instead, one number per axis.

    `channels`: what is added to the channels, one number or `[before, after]`.
    `before`: what is added before the first element of each axis.
    `after`: what is added behind the last element of each axis.
    `mode`: what is added is the `value`, the outermost element, the elements mirrored about it (`reflect`), or those at
        the other end (`wrap`).
    `value`: what the mode `constant` adds.

    Example: `p = pad(x, padding = 1, channels = [0, 8])`
    """

    padding: Padding = 0
    channels: Pair = 0
    before: tuple[int, ...] | None = None
    after: tuple[int, ...] | None = None
    mode: Literal["constant", "edge", "reflect", "wrap"] = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        around, channels = padding_of(self.padding), pair_of(self.channels)
        if min(*around, *channels, *(self.before or ()), *(self.after or ())) < 0:
            raise ValueError("padding must not be negative")
        if (self.before or self.after) and any((*around, *channels)):
            raise ValueError("say either `padding` and `channels`, or `before` and `after`")
        if not math.isfinite(self.value):
            raise ValueError(f"value must be finite, got {self.value}")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        before, after = self._ends(shape_of(inputs[0]))
        return nn.PadOp(inputs[0], before, after, mode=nn.PadMode(self.mode), value=self.value, layer=layer)

    def _ends(self, shape: Shape) -> tuple[Sequence[int], Sequence[int]]:
        """What is added before and after each axis."""
        none = (0,) * len(shape)
        if self.before is not None or self.after is not None:
            return self.before or none, self.after or none
        channels = pair_of(self.channels)
        if len(shape) == 4:
            top, left, bottom, right = padding_of(self.padding)
            before, after = (top, left), (bottom, right)
        elif len(shape) == 3 and (isinstance(self.padding, int) or len(self.padding) == 2):
            first, last = pair_of(self.padding)
            before, after = (first,), (last,)
        else:
            raise ShapeError(
                f"pad takes a map N x C x H x W or a sequence N x C x L, got shape {text(shape)}: "
                "say `before` and `after`, one number per axis"
            )
        return (0, channels[0], *before), (0, channels[1], *after)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        if not isinstance(op, nn.PadOp):
            return {}
        before, after = tuple(integers(op.before)), tuple(integers(op.after))
        if len(before) not in (3, 4) or before[0] or after[0]:
            return {"before": before if any(before) else None, "after": after}
        around = {"padding": (*before[2:], *after[2:]), "channels": (before[1], after[1])}
        return {**around, "before": None, "after": None}


@dataclass(frozen=True)
class Resize(LayerDefinition):
    """A map sampled at `scale` times its rows and columns, or at `size` rows and columns.

    `scale`: a whole factor, one number or `[vertical, horizontal]`.
    `size`: the rows and columns of the result, one number or `[vertical, horizontal]`.
    `mode`: `nearest` takes the element at `floor(i * H / P)`; `bilinear` samples at `(i + 1/2) * H / P - 1/2` and
        `bilinear_corners` at `i * (H - 1) / (P - 1)`, so that the corners stay.

    Example: `u = resize(r1, scale = 2)`
    """

    scale: Pair | None = None
    size: Pair | None = None
    mode: Literal["nearest", "bilinear", "bilinear_corners"] = "nearest"

    def __post_init__(self) -> None:
        if (self.scale is None) == (self.size is None):
            raise ValueError("say either `scale`, a whole factor, or `size`, the rows and columns")
        factors = pair_of(self.scale or self.size or 0)
        if min(factors) < 1:
            raise ValueError(f"scale and size are at least 1, got {list(factors)}")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = shape_of(inputs[0])
        if len(shape) != 4:
            raise ShapeError(f"resize needs a map N x C x H x W, got shape {text(shape)}")
        if self.scale is not None:
            rows, columns = (size * factor for size, factor in zip(shape[2:], pair_of(self.scale), strict=True))
        else:
            rows, columns = pair_of(self.size or 1)
        return nn.ResizeOp(inputs[0], rows, columns, mode=nn.ResizeMode(self.mode), layer=layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        if not isinstance(op, nn.ResizeOp):
            return {}
        size = (op.rows.data, op.columns.data)
        pairs = list(zip(size, shape_of(op.x)[2:], strict=True))
        if any(result % whole for result, whole in pairs):
            return {"size": size}
        return {"scale": tuple(result // whole for result, whole in pairs)}
