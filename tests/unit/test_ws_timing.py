"""The cycle model: skipping repeated states changes nothing, and its cost does not follow the number of MACs."""

from __future__ import annotations

import dataclasses
from collections import deque

from hypothesis import given, settings

from hapir.dialects.num import Rounding
from hapir.lowering.schedule.plan import plan_schedule
from hapir.lowering.schedule.weight_stationary import LayerPlan
from hapir.lowering.schedule.ws_timing import FETCH_CYCLES, STORE_CYCLES, layer_cycles, network_cycles
from hapir.lowering.schedule.ws_traffic import layer_traffic
from tests.property.rtl_designs import DesignDraw, LayerDraw, build_design, designs


def _plans(draw: DesignDraw) -> list[LayerPlan]:
    design = build_design(draw)
    return plan_schedule(design.body, design.weights, design.machine, design.schedule, "the test")


def _every_tile(plan: LayerPlan, before: LayerPlan | None) -> int:
    """Total cycles by following every tile."""
    machine = plan.machine
    words = plan.input_words if plan.load else 0
    drain = machine.array_latency + machine.output_latency
    ready = FETCH_CYCLES + words + (machine.latency if plan.load else 0)
    ready = ready if before is None else max(ready, drain)
    request, start, end = FETCH_CYCLES + words, FETCH_CYCLES, FETCH_CYCLES
    freed = deque([0] * machine.slots)
    for pixel_tile in range(plan.pixel_tiles):
        for _ in range(plan.column_tiles):
            for row_tile in range(plan.row_tiles.count):
                request = max(request, freed.popleft())
                readable = request + plan.tile_words(row_tile) + machine.latency
                loaded = max(start + plan.row_tiles.rows(row_tile), readable + 1)
                freed.append(loaded)
                request += plan.tile_words(row_tile)
                start = max(end, loaded, ready)
                end = start + plan.issue_cycles(plan.pixels(pixel_tile), row_tile)
    return end + (drain + STORE_CYCLES + plan.output_words if plan.store else 0)


@given(designs())
@settings(max_examples=60, deadline=None)
def test_skipping_repeated_states_is_exact(draw: DesignDraw) -> None:
    plans = _plans(draw)
    for plan, before, cycles in zip(plans, [None, *plans], network_cycles(plans), strict=False):
        assert cycles.total == _every_tile(plan, before)


@given(designs())
@settings(max_examples=40, deadline=None)
def test_causes_add_up_and_no_layer_beats_its_ideal(draw: DesignDraw) -> None:
    plans = _plans(draw)
    for plan, cycles in zip(plans, network_cycles(plans), strict=True):
        assert min(dataclasses.astuple(cycles)) >= 0
        assert cycles.total >= plan.ideal_cycles
        assert layer_traffic(plan).macs_issued >= layer_traffic(plan).macs_useful


def test_cost_does_not_follow_the_number_of_tiles() -> None:
    """A layer of 10^12 tiles: following each would take weeks, following the states takes no time."""
    layer = LayerDraw(8, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 0, 0, True)
    draw = DesignDraw(4, 4, 32, 20, 4, 16, False, (8, 8, 16), False, Rounding.half_up, 8, 6, 6, (layer,), seed=1)
    (plan,) = _plans(draw)
    huge = dataclasses.replace(plan, work=dataclasses.replace(plan.work, filters=4 * 10**6, height=1000, width=1000))
    tiles = huge.pixel_tiles * huge.column_tiles * huge.row_tiles.count
    assert tiles > 10**12
    assert layer_cycles(huge).total >= huge.ideal_cycles > tiles
