"""What kernels that skip zeros offer: less than the dense kernel only where there is enough to skip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hapir.dialects.nn_shapes import Window
from hapir.lowering.kernel import costs_dense
from hapir.lowering.kernel.choose import Family
from hapir.lowering.kernel.families import ras_offers, sparse_offers
from hapir.lowering.kernel.geometry import Geometry
from hapir.lowering.kernel.host import DEFAULT
from hapir.lowering.kernel.offers import Offer, Work
from hapir.weights import Array


def work_on(rows: Array, pixels: int, bits: int | None) -> Work:
    """A dense layer over so many pixels."""
    filters, channels = rows.shape
    geometry = Geometry(1, channels, 1, pixels, filters, 1, pixels, Window((1, 1)))
    return Work("f1", geometry, rows, bits, False, 0, "si8" if bits else "f32", rows)


def sparse_rows(density: float, size: int = 512, levels: int = 1) -> Array:
    """Weights of +-1 .. +-levels, so many of them not zero."""
    rng = np.random.default_rng(0)
    weights = rng.integers(1, levels + 1, (size, size)) * rng.choice((-1, 1), (size, size))
    return (weights * (rng.random((size, size)) < density)).astype(np.int8)


def cheapest(offers: Sequence[Offer]) -> float:
    """Cycles of the cheapest."""
    return min(offer.cost.cycles for offer in offers if offer.cost is not None)


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("pixels", [1, 16, 1024])
def test_weights_without_zeros_are_left_to_the_dense_kernel(pixels: int, bits: int | None):
    rows = sparse_rows(1.0)
    work = work_on(rows if bits else rows.astype(np.float32), pixels, bits)
    dense = cheapest(costs_dense.offers(work, DEFAULT))
    assert cheapest(sparse_offers(work, DEFAULT)) > dense
    if bits:
        assert cheapest(ras_offers(work, DEFAULT)) > dense


@pytest.mark.parametrize("pixels", [64, 1024])
@pytest.mark.parametrize("bits", [None, 8])
def test_nine_zeros_of_ten_are_worth_skipping(pixels: int, bits: int | None):
    rows = sparse_rows(0.1)
    work = work_on(rows if bits else rows.astype(np.float32), pixels, bits)
    assert cheapest(sparse_offers(work, DEFAULT)) < cheapest(costs_dense.offers(work, DEFAULT))


@pytest.mark.parametrize("offers", [sparse_offers, ras_offers])
def test_more_zeros_never_make_the_dense_kernel_win_again(offers: Family):
    wins: list[bool] = []
    for tenth in range(11):
        work = work_on(sparse_rows(1 - tenth / 10), 256, 8)
        wins.append(cheapest(offers(work, DEFAULT)) < cheapest(costs_dense.offers(work, DEFAULT)))
    assert wins == sorted(wins)
    assert wins[-1]


def test_reduce_and_scale_refuses_many_levels_and_floats():
    many = ras_offers(work_on(sparse_rows(0.5, levels=100), 64, 8), DEFAULT)[0]
    assert many.cost is None
    assert "magnitudes" in (many.refusal or "")
    floats = ras_offers(work_on(sparse_rows(0.5).astype(np.float32), 64, None), DEFAULT)[0]
    assert "floats" in (floats.refusal or "")
