"""Learned bases: the residual never grows, one bit is the mean magnitude, Gaussian weights reach the known optimum."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hapir.quantizers.lq_net import error, learned_bases, lq_net, sums
from hapir.quantizers.sorted_values import SortedValues
from tests.unit.densities import GAUSS, LAPLACE

WEIGHTS = arrays(np.float64, array_shapes(min_dims=2, max_dims=4, max_side=6), elements=st.floats(-8, 8, width=32))


@given(WEIGHTS, st.integers(1, 4))
def test_the_residual_never_grows(w: np.ndarray, bits: int):
    values = SortedValues(w)
    errors = [error(values, learned_bases(values, bits, iterations=i)) for i in range(10)]
    assert all(after <= before + 1e-9 * values.energy for before, after in pairwise(errors))


@example(0, 4)  # sums that pass each other on the way
@example(219, 3)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_the_bases_are_the_best_for_their_codes(seed: int, bits: int):
    w = np.random.default_rng(seed).standard_normal(16)  # no weight is half-way between two sums
    bases = learned_bases(SortedValues(w), bits, iterations=1000)
    levels, signs = sums(bases)
    chosen = signs[np.abs(w[:, np.newaxis] - levels).argmin(axis=1)]
    fitted = np.linalg.lstsq(chosen, w, rcond=None)[0]
    np.testing.assert_allclose(chosen @ bases, chosen @ fitted, atol=1e-9)


@given(WEIGHTS, st.integers(1, 4))
def test_each_weight_takes_the_nearest_sum(w: np.ndarray, bits: int):
    coded = lq_net(w, bits)
    levels, _ = sums(coded.bases.astype(np.float64))
    nearest = np.abs(w[..., np.newaxis] - levels).min(axis=-1)
    # reals are rounded to f32 once
    np.testing.assert_allclose(np.abs(w - coded.reals()), nearest, atol=1e-5)
    assert coded.bits == bits
    assert (np.diff(coded.bases) >= 0).all()
    assert (coded.bases >= 0).all()


@given(WEIGHTS)
def test_one_bit_is_the_sign_and_the_mean_magnitude(w: np.ndarray):
    coded = lq_net(w, 1)
    np.testing.assert_allclose(np.abs(coded.reals()), np.abs(w).mean(), rtol=1e-6)
    if coded.bases[0] > 0:
        assert (coded.reals() * w >= 0).all()


@pytest.mark.parametrize(("bits", "gauss"), [(1, 4.40), (2, 9.30)])
def test_the_optimum_on_gaussian_weights(bits: int, gauss: float):
    # up to two bits a symmetric quantizer is a sum of bases: Max (1960), Table I; one bit: the seed row `binary`
    assert -10 * math.log10(error(GAUSS, learned_bases(GAUSS, bits))) == pytest.approx(gauss, abs=0.005)


def test_more_bases_say_more():
    for density in (GAUSS, LAPLACE):
        errors = [error(density, learned_bases(density, bits, 1000)) for bits in range(1, 6)]
        assert all(after < 0.5 * before for before, after in pairwise(errors))


def test_blocks_of_rows_have_bases_of_their_own():
    w = np.random.default_rng(3).normal(size=(6, 4, 3, 3)) * np.arange(1, 7).reshape(6, 1, 1, 1)
    coded = lq_net(w, 2, groups=6)
    assert coded.bases.shape == (6, 2)
    for k in range(6):
        np.testing.assert_array_equal(coded.reals()[k : k + 1], lq_net(w[k : k + 1], 2).reals())
    shared = float(((w - lq_net(w, 2).reals()) ** 2).sum())
    assert float(((w - coded.reals()) ** 2).sum()) < shared


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_degenerate_layers(bits: int):
    np.testing.assert_array_equal(lq_net(np.zeros((2, 3)), bits).reals(), np.zeros((2, 3)))
    for value in (0.5, -0.25):
        np.testing.assert_allclose(lq_net(np.full((1, 1), value), bits).reals(), value, rtol=1e-6)
        np.testing.assert_allclose(lq_net(np.full((2, 2), value), bits).reals(), value, rtol=1e-6)
