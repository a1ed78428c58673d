"""The reference against onnxruntime, op by op of the wider vocabulary, on random shapes.

Floats must agree within 1e-5 of the largest output (the orders of accumulation differ); data that only move are equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.dialects.nn import PadMode
from hapir.dialects.nn_shapes import Window
from hapir.reference import nn, nn_elementwise, nn_layout, nn_resize
from tests.property.windows import row_of, windows
from tests.unit.test_reference_onnx import Array, assert_close, onnx, onnx_all, window_attributes

EXAMPLES = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**16)
SMALL = st.integers(1, 5)
MAPS = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 8), st.integers(1, 8))


def normal(seed: int, *shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def line_attributes(window: Window, *, dilated: bool = True) -> dict[str, list[int]]:
    attributes = {
        "kernel_shape": [window.kernel[1]],
        "strides": [window.stride[1]],
        "pads": [window.padding[1], window.padding[3]],
    }
    return attributes | ({"dilations": [window.dilation[1]]} if dilated else {})


@EXAMPLES
@given(st.data(), SMALL, SMALL, SMALL, st.integers(1, 12), st.sampled_from((1, 2, 3)), SEEDS)
def test_conv1d(data: st.DataObject, n: int, c: int, k: int, length: int, groups: int, seed: int) -> None:
    window = row_of(data.draw(windows(length, length)))
    x, w, b = normal(seed, (n, c * groups, length), (k * groups, c, window.kernel[1]), (k * groups,))
    expected = onnx("Conv", {"x": x, "w": w, "b": b}, group=groups, **line_attributes(window))
    assert_close(nn.conv1d(x, w, b, window, groups), expected)


@EXAMPLES
@given(st.data(), SMALL, SMALL, st.integers(1, 12), SEEDS, st.booleans())
def test_pools_of_sequences(data: st.DataObject, n: int, c: int, length: int, seed: int, include: bool) -> None:
    window = row_of(data.draw(windows(length, length, pooling=True)))
    (x,) = normal(seed, (n, c, length))
    assert np.array_equal(nn.max_pool(x, window), onnx("MaxPool", {"x": x}, **line_attributes(window)))
    attributes = line_attributes(window, dilated=False)
    expected = onnx("AveragePool", {"x": x}, count_include_pad=int(include), **attributes)
    assert_close(nn.avg_pool(x, window, include), expected)
    assert_close(nn.global_avg_pool(x), onnx("GlobalAveragePool", {"x": x}))
    assert np.array_equal(nn.global_max_pool(x), onnx("GlobalMaxPool", {"x": x}))


@EXAMPLES
@given(st.data(), MAPS, SMALL, st.sampled_from((1, 1, 2, 3)), SEEDS)
def test_transposed_conv2d(
    data: st.DataObject, shape: tuple[int, int, int, int], k: int, groups: int, seed: int
) -> None:
    n, c, height, width = shape
    # windows that fit a 6 x 6 map: as large ones as elsewhere
    window = data.draw(windows(6, 6))
    extra = tuple(data.draw(st.integers(0, stride - 1)) for stride in window.stride)
    top, left, bottom, right = window.padding
    for axis, (size, cut) in enumerate(((height, top + bottom), (width, left + right))):
        if (size - 1) * window.stride[axis] + window.extent[axis] - cut + extra[axis] < 1:
            return
    x, w, b = normal(seed, (n, c * groups, height, width), (c * groups, k, *window.kernel), (k * groups,))
    attributes = {**window_attributes(window), "group": groups, "output_padding": list(extra)}
    expected = onnx("ConvTranspose", {"x": x, "w": w, "b": b}, **attributes)
    assert_close(nn.transposed_conv2d(x, w, b, window, (extra[0], extra[1]), groups), expected)


@EXAMPLES
@given(st.lists(SMALL, min_size=1, max_size=2), SMALL, SMALL, SMALL, SEEDS)
def test_matmul(axes: list[int], m: int, k: int, p: int, seed: int) -> None:
    a, b = normal(seed, (*axes, m, k), (*axes, k, p))
    assert_close(nn.matmul(a, b), onnx("MatMul", {"a": a, "b": b}))


@EXAMPLES
@given(MAPS, SEEDS)
def test_activations(shape: tuple[int, int, int, int], seed: int) -> None:
    x = normal(seed, shape)[0] * np.float32(8)
    sigmoid = onnx("Sigmoid", {"x": x})
    assert_close(nn_elementwise.sigmoid(x), sigmoid)
    assert_close(nn_elementwise.silu(x), x * sigmoid)
    assert_close(np.tanh(x), onnx("Tanh", {"x": x}))
    assert_close(nn_elementwise.leaky_relu(x, 0.1), onnx("LeakyRelu", {"x": x}, alpha=0.1))
    assert_close(nn_elementwise.hard_sigmoid(x, 0.2, 0.5), onnx("HardSigmoid", {"x": x}, alpha=0.2, beta=0.5))
    assert_close(nn_elementwise.hard_swish(x), onnx("HardSwish", {"x": x}))
    erf = onnx("Erf", {"x": (x / np.sqrt(np.float32(2))).astype(np.float32)})
    assert_close(nn_elementwise.gelu(x), x / np.float32(2) * (1 + erf))
    signs = onnx("Sign", {"x": x})  # 0 for 0, where `sign` gives 1
    np.testing.assert_array_equal(nn_elementwise.sign(x), np.where(signs == 0, np.float32(1), signs))


def test_the_sign_of_zeros() -> None:
    zeros = np.array([0.0, -0.0, 1e-45, -1e-45], np.float32)
    np.testing.assert_array_equal(nn_elementwise.sign(zeros), [1, 1, 1, -1])


def test_activations_far_out() -> None:
    """Nothing overflows where exp does."""
    x = np.array([-1e4, -104, 104, 1e4], np.float32)
    assert nn_elementwise.sigmoid(x).tolist()[0] == 0
    assert nn_elementwise.sigmoid(x).tolist()[2:] == [1, 1]
    assert nn_elementwise.silu(x).tolist()[2:] == [104, 1e4]
    assert nn_elementwise.gelu(x).tolist() == [0, 0, 104, 1e4]


@EXAMPLES
@given(st.data(), MAPS, SEEDS)
def test_products_and_differences_repeat_axes(data: st.DataObject, shape: tuple[int, int, int, int], seed: int) -> None:
    smaller = (shape[0], *(data.draw(st.sampled_from((1, size))) for size in shape[1:]))
    a, b = normal(seed, shape, smaller)
    assert np.array_equal(a * b, onnx("Mul", {"a": a, "b": b}))
    assert np.array_equal(b - a, onnx("Sub", {"b": b, "a": a}))


@EXAMPLES
@given(st.data(), MAPS, SEEDS)
def test_norms(data: st.DataObject, shape: tuple[int, int, int, int], seed: int) -> None:
    axis = data.draw(st.integers(1, 3))
    x, gamma, beta = normal(seed, shape, shape[axis:], shape[axis:])
    inputs = {"x": x, "gamma": gamma, "beta": beta}
    expected = onnx("LayerNormalization", inputs, axis=axis, epsilon=1e-3)
    assert_close(nn.layer_norm(x, gamma, beta, axis, 1e-3), expected)
    size = data.draw(st.integers(1, 6))
    attributes = {"alpha": 0.3, "beta": 0.75, "bias": 1.5}
    # onnxruntime's kernel takes odd sizes only; an even one must match the formula on the channels written out
    if size % 2:
        assert_close(nn.local_response_norm(x, size, **attributes), onnx("LRN", {"x": x}, size=size, **attributes))
    else:
        first = [max(0, c - (size - 1) // 2) for c in range(shape[1])]
        sums = np.stack([np.square(x[:, f : c + size // 2 + 1]).sum(axis=1) for c, f in enumerate(first)], axis=1)
        assert_close(nn.local_response_norm(x, size, **attributes), x / (1.5 + np.float32(0.3 / size) * sums) ** 0.75)


@EXAMPLES
@given(st.data(), MAPS, SEEDS, st.sampled_from((np.float32, np.int8, np.int32)))
def test_data_that_moves(data: st.DataObject, shape: tuple[int, int, int, int], seed: int, dtype: type[Any]) -> None:
    x = (40 * np.random.default_rng(seed).standard_normal(shape)).astype(np.int64).astype(dtype)
    axes = [0, *data.draw(st.permutations([1, 2, 3]))]
    assert np.array_equal(nn_layout.transpose(x, axes), onnx("Transpose", {"x": x}, perm=axes))
    sizes = data.draw(st.permutations(shape[1:]))
    target = np.array([0, *sizes], np.int64)
    assert np.array_equal(nn_layout.reshape(x, sizes), onnx("Reshape", {"x": x, "shape": target}))
    axis = data.draw(st.integers(1, 3))
    cut = data.draw(st.integers(0, shape[axis] - 1))
    pieces = [size for size in (cut, shape[axis] - cut) if size]
    found = nn_layout.split(x, pieces, axis)
    expected = onnx_all("Split", {"x": x, "split": np.array(pieces, np.int64)}, len(pieces), axis=axis)
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert np.array_equal(mine, theirs)
    mode = data.draw(st.sampled_from(PadMode))
    limits = [0, *(size - 1 if mode == PadMode.reflect else 3 for size in shape[1:])]
    before, after = ([data.draw(st.integers(0, limit)) for limit in limits] for _ in range(2))
    inputs = {"x": x, "pads": np.array([*before, *after], np.int64), "value": np.array(-3, dtype)}
    assert np.array_equal(nn_layout.pad(x, before, after, mode, -3), onnx("Pad", inputs, mode=str(mode)))


@EXAMPLES
@given(MAPS, st.integers(1, 12), st.integers(1, 12), SEEDS)
def test_resize(shape: tuple[int, int, int, int], rows: int, columns: int, seed: int) -> None:
    (x,) = normal(seed, shape)
    sizes = np.array([*shape[:2], rows, columns], np.int64)
    inputs = {"x": x, "": np.empty(0, np.float32), " ": np.empty(0, np.float32), "sizes": sizes}

    def resized(**attributes: Any) -> Array:
        return onnx("Resize", inputs, **attributes)

    nearest = resized(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    # onnxruntime multiplies by a rounded ratio: floor(i * (H / P)) may miss an element where i * H / P is whole
    ours = nn_resize.resize_nearest(x, rows, columns)
    if all(size % count == 0 or count % size == 0 for size, count in zip(shape[2:], (rows, columns), strict=True)):
        assert np.array_equal(ours, nearest)
    index = [[i * size // count for i in range(count)] for size, count in zip(shape[2:], (rows, columns), strict=True)]
    assert np.array_equal(ours, x[:, :, index[0]][:, :, :, index[1]])
    half = resized(mode="linear", coordinate_transformation_mode="half_pixel")
    assert_close(nn_resize.resize_bilinear(x, rows, columns), half)
    if min(rows, columns) > 1:  # for one element the two say different things
        corners = resized(mode="linear", coordinate_transformation_mode="align_corners")
        assert_close(nn_resize.resize_bilinear(x, rows, columns, corners=True), corners)
