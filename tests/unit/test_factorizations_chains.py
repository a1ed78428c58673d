"""Chains that stand for a convolution: what they compute, what they lose, what they cost."""

from __future__ import annotations

from math import floor, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.factorizations import alf, crelu, separable, svd, tucker
from hapir.factorizations.stages import Cost, Maps, Shape4, StageShape, compose, cost_of, dense
from hapir.factorizations.svd import Split, Svd

FILTERS = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.integers(1, 4))
SPLITS: tuple[Split, ...] = ("output", "input", "spatial")


def draw(shape: tuple[int, ...], seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).standard_normal(shape)


@settings(max_examples=60, deadline=None)
@given(FILTERS, st.sampled_from(SPLITS), st.integers(0, 99), st.data())
def test_a_split_loses_the_dropped_singular_values(shape: Shape4, split: Split, seed: int, data: st.DataObject):
    """Eckart and Young: the squared error is the sum of the dropped values' squares; full rank loses nothing."""
    w = draw(shape, seed)
    found = Svd.of(svd.matrix_of(w, split))
    rank = data.draw(st.integers(1, len(found.values)))
    error = ((w - compose(svd.chain(shape, split, found, rank))) ** 2).sum()
    assert error == pytest.approx(found.lost(rank), abs=1e-20 + 1e-12 * (w**2).sum())
    full = compose(svd.chain(shape, split, found, len(found.values)))
    np.testing.assert_allclose(full, w, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(FILTERS, st.sampled_from(SPLITS), st.floats(0.01, 1))
def test_the_rank_for_an_energy_is_the_least(shape: Shape4, split: Split, share: float):
    w = draw(shape, prod(shape))
    found = Svd.of(svd.matrix_of(w, split))
    rank, total = found.rank_for_energy(share), (w**2).sum()
    assert 1 - found.lost(rank) / total >= share - 1e-9
    assert rank == 1 or 1 - found.lost(rank - 1) / total < share


def test_a_value_that_is_zero_but_for_rounding_is_not_asked_for():
    assert svd.rank_for_energy(np.array([1.0, 1e-7]), 1.0) == 1
    assert svd.rank_for_energy(np.array([1.0, 1e-5]), 1.0) == 2
    assert svd.rank_for_energy(np.zeros(3), 1.0) == 1


def test_a_spatial_split_is_the_sum_of_the_thesis():
    """W_f = sum_r H_f^r (V_r)^T (UCSD thesis, L438-440)."""
    w = draw((3, 2, 3, 3), 1)
    vertical, horizontal = svd.chain((3, 2, 3, 3), "spatial", Svd.of(svd.matrix_of(w, "spatial")), 6)
    v, h = vertical.filters[..., 0], horizontal.filters[:, :, 0]
    np.testing.assert_allclose(np.einsum("frs,rch->fchs", h, v), w, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(FILTERS, st.integers(0, 99), st.data())
def test_tucker_at_full_rank_is_exact_and_hooi_does_not_lose(shape: Shape4, seed: int, data: st.DataObject):
    w, full = draw(shape, seed), shape[:2]
    np.testing.assert_allclose(compose(tucker.tucker2(w, full, 0)), w, atol=1e-11)
    ranks = data.draw(st.integers(1, full[0])), data.draw(st.integers(1, full[1]))
    errors = [((w - compose(tucker.tucker2(w, ranks, n))) ** 2).sum() for n in (0, 1, 4)]
    slack = 1e-9 * (w**2).sum()
    assert errors[2] <= errors[1] + slack
    assert errors[1] <= errors[0] + slack
    # HOSVD's bound: what the two unfoldings drop (De Lathauwer et al., SIAM J. Matrix Anal. Appl. 2000, property 10)
    dropped = sum(Svd.of(matrix).lost(rank) for matrix, rank in zip(tucker.unfolded(w), ranks, strict=True))
    assert errors[0] <= dropped + slack


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99))
def test_hooi_ends_where_neither_factor_alone_can_do_better(seed: int):
    w = draw((8, 7, 3, 3), seed)
    inputs, core, outputs = (stage.filters[:, :, 0, 0] for stage in tucker.tucker2(w, (3, 2), 300))
    del core
    for along, kept, reduced in (
        (0, outputs, np.einsum("kcrs,ic->kirs", w, inputs)),
        (1, inputs.T, np.einsum("kcrs,ko->cors", w, outputs)),
    ):
        matrix = reduced.reshape(w.shape[along], -1)
        held = ((kept.T @ matrix) ** 2).sum()
        most = (np.linalg.svd(matrix, compute_uv=False)[: kept.shape[1]] ** 2).sum()
        assert held == pytest.approx(most, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 3), st.integers(0, 99))
