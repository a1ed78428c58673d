"""Laws of the network ops, and their integer meaning against loops over Python's integers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import Rounding
from hapir.reference import nn, nn_elementwise, nn_layout, num
from hapir.reference.values import exact_dtype
from tests.property.windows import windows

Array = npt.NDArray[Any]
EXAMPLES = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**16)


def conv2d_by_loops(x: Array, w: Array, bias: Array, window: Window, groups: int, zero_point: int) -> Array:
    """The definition in the docstring of `nn.conv2d`, on Python's integers."""
    (n, _, h, width), (k, per_group, r, s) = x.shape, w.shape
    p, q = window.output(h, width)
    y = np.zeros((n, k, p, q), object)
    for image, filter_, row, column in product(range(n), range(k), range(p), range(q)):
        total = int(bias[filter_])
        first = filter_ // (k // groups) * per_group
        for c, i, j in product(range(per_group), range(r), range(s)):
            u = row * window.stride[0] - window.padding[0] + i * window.dilation[0]
            v = column * window.stride[1] - window.padding[1] + j * window.dilation[1]
            if 0 <= u < h and 0 <= v < width:
                total += (int(x[image, first + c, u, v]) - zero_point) * int(w[filter_, c, i, j])
        y[image, filter_, row, column] = total
    return y


@EXAMPLES
@given(
    st.data(), st.sampled_from(((1, 1), (2, 3), (3, 1))), st.integers(1, 5), st.integers(1, 5), SEEDS,
    st.sampled_from(((0, 255, 127), (0, 15, 7), (0, 65535, 127))),
)  # fmt: skip
def test_integer_conv2d_equals_its_definition(
    data: st.DataObject, sizes: tuple[int, int], height: int, width: int, seed: int, ranges: tuple[int, int, int]
) -> None:
    groups, per_group = sizes
    low, high, weight = ranges
    window = data.draw(windows(height, width))
    rng = np.random.default_rng(seed)
    x = rng.integers(low, high + 1, (2, groups * per_group, height, width)).astype(np.uint16)
    w = rng.integers(-weight - 1, weight + 1, (groups * 2, per_group, *window.kernel)).astype(np.int8)
    bias = rng.integers(-(2**20), 2**20, groups * 2).astype(np.int32)
    zero_point = int(rng.integers(low, high + 1))
    found = nn.conv2d_integer(x, w, bias, window, groups, zero_point)
    assert found.dtype == np.int32
    assert np.array_equal(found, conv2d_by_loops(x, w, bias, window, groups, zero_point))


@pytest.mark.parametrize("magnitude", [2**7, 2**23, 2**30, 2**31])
def test_sums_are_exact_in_every_accumulator_type(magnitude: int) -> None:
    # pairs cancel but for the last digit, which an inexact type loses
    x = np.array([[magnitude - 1, magnitude - 1, 1, 1]], np.int64)
    w = np.array([[magnitude - 1, 1 - magnitude, 1, 0]], np.int64)
    assert nn.dense_integer(x, w, None).tolist() == [[1]]
    assert nn.conv2d_integer(x[:, :, None, None], w[:, :, None, None], None, Window((1, 1))).tolist() == [[[[1]]]]


@pytest.mark.parametrize(("x", "w", "zero_point"), [([65535, 1], [256, 257], 0), ([0, 0], [256, 1], 65535)])
def test_sums_just_past_24_bits_are_exact(x: list[int], w: list[int], zero_point: int) -> None:
    total = sum((a - zero_point) * b for a, b in zip(x, w, strict=True))
    assert int(np.float32(total)) != total  # f32 would lose the last digit
    found = nn.dense_integer(np.array([x], np.uint16), np.array([w], np.int16), None, zero_point)
    assert found.tolist() == [[total]]


def test_the_accumulator_type_holds_its_bound() -> None:
    assert [exact_dtype(b) for b in (2**24 - 1, 2**24, 2**53, 2**63)] == [np.float32, np.float64, np.int64, object]


def test_an_accumulator_past_si32_raises() -> None:
    x, w = np.full((1, 300), 255, np.uint8), np.full((1, 300), 127, np.int8)
    bias = np.array([2**31 - 1 - 300 * 255 * 127], np.int32)
    assert nn.dense_integer(x, w, bias).tolist() == [[2**31 - 1]]
    with pytest.raises(OverflowError, match="2147483648"):
        nn.dense_integer(x, w, bias + 1)
    top = np.array([[2**31 - 1]], np.int32)
    assert nn_elementwise.add(top, top - top).tolist() == [[2**31 - 1]]
    with pytest.raises(OverflowError, match="4294967294"):
        nn_elementwise.add(top, top)


