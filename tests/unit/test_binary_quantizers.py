"""Exact numbers of binary and ternary quantizers: what papers and theses print, on weights made without chance."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest

from hapir.dialects.formats import Bipolar, Ternary
from hapir.lowering.compress.calibration import sqnr_db
from hapir.quantizers.abc_net import abc_net, shifts
from hapir.quantizers.bwn import bwn
from hapir.quantizers.coded import Codebook, Coded, Floats, Scaled
from hapir.quantizers.dorefa import dorefa
from hapir.quantizers.syq import SyqGranularity, syq
from hapir.quantizers.ttq import ttq
from hapir.quantizers.twn import optimal_thresholds, twn

QUANTILES = (np.arange(20_000) + 0.5) / 20_000


@cache
def density(name: str) -> Floats:
    """Weights 1 x n whose histogram is a density of mean 0 and variance 1: its quantiles."""
    match name:
        case "gauss":
            values = np.array([NormalDist().inv_cdf(p) for p in QUANTILES])
        case "laplace":
            values = np.sign(QUANTILES - 0.5) * -np.log(1 - 2 * np.abs(QUANTILES - 0.5)) / np.sqrt(2)
        case _:
            values = np.sqrt(12) * (QUANTILES - 0.5)
    return values[np.newaxis]


def sqnr(w: Floats, coded: Coded) -> float:
    return sqnr_db(w, coded.reals().astype(np.float64))


@pytest.mark.parametrize(("name", "binary", "ternary"), [("gauss", 4.40, 7.21), ("laplace", 3.01, 5.78)])
def test_sqnr_of_one_bit_and_of_the_best_ternary_codes(name: str, binary: float, ternary: float):
    """Sydney seed row `binary / ternary` of section 6.6: codebooks with the scale of the least error."""
    w = density(name)
    assert sqnr(w, bwn(w)) == pytest.approx(binary, abs=0.02)
    assert sqnr(w, dorefa(w, 1)) == pytest.approx(binary, abs=0.02)
    assert sqnr(w, twn(w, threshold="optimal")) == pytest.approx(ternary, abs=0.02)


def test_the_threshold_of_ternary_weight_networks_is_close_to_the_best():
    """Li et al., Ternary weight networks, 2016, section 2.2: it is 0.75 E|w| for normal weights, 2/3 for uniform."""
    for name, share in (("gauss", 0.75), ("uniform", 2 / 3)):
        w = density(name)
        best = float(optimal_thresholds(np.abs(w))[0])
        # the error is flat around its minimum; 0.6 sigma, which the paper rounds to, is 0.752 E|w|
        assert best / np.abs(w).mean() == pytest.approx(share, abs=0.02)
        assert 0 <= sqnr(w, twn(w, threshold="optimal")) - sqnr(w, twn(w)) < 0.04


def test_sparsity_of_ternary_weights_of_known_densities():
    """P(|w| <= 0.7 E|w|): of normal weights 2 Phi(0.7 sqrt(2 / pi)) - 1, of Laplace ones 1 - exp(-0.7), else 0.35."""
    expected = {
        "gauss": 2 * NormalDist().cdf(0.7 * np.sqrt(2 / np.pi)) - 1,
        "laplace": 1 - np.exp(-0.7),
        "uniform": 0.35,
    }
    for name, share in expected.items():
        w = density(name)
        assert (twn(w).codes == 0).mean() == pytest.approx(share, abs=1e-3)
        if name == "uniform":  # sparsity is t where weights stay uniform (Sydney seed, 5.4 (a): 0.107 to 0.89)
            for t in (0.1, 0.33, 0.5, 0.7, 0.9):
                assert (ttq(w, t, symmetric=True).codes == 0).mean() == pytest.approx(t, abs=1e-3)


def test_the_reduce_and_scale_example():
    """Heidelberg thesis, L882-905: codes of three rows of W^T, and its product with activations 1 to 5."""
    p, n = 0.5, -0.25
    w = np.array([[0, p, p, 0, n], [n, 0, 0, p, 0], [p, n, 0, n, n]])
    coded = ttq(w, 0.3)
    assert isinstance(coded, Codebook)
    assert coded.levels.tolist() == [n, 0.0, p]
    assert (coded.zero_code, coded.bits) == (1, 2)
    codes = coded.codes.astype(int) - 1
    positive = [np.flatnonzero(row == 1).tolist() for row in codes]
    negative = [np.flatnonzero(row == -1).tolist() for row in codes]
    assert (positive, negative) == ([[1, 2], [3], [0]], [[4], [0], [1, 3, 4]])
    a = np.arange(1, 6)
    expected = p * np.array([5, 4, 1]) + n * np.array([5, 1, 11])
    np.testing.assert_array_equal(coded.reals() @ a, expected)


@pytest.mark.parametrize(
    ("granularity", "scales"),
    [("tensor", 1), ("row", 3), ("pixel", 9), ("asymmetric", 2), ("group", 576), ("channel", 256)],
)
def test_scale_counts_of_sub_groups(granularity: SyqGranularity, scales: int):
    """Sydney thesis, table 5.6 (L1450-1458): K = 3, N = 256, I = 384, and 884,736 weights that may branch."""
    w = np.random.default_rng(5).normal(size=(256, 384, 3, 3))
    assert w.size == 884_736
    coded = syq(w, granularity, "binary")
    assert (coded.scales if isinstance(coded, Scaled) else coded.levels).size == scales


@pytest.mark.parametrize("granularity", ["pixel", "row"])
def test_scales_of_sub_groups_are_ordered(granularity: SyqGranularity):
    """Sydney thesis, L1223-1272: diag(scales) times the matrix of signs, positions (or rows) first; means of |w|."""
    w = np.random.default_rng(6).normal(size=(8, 4, 3, 3))
    coded = syq(w, granularity, "binary")
    assert isinstance(coded, Scaled)
    rows = 9 if granularity == "pixel" else 3
    matrix = coded.codes.transpose(2, 3, 0, 1).reshape(rows, -1)
    magnitudes = np.abs(w).transpose(2, 3, 0, 1).reshape(rows, -1).mean(axis=1)
    np.testing.assert_allclose(coded.scales.ravel(), magnitudes, rtol=1e-6)
    product = np.diag(coded.scales.ravel().astype(np.float64)) @ matrix
    real = coded.reals().transpose(2, 3, 0, 1).reshape(rows, -1)
    np.testing.assert_array_equal(real, product.astype(np.float32))


def test_the_two_tie_rules():
    """Sydney seed S1: chapters 3 and 4 send |w| = eta to 0 (L885-903), chapter 5 to +-1 (L1211-1213); 0 stays 0."""
    w = np.array([[1.0, -0.5, 0.5, 0.25, 0.0]])
    assert syq(w, "tensor", threshold=0.5).codes.tolist() == [[1, -1, 1, 0, 0]]
    assert syq(w, "tensor", threshold=0.5, tie="zero").codes.tolist() == [[1, 0, 0, 0, 0]]
    assert syq(w, "tensor", threshold=0.0).codes.tolist() == [[1, -1, 1, 1, 0]]
    assert ttq(w, 0.5, symmetric=True).codes.tolist() == [[1, 0, 0, 0, 0]]
    assert ttq(w, 0.5, symmetric=True, tie="nonzero").codes.tolist() == [[1, -1, 1, 0, 0]]


def test_the_scale_of_syq_counts_zeros_where_it_starts_the_training():
    """Sydney thesis, L1276-1280: the first scale is the mean |w| of the whole sub-group."""
    w = np.array([[1.0, -0.5, 0.25, 0.0]])
    mean, least = (syq(w, "tensor", threshold=0.3, scale=scale) for scale in ("mean", "least_squares"))
    assert isinstance(mean, Scaled)
    assert isinstance(least, Scaled)
    assert mean.scales.item() == 1.75 / 4
    assert least.scales.item() == 0.75


@pytest.mark.parametrize("granularity", ["row", "pixel"])
def test_weights_without_a_kernel_have_one_scale(granularity: SyqGranularity):
    coded = syq(np.random.default_rng(0).normal(size=(6, 5)), granularity)
    assert isinstance(coded, Scaled)
    assert coded.scales.shape == (1, 1)
    with pytest.raises(ValueError, match="6 filters"):
        syq(np.ones((6, 5)), "group")


def test_dorefa_codes_and_products():
    """Zhou et al., DoReFa-Net, 2016, eq. 9; products on codes 0..2^k-1 as the Heidelberg seed writes them (1.1)."""
    w = np.array([[-1.0, -0.2, 0.0, 0.1, 1.0]])
    coded = dorefa(w, 2, "unit")
    assert isinstance(coded.format, Bipolar)
    squashed = np.tanh(w) / (2 * np.tanh(1.0)) + 0.5
    np.testing.assert_allclose(coded.reals(), 2 * np.floor(3 * squashed + 0.5) / 3 - 1, rtol=1e-6)
    assert coded.codes.tolist() == [[-3, -1, 1, 1, 3]]
    for bits in (1, 2, 3, 4, 8):
        weights, activations = np.random.default_rng(bits).normal(size=(1, 50)), np.arange(50) % 16
        codes = dorefa(weights, bits, "unit").codes.astype(int)
        top, most = (1 << bits) - 1, 15
        qw = (codes + top) // 2
        real = (codes / top) @ (activations / most)
        assert real == pytest.approx(2 / (top * most) * (qw @ activations) - activations.sum() / most)


def test_dorefa_scales():
    w = np.array([[-4.0, 1.0, 0.5]])
    assert dorefa(w, 4, "maximum").reals().min() == -4
    assert dorefa(w, 4, "unit").reals().min() == -1
    least = dorefa(w, 4)
    assert sqnr(w, least) > max(sqnr(w, dorefa(w, 4, scale)) for scale in ("maximum", "unit"))
    assert dorefa(w, 1, "unit").scales.item() == np.float32(5.5 / 3)


def test_shifts_of_binary_bases():
    """Sydney and HAPPi notes, A11; Lin et al., NeurIPS 2017, eq. 4: M = 3 gives -1, 0, 1, M = 5 halves the steps."""
    assert shifts(1).tolist() == [0]
    assert shifts(2).tolist() == [-1, 1]
    assert shifts(3).tolist() == [-1, 0, 1]
    assert shifts(5).tolist() == [-1, -0.5, 0, 0.5, 1]
    for nested in ((1, 3, 5, 9), (2, 3)):
        for few, many in pairwise(nested):
            assert set(shifts(few)) <= set(shifts(many))
    assert not set(shifts(3)) <= set(shifts(4))


def test_weights_that_are_a_sum_of_their_bases_are_exact():
    w = np.array([[[[-1.75, -0.25]], [[0.25, 1.75]]]])  # bases 1, 0.75 and 0, thresholds at 0 and +-1 std
    assert np.abs(abc_net(w, 3).reals() - w).max() < 1e-6
    constant = np.full((3, 4), -0.3)
    for bases in (1, 2, 5):
        np.testing.assert_allclose(abc_net(constant, bases, 3).reals(), constant, rtol=1e-6)


def test_bases_that_differ_in_one_weight_are_two():
    w = np.append(np.ones(1000), -40.0).reshape(1, -1)
    np.testing.assert_allclose(abc_net(w, 2).reals(), w, rtol=1e-5)


def test_the_sign_of_zero_is_positive():
    w = np.array([[-1.0, 0.0, 1.0]])
    assert bwn(w).codes.tolist() == dorefa(w, 1).codes.tolist() == [[-1, 1, 1]]
    assert dorefa(w, 2).codes.tolist() == [[-3, 1, 3]]
    np.testing.assert_allclose(abc_net(w, 1).reals(), [[-2 / 3, 2 / 3, 2 / 3]], rtol=1e-6)


def test_layers_of_zeros_and_of_one_weight():
    zeros, one = np.zeros((2, 3)), np.array([[-0.5]])
    for coded in (twn(zeros), twn(zeros, 2, "optimal"), ttq(zeros), ttq(zeros, symmetric=True), syq(zeros)):
        assert not coded.reals().any()
        if isinstance(coded, Scaled):
            assert (coded.scales == 1).all()
    for coded in (bwn(one), dorefa(one, 2), twn(one), ttq(one), syq(one, "asymmetric"), abc_net(one, 2)):
        assert coded.reals().item() == -0.5


def test_a_filter_of_zeros_takes_the_largest_scale():
    coded = twn(np.array([[0.5, -0.5], [0, 0], [0.25, 0.25]]), 3)
    assert isinstance(coded.format, Ternary)
    assert coded.scales.ravel().tolist() == [0.5, 0.5, 0.25]


def test_levels_without_weights_are_left_out():
    w = np.array([[0.5, 1.0, 0.0]])
    coded = ttq(w, 0.0)
    assert isinstance(coded, Codebook)
    assert coded.levels.tolist() == [0, 0.75]
    dense = syq(w[:, :2], "asymmetric", "binary")
    assert isinstance(dense, Codebook)
    assert (dense.levels.tolist(), dense.bits) == ([0.75], 1)
