"""Resize and Upsample: a tensor sampled at other places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.importers.onnx.nodes import Call, Unsupported, axis_in, check_limits, handles
from hapir.importers.onnx.ops_layout import EMPTY, constant_integers
from hapir.reference.nn_resize import taps_along

_COORDINATES = {kind.value: kind for kind in nn.Coordinates if kind != nn.Coordinates.crop}
_COORDINATES["tf_crop_and_resize"] = nn.Coordinates.crop
_NEAREST = {
    "round_prefer_floor": nn.Nearest.half_down,
    "round_prefer_ceil": nn.Nearest.half_up,
    "floor": nn.Nearest.floor,
    "ceil": nn.Nearest.ceil,
}


MAXIMUM_SCALE = 1 << 20
MOST_COMPARED = 1 << 20
"""Results along an axis whose places are compared one by one."""


@dataclass(frozen=True)
class Along:
    """How one axis is sampled: its new size, its scale, and the ends of the region in parts of it."""

    axis: int
    size: int
    scale: float
    start: float = 0.0
    end: float = 1.0

    def changes(self, shape: Sequence[int]) -> bool:
        """Whether the axis of such a tensor is not as it was."""
        return (self.size, self.scale, self.start, self.end) != (shape[self.axis], 1.0, 0.0, 1.0)

    def stretches(self, shape: Sequence[int]) -> bool:
        """Whether the scale is the new size over the old one."""
        return self.scale == self.size / shape[self.axis]


@handles("Upsample")
def upsample(call: Call) -> SSAValue:
    """Scales of all axes; result i lies at i / scale, and the nearest element is below it."""
    shape = call.shape(0)
    given = call.constant(1) if call.has(1) else call.attribute("scales")
    if given is None:
        raise Unsupported("there are no scales")
    scales = [float(scale) for scale in np.asarray(given).reshape(-1)]
    mode = call.word("mode", "nearest").replace("bilinear", "linear")
    if mode not in ("nearest", "linear"):
        raise Unsupported(f"the mode is `{mode}`", "nearest or linear")
    sampling = nn.Sampling(nn.SampleMode(mode), nn.Coordinates.asymmetric, nn.Nearest.floor)
    return sampled(call, _scaled(shape, range(len(shape)), scales), sampling)


def _scaled(shape: Sequence[int], axes: Sequence[int], scales: Sequence[float]) -> list[Along]:
    """Sizes are rounded down."""
    _check_count("scales", len(scales), len(axes))
    if not all(0 < scale < MAXIMUM_SCALE for scale in scales):
        raise Unsupported(f"the scales are {list(scales)}", f"positive numbers below {MAXIMUM_SCALE}")
    return [Along(axis, int(shape[axis] * scale), scale) for axis, scale in zip(axes, scales, strict=True)]


def _sized(shape: Sequence[int], axes: Sequence[int], sizes: Sequence[int], policy: str) -> list[Along]:
    """Sizes as they are given; or one scale for all axes, by which none becomes larger, or smaller, than its size."""
    _check_count("sizes", len(sizes), len(axes))
    scales = [size / shape[axis] for axis, size in zip(axes, sizes, strict=True)]
    if policy == "stretch":
        return [Along(*line) for line in zip(axes, sizes, scales, strict=True)]
    if policy not in ("not_larger", "not_smaller"):
        raise Unsupported(f"the policy of sizes is `{policy}`", "stretch, not_larger or not_smaller")
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [Along(axis, int(shape[axis] * scale + 0.5), scale) for axis in axes]


def _check_count(what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise Unsupported(f"{found} {what} are not those of {wanted} axes")


@handles("Resize")
def resize(call: Call) -> SSAValue:
    """Version 10 has scales as input 1; later ones a region, scales or sizes."""
    first, shape = call.opset < 11, call.shape(0)
    axes = [axis_in(a, len(shape)) for a in call.integers("axes", range(len(shape)))]
    sampling = _sampling(call, first)
    given = 1 if first else 2
    if call.has(given) and call.constant(given).size:
        along = _scaled(shape, axes, [float(s) for s in call.constant(given).reshape(-1)])
    else:
        policy = call.word("keep_aspect_ratio_policy", "stretch")
        along = _sized(shape, axes, constant_integers(call, 3, ""), policy)
    if sampling.coordinates == nn.Coordinates.crop:
        ends = [float(v) for v in call.constant(1).reshape(-1)]
        _check_count("ends of the region", len(ends), 2 * len(axes))
        pairs = zip(along, ends[: len(axes)], ends[len(axes) :], strict=True)
        along = [replace(line, start=start, end=end) for line, start, end in pairs]
    return sampled(call, along, sampling)


def _sampling(call: Call, first: bool) -> nn.Sampling:
    """What the attributes say, without what says nothing in a mode; `first` is version 10, which has only the mode."""
    mode = call.word("mode", "nearest")
    kind = call.word("coordinate_transformation_mode", "asymmetric" if first else "half_pixel")
    near = call.word("nearest_mode", "floor" if first else "round_prefer_floor")
    for what, word, known in (
        ("mode", mode, [*nn.SampleMode]),
        ("transformation of coordinates", kind, [*_COORDINATES]),
        ("nearest element", near, [*_NEAREST]),
    ):
        if word not in known:
            raise Unsupported(f"the {what} is `{word}`", ", ".join(known))
    plain = nn.Sampling(nn.SampleMode(mode), _COORDINATES[kind], antialias=bool(call.integer("antialias")))
    if plain.coordinates == nn.Coordinates.crop:
        plain = replace(plain, outside=call.real("extrapolation_value"))
    if mode == "nearest":
        return replace(plain, nearest=_NEAREST[near])
    if mode == "cubic":
        plain = replace(plain, sharpness=call.real("cubic_coeff_a", plain.sharpness))
    return replace(plain, inside=bool(call.integer("exclude_outside")))


def sampled(call: Call, along: Sequence[Along], sampling: nn.Sampling) -> SSAValue:
    """x sampled along these axes: as `nn.resize` where that says the same, else as `nn.resample`."""
    x, shape = call.tensor(0), call.shape(0)
    if any(line.size < 1 for line in along):
        raise Unsupported("the result is empty", EMPTY)
    sizes = {line.axis: line.size for line in along}
    check_limits([sizes.get(axis, size) for axis, size in enumerate(shape)])
    along = [line for line in along if line.changes(shape)]
    if not along:
        return x
    axes, sizes = [line.axis for line in along], [line.size for line in along]
    stretched = all(line.stretches(shape) for line in along)
    mode = _as_resize(shape, along, sampling) if stretched else None
    if mode is not None:
        new = {axis: shape[axis] for axis in (2, 3)} | dict(zip(axes, sizes, strict=True))
        return call.add(nn.ResizeOp(x, new[2], new[3], mode=mode, layer=call.layer))
    scales = None if stretched else [line.scale for line in along]
    region = [line.start for line in along] + [line.end for line in along]
    crops = sampling.coordinates == nn.Coordinates.crop
    return call.add(
        nn.ResampleOp(x, axes, sizes, sampling, scales=scales, region=region if crops else None, layer=call.layer)
    )


def _as_resize(shape: Sequence[int], along: Sequence[Along], sampling: nn.Sampling) -> nn.ResizeMode | None:
    """The mode of `nn.resize` that samples rows and columns of a map alike, where they are stretched."""
    if len(shape) != 4 or not {line.axis for line in along} <= {2, 3} or sampling.antialias or sampling.inside:
        return None
    match sampling.mode, sampling.coordinates:
        case nn.SampleMode.nearest, nn.Coordinates.crop:
            return None
        case nn.SampleMode.nearest, _:
            return nn.ResizeMode.nearest if all(_repeats(line, shape, sampling) for line in along) else None
        case nn.SampleMode.linear, nn.Coordinates.half_pixel:
            return nn.ResizeMode.bilinear
        case nn.SampleMode.linear, nn.Coordinates.align_corners if all(line.size > 1 for line in along):
            return nn.ResizeMode.bilinear_corners
        case _:
            return None


def _repeats(line: Along, shape: Sequence[int], sampling: nn.Sampling) -> bool:
    """Whether result i is element floor(i * H / P), as in most ways to say it where the new size is a multiple."""
    size = shape[line.axis]
    if line.size > MOST_COMPARED:
        return False
    places = taps_along(size, line.size, line.scale, (line.start, line.end), sampling).places[:, 0]
    return np.array_equal(places, np.arange(line.size) * size // line.size)
