"""What minimal filtering and dense-sparse kernels offer for a layer, and what they say they cost."""

from __future__ import annotations

import numpy as np
import pytest

from hapir.dialects.kernel_kinds import Dsc
from hapir.dialects.nn_shapes import Window
from hapir.lowering.kernel.choose import fitting_offers, offers_for
from hapir.lowering.kernel.contraction import F32, I16_MODULAR, Contraction
from hapir.lowering.kernel.costs_winograd import dsc_cost, lists_cost, offers, winograd_cost
from hapir.lowering.kernel.geometry import Geometry
from hapir.lowering.kernel.host import DEFAULT, TYPICAL
from hapir.lowering.kernel.offers import Offer, Work
from hapir.lowering.kernel.plan_winograd import SCRATCH_BYTES, tiling_of
from hapir.weights import Array


def geometry(channels: int, size: int, filters: int, kernel: tuple[int, int] = (3, 3)) -> Geometry:
    """A square map with padding that keeps its size."""
    window = Window(kernel, padding=(kernel[0] // 2, kernel[1] // 2, kernel[0] // 2, kernel[1] // 2))
    return Geometry(1, channels, size, size, filters, size, size, window)


def work(of: Geometry, kernel: Array, bits: int | None = None) -> Work:
    """A layer as cost functions see it."""
    rows = np.ascontiguousarray(kernel.transpose(0, 2, 3, 1)).reshape(len(kernel), -1)
    return Work("c1", of, rows, bits, signed=False, zero_point=0, weight_format="", kernel=kernel)


def layer(channels: int, size: int, filters: int, bits: int | None, skipped: float = 0.0) -> Work:
    """A layer with weights of half the range, a share of its kernels all zeros."""
    rng = np.random.default_rng(1)
    shape = (filters, channels, 3, 3)
    kept = rng.random(shape[:2]) >= skipped
    weights = rng.integers(-40, 41, shape) * kept[:, :, None, None]
    return work(geometry(channels, size, filters), weights.astype(np.float32 if bits is None else np.int8), bits)


@pytest.mark.parametrize(
    ("sample", "fastest"),
    [
        # measured on one core (Zen 5): the offer that costs least is the one that ran fastest
        (layer(16, 32, 16, None), "winograd(tile = 4)"),
        (layer(64, 8, 64, None), "winograd(tile = 4)"),
        (layer(256, 56, 256, None), "winograd(tile = 4)"),
        (layer(64, 56, 64, 8), "winograd(tile = 4)"),
        (layer(128, 28, 128, 8), "winograd(tile = 4)"),
        (layer(16, 32, 16, 8), "direct"),
        (layer(512, 14, 512, 8), "direct"),
        (layer(256, 28, 256, None, 0.8), "dsc(tau = 0, tile = 4)"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.geometry.channels}x{value.geometry.height}",
)
def test_the_fastest_is_the_cheapest(sample: Work, fastest: str):
    found = fitting_offers(offers_for(sample, DEFAULT), None)
    assert min(found, key=lambda offer: 0.0 if offer.cost is None else offer.cost.cycles).title == fastest


def by_title(found: tuple[Offer, ...] | list[Offer]) -> dict[str, Offer]:
    return {offer.title: offer for offer in found}


def test_what_is_refused_says_why():
    kernel = np.ones((8, 8, 5, 5), np.float32)
    found = list(offers(work(geometry(8, 9, 8, (5, 5)), kernel), DEFAULT))
    assert [offer.cost for offer in found] == [None] * 3
    assert all(offer.refusal is not None and "3x3" in offer.refusal for offer in found)
    full = by_title(list(offers(layer(8, 9, 8, None), DEFAULT)))
    assert full["dsc"].refusal == "no kernel of one filter and channel is all zeros"
    long = np.full((8, 150, 3, 3), 127, np.int8)
    found = list(offers(work(geometry(150, 9, 8), long, 8), DEFAULT))
    assert [offer.cost is None for offer in found[:2]] == [False, True]
    assert found[1].refusal is not None
    assert "32 bits" in found[1].refusal


def test_what_makes_no_kernel_dense_is_for_those_who_ask():
    """It would be the kernel `sparse` by another name."""
    (best,) = list(offers(layer(64, 28, 64, None, 0.9), DEFAULT))[2:]
    assert set(best.options) == {"tau", "tile"}
    assert not best.only_asked
    few = layer(64, 14, 64, None)
    kernel = np.where(np.random.default_rng(3).random(few.kernel.shape) < 0.02, few.kernel, 0)
    (best,) = list(offers(work(few.geometry, kernel), DEFAULT))[2:]
    assert best.only_asked


@pytest.mark.parametrize("contraction", [F32, I16_MODULAR], ids=lambda c: c.name)
@pytest.mark.parametrize("size", [2, 4])
def test_costs_grow_with_the_layer(contraction: Contraction, size: int):
    small, large = geometry(32, 28, 32), geometry(64, 28, 64)
    for host in (DEFAULT, *TYPICAL.values()):
        assert (
            0
            < winograd_cost(small, size, contraction, host).cycles
            < winograd_cost(large, size, contraction, host).cycles
        )
    assert (
        winograd_cost(small, size, contraction, DEFAULT).cycles
        < winograd_cost(small, size, contraction, TYPICAL["c"]).cycles
    )


def test_lists_cost_what_they_hold():
    """Less with fewer dense kernels; with none, still the transforms."""
    of, rng = geometry(64, 28, 64), np.random.default_rng(2).random((64, 64))
    costs = [lists_cost(of, rng < share, 4, F32, DEFAULT) for share in (0.0, 0.1, 0.5, 1.0)]
    assert 0 < costs[0] < costs[1] < costs[2] < costs[3]


@pytest.mark.parametrize(("shape", "blocks"), [((16, 32, 16), 1), ((256, 56, 256), 14)])
def test_blocks_of_tiles_stay_in_the_cache(shape: tuple[int, int, int], blocks: int):
    of = geometry(*shape)
    tiling, tiles = tiling_of(of, 4, F32)
    assert -(-tiling.total // tiling.block) == blocks
    assert 4 * tiling.planes * tiling.block * (of.channels + of.filters) <= 1.1 * SCRATCH_BYTES
    assert tiles.registers["avx512"][1] == tiles.superblock


@pytest.mark.parametrize("tau", [0, 4, 10])
def test_the_offer_that_is_asked_for_costs_what_its_threshold_does(tau: int):
    sample = layer(64, 14, 64, None, 0.6)
    (offer,) = [o for o in offers_for(sample, DEFAULT, Dsc(tau=tau, tile=2)) if o.algorithm == "dsc"]
    assert offer.options == {"tau": tau, "tile": 2}
    assert offer.cost is not None
    assert offer.cost.cycles == dsc_cost(sample.geometry, sample.kernel, tau, 2, F32)
