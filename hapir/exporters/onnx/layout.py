"""Ops that move data: they work on whatever carries their operands, codes or reals.

Resize by a whole factor is `asymmetric` and `floor`. For other ratios runtimes multiply by a rounded factor and may
miss an element, so there the rows and columns are gathered by constant indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from hapir.dialects import nn
from hapir.dialects.nn import PadMode, ResizeMode
from hapir.dialects.nn_shapes import spread
from hapir.dialects.num import shape_of
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.elementwise import give_cast


@writes(nn.ConcatOp)
def concat(call: Call) -> None:
    assert isinstance(call.op, nn.ConcatOp)
    call.give("Concat", *(call.x(i) for i in range(len(call.op.inputs))), axis=call.op.axis.value.data)


@writes(nn.SplitOp)
def split(call: Call) -> None:
    assert isinstance(call.op, nn.SplitOp)
    sizes = call.array("sizes", [size.data for size in call.op.pieces])
    call.give("Split", call.x(), sizes, axis=call.op.axis.value.data)


@writes(nn.FlattenOp)
def flatten(call: Call) -> None:
    call.give("Flatten", call.x(), axis=1)


def batch_and(sizes: Sequence[int]) -> list[int]:
    """The sizes of a Reshape that keeps the batch, whatever it is: 0 stands for the size that is there."""
    return [0, *sizes]


@writes(nn.ReshapeOp)
def reshape(call: Call) -> None:
    shape = shape_of(call.op.results[0])
    call.give("Reshape", call.x(), call.array("shape", batch_and(shape[1:])))


@writes(nn.TransposeOp)
def transpose(call: Call) -> None:
    assert isinstance(call.op, nn.TransposeOp)
    call.give("Transpose", call.x(), perm=[axis.data for axis in call.op.axes])


@writes(nn.PadOp)
def pad(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.PadOp)
    ends = [size.data for sizes in (op.before, op.after) for size in sizes]
    value = call.carried(op.value.value.data)
    x = call.x()
    narrow = value.dtype.itemsize == 2
    if narrow:  # runtimes have Pad on bytes and on int32, but not on 16 bits
        x, value = call.cast(x, np.int32), value.astype(np.int32)
    inputs = [x, call.array("pads", ends)]
    if op.mode.data == PadMode.constant:
        inputs.append(call.array("value", value))
    if narrow:
        give_cast(call, call.node("Pad", *inputs, mode=str(op.mode.data)), call.carried(0.0).dtype)
    else:
        call.give("Pad", *inputs, mode=str(op.mode.data))


@writes(nn.ResizeOp)
def resize(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.ResizeOp)
    sizes, wanted = call.shape()[2:], (op.rows.data, op.columns.data)
    if op.mode.data == ResizeMode.nearest:
        _nearest(call, sizes, wanted)
        return
    x = call.x()
    corners = op.mode.data == ResizeMode.bilinear_corners
    if corners:  # one row of many is the first; of ONNX's readers some take the middle
        for axis, (size, count) in enumerate(zip(sizes, wanted, strict=True), 2):
            if count == 1 < size:
                x = call.node("Gather", x, call.array("first", [0]), axis=axis)
    transform = "align_corners" if corners else "half_pixel"
    _give_resize(call, x, sizes, wanted, "linear", coordinate_transformation_mode=transform)


def _give_resize(call: Call, x: str, sizes: Sequence[int], wanted: Sequence[int], mode: str, **attributes: str) -> None:
    """By factors, so that the batch stays open, where they are exact; else by sizes."""
    scales = [count / size for size, count in zip(sizes, wanted, strict=True)]
    if all(float(np.float32(scale)) == scale for scale in scales):
        call.give("Resize", x, "", call.array("scales", [1, 1, *scales], np.float32), mode=mode, **attributes)
        return
    shape = list(shape_of(call.op.results[0]))
    if call.builder.any_batch:
        size = call.array("size", shape[1:])
        batch = call.node("Slice", call.node("Shape", x), call.array("start", [0]), call.array("end", [1]))
        call.give("Resize", x, "", "", call.node("Concat", batch, size, axis=0), mode=mode, **attributes)
    else:
        call.give("Resize", x, "", "", call.array("sizes", shape), mode=mode, **attributes)


def _nearest(call: Call, sizes: Sequence[int], wanted: Sequence[int]) -> None:
    whole = all(count % size == 0 or size % count == 0 for size, count in zip(sizes, wanted, strict=True))
    wide = call.carried(0.0).dtype.itemsize != 2  # runtimes have no Resize on 16 bits
    if whole and wide:
        attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        _give_resize(call, call.x(), sizes, wanted, "nearest", **attributes)
        return
    rows, columns = (
        call.array(name, np.arange(count) * size // count)
        for name, size, count in zip(("rows", "columns"), sizes, wanted, strict=True)
    )
    call.give("Gather", call.node("Gather", call.x(), rows, axis=2), columns, axis=3)


@writes(nn.GatherTapsOp)
def gather_taps(call: Call) -> None:
    """The places of all taps in an item that is laid out as a row."""
    op = call.op
    assert isinstance(op, nn.GatherTapsOp)
    window, taps = op.window.window, call.stored(1).astype(np.int64)
    op.check_taps(int(taps.min()), int(taps.max()))
    _, c, h, w = spread(call.shape())
    (_, s), (down, right), (rows, columns) = window.kernel, window.stride, window.output(h, w)
    channel, place = np.divmod(taps, prod(window.kernel))
    row = (place // s * window.dilation[0])[:, None, None] + down * np.arange(rows)[:, None]
    column = (place % s * window.dilation[1])[:, None, None] + right * np.arange(columns)
    places = (channel[:, None, None] * h + row) * w + column
    line = call.node("Reshape", call.x(), call.array("line", batch_and([c * h * w])))
    shape = shape_of(op.result)
    gathered = call.node("Gather", line, call.array("places", places.reshape(-1)), axis=1)
    call.give("Reshape", gathered, call.array("shape", batch_and(shape[1:])))
