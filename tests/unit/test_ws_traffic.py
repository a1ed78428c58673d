"""Traffic and MACs against an instrumented execution: the loop nest walked access by access."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings

from hapir.lowering.schedule.plan import plan_schedule
from hapir.lowering.schedule.weight_stationary import LayerPlan
from hapir.lowering.schedule.ws_traffic import layer_traffic
from tests.property.rtl_designs import DesignDraw, build_design, designs


def _walk(plan: LayerPlan) -> Counter[str]:
    """Count what the array does for each pixel of each tile, from the layer's geometry alone."""
    work, machine = plan.work, plan.machine
    groups = [range(g, min(g + machine.rows, work.channels)) for g in range(0, work.channels, machine.rows)]
    products = [(c, tap) for group in groups for tap in range(work.taps) for c in group]
    if plan.row_tiles.packed:
        products = [(c, tap) for tap in range(work.taps) for c in range(work.channels)]
        size = machine.rows // work.channels * work.channels
        tiles = [products[at : at + size] for at in range(0, len(products), size)]
    else:
        tiles = [[(c, tap) for c in group] for group in groups for tap in range(work.taps)]
    assert sorted(p for tile in tiles for p in tile) == sorted(products)
    found: Counter[str] = Counter()
    p, q = work.output_size
    windows = [(y, x) for y in range(p) for x in range(q)]
    for first in range(0, len(windows), plan.windows_per_tile):
        for k in range(0, work.filters, machine.cols):
            columns = min(machine.cols, work.filters - k)
            for index, tile in enumerate(tiles):
                found["weight rows"] += len(tile)
                found["weight words"] += len(tile) * -(-machine.cols * 8 // machine.memory_bits)
                for _ in windows[first : first + plan.windows_per_tile]:
                    for _ in range(work.pixels_per_output):
                        found["activation reads"] += len(tile)
                        found["macs"] += len(tile) * machine.cols
                        found["psum writes"] += 1
                        found["psum reads"] += index > 0
                        found["requantizations"] += columns if index == len(tiles) - 1 else 0
            found["weight words"] += -(-machine.cols * 64 // machine.memory_bits)
            found["activation writes"] += columns * len(windows[first : first + plan.windows_per_tile])
    return found


def _useful(plan: LayerPlan) -> int:
    """MACs of the set of convolution pixels under some pooling window."""
    work = plan.work
    p, q = work.output_size
    if work.pool is None:
        pixels = p * q
    else:
        (kh, kw), (sy, sx) = work.pool.kernel, work.pool.stride
        pixels = len(
            {(y * sy + i, x * sx + j) for y in range(p) for x in range(q) for i in range(kh) for j in range(kw)}
        )
    return pixels * work.filters * work.channels * work.taps


@given(designs())
@settings(max_examples=25, deadline=None)
def test_counts_are_those_of_the_loop_nest(draw: DesignDraw) -> None:
    design = build_design(draw)
    for plan in plan_schedule(design.body, design.weights, design.machine, design.schedule, "the test"):
        expected, traffic = _walk(plan), layer_traffic(plan)
        by = {(a.memory, a.tensor): a for a in traffic.accesses}
        assert traffic.macs_issued == expected["macs"]
        assert traffic.macs_useful == _useful(plan)
        assert traffic.requantizations == expected["requantizations"]
        assert by["dram", "weight"].reads == expected["weight words"]
        assert by["weights", "weight"].reads == by["weights", "weight"].writes == expected["weight rows"]
        assert by["activations", "input"].reads == expected["activation reads"]
        assert by["activations", "output"].writes == expected["activation writes"]
        assert by["accumulator", "psum"].writes == expected["psum writes"]
        assert by["accumulator", "psum"].reads == expected["psum reads"]
