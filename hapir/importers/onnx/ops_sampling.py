"""Resize and Upsample: a tensor sampled at other places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.importers.onnx.nodes import Call, Unsupported, axis_in, handles
from hapir.importers.onnx.ops_layout import EMPTY, constant_integers

_COORDINATES = {kind.value: kind for kind in nn.Coordinates if kind != nn.Coordinates.crop}
_COORDINATES |= {"tf_crop_and_resize": nn.Coordinates.crop, "tf_half_pixel_for_nn": nn.Coordinates.half_pixel}
_NEAREST = {
    "round_prefer_floor": nn.Nearest.half_down,
    "round_prefer_ceil": nn.Nearest.half_up,
    "floor": nn.Nearest.floor,
    "ceil": nn.Nearest.ceil,
}
_MODES = {"nearest": nn.SampleMode.nearest, "linear": nn.SampleMode.linear, "cubic": nn.SampleMode.cubic}


@handles("Upsample")
def upsample(call: Call) -> SSAValue:
    """Scales of all axes; result i lies at i / scale, and the nearest element is below it."""
    rank = len(call.shape(0))
    given = call.constant(1) if call.has(1) else call.attribute("scales")
    scales = None if given is None else [float(s) for s in np.asarray(given).reshape(-1)]
    if scales is None:  # version 1
        scales = [1.0] * (rank - 2) + [call.real("height_scale", 1.0), call.real("width_scale", 1.0)]
    mode = call.word("mode", "nearest").replace("bilinear", "linear")
    if mode not in ("nearest", "linear"):
        raise Unsupported(f"the mode is `{mode}`", "nearest or linear")
    sampling = nn.Sampling(_MODES[mode], nn.Coordinates.asymmetric, nn.Nearest.floor)
    return sampled(call, list(range(rank)), _rounded(call.shape(0), scales), scales, sampling, None)


def _rounded(shape: Sequence[int], scales: Sequence[float]) -> list[int]:
    if len(scales) != len(shape):
        raise Unsupported(f"{len(scales)} scales are not those of {len(shape)} axes")
    return [int(np.floor(size * scale)) for size, scale in zip(shape, scales, strict=True)]


@handles("Resize")
def resize(call: Call) -> SSAValue:
    """Version 10 has scales as input 1; later ones a region, scales or sizes."""
    first = call.opset < 11
    shape = call.shape(0)
    axes = [axis_in(a, len(shape)) for a in call.integers("axes", range(len(shape)))]
    mode = call.word("mode", "nearest")
    kind = call.word("coordinate_transformation_mode", "asymmetric" if first else "half_pixel")
    near = call.word("nearest_mode", "floor" if first else "round_prefer_floor")
    for what, word, known in (("mode", mode, _MODES), ("coordinates", kind, _COORDINATES), ("nearest", near, _NEAREST)):
        if word not in known:
            raise Unsupported(f"the {what} are `{word}`", ", ".join(known))
    region = None
    if _COORDINATES[kind] == nn.Coordinates.crop:
        region = [float(v) for v in call.constant(1).reshape(-1)]
        if len(region) != 2 * len(axes):
            raise Unsupported(f"the region has {len(region)} numbers, {len(axes)} axes have twice as many")
    sampling = nn.Sampling(
        _MODES[mode],
        _COORDINATES[kind],
        _NEAREST[near],
        call.real("cubic_coeff_a", -0.75),
        bool(call.integer("exclude_outside")),
        bool(call.integer("antialias")),
        call.real("extrapolation_value"),
    )
    old = [shape[axis] for axis in axes]
    given = 1 if first else 2
    if call.has(given) and call.constant(given).size:
        scales = [float(s) for s in call.constant(given).reshape(-1)]
        return sampled(call, axes, _rounded(old, scales), scales, sampling, region)
    sizes = constant_integers(call, 3, "")
    if len(sizes) != len(axes):
        raise Unsupported(f"{len(sizes)} sizes are not those of {len(axes)} axes")
    scales = [new / size for new, size in zip(sizes, old, strict=True)]
    policy = call.word("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        scales = [min(scales) if policy == "not_larger" else max(scales)] * len(axes)
        sizes = [int(np.floor(size * scales[0] + 0.5)) for size in old]
    return sampled(call, axes, sizes, scales, sampling, region)


def sampled(
    call: Call,
    axes: Sequence[int],
    sizes: Sequence[int],
    scales: Sequence[float],
    sampling: nn.Sampling,
    region: Sequence[float] | None,
) -> SSAValue:
    """x sampled along these axes: as `nn.resize` where that says the same, else as `nn.resample`."""
    x, shape = call.tensor(0), call.shape(0)
    if min(sizes) < 1:
        raise Unsupported("the result is empty", EMPTY)
    ends = (
        [(0.0, 1.0)] * len(axes) if region is None else list(zip(region[: len(axes)], region[len(axes) :], strict=True))
    )
    changed = [i for i, axis in enumerate(axes) if (sizes[i], scales[i], ends[i]) != (shape[axis], 1.0, (0.0, 1.0))]
    if not changed:
        return x
    axes, sizes, scales, ends = ([values[i] for i in changed] for values in (axes, sizes, scales, ends))
    mode = _as_resize(shape, axes, sizes, scales, sampling)
    if mode is not None:
        new = {2: shape[2], 3: shape[3], **dict(zip(axes, sizes, strict=True))}
        return call.add(nn.ResizeOp(x, new[2], new[3], mode=mode, layer=call.layer))
    exact = [new / shape[axis] == scale for axis, new, scale in zip(axes, sizes, scales, strict=True)]
    return call.add(
        nn.ResampleOp(
            x,
            axes,
            sizes,
            _plain(sampling),
            scales=None if all(exact) else scales,
            region=None if region is None else [*(a for a, _ in ends), *(b for _, b in ends)],
            layer=call.layer,
        )
    )


def _plain(sampling: nn.Sampling) -> nn.Sampling:
    """The same sampling without what says nothing in its mode."""
    default = nn.Sampling()
    return nn.Sampling(
        sampling.mode,
        sampling.coordinates,
        sampling.nearest if sampling.mode == nn.SampleMode.nearest else default.nearest,
        sampling.sharpness if sampling.mode == nn.SampleMode.cubic else default.sharpness,
        sampling.inside and sampling.mode != nn.SampleMode.nearest,
        sampling.antialias,
        sampling.outside if sampling.coordinates == nn.Coordinates.crop else default.outside,
    )


def _as_resize(
    shape: Sequence[int], axes: Sequence[int], sizes: Sequence[int], scales: Sequence[float], sampling: nn.Sampling
) -> nn.ResizeMode | None:
    """The mode of `nn.resize` that samples rows and columns of a map alike."""
    ratios = [new / shape[axis] for axis, new in zip(axes, sizes, strict=True)]
    if len(shape) != 4 or not set(axes) <= {2, 3} or ratios != list(scales) or sampling.antialias:
        return None
    match sampling.mode, sampling.coordinates:
        case nn.SampleMode.nearest, nn.Coordinates.asymmetric if sampling.nearest == nn.Nearest.floor:
            whole = all(new % shape[axis] == 0 for axis, new in zip(axes, sizes, strict=True))
            return nn.ResizeMode.nearest if whole else None
        case nn.SampleMode.linear, nn.Coordinates.half_pixel if not sampling.inside:
            return nn.ResizeMode.bilinear
        case nn.SampleMode.linear, nn.Coordinates.align_corners if min(sizes) > 1 and not sampling.inside:
            return nn.ResizeMode.bilinear_corners
        case _:
            return None
