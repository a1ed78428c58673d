"""Weight sharing by k-means: the clusters, the first centroids, zeros, and the optimum on Gaussian weights."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hapir.quantizers.codebooks import by_rows
from hapir.quantizers.k_means import KMeans, Start, clusters, k_means
from hapir.quantizers.n_ary import NAry, n_ary
from hapir.quantizers.sorted_values import SortedValues, midpoints, squared_error

WEIGHTS = arrays(np.float64, array_shapes(min_dims=2, max_dims=4, max_side=6), elements=st.floats(-8, 8, width=32))
STARTS: list[Start] = ["linear", "density", "random"]
RULES = st.builds(KMeans, st.integers(1, 4), st.sampled_from(STARTS), st.integers(0, 9), st.booleans())


@given(WEIGHTS, RULES)
def test_each_weight_goes_to_the_nearest_centroid(w: np.ndarray, rule: KMeans):
    coded = k_means(w, rule)
    zeros = (w == 0) & rule.keep_zeros
    centroids = coded.levels[np.unique(coded.codes[~zeros])] if (~zeros).any() else np.zeros(1)
    nearest = np.abs(w[..., np.newaxis] - centroids).min(axis=-1)
    np.testing.assert_array_equal(np.abs(w - coded.reals())[~zeros], nearest[~zeros])
    assert not coded.reals()[zeros].any()
    assert len(centroids) <= 1 << rule.bits
    assert len(coded.levels) <= (1 << rule.bits) + bool(zeros.any())
    assert (np.diff(coded.levels) > 0).all()


@given(WEIGHTS, RULES)
def test_twice_is_once(w: np.ndarray, rule: KMeans):
    once = k_means(w, rule).reals().astype(np.float64)
    np.testing.assert_array_equal(k_means(once, rule).reals(), once)


@given(WEIGHTS, st.integers(1, 3), st.sampled_from(STARTS))
def test_no_iteration_raises_the_error(w: np.ndarray, bits: int, start: Start):
    values = SortedValues(w)
    errors: list[float] = []
    for iterations in range(8):
        centroids = clusters(values, KMeans(bits, start, iterations=iterations))
        errors.append(squared_error(values, midpoints(centroids), centroids))
    assert all(after <= before + 1e-9 * values.energy for before, after in pairwise(errors))


@pytest.mark.parametrize(("bits", "db"), [(1, 4.40), (2, 9.30), (3, 14.62), (4, 20.22)])
@pytest.mark.parametrize("start", STARTS)
def test_the_optimum_on_gaussian_weights(bits: int, db: float, start: Start):
    # Max, "Quantizing for minimum distortion" (1960), Table I: 2, 4, 8 and 16 levels
    w = np.random.default_rng(2).normal(size=(1000, 300))
    error = w - k_means(w, KMeans(bits, start, iterations=2000)).reals()
    assert 10 * np.log10((w**2).sum() / (error**2).sum()) == pytest.approx(db, abs=0.05)


def test_the_first_centroids():
    values = SortedValues(np.array([0.0, 1, 2, 3, 4, 5, 6, 100]))
    linear, density = (clusters(values, KMeans(1, start, iterations=0)) for start in ("linear", "density"))
    np.testing.assert_array_equal(linear, [0, 100])
    np.testing.assert_array_equal(density, [2, 6])
    draws = {tuple(clusters(values, KMeans(1, "random", seed, iterations=0))) for seed in range(8)}
    assert len(draws) > 1
    assert draws == {tuple(clusters(values, KMeans(1, "random", seed, iterations=0))) for seed in range(8)}


def test_zeros_cost_no_centroid():
    w = np.array([[0.0, 1, 2, 3, 4, 0, 0, 0]])
    kept = k_means(w, KMeans(2))
    np.testing.assert_array_equal(kept.reals(), w)
    assert (kept.bits, kept.zero_code) == (3, 0)
    mixed = k_means(w, KMeans(2, keep_zeros=False))
    assert mixed.bits == 2
    assert (mixed.reals() != w).any()


@pytest.mark.parametrize("value", [0.0, 0.5, -0.5])
def test_degenerate_layers(value: float):
    for w in (np.full((2, 3), value), np.full((1, 1), value)):
        for keep in (True, False):
            coded = k_means(w, KMeans(4, keep_zeros=keep))
            np.testing.assert_array_equal(coded.reals(), w)
            assert coded.levels.tolist() == [value]


@given(WEIGHTS, st.integers(1, 3))
def test_codebooks_of_blocks_of_rows(w: np.ndarray, groups: int):
    w = np.concatenate([w * (i + 1) for i in range(groups)])
    coded = by_rows(w, groups, lambda block: n_ary(block, NAry(2, 1)))
    parts = [n_ary(block, NAry(2, 1)).reals() for block in np.split(w, groups)]
    assert coded.levels.shape[:-1] == (() if groups == 1 else (groups,))
    rows = np.repeat(coded.levels.reshape(groups, -1), len(w) // groups, axis=0)
    meant = np.take_along_axis(rows, coded.codes.reshape(len(w), -1).astype(np.intp), 1).reshape(w.shape)
    np.testing.assert_array_equal(meant, np.concatenate(parts))
    assert coded.zero_code is not None
