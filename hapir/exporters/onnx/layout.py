"""Ops that move data: they work on whatever carries their operands, codes or reals."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.nn import PadMode
from hapir.dialects.nn_shapes import spread
from hapir.dialects.num import element_type, shape_of, signed
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.elementwise import give_cast
from hapir.exporters.onnx.styles import Unsayable

WRAP_OPSET = 19
"""The first where Pad goes on at the other end."""


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
    """Axes that stay are 0, as far as ONNX needs no number there; a tensor without axes has none."""
    op = call.op
    assert isinstance(op, nn.ReshapeOp)
    kept, shape = op.first_axis, shape_of(op.result)
    call.give("Reshape", call.x(), call.array("shape", [*[0] * kept, *shape[kept:]], np.int64))


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
    if op.mode.data == PadMode.wrap and call.opset < WRAP_OPSET:
        raise Unsayable(
            f"Pad wraps from opset {WRAP_OPSET} on, this is {call.opset}", f"ask for `--opset {WRAP_OPSET}`"
        )
    if narrow:  # runtimes have Pad on bytes and on int32, but not on 16 bits
        x, value = call.cast(x, np.int32), value.astype(np.int32)
    inputs = [x, call.array("pads", ends)]
    if op.mode.data == PadMode.constant:
        inputs.append(call.array("value", value))
    if narrow:
        give_cast(call, call.node("Pad", *inputs, mode=str(op.mode.data)), call.carried(0.0).dtype)
    else:
        call.give("Pad", *inputs, mode=str(op.mode.data))


@writes(nn.SliceOp)
def slice_(call: Call) -> None:
    """The axes that are cut; backwards, the end before the first element is the lowest number there is."""
    op = call.op
    assert isinstance(op, nn.SliceOp)
    shape = call.shape()
    cuts = {axis: cut for axis, cut in enumerate(op.cuts) if cut != (0, shape[axis], 1)}
    if not cuts:
        call.give("Identity", call.x())
        return
    starts = [start for start, _, _ in cuts.values()]
    lasts = [start + (size - 1) * step for start, size, step in cuts.values()]
    steps = [step for _, _, step in cuts.values()]
    ends = [last + 1 if step > 0 else last - 1 if last else BEFORE_ALL for last, step in zip(lasts, steps, strict=True)]
    parts = [call.array(name, values, np.int64) for name, values in (("starts", starts), ("ends", ends))]
    if any(step != 1 for step in steps) or list(cuts) != list(range(len(shape))):
        parts.append(call.array("axes", list(cuts), np.int64))
    if any(step != 1 for step in steps):
        parts.append(call.array("steps", steps, np.int64))
    call.give("Slice", call.x(), *parts)


BEFORE_ALL = -(1 << 63)
"""The end of a slice that runs backwards and takes the first element too."""


@writes(nn.TileOp)
def tile(call: Call) -> None:
    assert isinstance(call.op, nn.TileOp)
    call.give("Tile", call.x(), call.array("repeats", integers(call.op.repeats), np.int64))


@writes(nn.GatherOp)
def gather(call: Call) -> None:
    """Gather, whose indices are of 32 or 64 bits."""
    assert isinstance(call.op, nn.GatherOp)
    indices = call.x(1)
    if not is_integer_of(call.op.indices, 32, 64):
        indices = call.cast(indices, np.int64)
    call.give("Gather", call.x(), indices, axis=call.op.axis.value.data)


def is_integer_of(value: SSAValue, *widths: int) -> bool:
    """Whether a value holds signed integers of one of these widths."""
    element = element_type(value)
    return any(element == signed(width) for width in widths)


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
