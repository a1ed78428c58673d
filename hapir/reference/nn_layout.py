"""What the ops of `nn` that move data compute; `nn_resize` has those that sample it.

An op that keeps items takes any number of them along axis 0; the others take the declared number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.nn import PadMode
from hapir.dialects.nn_shapes import Window, spread
from hapir.dialects.num import AffineType, element_type, on_grid, shape_of
from hapir.reference.values import Array, Meaning, Setting, single


def concat(inputs: Sequence[Array], axis: int) -> Array:
    """Arrays joined along an axis; one that holds a single item (a parameter) serves the whole batch."""
    if axis == 0:
        return np.concatenate(inputs)
    batch = max(len(x) for x in inputs)
    return np.concatenate([np.broadcast_to(x, (batch, *x.shape[1:])) for x in inputs], axis)


def split(x: Array, sizes: Sequence[int], axis: int) -> tuple[Array, ...]:
    """x cut along an axis into pieces of these sizes."""
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))


def reshape(x: Array, sizes: Sequence[int], axis: int = 1) -> Array:
    """The axes from `axis` on as `sizes`, the elements in row-major order."""
    return x.reshape((*x.shape[:axis], *sizes))


def transpose(x: Array, axes: Sequence[int]) -> Array:
    """Axis i of the result is axis `axes[i]` of x."""
    return np.ascontiguousarray(x.transpose(axes))


def pad(x: Array, before: Sequence[int], after: Sequence[int], mode: PadMode, value: float = 0) -> Array:
    """x with elements before and after each axis; see `PadMode`."""
    widths = list(zip(before, after, strict=True))
    match mode:
        case PadMode.constant:
            return np.pad(x, widths, constant_values=x.dtype.type(value))
        case PadMode.edge:
            return np.pad(x, widths, mode="edge")
        case PadMode.reflect:
            return np.pad(x, widths, mode="reflect")
        case PadMode.wrap:
            return np.pad(x, widths, mode="wrap")


def gather_taps(x: Array, taps: npt.NDArray[np.integer], window: Window) -> Array:
    """x N C H W -> N T P Q: tap (c * R + r) * S + s is channel c, r and s further on."""
    (r, s), (down, right) = window.kernel, window.stride
    rows, columns = window.output(*x.shape[2:])
    channel, place = np.divmod(taps, r * s)
    h = (place // s * window.dilation[0])[:, None, None] + down * np.arange(rows)[:, None]
    w = (place % s * window.dilation[1])[:, None, None] + right * np.arange(columns)
    return x[:, channel[:, None, None], h, w]


def slice_of(x: Array, cuts: Sequence[tuple[int, int, int]]) -> Array:
    """Along each axis so many elements from a start on, in steps; an axis without a cut stays: (start, size, step)."""
    ends = [start + size * step for start, size, step in cuts]
    parts = [slice(start, None if end < 0 else end, step) for (start, _, step), end in zip(cuts, ends, strict=True)]
    return np.ascontiguousarray(x[(..., *parts)])


def _split_op(op: Operation, operands: Sequence[Array], _: Setting) -> tuple[Array, ...]:
    assert isinstance(op, nn.SplitOp)
    return split(operands[0], [size.data for size in op.pieces], op.axis.value.data)


def _pad_op(op: nn.PadOp, operands: Sequence[Array], _: Setting) -> Array:
    before, after = ([size.data for size in sizes] for sizes in (op.before, op.after))
    element, value = element_type(op.x), op.value.value.data
    return pad(
        operands[0], before, after, op.mode.data, on_grid(element, value) if isinstance(element, AffineType) else value
    )


def _slice_op(op: nn.SliceOp, operands: Sequence[Array], _: Setting) -> Array:
    return slice_of(operands[0], op.cuts[1:] if op.keeps_items else op.cuts)


def _gather_op(op: nn.GatherOp, operands: Sequence[Array], _: Setting) -> Array:
    x, indices = operands
    op.check_indices(int(indices.min(initial=0)), int(indices.max(initial=0)))
    return np.take(x, indices.astype(np.int64), op.axis.value.data)


def _gather_taps_op(op: nn.GatherTapsOp, operands: Sequence[Array], _: Setting) -> Array:
    x, taps = operands
    op.check_taps(int(taps.min()), int(taps.max()))
    gathered = gather_taps(x.reshape(spread(x.shape)), taps, op.window.window)
    return gathered.reshape(len(x), *shape_of(op.result)[1:])


MEANINGS: dict[type[Operation], Meaning] = {
    **dict(
        (
            single(nn.ConcatOp, lambda op, v, _: concat(v, op.axis.value.data)),
            single(nn.FlattenOp, lambda _, v, __: v[0].reshape(len(v[0]), -1)),
            single(nn.ReshapeOp, lambda op, v, _: reshape(v[0], integers(op.shape), op.first_axis)),
            single(nn.TransposeOp, lambda op, v, _: transpose(v[0], integers(op.axes))),
            single(nn.PadOp, _pad_op),
            single(nn.SliceOp, _slice_op),
            single(nn.TileOp, lambda op, v, _: np.tile(v[0], integers(op.repeats))),
            single(nn.GatherOp, _gather_op),
            single(nn.GatherTapsOp, _gather_taps_op),
        )
    ),
    nn.SplitOp: _split_op,
}
"""The op classes of `nn` that move data."""