def test_the_decomposition_is_that_of_numpy(rows: int, columns: int, rank: int, seed: int):
    """Also of matrices that lack rank: their factors hold no noise."""
    matrix = draw((rows, rank), seed) @ draw((rank, columns), seed + 1)
    found = Svd.of(matrix)
    np.testing.assert_allclose(found.values, np.linalg.svd(matrix, compute_uv=False), atol=1e-7)
    left, right = found.factors(len(found.values))
    np.testing.assert_allclose(left @ right, matrix, atol=1e-12)


def test_canonical_polyadic_finds_what_was_composed_and_improves():
    chain = [draw(size, seed) for seed, size in enumerate(((2, 5), (2, 1, 3, 3), (6, 2)))]
    w = np.einsum("tc,txrs,kt->kcrs", *chain)
    np.testing.assert_allclose(compose(tucker.canonical_polyadic(w, 2, 200)), w, atol=1e-6)
    noisy = w + draw(w.shape, 9)
    errors = [((noisy - compose(tucker.canonical_polyadic(noisy, 3, n))) ** 2).sum() for n in (1, 5, 40)]
    assert errors[0] > errors[1] > errors[2]
    # a rank beyond every side still has its components
    assert tucker.canonical_polyadic(draw((2, 2, 1, 1), 0), 7, 5)[1].filters.shape == (7, 1, 1, 1)


@settings(max_examples=40, deadline=None)
@given(FILTERS, st.integers(0, 99), st.integers(1, 20))
def test_separable_loses_what_each_channel_drops(shape: Shape4, seed: int, rank: int):
    w = draw(shape, seed)
    k, c, r, s = shape
    chain = separable.separable(w, rank)
    lost = sum(Svd.of(w[:, channel].reshape(k, r * s)).lost(rank) for channel in range(c))
    assert ((w - compose(chain)) ** 2).sum() == pytest.approx(lost, abs=1e-12 * (w**2).sum())
    assert chain[0].shape.groups == c
    assert chain[0].filters.shape == (c * min(rank, k, r * s), 1, r, s)


def test_composed_chains_convolve_like_their_stages():
    """compose against two convolutions written as loops, the second one grouped."""
    first, second = draw((4, 2, 3, 1), 0), draw((6, 2, 1, 2), 1)
    whole = np.zeros((6, 2, 3, 2))
    grouped = dense(second, 2)
    for k, m, c, r, s in np.ndindex(6, 4, 2, 3, 2):
        whole[k, c, r, s] += grouped[k, m, 0, s] * first[m, c, r, 0]
    np.testing.assert_allclose(whole, _composed(first, second), atol=1e-12)


def _composed(first: Any, second: Any) -> Any:
    from hapir.factorizations.stages import Stage

    one = Stage(StageShape("a", first.shape, rows=True), first)
    return compose([one, Stage(StageShape("b", second.shape, groups=2, columns=True), second)])


def test_costs_count_each_stage_on_its_own_maps():
    maps = Maps((8, 10), (4, 5))
    shape = (16, 8, 3, 3)
    assert cost_of(svd.chain_shape(shape, "output", 4), maps) == Cost(4 * 72 + 64, 4 * 72 * 20 + 64 * 20)
    assert cost_of(svd.chain_shape(shape, "input", 4), maps) == Cost(32 + 576, 32 * 80 + 576 * 20)
    assert cost_of(svd.chain_shape(shape, "spatial", 4), maps) == Cost(96 + 192, 96 * 4 * 10 + 192 * 20)
    assert cost_of(tucker.chain_shape(shape, (5, 3)), maps) == Cost(24 + 135 + 80, 24 * 80 + 135 * 20 + 80 * 20)
    assert cost_of(separable.chain_shape(shape, 1), maps) == Cost(72 + 128, 200 * 20)


