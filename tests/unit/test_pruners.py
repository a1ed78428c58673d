"""Scores, masks and orders of pruners against brute force and against the numbers of the sources."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.dialects.nn_shapes import Window
from hapir.pruners.filters import filter_worth, quantization_errors
from hapir.pruners.magnitude import below, score, smallest
from hapir.pruners.masks import block_mask, block_scores, n_of_m, zero_band
from hapir.pruners.narrowing import grid_of, narrowed, slices_to_drop
from hapir.pruners.structures import Amount, diagonal_blocks, halvings, pruned_columns

DRAW = np.random.default_rng(0)
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3))


def weights(shape: tuple[int, ...], seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Small integers, so that there are ties and zeros."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float64)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(1, 4), st.integers(0, 3), st.integers(0, 99))
def test_n_of_m_leaves_the_largest_of_each_group(shape: tuple[int, ...], n: int, more: int, seed: int) -> None:
    w, m = weights(shape, seed), n + more
    pruned = n_of_m(w, n, m)
    for k, r, s in np.ndindex(shape[0], *shape[2:]):
        for first in range(0, shape[1], m):
            group, gone = np.abs(w[k, first : first + m, r, s]), pruned[k, first : first + m, r, s]
            assert (~gone).sum() == min(n, len(group))
            assert sorted(group[~gone]) == sorted(group)[-min(n, len(group)) :]
    assert (n_of_m(np.where(pruned, 0.0, w), n, m) & (w != 0) & ~pruned).sum() == 0  # once is enough


def test_two_of_four_by_hand() -> None:
    w = np.array([[4.0, -3.0, 2.0, 1.0, 0.5, 0.0, 0.0, 0.5, 7.0]])
    assert (~n_of_m(w, 2, 4)).astype(int).tolist() == [[1, 1, 0, 0, 1, 0, 0, 1, 1]]


@pytest.mark.parametrize(("t", "share"), [(1.0, 57.5), (1.4, 73.6), (1.6, 79.8), (1.8, 84.9), (2.0, 88.9)])
def test_the_zero_band_of_normal_weights(t: float, share: float) -> None:
    """Heidelberg thesis, section 5.3, L1141 (C14): nested means of Gaussian weights; within 0.3 points."""
    w = np.random.default_rng(7).standard_normal(400_000)
    assert 100 * zero_band(w, t).mean() == pytest.approx(share, abs=0.3)


@pytest.mark.parametrize(("t", "share"), [(1.0, 62), (1.4, 75), (1.6, 80), (1.8, 84), (2.0, 87)])
def test_the_zero_band_of_laplace_weights(t: float, share: float) -> None:
    """Heidelberg thesis, table 5.13, L1232: sparsities of the LSTM; `1 - exp(-t)` is within 1.5 points of them."""
    w = np.random.default_rng(7).laplace(size=400_000)
    assert 100 * zero_band(w, t).mean() == pytest.approx(share, abs=1.5)


def test_the_zero_band_of_little() -> None:
    assert not zero_band(np.array([0.5]), 1.0).any()
    assert zero_band(np.array([0.5]), 1.5).all()
    assert zero_band(np.array([0.0, 0.0, 2.0]), 1.0).tolist() == [True, True, False]


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.integers(1, 4), st.integers(1, 6), st.floats(0, 0.99), st.integers(0, 99))
def test_blocks_are_pruned_whole(shape: tuple[int, ...], rows: int, columns: int, sparsity: float, seed: int) -> None:
    w = weights(shape, seed)
    scores = block_scores(w, rows, columns, "magnitude", DRAW)
    pruned = smallest(scores, sparsity)
    mask = block_mask(pruned, shape, rows, columns).reshape(shape[0], -1)
    matrix = np.abs(w).reshape(shape[0], -1)
    number = 0
    for r in range(0, mask.shape[0], rows):
        for c in range(0, mask.shape[1], columns):
            block = np.s_[r : r + rows, c : c + columns]
            assert np.unique(mask[block]).tolist() == [pruned[number]]
            assert scores[number] == pytest.approx(matrix[block].mean())
            number += 1
    assert number == len(scores)


def test_cut_blocks_compete_by_weight() -> None:
    w = np.array([[3.0, 4.0, 4.0], [0.0, 0.0, 2.0]])
    assert block_scores(w, 2, 2, "magnitude", DRAW).tolist() == [7 / 4, 6 / 2]
    np.testing.assert_allclose(block_scores(w, 2, 2, "l2", DRAW) ** 2, [25 / 4, 20 / 2])


def test_the_best_columns_stay_beyond_a_multiple() -> None:
    w = np.array([[5.0, 1.0, 3.0, 2.0, 9.0, 8.0]])
    for multiple, kept in ((1, [4, 5]), (3, [0, 4, 5]), (4, [0, 2, 4, 5])):
        pruned = pruned_columns(w, 1, Amount(0.7, None), "magnitude", DRAW, multiple)
        assert np.flatnonzero(~pruned[0]).tolist() == kept


def test_halvings_look_at_what_the_next_one_drops() -> None:
    """The second halving drops kernels of the diagonal blocks only; what the first one dropped is gone."""
    worth = np.where(diagonal_blocks(4, 4, 1, 2), 3.1, 0.1)
    assert halvings(4, 4, 1, Amount(None, 1.5), worth) == 2
    assert halvings(4, 4, 1, Amount(None, 4.0), worth) == 4
    assert [halvings(8, 8, 1, Amount(share, None), np.ones((8, 8))) for share in (0.4, 0.5, 0.75, 0.8)] == [1, 2, 4, 4]


def test_scores_by_hand() -> None:
    w = np.array([[3.0, -4.0], [0.0, 1.0]])
    assert score(w, (1,), "magnitude", DRAW).tolist() == [7, 1]
    assert score(w, (1,), "l2", DRAW).tolist() == [5, 1]
    assert score(w, (1,), "psp", DRAW).tolist() == [3.5 / 2, 0.5 / 2]
    assert sorted(score(w, (1,), "random", DRAW).tolist()) == [0, 1]
    assert score(np.zeros((2, 2)), (1,), "psp", DRAW).tolist() == [0, 0]


def test_a_threshold_leaves_the_last() -> None:
    assert below(np.array([1.0, 2.0, 3.0]), 2.5).tolist() == [True, True, False]
    assert below(np.array([1.0, 2.0, 2.0]), 9).tolist() == [True, True, False]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 12), st.sampled_from((1, 2, 4, 8)), st.integers(0, 99))
def test_filters_of_high_error_go_first(k: int, n: int, bits: int, seed: int) -> None:
    w = np.random.default_rng(seed).standard_normal((k, n))
    errors = quantization_errors(w, bits)
    for row, error in zip(w, errors, strict=True):
        if bits == 1:
            exact = np.mean([(math.copysign(np.abs(w).mean(), v) - v) ** 2 for v in row])
        else:
            step = np.abs(w).max() / (2 ** (bits - 1) - 1)
            exact = np.mean([(round(v / step) * step - v) ** 2 for v in row])
        assert error == pytest.approx(exact, rel=1e-3, abs=1e-7)
    assert filter_worth(w, "msqe", bits, DRAW).tolist() == (-errors).tolist()
    np.testing.assert_allclose(filter_worth(w, "magnitude", bits, DRAW), [sum(map(abs, row)) for row in w])
    orders = [filter_worth(w, "random", bits, np.random.default_rng(3)).tolist() for _ in range(2)]
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == list(range(k))


def test_filters_of_zeros_have_no_error() -> None:
    assert quantization_errors(np.zeros((2, 3)), 1).tolist() == [0, 0]
    assert quantization_errors(np.zeros((2, 3)), 4).tolist() == [0, 0]


WINDOWS = st.builds(
    Window,
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
)


@settings(max_examples=150, deadline=None)
@given(WINDOWS, st.integers(0, 9), st.data())
def test_a_narrowed_window_reads_the_same_elements(window: Window, more: int, data: st.DataObject) -> None:
    sizes = [max(1, e - window.padding[i] - window.padding[i + 2] + more) for i, e in enumerate(window.extent)]
    places: list[list[int]] = []
    for size in window.kernel:
        first = data.draw(st.integers(0, size - 1))
        step = data.draw(st.integers(1, size))
        places.append(list(range(first, size, step))[: data.draw(st.integers(1, size))])
    found = narrowed(window, places[0], places[1], sizes[0], sizes[1])
    top, left, bottom, right = found.crop
    cropped = sizes[0] - top - bottom, sizes[1] - left - right
    assert found.window.output(*cropped) == window.output(sizes[0], sizes[1])
    for axis in (0, 1):
        for p in range(window.output(sizes[0], sizes[1])[axis]):
            start = p * window.stride[axis]
            old = [start + i * window.dilation[axis] - window.padding[axis] for i in places[axis]]
            shift = found.crop[axis] - found.window.padding[axis]
            new = [start + i * found.window.dilation[axis] + shift for i in range(found.window.kernel[axis])]
            assert old == new


def test_grids_by_hand() -> None:
    kept = np.zeros((3, 3), dtype=np.bool_)
    kept[np.ix_([0, 2], [1, 2])] = True
    assert grid_of(kept) == ([0, 2], [1, 2])
    kept[1, 1] = True
    assert grid_of(kept) is None
    line = np.array([[True, True, False, True]])
    assert grid_of(line) is None


def test_slices_go_from_the_outside() -> None:
    worth = np.array([[1.0, 2, 1], [2, 9, 2], [5, 6, 5]])
    assert slices_to_drop(worth, 0) == (slice(0, 3), slice(0, 3))
    assert slices_to_drop(worth, 3) == (slice(1, 3), slice(0, 3))
    assert slices_to_drop(worth, 5) == (slice(1, 3), slice(1, 3))
    assert slices_to_drop(worth, 8) == (slice(1, 2), slice(1, 2))
    assert slices_to_drop(worth, 9, threshold=4 / 3) == (slice(0, 3), slice(0, 3))  # not worth less
    assert slices_to_drop(worth, 9, threshold=1.4) == (slice(1, 3), slice(0, 3))