@EXAMPLES
@given(st.data(), st.integers(1, 8), st.integers(1, 8), st.integers(1, 3), SEEDS)
def test_conv2d_is_linear(data: st.DataObject, height: int, width: int, channels: int, seed: int) -> None:
    window = data.draw(windows(height, width))
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(-50, 50, (2, channels, height, width)).astype(np.int8) for _ in range(2))
    w, v = (rng.integers(-50, 50, (3, channels, *window.kernel)).astype(np.int8) for _ in range(2))

    def conv(a: Array, b: Array) -> Array:
        return nn.conv2d_integer(a, b, None, window)

    assert np.array_equal(conv(x + y, w), conv(x, w) + conv(y, w))
    assert np.array_equal(conv(x, w + v), conv(x, w) + conv(x, v))


@EXAMPLES
@given(st.data(), st.integers(1, 8), st.integers(1, 8), st.sampled_from(list(Rounding)), SEEDS)
def test_max_pool_and_relu_commute_with_requantize(
    data: st.DataObject, height: int, width: int, rounding: Rounding, seed: int
) -> None:
    """Requantization is monotone, so the larger accumulator gives the larger integer; a ReLU is a lower bound."""
    window = data.draw(windows(height, width, pooling=True))
    rng = np.random.default_rng(seed)
    acc = rng.integers(-4000, 4000, (2, 3, height, width)).astype(np.int32)
    multiplier, shift = num.along(rng.integers(1, 2**16, 3), 1, 4), num.along(rng.integers(14, 24, 3), 1, 4)

    def requantize(values: Array, low: int = 0) -> Array:
        return num.requantize(values, multiplier, shift, 20, (low, 255), rounding).astype(np.uint8)

    assert np.array_equal(nn.max_pool(requantize(acc), window), requantize(nn.max_pool(acc, window)))
    assert np.array_equal(nn_elementwise.relu(requantize(acc), 20), requantize(acc, low=20))
    assert np.array_equal(nn_elementwise.relu(requantize(acc), 20), requantize(nn_elementwise.relu(acc)))


@EXAMPLES
@given(st.data(), st.integers(1, 8), st.integers(1, 8), st.integers(0, 255), SEEDS)
def test_sum_pool_is_a_convolution_with_ones(
    data: st.DataObject, height: int, width: int, zero_point: int, seed: int
) -> None:
    window = data.draw(windows(height, width, pooling=True))
    x = np.random.default_rng(seed).integers(0, 256, (2, 3, height, width)).astype(np.uint8)
    ones = np.ones((3, 1, *window.kernel), np.int8)
    expected = nn.conv2d_integer(x, ones, None, window, groups=3, zero_point=zero_point)
    assert np.array_equal(nn.sum_pool(x, window, zero_point), expected)


@EXAMPLES
@given(st.integers(1, 30), st.integers(1, 30))
def test_blocks_cover_everything_once(images: int, rows: int) -> None:
    for row_bytes in (1, nn.PATCH_BYTES // 50, nn.PATCH_BYTES // 7, 3 * nn.PATCH_BYTES):
        seen = np.zeros((images, rows), int)
        for image_slice, row_slice in nn.blocks(images, rows, row_bytes):
            seen[image_slice, row_slice] += 1
            count = (image_slice.stop - image_slice.start) * (row_slice.stop - row_slice.start)
            assert count == 1 or count * row_bytes <= nn.PATCH_BYTES
        assert (seen == 1).all()


def test_large_maps_are_convolved_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (5, 3, 9, 7)).astype(np.uint8)
    w = rng.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8)
    window = Window((3, 3), (2, 1), (1, 1, 1, 1))
    whole = nn.conv2d_integer(x, w, None, window)
    for limit in (1, 3000, 12000):
        monkeypatch.setattr(nn, "PATCH_BYTES", limit)
        assert np.array_equal(nn.conv2d_integer(x, w, None, window), whole)


def test_concat_spreads_a_parameter_over_the_batch() -> None:
    joined = nn_layout.concat([np.zeros((3, 1), np.float32), np.ones((1, 2), np.float32)], 1)
    assert joined.tolist() == [[0, 1, 1]] * 3
