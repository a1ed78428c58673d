"""What the ops of `nn` that move data compute. Only bilinear resizing computes new values, in f32.

Bilinear: places and weights are computed in double, the weights rounded to f32; each value is
`a * (1 - weight) + b * weight`, first between rows, then between columns, every operation rounded to f32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.nn import PadMode, ResizeMode
from hapir.dialects.nn_shapes import Window, spread
from hapir.dialects.num import AffineType, element_type, on_grid, shape_of
from hapir.reference.values import Array, Meaning, Setting, single

Reals = npt.NDArray[np.float32]


def concat(inputs: Sequence[Array], axis: int) -> Array:
    """Arrays joined along an axis; one that holds a single item (a parameter) serves the whole batch."""
    batch = max(len(x) for x in inputs)
    return np.concatenate([np.broadcast_to(x, (batch, *x.shape[1:])) for x in inputs], axis)


def split(x: Array, sizes: Sequence[int], axis: int) -> tuple[Array, ...]:
    """x cut along an axis into pieces of these sizes."""
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))


def reshape(x: Array, sizes: Sequence[int]) -> Array:
    """The elements of each item in row-major order, as `sizes`."""
    return x.reshape(len(x), *sizes)


def transpose(x: Array, axes: Sequence[int]) -> Array:
    """Axis i of the result is axis `axes[i]` of x."""
    return np.ascontiguousarray(x.transpose(axes))


def pad(x: Array, before: Sequence[int], after: Sequence[int], mode: PadMode, value: float = 0) -> Array:
    """x with elements before and after each axis: one value, the outermost element, or mirrored about it."""
    widths = list(zip(before, after, strict=True))
    if mode == PadMode.constant:
        return np.pad(x, widths, constant_values=x.dtype.type(value))
    return np.pad(x, widths, mode="edge" if mode == PadMode.edge else "reflect")


def gather_taps(x: Array, taps: npt.NDArray[np.integer], window: Window) -> Array:
    """x N C H W -> N T P Q: tap (c * R + r) * S + s is channel c, r and s further on."""
    (r, s), (down, right) = window.kernel, window.stride
    rows, columns = window.output(*x.shape[2:])
    channel, place = np.divmod(taps, r * s)
    h = (place // s * window.dilation[0])[:, None, None] + down * np.arange(rows)[:, None]
    w = (place % s * window.dilation[1])[:, None, None] + right * np.arange(columns)
    return x[:, channel[:, None, None], h, w]


def resize_nearest(x: Array, rows: int, columns: int) -> Array:
    """x N C H W -> N C P Q: the element at (floor(p * H / P), floor(q * W / Q))."""
    _, _, height, width = x.shape
    return x[:, :, np.arange(rows) * height // rows][:, :, :, np.arange(columns) * width // columns]


def resize_bilinear(x: Array, rows: int, columns: int, *, corners: bool = False) -> Reals:
    """x N C H W -> N C P Q, linear between rows and then between columns."""
    _, _, height, width = x.shape
    above, below, weight = places_between(height, rows, corners=corners)
    x = x[:, :, above] * (1 - weight)[:, None] + x[:, :, below] * weight[:, None]
    left, right, weight = places_between(width, columns, corners=corners)
    return x[:, :, :, left] * (1 - weight) + x[:, :, :, right] * weight


def places_between(
    size: int, count: int, *, corners: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Reals]:
    """Per result along an axis the two elements it lies between, and the weight of the second."""
    index = np.arange(count)
    exact = index * ((size - 1) / max(count - 1, 1)) if corners else (index + 0.5) * size / count - 0.5
    exact = np.clip(exact, 0, size - 1)
    first = np.floor(exact).astype(np.int64)
    return first, np.minimum(first + 1, size - 1), (exact - first).astype(np.float32)


def _split_op(op: Operation, operands: Sequence[Array], _: Setting) -> tuple[Array, ...]:
    assert isinstance(op, nn.SplitOp)
    return split(operands[0], [size.data for size in op.pieces], op.axis.value.data)


def _pad_op(op: nn.PadOp, operands: Sequence[Array], _: Setting) -> Array:
    before, after = ([size.data for size in sizes] for sizes in (op.before, op.after))
    element, value = element_type(op.x), op.value.value.data
    return pad(
        operands[0], before, after, op.mode.data, on_grid(element, value) if isinstance(element, AffineType) else value
    )


def _resize_op(op: nn.ResizeOp, operands: Sequence[Array], _: Setting) -> Array:
    rows, columns, mode = op.rows.data, op.columns.data, op.mode.data
    if mode == ResizeMode.nearest:
        return resize_nearest(operands[0], rows, columns)
    return resize_bilinear(operands[0], rows, columns, corners=mode == ResizeMode.bilinear_corners)


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
            single(nn.ReshapeOp, lambda op, v, _: reshape(v[0], [size.data for size in op.shape])),
            single(nn.TransposeOp, lambda op, v, _: transpose(v[0], [axis.data for axis in op.axes])),
            single(nn.PadOp, _pad_op),
            single(nn.ResizeOp, _resize_op),
            single(nn.GatherTapsOp, _gather_taps_op),
        )
    ),
    nn.SplitOp: _split_op,
}
"""The op classes of `nn` that move data."""