# --- ALF --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("c_in", "c_out", "kernel", "largest"),
    [(64, 64, 3, 57), (16, 16, 3, 14), (3, 16, 3, 10), (256, 256, 3, 230), (512, 512, 3, 460), (64, 256, 1, 51)],
)
def test_the_largest_code(c_in: int, c_out: int, kernel: int, largest: int):
    """HAPPi-Net tutorial, A9: C_max = floor(C_i C_o K^2 / (C_i K^2 + C_o))."""
    assert alf.largest_code((c_out, c_in, kernel, kernel)) == largest


@given(FILTERS, st.integers(1, 8))
def test_alf_costs_less_below_the_exact_bound_only(shape: Shape4, codes: int):
    k, c, r, s = shape
    costs_less = cost_of(svd.chain_shape(shape, "output", codes), Maps()).parameters < prod(shape)
    assert costs_less == (codes * (c * r * s + k) < prod(shape))
    assert alf.largest_code(shape) == floor(prod(shape) / (c * r * s + k))
    if codes > alf.largest_code(shape):
        assert not costs_less


def test_the_penalty_of_pruning():
    """HAPPi-Net tutorial, A9, with slope 8 and pr_max 0.85."""
    found = [round(alf.prune_penalty(theta), 4) for theta in (0, 0.2, 0.4, 0.6, 0.8, 0.85, 1)]
    assert found == [0.9989, 0.9945, 0.9727, 0.8647, 0.3297, 0, 0]


@settings(max_examples=40, deadline=None)
@given(FILTERS, st.integers(1, 5), st.integers(0, 99))
def test_deleting_zero_code_filters_changes_nothing(shape: Shape4, codes: int, seed: int):
    """Deployed = training form with the mask fixed."""
    rng = np.random.default_rng(seed)
    w, encoder, expansion = draw(shape, seed), draw((shape[0], codes), seed + 1), draw((shape[0], codes), seed + 2)
    mask = rng.choice([0.0, 5e-5, -0.5, 1.0], codes)
    coded = alf.code_filters(w, encoder, mask, 1e-4, "tanh")
    masked = np.where(np.abs(mask) < 1e-4, 0, mask)
    trained = np.einsum("om,m,mcrs->ocrs", expansion, masked, np.tanh(np.einsum("ocrs,om->mcrs", w, encoder)))
    chain = alf.deployed(coded, expansion)
    np.testing.assert_allclose(compose(chain), trained, atol=1e-10)
    assert len(chain[0].filters) == max(1, np.count_nonzero(masked))


# --- CReLU sharing ----------------------------------------------------------------------------------------------------


def test_opposite_filters_are_found_with_their_factor():
    w = draw((6, 2, 3, 3), 3)
    w[4] = -2.0 * w[1]
    w[0] = -2.0 * w[5]
    w[2] = 0
    pairs = crelu.opposite_pairs(w, 1.0, 1e-9)
    assert [(p.kept, p.shared) for p in pairs] == [(0, 5), (4, 1)]
    assert [p.factor for p in pairs] == pytest.approx([0.5, 0.5])
    assert len(crelu.opposite_pairs(w, 0.34, 1e-9)) == 1
    assert crelu.opposite_pairs(w, 0, 1) == []
    assert crelu.opposite_pairs(np.zeros((4, 1, 1, 1)), 1, 1) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_pairs_are_disjoint_and_as_good_as_they_say(filters: int, share: float, tolerance: float, seed: int):
    w = draw((filters, 2, 2, 1), seed)
    pairs = crelu.opposite_pairs(w, share, tolerance)
    used = [i for p in pairs for i in (p.kept, p.shared)]
    assert len(set(used)) == len(used) <= share * filters + 1e-9
    for p in pairs:
        relative = ((w[p.shared] + p.factor * w[p.kept]) ** 2).sum() / (w[p.shared] ** 2).sum()
        assert relative == pytest.approx(p.error, abs=1e-9)
        assert p.error <= tolerance
        assert 0 < p.factor <= 1 + 1e-12
