"""What the ops of `nn` that sample a tensor at other places compute. All but `nearest` computes new values, in f32.

Bilinear: places and weights are computed in double, the weights rounded to f32; each value is
`a * (1 - weight) + b * weight`, first between rows, then between columns, every operation rounded to f32. Resampling
goes along one axis after the other: per result a few elements and their weights (`taps_along`), which are added up from
the first on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.nn import Coordinates, Nearest, ResizeMode, SampleMode, Sampling
from hapir.dialects.num import shape_of
from hapir.reference.values import Array, Meaning, Setting, single

Reals = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


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


@dataclass(frozen=True)
class Taps:
    """Along an axis, per result: the elements that it reads, P x K, their weights, P x K, and what is added to them.

    Without weights a result is its only element. Without `offsets` nothing is added.
    """

    places: Places
    weights: Reals | None
    offsets: Reals | None = None


def taps_along(size: int, count: int, scale: float, ends: tuple[float, float], sampling: Sampling) -> Taps:
    """What `count` results read of `size` elements; `ends` are those of the region, in parts of the axis."""
    exact = _coordinates(size, count, scale, ends, sampling.coordinates)
    outside = None
    if sampling.coordinates == Coordinates.crop:
        outside = (exact < 0) | (exact > size - 1)
    if sampling.mode == SampleMode.nearest:
        places = np.clip(_nearest(exact, sampling.nearest), 0, size - 1)[:, None]
        if outside is None:
            return Taps(places, None)
        weights = np.ones(places.shape)
    else:
        places, weights = _weights(exact, size, scale, sampling)
    offsets = None
    if outside is not None and outside.any():
        weights[outside] = 0
        offsets = np.where(outside, sampling.outside, 0).astype(np.float32)
    return Taps(places, weights.astype(np.float32), offsets)


def _coordinates(size: int, count: int, scale: float, ends: tuple[float, float], kind: Coordinates) -> Doubles:
    """The place of each result among the elements; see `Coordinates`."""
    index, length = np.arange(count, dtype=np.float64), scale * size
    match kind:
        case Coordinates.half_pixel:
            return (index + 0.5) / scale - 0.5
        case Coordinates.half_pixel_symmetric:
            return size / 2 * (1 - count / length) + (index + 0.5) / scale - 0.5
        case Coordinates.pytorch_half_pixel:
            return (index + 0.5) / scale - 0.5 if length != 1 else np.full(count, -0.5)
        case Coordinates.asymmetric:
            return index / scale
        case Coordinates.align_corners:
            return index * (size - 1) / (length - 1) if length != 1 else np.zeros(count)
        case Coordinates.crop:
            start, end = ends
            span = (end - start) * (size - 1)
            within = index * span / (length - 1) if length != 1 else np.full(count, span / 2)
            return within + start * (size - 1)


def _nearest(exact: Doubles, kind: Nearest) -> Places:
    match kind:
        case Nearest.half_down:
            found = np.ceil(exact - 0.5)
        case Nearest.half_up:
            found = np.floor(exact + 0.5)
        case Nearest.floor:
            found = np.floor(exact)
        case Nearest.ceil:
            found = np.ceil(exact)
    return found.astype(np.int64)


def _weights(exact: Doubles, size: int, scale: float, sampling: Sampling) -> tuple[Places, Doubles]:
    """The elements around each place, those beyond the edge moved to it, and their weights.

    They are as far as the weight function reaches: 1 for linear, 2 for cubic, divided by a scale below 1 where this
    function is widened against aliasing. A whole place is the end of its interval, not the beginning.
    """
    reach = 1 if sampling.mode == SampleMode.linear else 2
    narrow = min(scale, 1.0) if sampling.antialias else 1.0
    first = int(np.floor(-reach / narrow)) + 1
    around = np.arange(first, 2 - first)
    below = np.ceil(exact).astype(np.int64) - 1
    distance = np.abs((around - (exact - below)[:, None]) * narrow)
    weights = _linear(distance) if sampling.mode == SampleMode.linear else _cubic(distance, sampling.sharpness)
    if sampling.antialias:
        weights /= weights.sum(axis=1, keepdims=True)
    places = below[:, None] + around
    if sampling.inside:
        weights[(places < 0) | (places >= size)] = 0
        sums = weights.sum(axis=1, keepdims=True)
        weights /= np.where(sums == 0, 1, sums)
    return np.clip(places, 0, size - 1), weights


def _linear(distance: Doubles) -> Doubles:
    return np.clip(1 - distance, 0, 1)


def _cubic(distance: Doubles, a: float) -> Doubles:
    """Keys's cubic convolution weights."""
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def resample(x: Array, axis: int, taps: Taps) -> Array:
    """x sampled along an axis."""
    if taps.weights is None:
        return np.take(x, taps.places[:, 0], axis)
    column = (-1, *[1] * (x.ndim - axis - 1))
    sums = np.float32(0) if taps.offsets is None else taps.offsets.reshape(column)
    for places, weights in zip(taps.places.T, taps.weights.T, strict=True):
        sums = sums + np.take(x, places, axis) * weights.reshape(column)
    return np.asarray(sums)


def taps_of(op: nn.ResampleOp) -> list[tuple[int, Taps]]:
    """Per axis in turn what results read."""
    shape = shape_of(op.x)
    return [(axis, taps_along(shape[axis], new, scale, ends, op.sampling)) for axis, new, scale, ends in op.along]


def _resample_op(op: nn.ResampleOp, operands: Sequence[Array], _: Setting) -> Array:
    (x,) = operands
    for axis, taps in taps_of(op):
        x = resample(x, axis, taps)
    return x


def _resize_op(op: nn.ResizeOp, operands: Sequence[Array], _: Setting) -> Array:
    rows, columns, mode = op.rows.data, op.columns.data, op.mode.data
    if mode == ResizeMode.nearest:
        return resize_nearest(operands[0], rows, columns)
    return resize_bilinear(operands[0], rows, columns, corners=mode == ResizeMode.bilinear_corners)


MEANINGS: dict[type[Operation], Meaning] = dict(
    (single(nn.ResizeOp, _resize_op), single(nn.ResampleOp, _resample_op)),
)
"""The op classes of `nn` that sample."""
