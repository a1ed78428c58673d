"""The layer statements that choose, repeat and sample elements along any axes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from xdsl.ir import Operation, SSAValue
from xdsl.utils.str_enum import StrEnum

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.nn_layers import LayerDefinition, Parameters
from hapir.dialects.nn_shapes import ShapeError, text
from hapir.dialects.num import shape_of

Numbers: TypeAlias = int | tuple[int, ...]
"""One number, or one per axis."""


def _listed(values: Numbers, count: int) -> list[int]:
    """One number for each of so many axes; one alone is for all."""
    return [values] * count if isinstance(values, int) else list(values)


@dataclass(frozen=True)
class Slice(LayerDefinition):
    """Along one axis or several so many elements from a start on; the other axes stay.

    `axis`: the axes that are cut, one number or a list; 1 cuts channels.
    `start`: the first element that is taken, per axis; below 0 it counts from the end.
    `size`: how many elements are taken, per axis; else all up to the end.
    `step`: how far the next element is, per axis; below 0 they go backwards.

    Example: `s = slice(x, axis = [2, 3], start = 1, size = 4)`
    """

    axis: Numbers = 1
    start: Numbers | None = None
    size: Numbers | None = None
    step: Numbers = 1

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = shape_of(inputs[0])
        axes = [self.axis] if isinstance(self.axis, int) else list(self.axis)
        if len(set(axes)) < len(axes) or not all(0 <= axis < len(shape) for axis in axes):
            raise ShapeError(f"axis names axes of 0..{len(shape) - 1}, each once, got {axes}")
        cuts = [(0, size, 1) for size in shape]
        steps = _listed(self.step, len(axes))
        starts = [0 if step > 0 else -1 for step in steps] if self.start is None else _listed(self.start, len(axes))
        sizes = [None] * len(axes) if self.size is None else _listed(self.size, len(axes))
        if not len(starts) == len(sizes) == len(steps) == len(axes):
            raise ShapeError(f"a slice along {len(axes)} axes takes one number or as many for start, size and step")
        for axis, start, size, step in zip(axes, starts, sizes, steps, strict=True):
            first = start + shape[axis] if start < 0 else start
            if size is None and step != 0:
                size = max(0, -(-(shape[axis] - first) // step) if step > 0 else first // -step + 1)
            cuts[axis] = first, size or 0, step
        return nn.SliceOp(inputs[0], *zip(*cuts, strict=True), layer=layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        if not isinstance(op, nn.SliceOp):
            return {}
        shape = shape_of(op.x)
        axes = [a for a, cut in enumerate(op.cuts) if cut != (0, shape[a], 1)] or [0]
        starts, sizes, steps = zip(*(op.cuts[a] for a in axes), strict=True)
        said = {"axis": tuple(axes), "start": starts, "size": sizes, "step": steps}
        return {name: values[0] if len(set(values)) == 1 else values for name, values in said.items()}


@dataclass(frozen=True)
class Tile(LayerDefinition):
    """A tensor laid side by side with itself along its axes.

    `repeats`: how often each axis holds the tensor, one number per axis, the batch first.

    Example: `t = tile(g1, repeats = [1, 1, 8, 8])`
    """

    repeats: tuple[int, ...]

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.TileOp(inputs[0], self.repeats, layer=layer)


@dataclass(frozen=True)
class Gather(LayerDefinition):
    """Elements of the first tensor along an axis, by the indices in the second; its axes take that axis's place.

    An index below 0 counts from the end.

    `axis`: the axis that the indices are of; 1 takes channels.

    Example: `g = gather(x, argmax(x), axis = 1)` (the channels in which each row is largest)
    """

    inputs: ClassVar[int | None] = 2
    axis: int = 1

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        return nn.GatherOp(inputs[0], inputs[1], axis=self.axis, layer=layer)


@dataclass(frozen=True)
class Resample(LayerDefinition):
    """A tensor sampled along any axes at other places: `resize` with all that ONNX's Resize can say.

    `axes`: the axes that are sampled; else all behind N and C.
    `size`: the new size of each axis.
    `scale`: the new size over the old one, per axis; the size is rounded down where none is given.
    `mode`: `nearest` takes an element, `linear` weighs two per axis, `cubic` four.
    `coordinates`: where result i lies. `half_pixel`: at `(i + 1/2) / scale - 1/2`; `half_pixel_symmetric`: the same
        about the centre; `pytorch_half_pixel`: the same, but for a size of 1; `asymmetric`: at `i / scale`;
        `align_corners`: corners meet; `crop`: in a `region`.
    `nearest`: which element is nearest: in the middle of two the lower (`half_down`) or the upper (`half_up`), or
        always the lower (`floor`) or the upper (`ceil`).
    `sharpness`: the parameter of cubic weights.
    `inside`: weights are of elements inside only; else those at the edge go on beyond it.
    `antialias`: weights reach further where the scale is below 1.
    `region`: the starts, then the ends of what `crop` samples, in parts of the axes.
    `outside`: the value of places outside the tensor in `crop`.

    Example: `u = resample(x, scale = [1.5, 1.5], mode = linear, coordinates = asymmetric)`
    """

    axes: tuple[int, ...] | None = None
    size: tuple[int, ...] | None = None
    scale: tuple[float, ...] | None = None
    mode: Literal["nearest", "linear", "cubic"] = "nearest"
    coordinates: Literal[
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners", "crop"
    ] = "half_pixel"
    nearest: Literal["half_down", "half_up", "floor", "ceil"] = "half_down"
    sharpness: float = -0.75
    inside: bool = False
    antialias: bool = False
    region: tuple[float, ...] | None = None
    outside: float = 0.0

    def __post_init__(self) -> None:
        if self.size is None and self.scale is None:
            raise ValueError("say `size`, the new sizes, or `scale`, the factors, or both")
        if not all(math.isfinite(scale) and scale > 0 for scale in self.scale or ()):
            raise ValueError(f"scale holds positive numbers, got {list(self.scale or ())}")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape = shape_of(inputs[0])
        axes = tuple(range(2, len(shape))) if self.axes is None else self.axes
        if not all(0 <= axis < len(shape) for axis in axes):
            raise ShapeError(f"the axes of {text(shape)} are 0..{len(shape) - 1}, not {list(axes)}")
        sizes = self.size
        if sizes is None:
            if len(self.scale or ()) != len(axes):
                raise ShapeError(f"resample along {len(axes)} axes needs as many scales, got {list(self.scale or ())}")
            sizes = [int(shape[axis] * scale) for axis, scale in zip(axes, self.scale or (), strict=True)]
        sampling = nn.Sampling(
            nn.SampleMode(self.mode),
            nn.Coordinates(self.coordinates),
            nn.Nearest(self.nearest),
            self.sharpness,
            self.inside,
            self.antialias,
            self.outside,
        )
        return nn.ResampleOp(inputs[0], axes, sizes, sampling, scales=self.scale, region=self.region, layer=layer)

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        if not isinstance(op, nn.ResampleOp):
            return {}
        said = dataclasses.asdict(op.sampling) | {"axes": tuple(integers(op.axes)), "size": tuple(integers(op.sizes))}
        said["scale"] = None if op.scales is None else tuple(scale for _, _, scale, _ in op.along)
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in said.items()}
