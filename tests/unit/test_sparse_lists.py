"""Lists of non-zero weights, on worked examples and against the rows that they came from; costs and tilings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hapir.dialects.nn_shapes import Window
from hapir.lowering.kernel.contraction import F32, U8_I8
from hapir.lowering.kernel.costs_sparse import (
    PANEL_SHARE,
    SparseWork,
    levels_of,
    sparse_choices,
    sparse_cost,
    sparse_work,
)
from hapir.lowering.kernel.geometry import Geometry
from hapir.lowering.kernel.sparse_lists import Order, Taps, entries_of, in_lists, list_tables, panel_of, places_of

TERNARY = np.array([[0, 1, 1, 0, -1], [-1, 0, 0, 1, 0], [1, -1, 0, -1, -1]], np.int8)
"""The worked example of Reduce-and-Scale: three filters of five inputs."""
DENSE = Geometry(1, 5, 1, 1, 3, 1, 1, Window((1, 1)))


def ternary_order(longest: int) -> Order:
    """The example's lists, over a panel whose planes are one place apart."""
    entries = entries_of(TERNARY, DENSE, 1)
    return in_lists(entries, entries.words, 8, longest)


def test_reduce_and_scale_of_the_worked_example():
    order = ternary_order(257)
    channels = entries_of(TERNARY, DENSE, 1).words[order.entries].tolist()
    lists: dict[int, tuple[list[int], list[int]]] = {}
    for filter, adds, minuses in zip(order.filters, order.adds, order.subtractions, strict=True):
        taken, channels = channels[: adds + minuses], channels[adds + minuses :]
        lists[int(filter)] = taken[:adds], taken[adds:]
    assert lists == {0: ([1, 2], [4]), 1: ([3], [0]), 2: ([0], [1, 3, 4])}
    a = [1, 2, 3, 4, 5]
    sums = [(sum(a[i] for i in lists[k][0]), sum(a[i] for i in lists[k][1])) for k in range(3)]
    assert sums == [(5, 5), (4, 1), (1, 11)]


@pytest.mark.parametrize("longest", [1, 2, 3, 4])
def test_no_list_is_longer_than_allowed_and_none_is_lost(longest: int):
    order = ternary_order(longest)
    lengths = order.adds + order.subtractions
    assert lengths.max() == min(longest, 4)
    assert lengths.sum() == np.count_nonzero(TERNARY)
    assert sorted(order.entries.tolist()) == list(range(np.count_nonzero(TERNARY)))
    balance = np.zeros(3, np.int64)
    np.add.at(balance, order.filters, order.adds - order.subtractions)
    assert balance.tolist() == TERNARY.sum(axis=1).tolist()


