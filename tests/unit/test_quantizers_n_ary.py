"""N-ary quantization: thresholds, shares and levels; numbers of Schindler's thesis (Heidelberg 2021)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hapir.quantizers.n_ary import NAry, Thresholds, binary, n_ary
from tests.unit.densities import GAUSS, LAPLACE, Density

TERNARY, QUINARY = NAry(), NAry(2, 2)
WEIGHTS = arrays(np.float64, array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-8, 8, width=32))
RULES = st.one_of(
    st.builds(
        NAry,
        st.integers(0, 3),
        st.integers(1, 3),
        st.sampled_from(["nested_means", "max"]),
        st.floats(0.05, 2),
    ),
    st.just(NAry(2, 1, "quantile", shares=(0.2, 0.3, 0.3, 0.2))),
)


@pytest.mark.parametrize(
    ("t", "gauss", "laplace"),
    [(1.0, 57.5, 63.2), (1.4, 73.6, 75.3), (1.6, 79.8, 79.8), (1.8, 84.9, 83.5), (2.0, 88.9, 86.5)],
)
def test_the_zero_band_of_nested_means(t: float, gauss: float, laplace: float):
    # Heidelberg thesis, L1226-1232, predicted; on Laplace weights it is 1 - exp(-t)
    for density, percent in ((GAUSS, gauss), (LAPLACE, laplace)):
        counts, _ = density.intervals(NAry(t=t).edges(density))
        assert 100 * counts[1] == pytest.approx(percent, abs=0.06)


@pytest.mark.parametrize(("t", "percent"), [(1.0, 62), (1.4, 75), (1.6, 80), (1.8, 84), (2.0, 87)])
def test_the_sparsity_of_the_thesis(t: float, percent: float):
    # Heidelberg thesis, L1225-1234 (Table 5.13; its second row of t = 1.8 must be 2.0), on Laplace weights drawn here
    w = np.random.default_rng(1).laplace(size=(512, 512))
    coded = n_ary(w, NAry(t=t))
    assert 100 * float((coded.codes == coded.zero_code).mean()) == pytest.approx(percent, abs=1.5)


def test_nested_means_of_gaussian_weights():
    # Heidelberg thesis, L1101: d1 = 0.798 sd, d2 = 1.366 sd, d3 = 1.825 sd; quinary 8.6/12.6/57.5/12.6/8.6 %
    edges = NAry(3, 3).edges(GAUSS)
    np.testing.assert_allclose(edges[3:], [0.798, 1.366, 1.825], atol=5e-4)
    np.testing.assert_allclose(edges[:3], -edges[:2:-1])
    counts, _ = GAUSS.intervals(QUINARY.edges(GAUSS))
    np.testing.assert_allclose(100 * counts, [8.6, 12.6, 57.5, 12.6, 8.6], atol=0.06)


@pytest.mark.parametrize(
    ("shares", "thresholds"),
    [
        ((0.2, 0.2, 0.2, 0.2, 0.2), (0.253, 0.842)),
        ((0.08, 0.17, 0.50, 0.17, 0.08), (0.674, 1.405)),
        ((0.06, 0.11, 0.66, 0.11, 0.06), (0.954, 1.555)),
    ],
)
def test_quantile_clustering(shares: tuple[float, ...], thresholds: tuple[float, float]):
    # Heidelberg thesis, L1159 and Table 5.10 (L1167-1175)
    edges = NAry(2, 2, "quantile", shares=shares).edges(GAUSS)
    np.testing.assert_allclose(edges[2:], thresholds, atol=5e-4)
    np.testing.assert_allclose(edges[:2], -edges[:1:-1])


def test_shares_that_leave_weights_out_are_scaled_up():
    # 11, 22, 33, 22, 11 % are 99 % (Heidelberg thesis, Table 5.10)
    found, ninths = (
        NAry(2, 2, "quantile", shares=shares).edges(GAUSS)
        for shares in ((0.11, 0.22, 0.33, 0.22, 0.11), (1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9))
    )
    np.testing.assert_allclose(found, ninths)


@pytest.mark.parametrize(("density", "mean"), [(GAUSS, 0.798), (LAPLACE, 0.707)])
def test_t_moves_the_innermost_threshold_and_the_outer_ones_follow(density: Density, mean: float):
    edges = NAry(2, 2, t=1.5).edges(density)
    assert edges[2] == pytest.approx(1.5 * mean, abs=1e-3)
    counts, means = density.intervals(edges[2:3])
    assert edges[3] == pytest.approx(means[1])
    assert counts[1] < 0.2


def test_max_thresholds_are_those_of_trained_ternary_quantization():
    w = np.array([[-2.0, -0.6, -0.5, 0.0, 0.49, 0.5, 1.0, 0.2]])
    coded = n_ary(w, NAry(thresholds="max", t=0.25))
    np.testing.assert_array_equal(coded.codes, [[0, 0, 0, 1, 1, 2, 2, 1]])
    np.testing.assert_allclose(coded.levels, [-3.1 / 3, 0, 0.75])


@given(WEIGHTS, RULES)
def test_levels_are_means_of_their_clusters_around_an_exact_zero(w: np.ndarray, rule: NAry):
    coded = n_ary(w, rule)
    assert coded.codes.shape == w.shape
    assert len(coded.levels) <= rule.positive + rule.negative + 1
    assert (np.diff(coded.levels) > 0).all()
    assert coded.zero_code is not None
    for code, level in enumerate(coded.levels):
        cluster = w[coded.codes == code]
        if level and len(cluster):
            assert float(level) == pytest.approx(cluster.mean(), rel=1e-5)
    if rule.thresholds != "quantile":
        assert np.array_equal(coded.reals() != 0, coded.codes != coded.zero_code)
        assert (coded.reals() * w >= 0).all(), "a weight keeps its sign or becomes 0"


@given(WEIGHTS, st.integers(1, 3), st.sampled_from(["nested_means", "max"]), st.floats(0.1, 2))
def test_the_rule_is_symmetric_and_knows_no_scale(w: np.ndarray, levels: int, thresholds: Thresholds, t: float):
    rule = NAry(levels, levels, thresholds, t)
    reals = n_ary(w, rule).reals()
    np.testing.assert_allclose(n_ary(-w, rule).reals(), -reals, rtol=1e-5)
    np.testing.assert_array_equal(n_ary(4 * w, rule).reals(), 4 * reals)


def test_ternary_weights_stay_as_they_are():
    w = np.array([[0.1, -0.3, 0.0, 0.1], [-0.3, 0.1, 0.0, 0.0]])
    np.testing.assert_array_equal(n_ary(w, TERNARY).reals(), w.astype(np.float32))


def test_zeros_do_not_pull_the_thresholds_in():
    w = np.random.default_rng(0).normal(size=1000)
    pruned = np.where(np.abs(w) < 0.2, 0.0, w)
    kept = n_ary(pruned[pruned != 0][np.newaxis], TERNARY)
    np.testing.assert_array_equal(n_ary(pruned[np.newaxis], TERNARY).levels, kept.levels)


@pytest.mark.parametrize(
    "rule", [TERNARY, QUINARY, NAry(thresholds="max", t=0.05), NAry(1, 1, "quantile", 1.0, (0.3,) * 3)]
)
def test_degenerate_layers(rule: NAry):
    zero = n_ary(np.zeros((2, 3)), rule)
    np.testing.assert_array_equal(zero.reals(), np.zeros((2, 3)))
    assert zero.levels.tolist() == [0.0]
    for value in (0.5, -0.5):
        one = n_ary(np.array([[value]]), rule)
        if rule.thresholds != "quantile":  # its deviation is 0: no weight is beyond a threshold
            assert one.reals().tolist() == [[value]]
    assert n_ary(np.zeros((0, 3)), rule).reals().shape == (0, 3)


def test_a_threshold_beyond_all_weights_leaves_zeros():
    assert not n_ary(np.array([[0.5, -0.5]]), NAry(2, 2, t=1.5)).reals().any()


def test_binary_has_two_means_and_no_zero():
    coded = binary(np.array([[-1.0, -3.0, 0.0, 4.0]]))
    np.testing.assert_array_equal(coded.reals(), [[-2, -2, 2, 2]])
    assert coded.bits == 1
    assert coded.zero_code is None
    np.testing.assert_array_equal(binary(np.zeros((1, 2))).reals(), [[0, 0]])


@pytest.mark.parametrize(
    "options",
    [
        {"positive": 0, "negative": 0},
        {"positive": 128},
        {"shares": (0.5, 0.5)},
        {"thresholds": "quantile"},
        {"thresholds": "quantile", "shares": (0.5, 0.5)},
        {"thresholds": "quantile", "shares": (0.5, 0.0, 0.5)},
        {"thresholds": "quantile", "shares": (0.5, 0.4, 0.5)},
    ],
)
def test_rules_that_make_no_sense(options: dict[str, object]):
    with pytest.raises(ValueError, match=r"share|level"):
        NAry(**options)  # pyright: ignore[reportArgumentType]  # some are wrong on purpose
