"""Register blocks: they fit, they divide what is packed, and cost less than those beside them by the model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hapir.dialects.kernel import PATHS, TilesAttr
from hapir.lowering.kernel.contraction import F32, I16, U8_I7, U8_I8, Contraction, integer
from hapir.lowering.kernel.contraction_bits import Lookup
from hapir.lowering.kernel.geometry import Tiles
from hapir.lowering.kernel.host import DEFAULT, TYPICAL, Host
from hapir.lowering.kernel.plan_products import short
from hapir.lowering.kernel.register_tiles import (
    Loops,
    beside,
    best_tiles,
    cost_of,
    default_tiles,
    product_of,
    tiles_for,
    with_pixels,
)

CONTRACTIONS = (F32, U8_I8, U8_I7, I16, integer("uint16_t", "int16_t"), Lookup.of(2, (-2, -1, 0, 1), 96))
HOSTS = (DEFAULT, *TYPICAL.values())


@st.composite
def loops(draw: st.DrawFn) -> Loops:
    """Layers from a dense one of one image to wide convolutions."""
    return Loops(
        draw(st.integers(1, 60)),
        draw(st.integers(1, 70)),
        draw(st.sampled_from((1, 1, 1, 2, 4))),
        draw(st.integers(1, 300)),
        draw(st.integers(1, 600)),
        draw(st.integers(1, 1 << 22)),
        draw(st.integers(1, 9)),
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(loops(), st.sampled_from(CONTRACTIONS), st.sampled_from(HOSTS))
def test_blocks_fit_and_divide(found: Loops, contraction: Contraction, host: Host):
    tiles = tiles_for(found, contraction, host)
    TilesAttr.of(tiles.order, tiles.superblock, tiles.registers)  # its verifier
    assert tuple(tiles.registers) == PATHS
    for path, typical in TYPICAL.items():
        pixels, blocks = tiles.registers[path]
        own = host if path == host.path else typical
        n = own.registers_per_vector
        assert pixels <= found.columns
        if path != "c" and (pixels, blocks) != (1, 1):
            kept = beside(pixels, blocks, contraction, own) + product_of(contraction, own).registers
            assert pixels * blocks * n + kept <= own.registers


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(loops(), st.sampled_from(CONTRACTIONS), st.sampled_from(HOSTS))
def test_the_first_costs_least_and_none_is_there_twice(found: Loops, contraction: Contraction, host: Host):
    tiles = best_tiles(found, contraction, host, 6)
    cycles = [cost_of(found, contraction, t, host).cycles for t in tiles]
    assert cycles == sorted(cycles)
    assert all(c > 0 for c in cycles)
    texts = [f"{t.order} {t.registers[host.path]}" for t in tiles]
    assert len(set(texts)) == len(texts)
    if found.rows == 1:
        assert {t.order for t in tiles} == {"filters"}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(loops(), st.sampled_from((F32, U8_I8)), st.sampled_from((DEFAULT, TYPICAL["avx2"], TYPICAL["neon"])))
def test_twice_the_layer_takes_more_cycles(found: Loops, contraction: Contraction, host: Host):
    def cycles(of: Loops) -> float:
        return cost_of(of, contraction, tiles_for(of, contraction, host), host).cycles

    doubled = Loops(2 * found.rows, found.columns, found.groups, found.filters, found.words, 2 * found.input_bytes)
    plain = Loops(found.rows, found.columns, found.groups, found.filters, found.words, found.input_bytes)
    assert cycles(doubled) > cycles(plain)


def test_what_is_asked_for_is_had():
    layer = Loops(8, 32, 1, 64, 144, 1 << 14)
    tiles = tiles_for(layer, F32, DEFAULT, {"pixels": 5, "blocks": 2, "order": "rows"})
    assert (tiles.registers["avx512"], tiles.superblock, tiles.order) == ((5, 2), 2, "rows")
    spilled = tiles_for(layer, F32, DEFAULT, {"pixels": 20, "blocks": 4})
    assert spilled.registers["avx512"] == (20, 4)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"pixels": 33}, "`pixels` is 33, and the layer has 32 pixels in a row"),
        ({"blocks": 2}, "`blocks` is 2, and the layer has 1 vector of 16 filters in a group"),
    ],
)
def test_no_block_is_larger_than_its_layer(asked: dict[str, int], says: str):
    with pytest.raises(ValueError, match=says):
        tiles_for(Loops(8, 32, 2, 16, 144, 1 << 14), F32, DEFAULT, asked)


def test_large_layers_take_blocks_that_keep_both_multipliers_busy():
    pixels, blocks = default_tiles(1024, 1024, F32).registers["avx512"]
    assert pixels * blocks >= 20
    cost = cost_of(Loops(1, 1024, 1, 1024, 1024, 1 << 22), F32, default_tiles(1024, 1024, F32), DEFAULT)
    assert cost.bound == "compute"
    assert cost.cycles == pytest.approx(1024 * 64 * 1024 / 2, rel=0.1)  # two products of 16 lanes a cycle


def test_one_pixel_waits_for_memory():
    dense = Loops(1, 1, 1, 4096, 4096, 1 << 14)
    assert cost_of(dense, F32, tiles_for(dense, F32, DEFAULT), DEFAULT).bound == "dram"


def test_bytes_without_vnni_take_longer():
    layer = Loops(8, 32, 1, 64, 144, 1 << 14)

    def cycles(host: Host) -> float:
        return cost_of(layer, U8_I8, tiles_for(layer, U8_I8, host), host).cycles

    assert cycles(TYPICAL["avx512"]) > 2 * cycles(DEFAULT)


def test_rows_of_another_length_keep_what_was_packed_and_what_was_decided():
    tiles = default_tiles(32, 64, F32)
    assert with_pixels(tiles, 3, 64, F32).superblock == tiles.superblock
    assert max(pixels for pixels, _ in with_pixels(tiles, 3, 64, F32).registers.values()) <= 3
    decided = Tiles(tiles.order, tiles.superblock, tiles.registers, decided=True)
    assert with_pixels(decided, 3, 64, F32) is decided


@given(st.integers(1, 255), st.lists(st.integers(-128, 127), min_size=1, max_size=6))
def test_two_products_fit_halves_where_bytes_are_short(highest: int, weights: list[int]):
    pairs = [highest * (a + b) for n, a in enumerate(weights) for b in weights[n + 1 :]]
    reach = [highest * a for a in weights] + pairs  # either input may be 0
    fits = all(-(1 << 15) <= total < 1 << 15 for total in reach)
    assert short(U8_I8, np.array([weights], np.int8), highest) == (U8_I7 if fits else U8_I8)
    assert short(I16, np.array([weights], np.int16), highest) == I16