GEOMETRIES = [
    Geometry(1, 6, 7, 9, 4, 7, 9, Window((3, 3), padding=(1, 1, 1, 1))),
    Geometry(1, 6, 9, 11, 6, 4, 4, Window((3, 3), (2, 3), (0, 1, 1, 0), (1, 2)), 3),
    Geometry(2, 10, 5, 5, 10, 5, 5, Window((1, 1)), 5),
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("per_word", [1, 2, 4])
def test_lists_read_what_each_filter_multiplies(geometry: Geometry, per_word: int):
    """Every place of every list, followed through the panel, is a pixel under a tap of the window."""
    rng = np.random.default_rng(per_word)
    window, per_group = geometry.window, geometry.channels // geometry.groups
    rows = rng.integers(-3, 4, (geometry.filters, window.kernel[0] * window.kernel[1] * per_group)).astype(np.int8)
    rows[rng.random(rows.shape) < 0.6] = 0
    entries, taps, words = entries_of(rows, geometry, per_word), Taps.of(geometry), 2
    panel = panel_of(geometry, taps, 1, 16, -(-geometry.channels // per_word), "int32_t")
    places = places_of(entries, taps, panel, words)
    order = in_lists(entries, places, words)
    lists = list_tables("c", order, places, panel, words, signed=False)
    tiles: list[list[int]] = lists.tiles.values.reshape(-1, 2).tolist()
    found = np.zeros((geometry.filters, window.kernel[0], window.kernel[1], geometry.channels), np.int64)
    at, read = 0, 0
    for count, start in tiles:
        for _ in range(count):
            filter, length = int(lists.filters.values[at]), int(lists.counts.values[at])
            for i in range(read, read + length):
                plane, shift = divmod(start + int(lists.places.values[i]), panel.length)
                word, phase = divmod(plane, len(panel.phases))
                row, column = divmod(shift, panel.columns)
                r = (row * window.stride[0] + panel.phases[phase][0]) // window.dilation[0]
                s = (column * window.stride[1] + panel.phases[phase][1]) // window.dilation[1]
                for j, weight in enumerate(entries.values[order.entries[i]].tolist()):
                    if weight:
                        found[filter, r, s, word * per_word + j] += weight
            at, read = at + 1, read + length
    group = np.arange(geometry.filters) // (geometry.filters // geometry.groups)
    expected = np.zeros_like(found)
    for k, row in enumerate(rows.reshape(geometry.filters, *window.kernel, per_group)):
        expected[k, :, :, group[k] * per_group : (group[k] + 1) * per_group] = row
    np.testing.assert_array_equal(found, expected)


def work(kernel: str, density: float, pixels: int = 1024) -> SparseWork:
    """A product of matrices with so many rows, inner length and filters 256."""
    entries = round(256 * 256 * density / (1 if kernel != "u8_i8" else 4))
    return SparseWork(kernel, entries, 256 // (4 if kernel == "u8_i8" else 1), 1, 1, 256, pixels, 0, True, 1)


@pytest.mark.parametrize("kernel", ["f32", "u8_i8", "ras"])
def test_fewer_weights_never_cost_more(kernel: str):
    costs = [sparse_cost(work(kernel, d / 20)).cycles for d in range(21)]
    assert costs == sorted(costs)
    assert costs[-1] > 3 * costs[1]


@pytest.mark.parametrize("kernel", ["f32", "u8_i8", "ras"])
def test_planes_of_a_tile_fit_their_share_of_the_cache(kernel: str):
    for halo in (0, 20, 120):
        layer = replace(work(kernel, 0.1), halo=halo, taps=9 if halo else 1)
        tiling = sparse_cost(layer).tiling
        used = tiling.words * layer.plane_bytes * (16 * tiling.vectors + halo)
        assert 0 < used <= PANEL_SHARE
        assert tiling.run % (16 * tiling.vectors) == 0


def test_words_are_counted_as_they_are_listed():
    rng = np.random.default_rng(0)
    for geometry in GEOMETRIES:
        taps = geometry.window.kernel[0] * geometry.window.kernel[1]
        rows = rng.integers(-1, 2, (geometry.filters, taps * geometry.channels // geometry.groups)).astype(np.int8)
        rows[rng.random(rows.shape) < 0.7] = 0
        for kernel, per_word in (("ras", 1), ("i16", 2), ("u8_i8", 4)):
            assert sparse_work(kernel, geometry, rows).entries == len(entries_of(rows, geometry, per_word))


def test_shares_are_those_of_the_words_that_are_left():
    rows = np.zeros((32, 64), np.int8)
    rows[3, 8:12] = rows[5, 9] = rows[20, 0] = 1
    geometry = Geometry(1, 64, 1, 4, 32, 1, 4, Window((1, 1)))
    shares = {choice.form: choice.share for choice in sparse_choices(geometry, rows, U8_I8)}
    assert shares == {"lanes": 3 / (32 * 16), "blocks": 2 / (2 * 16), "vector": 6 / (32 * 64)}


def test_levels_are_magnitudes():
    assert levels_of(np.array([[0, 3, -3], [1, 0, 0]], np.int8)) == 2
    assert levels_of(np.zeros((2, 2), np.int8)) == 0


def test_one_pixel_is_computed_alone():
    rows = (np.random.default_rng(0).random((2048, 2048)) < 0.03).astype(np.float32)
    one, many = (Geometry(1, 2048, 1, n, 2048, 1, n, Window((1, 1))) for n in (1, 64))
    assert sparse_choices(one, rows, F32)[0].form == "vector"
    assert sparse_choices(many, rows, F32)[0].form == "lanes"
    window = Geometry(1, 2048, 3, 3, 2048, 1, 1, Window((3, 3)))
    assert "vector" not in [choice.form for choice in sparse_choices(window, np.tile(rows, 9), F32)]


def test_blocks_of_16_filters_are_used_where_the_zeros_lie_so():
    rng = np.random.default_rng(0)
    rows = np.repeat(np.repeat(rng.random((16, 128)) < 0.1, 16, axis=0), 4, axis=1).astype(np.int8)
    one, many = (Geometry(1, 512, 1, n, 256, 1, n, Window((1, 1))) for n in (1, 128))
    assert sparse_choices(one, rows, U8_I8)[0].form == "blocks"
    assert sparse_choices(many, rows, U8_I8)[0].form == "blocks"
    assert sparse_choices(many, rng.permuted(rows), U8_I8)[0].form == "lanes"
