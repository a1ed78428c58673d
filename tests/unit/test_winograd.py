"""Winograd's matrices against direct convolution in exact arithmetic, and against the published ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.lowering.kernel.winograd import (
    POINTS,
    Matrix,
    Numbers,
    cleared,
    convolve,
    filter_transform,
    float_bound,
    floats,
    gain,
    integer_transform,
    integers,
    reach,
    transform,
)

SIZES = [(1, 3), (2, 3), (3, 3), (4, 3), (6, 3), (2, 2), (3, 2), (2, 5), (4, 5), (1, 1), (5, 1)]


def direct(tile: Numbers, kernel: Numbers) -> Numbers:
    """The convolution that the transforms stand for."""
    r = kernel.shape[0]
    m = tile.shape[0] - r + 1
    rows = [[(tile[i : i + r, j : j + r] * kernel).sum() for j in range(m)] for i in range(m)]
    return np.array(rows, tile.dtype)


def exact(matrix: Matrix) -> Numbers:
    return np.array(matrix, dtype=object)


def fractions(rng: np.random.Generator, size: int) -> Numbers:
    return np.array(
        [[Fraction(int(p), int(q)) for p, q in row] for row in rng.integers(1, 99, (size, size, 2))], object
    )


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_every_size_is_convolution(m: int, r: int):
    """Exactly, in fractions."""
    rng, t = np.random.default_rng(m * 10 + r), transform(m, r)
    tile, kernel = fractions(rng, t.n), fractions(rng, r)
    assert (convolve(exact(t.a), exact(t.g), exact(t.b), tile, kernel) == direct(tile, kernel)).all()


@given(
    st.integers(1, 5),
    st.integers(1, 4),
    st.lists(st.fractions(-9, 9, max_denominator=9), min_size=7, max_size=7, unique=True),
)
@settings(max_examples=30, deadline=None)
def test_any_distinct_points_do(m: int, r: int, points: list[Fraction]):
    t = transform(m, r, tuple(points[: m + r - 2]))
    rng = np.random.default_rng(m * 7 + r)
    tile, kernel = fractions(rng, t.n), fractions(rng, r)
    assert (convolve(exact(t.a), exact(t.g), exact(t.b), tile, kernel) == direct(tile, kernel)).all()


@pytest.mark.parametrize("points", [(0, 1, 1), (0, 1), (0, 1, -1, 2)])
def test_points_that_do_not_do(points: tuple[int, ...]):
    with pytest.raises(ValueError, match="distinct points"):
        transform(2, 3, tuple(Fraction(p) for p in points))


def test_published_matrices():
    """F(2x2, 3x3) and F(4x4, 3x3) as Lavin and Gray print them."""
    two, four = transform(2, 3), transform(4, 3)
    assert integers(two.b).tolist() == [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]
    assert integers(two.a).tolist() == [[1, 1, 1, 0], [0, 1, -1, -1]]
    assert floats(two.g).tolist() == [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]
    assert integers(four.b).tolist() == [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
    assert integers(four.a).tolist() == [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ]
    assert [[str(x) for x in row] for row in four.g] == [
        ["1/4", "0", "0"],
        ["-1/6", "-1/6", "-1/6"],
        ["-1/6", "1/6", "-1/6"],
        ["1/24", "1/12", "1/6"],
        ["1/24", "-1/12", "1/6"],
        ["0", "0", "1"],
    ]


def test_a_tile_worked_out():
    tile = np.arange(1, 17).reshape(4, 4)
    kernel = np.array([[1, 0, -1], [2, 0, 2], [1, 0, -1]])
    t = transform(2, 3)
    u = floats(t.g) @ kernel @ floats(t.g).T
    v = integers(t.b) @ tile @ integers(t.b).T
    assert u.tolist() == [[1, 0, 0, -1], [2, 1, 1, 0], [0, -1, -1, -2], [1, 0, 0, -1]]
    assert v.tolist() == [[0, -16, 0, 0], [-4, 34, 2, -4], [0, 8, 0, 0], [0, -16, 0, 0]]
    assert convolve(floats(t.a), floats(t.g), floats(t.b), tile, kernel).tolist() == [[20, 24], [36, 40]]


@pytest.mark.parametrize(
    ("m", "input_gain", "filter_scale", "filter_gain", "output_gain", "input_worst", "filter_worst"),
    [(2, 4, 2, 9, 9, 512, 1152), (4, 100, 24, 576, 361, 12_800, 73_728)],
)
def test_gains(
    m: int,
    input_gain: int,
    filter_scale: int,
    filter_gain: int,
    output_gain: int,
    input_worst: int,
    filter_worst: int,
):
    """How far numbers grow, with G cleared of denominators by one factor: 2 G, 24 G."""
    t = transform(m, 3)
    g, scale = cleared(t.g)
    assert scale == filter_scale
    assert (gain(integers(t.b)), gain(g), gain(integers(t.a))) == (input_gain, filter_gain, output_gain)
    assert max(abs(x) for x in reach(integers(t.b), -128, 128)) == input_worst
    assert max(abs(x) for x in reach(g, -128, 128)) == filter_worst


@pytest.mark.parametrize("m", [2, 4])
@given(st.integers(0, 1 << 32))
@settings(max_examples=200, deadline=None)
def test_one_factor_is_exact(m: int, seed: int):
    """With 2 G and 24 G results are 4 and 576 times the true ones, always."""
    rng, t = np.random.default_rng(seed), transform(m, 3)
    tile, kernel = rng.integers(-128, 256, (m + 2, m + 2)), rng.integers(-128, 128, (3, 3))
    g, scale = cleared(t.g)
    scaled = convolve(integers(t.a), g, integers(t.b), tile, kernel)
    assert not (scaled % scale**2).any()
    np.testing.assert_array_equal(scaled // scale**2, direct(tile, kernel))


@pytest.mark.parametrize(
    ("m", "r", "scale", "shift", "largest"), [(2, 3, 2, 2, 9), (4, 3, 24, 6, 49), (2, 5, 24, 6, 961)]
)
def test_integer_form(m: int, r: int, scale: int, shift: int, largest: int):
    """Row by row the filters grow less: 49 times instead of 576 at F(4, 3), so that bytes fit 16 bits."""
    t = integer_transform(m, r)
    assert (t.scale, t.shift, gain(t.g)) == (scale, shift, largest)
    assert (t.inverse * (scale**2 >> shift)) % 2**32 == 1
    rng = np.random.default_rng(m)
    for _ in range(200):
        tile, kernel = rng.integers(-128, 256, (t.n, t.n)), rng.integers(-128, 128, (r, r))
        np.testing.assert_array_equal(convolve(t.a, t.g, t.b, tile, kernel), scale**2 * direct(tile, kernel))


def test_sizes_without_an_integer_form():
    assert Fraction(1, 2) in POINTS[:7]
    with pytest.raises(ValueError, match="fractions"):
        integer_transform(6, 3)
    with pytest.raises(ValueError, match="no integer form"):
        integers(transform(4, 3).g)


@pytest.mark.parametrize("m", [2, 4])
@given(st.integers(0, 1 << 32), st.integers(1, 400))
@settings(max_examples=100, deadline=None)
def test_sums_may_wrap(m: int, seed: int, channels: int):
    """Modulo 2^32 all along: exact where the true sum, shifted left, fits 32 bits."""
    rng, t = np.random.default_rng(seed), integer_transform(m, 3)
    tiles, kernels = rng.integers(0, 256, (channels, t.n, t.n)), rng.integers(-128, 128, (channels, 3, 3))
    true = np.sum([direct(tile, kernel) for tile, kernel in zip(tiles, kernels, strict=True)], axis=0)
    if np.abs(true).max() << t.shift >= 1 << 31:
        return
    products = (filter_transform(t.g, kernels) * (t.b @ tiles @ t.b.T)).astype(np.uint32).sum(0, np.uint32)
    a = t.a.astype(np.uint32)
    scaled = a @ products @ a.T * np.uint32(t.inverse)
    np.testing.assert_array_equal(scaled.view(np.int32) >> t.shift, true)


@pytest.mark.parametrize(("m", "low", "high"), [(2, 0, 255), (4, 0, 255), (4, -128, 127), (2, -7, 3)])
def test_reach_is_attained(m: int, low: int, high: int):
    """The range is exact: the corner that attains it exists, and 16 bits hold what bytes become."""
    b = integer_transform(m, 3).b
    found = reach(b, low, high)
    signs = np.einsum("ir,js->ijrs", b, b)
    values = [(np.where(s > 0, high, low) * s).sum() for row in signs for s in row]
    assert max(values) == found[1]
    assert min((np.where(s < 0, high, low) * s).sum() for row in signs for s in row) == found[0]
    assert -(1 << 15) <= found[0] <= found[1] < 1 << 15


def test_one_axis():
    """Filters of one row are transformed along it only."""
    g = floats(transform(2, 3).g)
    kernels = np.arange(24.0).reshape(2, 4, 1, 3)
    np.testing.assert_allclose(filter_transform(g, kernels)[1, 2, 0], g @ kernels[1, 2, 0])


@pytest.mark.parametrize("m", [2, 4, 6])
def test_float_bound_holds(m: int):
    """What f32 loses stays below the bound, and the bound is not idle: within four orders of magnitude."""
    rng, t = np.random.default_rng(m), transform(m, 3)
    kernels = rng.normal(size=(3, 40, 3, 3)).astype(np.float32)
    tiles = rng.uniform(-2, 2, (40, t.n, t.n)).astype(np.float32)
    a, b = floats(t.a).astype(np.float32), floats(t.b).astype(np.float32)
    u = filter_transform(floats(t.g), kernels.astype(np.float64)).astype(np.float32)
    v = b @ tiles @ b.T
    for k in range(3):
        found = a @ (u[k] * v).sum(0, np.float32) @ a.T
        pairs = zip(tiles.astype(np.float64), kernels[k].astype(np.float64), strict=True)
        true = np.sum([direct(tile, w) for tile, w in pairs], axis=0)
        bound = float_bound(t, kernels, 2.0)[k]
        assert np.abs(found - true).max() <= bound <= 1e4 * max(float(np.abs(found - true).max()), 1e-7)
