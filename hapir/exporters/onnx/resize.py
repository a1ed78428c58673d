"""Resizing maps, and sampling along any axes: Resize.

The nearest element by a whole factor is `asymmetric` and `floor`. For other ratios runtimes multiply by a rounded
factor and may miss an element, so there the rows and columns are gathered by constant indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hapir.dialects import nn
from hapir.dialects.nn import Coordinates, Nearest, ResizeMode, SampleMode
from hapir.dialects.num import shape_of
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.styles import Unsayable

COORDINATES = {Coordinates.crop: "tf_crop_and_resize"}
"""What ONNX calls coordinates where the names differ."""
NEAREST = {
    Nearest.half_down: "round_prefer_floor",
    Nearest.half_up: "round_prefer_ceil",
    Nearest.floor: "floor",
    Nearest.ceil: "ceil",
}
AXES_OPSET = 18
"""The first where Resize has axes and antialiasing."""
SYMMETRIC_OPSET = 19
"""The first with `half_pixel_symmetric`."""


@writes(nn.ResizeOp)
def resize(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.ResizeOp)
    sizes, wanted = list(call.shape()[2:]), (op.rows.data, op.columns.data)
    if op.mode.data == ResizeMode.nearest:
        _nearest(call, sizes, wanted)
        return
    x = call.x()
    corners = op.mode.data == ResizeMode.bilinear_corners
    if corners:  # one row of many is the first; of ONNX's readers some take the middle
        for i, (size, count) in enumerate(zip(sizes, wanted, strict=True)):
            if count == 1 < size:
                x = call.node("Gather", x, call.array("first", [0]), axis=i + 2)
                sizes[i] = 1
    transform = "align_corners" if corners else "half_pixel"
    _give_resize(call, x, sizes, wanted, mode="linear", coordinate_transformation_mode=transform)


def _give_resize(call: Call, x: str, sizes: Sequence[int], wanted: Sequence[int], **attributes: Any) -> None:
    """By factors, so that the batch stays open, where they are exact; else by sizes."""
    scales = [count / size for size, count in zip(sizes, wanted, strict=True)]
    if all(float(np.float32(scale)) == scale for scale in scales):
        call.give("Resize", x, "", call.array("scales", [1, 1, *scales], np.float32), **attributes)
    else:
        call.give("Resize", x, "", "", _whole_shape(call, x), **attributes)


def _whole_shape(call: Call, x: str) -> str:
    """The shape of the result as a value, the batch as it comes."""
    shape = shape_of(call.op.results[0])
    if not call.builder.any_batch:
        return call.array("sizes", shape)
    return call.node("Concat", batch_size(call, x), call.array("sizes", shape[1:]), axis=0)


def batch_size(call: Call, x: str) -> str:
    """The size of axis 0 of a value, as a tensor of one number."""
    return call.node("Slice", call.node("Shape", x), call.array("start", [0]), call.array("end", [1]))


def _nearest(call: Call, sizes: Sequence[int], wanted: Sequence[int]) -> None:
    whole = all(count % size == 0 or size % count == 0 for size, count in zip(sizes, wanted, strict=True))
    if whole and call.carried(0.0).dtype.itemsize != 2:  # runtimes have no Resize on 16 bits
        places = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        _give_resize(call, call.x(), sizes, wanted, mode="nearest", **places)
        return
    rows, columns = (
        call.array(name, np.arange(count) * size // count)
        for name, size, count in zip(("rows", "columns"), sizes, wanted, strict=True)
    )
    call.give("Gather", call.node("Gather", call.x(), rows, axis=2), columns, axis=3)


@writes(nn.ResampleOp)
def resample(call: Call) -> None:
    """Resize with all that it can say; before it had axes, the others have the scale 1."""
    op = call.op
    assert isinstance(op, nn.ResampleOp)
    sampling, along = op.sampling, op.along
    _check(call, sampling)
    axes = [axis for axis, *_ in along]
    attributes: dict[str, Any] = {
        "mode": str(sampling.mode),
        "coordinate_transformation_mode": COORDINATES.get(sampling.coordinates, str(sampling.coordinates)),
    }
    if sampling.mode == SampleMode.nearest:
        attributes["nearest_mode"] = NEAREST[sampling.nearest]
    if sampling.mode == SampleMode.cubic:
        attributes["cubic_coeff_a"] = sampling.sharpness
    if sampling.inside:
        attributes["exclude_outside"] = 1
    if sampling.antialias:
        attributes["antialias"] = 1
    if sampling.coordinates == Coordinates.crop:
        attributes["extrapolation_value"] = sampling.outside
    with_axes = call.opset >= AXES_OPSET
    if with_axes:
        attributes["axes"] = axes
    rank = len(call.shape())
    shown = axes if with_axes else list(range(rank))
    by_axis = {axis: (scale, ends) for axis, _, scale, ends in along}
    region = ""
    if op.region is not None:
        ends = [by_axis[axis][1] if axis in by_axis else (0.0, 1.0) for axis in shown]
        region = call.array("region", [start for start, _ in ends] + [end for _, end in ends], np.float32)
    if op.scales is not None:
        scales = [by_axis[axis][0] if axis in by_axis else 1.0 for axis in shown]
        call.give("Resize", call.x(), region, call.array("scales", scales, np.float32), **attributes)
        return
    sizes = call.array("sizes", [size for _, size, *_ in along]) if with_axes else _whole_shape(call, call.x())
    call.give("Resize", call.x(), region, "", sizes, **attributes)


def _check(call: Call, sampling: nn.Sampling) -> None:
    """Raise Unsayable for what this opset's Resize does not have."""
    needs = [(SYMMETRIC_OPSET, sampling.coordinates == Coordinates.half_pixel_symmetric, "half_pixel_symmetric")]
    needs.append((AXES_OPSET, sampling.antialias, "antialiasing"))
    for opset, asked, what in needs:
        if asked and call.opset < opset:
            raise Unsayable(
                f"Resize has {what} from opset {opset} on, this is {call.opset}", f"ask for `--opset {opset}`"
            )
