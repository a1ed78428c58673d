"""What the products, pools and norms of `nn` compute, on arrays N C H W, N C L and N C.

The other ops of the dialect are in `nn_elementwise`, `nn_layout`, `nn_recurrent` and `nn_resize`. Every function treats
axis 0 as the batch, of any size. Integer sums are exact. Float sums of products are left to BLAS in f32: convolutions
and `dense` sum over (c, r, s) in the library's order and add the bias last; pools sum the rows of a window first, top
to bottom, then the columns, left to right; all roundings are f32. A sequence N C L is a map of one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import element_type, is_float, zero_point_of
from hapir.reference.products import modelled_product
from hapir.reference.values import Array, Meaning, Setting, exact_dtype, largest, single, to_si32

Reals = npt.NDArray[np.float32]
Sums = npt.NDArray[np.int32]

PATCH_BYTES = 1 << 27
"""The most memory that the patches of one convolution step may take."""


def conv2d(x: Array, w: Array, bias: Array | None, window: Window, groups: int = 1) -> Reals:
    """Float convolution: x N C H W, w K C/G R S, bias K -> N K P Q; zeros pad."""
    sums = _correlate(x, w, window, groups, np.dtype(np.float32))
    return sums if bias is None else sums + bias[:, None, None]


def conv2d_integer(
    x: Array, w: Array, bias: Array | None, window: Window, groups: int = 1, zero_point: int = 0
) -> Sums:
    """Integer convolution of `x - zero_point`, exact; padding adds nothing. Raises OverflowError past si32."""
    dtype = exact_dtype(_bound(x, w, bias, zero_point))
    sums = _correlate(x, w, window, groups, dtype, zero_point)
    return to_si32(sums if bias is None else sums + bias.astype(dtype)[:, None, None])


def conv1d(x: Array, w: Array, bias: Array | None, window: Window, groups: int = 1) -> Reals:
    """Float convolution of sequences: x N C L, w K C/G S, bias K -> N K Q; zeros pad."""
    return conv2d(one_row(x), one_row(w), bias, window, groups)[:, :, 0]


def conv1d_integer(
    x: Array, w: Array, bias: Array | None, window: Window, groups: int = 1, zero_point: int = 0
) -> Sums:
    """Integer convolution of sequences of `x - zero_point`, exact. Raises OverflowError past si32."""
    return conv2d_integer(one_row(x), one_row(w), bias, window, groups, zero_point)[:, :, 0]


def one_row(x: Array) -> Array:
    """A sequence N C L as the map N C 1 L; a map as it is."""
    return x[:, :, None] if x.ndim == 3 else x


def transposed_conv2d(
    x: Array, w: Array, bias: Array | None, window: Window, extra: tuple[int, int] = (0, 0), groups: int = 1
) -> Reals:
    """Float transposed convolution: x N C H W, w C K/G R S, bias K -> N K P Q.

    Per kernel position (r, s), row by row, the sums over c (by BLAS) are added to the output; the bias comes last.
    """
    (n, c, height, width), (_, k, r, s) = x.shape, w.shape
    (stride_h, stride_w), (dilation_h, dilation_w) = window.stride, window.dilation
    rows, columns = ((size - 1) * step for size, step in zip((height, width), window.stride, strict=True))
    full = (rows + window.extent[0] + extra[0], columns + window.extent[1] + extra[1])
    sums = np.zeros((n, groups, k, *full), np.float32)
    pixels = x.reshape(n, groups, c // groups, height * width)
    kernels = w.reshape(groups, c // groups, k, r, s)
    for i, j in product(range(r), range(s)):
        part = kernels[:, :, :, i, j].transpose(0, 2, 1) @ pixels  # N G K/G HW
        first, left = i * dilation_h, j * dilation_w
        place = sums[..., first : first + rows + 1 : stride_h, left : left + columns + 1 : stride_w]
        place += part.reshape(n, groups, k, height, width)
    top, left, bottom, right = window.padding
    kept = sums.reshape(n, groups * k, *full)[:, :, top : full[0] - bottom, left : full[1] - right]
    return np.ascontiguousarray(kept if bias is None else kept + bias[:, None, None])


def transposed_conv1d(
    x: Array, w: Array, bias: Array | None, window: Window, extra: tuple[int, int] = (0, 0), groups: int = 1
) -> Reals:
    """Float transposed convolution of sequences: x N C L, w C K/G S, bias K -> N K Q."""
    return transposed_conv2d(one_row(x), one_row(w), bias, window, extra, groups)[:, :, 0]


def matmul(a: Array, b: Array) -> Array:
    """Products of the matrices in the last two axes: floats summed by BLAS in f32, integers wrap around."""
    return np.asarray(a @ b)


def dense(x: Array, w: Array, bias: Array | None) -> Reals:
    """Float fully connected layer: x N ... C, w K C, bias K -> N ... K."""
    sums = x @ w.T
    return sums if bias is None else sums + bias


def dense_integer(x: Array, w: Array, bias: Array | None, zero_point: int = 0) -> Sums:
    """Integer fully connected layer of `x - zero_point`, exact. Raises OverflowError past si32."""
    dtype = exact_dtype(_bound(x, w, bias, zero_point))
    sums = _shifted(x, zero_point, dtype) @ w.astype(dtype).T
    return to_si32(sums if bias is None else sums + bias.astype(dtype))


def _bound(x: Array, w: Array, bias: Array | None, zero_point: int) -> int:
    """The most any partial sum of an output can reach, proven from the values at hand: max|x| * sum|w| + max|b|."""
    magnitudes = np.abs(w.reshape(len(w), -1).astype(np.int64))
    per_output = int(magnitudes.sum(axis=1).max()) if w.size else 0
    return largest(x, zero_point) * per_output + (0 if bias is None else largest(bias))


def _shifted(x: Array, zero_point: int, dtype: np.dtype[Any]) -> Array:
    """`x - zero_point` in `dtype`; the callers have proven that it fits."""
    values: Array = x.astype(dtype)
    return np.subtract(values, zero_point, dtype=dtype) if zero_point else values


def _correlate(x: Array, w: Array, window: Window, groups: int, dtype: np.dtype[Any], zero_point: int = 0) -> Array:
    """Sums of products in `dtype`: the patches of a block of images and rows as a matrix, times the weights."""
    (n, c, *_), (k, _, r, s) = x.shape, w.shape
    p, q = window.output(*x.shape[2:])
    kernels = w.reshape(groups, k // groups, -1).astype(dtype)
    sums = np.empty((n, k, p, q), dtype)
    for images, rows in blocks(n, p, c * q * r * s * dtype.itemsize):
        padded = _padded(_shifted(x[images], zero_point, dtype), window.padding, 0)
        patches = _patches(padded, window)[:, :, rows]
        b, height = patches.shape[0], patches.shape[2]
        # N C P Q R S -> G, C/G R S, N P Q
        matrix = patches.transpose(1, 4, 5, 0, 2, 3).reshape(groups, -1, b * height * q)
        block = (kernels @ matrix).reshape(k, b, height, q)
        sums[images, :, rows] = block.transpose(1, 0, 2, 3)
    return sums


def blocks(images: int, rows: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Slices of images and output rows whose patches stay within `PATCH_BYTES`, one row of one image at the least."""
    rows_at_once = max(1, PATCH_BYTES // row_bytes)
    image_step, row_step = max(1, rows_at_once // rows), min(rows, rows_at_once)
    for first, row in product(range(0, images, image_step), range(0, rows, row_step)):
        yield slice(first, min(first + image_step, images)), slice(row, min(row + row_step, rows))


def _padded(x: Array, padding: tuple[int, int, int, int], value: object) -> Array:
    """x N C H W with rows and columns of `value` around it."""
    top, left, bottom, right = padding
    if not any(padding):
        return x
    n, c, h, w = x.shape
    out = np.full((n, c, h + top + bottom, w + left + right), value, x.dtype)
    out[:, :, top : top + h, left : left + w] = x
    return out


def _patches(padded: Array, window: Window) -> Array:
    """A view N C P Q R S of a padded map."""
    (stride_h, stride_w), (dilation_h, dilation_w) = window.stride, window.dilation
    view = sliding_window_view(padded, window.extent, axis=(2, 3))
    return view[:, :, ::stride_h, ::stride_w, ::dilation_h, ::dilation_w]


def _reduce_windows(x: Array, window: Window, combine: Callable[[Array, Array], Array], padding: object) -> Array:
    """Windows combined along their rows, then along their columns."""
    if x.ndim == 3:
        return _reduce_windows(one_row(x), window, combine, padding)[:, :, 0]
    p, q = window.output(*x.shape[2:])
    (stride_h, stride_w), (dilation_h, dilation_w) = window.stride, window.dilation
    padded = _padded(x, window.padding, padding)
    rows = padded[:, :, : (p - 1) * stride_h + 1 : stride_h]
    for i in range(dilation_h, window.extent[0], dilation_h):
        rows = combine(rows, padded[:, :, i : i + (p - 1) * stride_h + 1 : stride_h])
    columns = rows[:, :, :, : (q - 1) * stride_w + 1 : stride_w]
    for j in range(dilation_w, window.extent[1], dilation_w):
        columns = combine(columns, rows[:, :, :, j : j + (q - 1) * stride_w + 1 : stride_w])
    return np.ascontiguousarray(columns)


def max_pool(x: Array, window: Window) -> Array:
    """Maximum over windows of floats or integers; padding never wins."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return _reduce_windows(x, window, np.maximum, lowest)


def max_pool_indices(x: Array, window: Window, *, columns_first: bool = False) -> npt.NDArray[np.int64]:
    """The place in x of the first maximum of each window; within a map column by column with `columns_first`."""
    if x.ndim == 3:
        return max_pool_indices(one_row(x), window, columns_first=columns_first)[:, :, 0]
    (n, c, height, width), (r, s) = x.shape, window.kernel
    p, q = window.output(height, width)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    taps = _patches(_padded(x, window.padding, lowest), window).reshape(n, c, p, q, r * s)
    count = np.arange(height * width, dtype=np.int64)
    places = count.reshape(width, height).T if columns_first else count.reshape(height, width)
    at = _patches(_padded(places[None, None], window.padding, -1), window).reshape(1, 1, p, q, r * s)
    # a tap in the padding never wins, not even against the lowest number there is
    best = np.where(at >= 0, taps == np.where(at >= 0, taps, lowest).max(axis=4, keepdims=True), False).argmax(axis=4)
    maps = np.arange(n * c, dtype=np.int64).reshape(n, c, 1, 1) * (height * width)
    return maps + np.take_along_axis(np.broadcast_to(at, taps.shape), best[..., None], axis=4)[..., 0]


def avg_pool(x: Array, window: Window, count_include_pad: bool) -> Reals:
    """Mean over windows of f32; the divisor is R*S, or the number of real elements without `count_include_pad`."""
    sums = _reduce_windows(x, window, np.add, 0)
    height, width = one_row(x).shape[2:]
    sizes = window.kernel[0] * window.kernel[1] if count_include_pad else window_sizes(height, width, window)
    if isinstance(sizes, np.ndarray) and x.ndim == 3:
        sizes = sizes[0]
    return np.divide(sums, sizes, dtype=np.float32)


def window_sizes(height: int, width: int, window: Window) -> npt.NDArray[np.int64]:
    """How many elements of an H x W map lie in each of its P x Q windows."""
    ones = np.ones((1, 1, height, width), np.int64)
    return _reduce_windows(ones, window, np.add, 0)[0, 0]


def sum_pool(x: Array, window: Window, zero_point: int) -> Sums:
    """Sum of `x - zero_point` over windows, exact. Raises OverflowError past si32."""
    dtype = exact_dtype(largest(x, zero_point) * window.kernel[0] * window.kernel[1])
    return to_si32(_reduce_windows(_shifted(x, zero_point, dtype), window, np.add, 0))


def global_avg_pool(x: Array) -> Reals:
    """Mean over the map of f32: N C H W -> N C 1 1, N C L -> N C 1."""
    flat = x.reshape(*x.shape[:2], -1)
    return flat.mean(axis=2, dtype=np.float32).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))


def global_max_pool(x: Array) -> Array:
    """Maximum over the map: N C H W -> N C 1 1, N C L -> N C 1."""
    return x.max(axis=tuple(range(2, x.ndim)), keepdims=True)


def batch_norm(x: Reals, gamma: Reals, beta: Reals, mean: Reals, variance: Reals, epsilon: float) -> Reals:
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta` over axis 1, in f32."""

    def channels(values: Reals) -> Reals:
        return values.reshape(-1, *(1,) * (x.ndim - 2))

    deviation = channels(np.sqrt(variance + np.float32(epsilon)))
    return (x - channels(mean)) / deviation * channels(gamma) + channels(beta)


def layer_norm(x: Array, gamma: Array, beta: Array, axis: int, epsilon: float) -> Reals:
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta` over the axes from `axis` on, in f32 (numpy's sums)."""
    axes = tuple(range(axis, x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True, dtype=np.float32)
    variance = np.square(centred).mean(axis=axes, keepdims=True, dtype=np.float32)
    return centred / np.sqrt(variance + np.float32(epsilon)) * gamma + beta


def group_norm(x: Array, gamma: Array, beta: Array, groups: int, epsilon: float) -> Reals:
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta` over groups of the channels N C ..., in f32."""
    n, c, *places = x.shape
    rows = x.reshape(n, groups, -1)
    centred = rows - rows.mean(axis=2, keepdims=True, dtype=np.float32)
    variance = np.square(centred).mean(axis=2, keepdims=True, dtype=np.float32)
    normal = (centred / np.sqrt(variance + np.float32(epsilon))).reshape(x.shape)
    per_channel = (c, *(1 for _ in places))
    return np.asarray(normal * gamma.reshape(per_channel) + beta.reshape(per_channel), np.float32)


def rms_norm(x: Array, gamma: Array, axis: int, epsilon: float) -> Reals:
    """`x / sqrt(mean(x^2) + epsilon) * gamma` over the axes from `axis` on, in f32 (numpy's sums)."""
    axes = tuple(range(axis, x.ndim))
    squares: Array = np.square(x).mean(axis=axes, keepdims=True, dtype=np.float32)
    return np.asarray(x / np.sqrt(squares + np.float32(epsilon)) * gamma, np.float32)


def local_response_norm(x: Array, size: int, alpha: float, beta: float, bias: float) -> Reals:
    """`x / (bias + alpha / size * sum x^2)^beta`, the sum over channels c - (size - 1) // 2 .. c + size // 2, in f32.

    The squares are added from the lowest channel to the highest.
    """
    channels = x.shape[1]
    before, after = min((size - 1) // 2, channels - 1), min(size // 2, channels - 1)
    squares = np.zeros((len(x), before + channels + after, *x.shape[2:]), np.float32)
    squares[:, before : before + channels] = np.square(x)
    sums = squares[:, :channels].copy()
    for offset in range(1, before + after + 1):
        sums += squares[:, offset : offset + channels]
    scale: Array = np.power(np.float32(bias) + np.float32(alpha / size) * sums, np.float32(beta))
    return np.divide(x, scale, dtype=np.float32)


def _bias(operands: Sequence[Array]) -> Array | None:
    return operands[2] if len(operands) == 3 else None


def _convolution_op(op: nn.ConvolutionOp, operands: Sequence[Array], _: Setting) -> Array:
    x, w, bias = operands[0], operands[1], _bias(operands)
    if op.multiplier is not None:
        return modelled_product(op, x, w, bias)
    floats, integers = (conv2d, conv2d_integer) if isinstance(op, nn.Conv2dOp) else (conv1d, conv1d_integer)
    window, groups = op.window.window, op.filter_groups
    if is_float(op.x):
        return floats(x, w, bias, window, groups)
    return integers(x, w, bias, window, groups, zero_point_of(element_type(op.x)))


def _transposed_convolution_op(op: nn.TransposedConvolutionOp, operands: Sequence[Array], _: Setting) -> Array:
    compute = transposed_conv2d if isinstance(op, nn.TransposedConv2dOp) else transposed_conv1d
    window, groups = op.window.window, op.groups.value.data
    return compute(operands[0], operands[1], _bias(operands), window, op.extra_sizes, groups)


def _dense_op(op: nn.DenseOp, operands: Sequence[Array], _: Setting) -> Array:
    x, w, bias = operands[0], operands[1], _bias(operands)
    if op.multiplier is not None:
        return modelled_product(op, x, w, bias)
    if is_float(op.x):
        return dense(x, w, bias)
    return dense_integer(x, w, bias, zero_point_of(element_type(op.x)))


def _local_response_norm_op(op: nn.LocalResponseNormOp, operands: Sequence[Array], _: Setting) -> Array:
    alpha, beta, bias = (a.value.data for a in (op.alpha, op.beta, op.bias))
    return local_response_norm(operands[0], op.size.value.data, alpha, beta, bias)


MEANINGS: dict[type[Operation], Meaning] = dict(
    (
        single(nn.Conv2dOp, _convolution_op),
        single(nn.Conv1dOp, _convolution_op),
        single(nn.TransposedConv2dOp, _transposed_convolution_op),
        single(nn.TransposedConv1dOp, _transposed_convolution_op),
        single(nn.DenseOp, _dense_op),
        single(nn.LinearOp, lambda _, v, __: dense(v[0], v[1], _bias(v))),
        single(nn.MatmulOp, lambda _, v, __: matmul(v[0], v[1])),
        single(nn.WeightOp, lambda op, _, setting: setting.weights[op.key.data]),
        single(nn.MaxPoolOp, lambda op, v, _: max_pool(v[0], op.window.window)),
        single(
            nn.MaxPoolIndicesOp,
            lambda op, v, _: max_pool_indices(v[0], op.window.window, columns_first=bool(op.columns_first.value.data)),
        ),
        single(
            nn.AvgPoolOp,
            lambda op, v, _: avg_pool(v[0], op.window.window, bool(op.count_include_pad.value.data)),
        ),
        single(nn.SumPoolOp, lambda op, v, _: sum_pool(v[0], op.window.window, zero_point_of(element_type(op.x)))),
        single(nn.GlobalAvgPoolOp, lambda _, v, __: global_avg_pool(v[0])),
        single(nn.GlobalMaxPoolOp, lambda _, v, __: global_max_pool(v[0])),
        single(nn.BatchNormOp, lambda op, v, _: batch_norm(v[0], v[1], v[2], v[3], v[4], op.epsilon.value.data)),
        single(
            nn.LayerNormOp,
            lambda op, v, _: layer_norm(v[0], v[1], v[2], op.axis.value.data, op.epsilon.value.data),
        ),
        single(
            nn.GroupNormOp,
            lambda op, v, _: group_norm(v[0], v[1], v[2], op.groups.value.data, op.epsilon.value.data),
        ),
        single(nn.RmsNormOp, lambda op, v, _: rms_norm(v[0], v[1], op.axis.value.data, op.epsilon.value.data)),
        single(nn.LocalResponseNormOp, _local_response_norm_op),
    )
)
"""The op classes of `nn` that this file gives a meaning; `nn.network` and `nn.return` are the interpreter's own."""
