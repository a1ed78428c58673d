"""How much of a weight-stationary array a network can keep busy at best, known before any recipe runs.

A tile of weights occupies the array for as many cycles as it has pixels, whatever rows and columns it leaves empty; so
the tiles of the layers bound the utilization from above. Loading, draining and waiting for memories come on top
(`ws_timing.py`), so the estimate is never better than this.
"""

from __future__ import annotations

from math import prod

from hapir.diagnostics import Diagnostic, HapirError, span_of
from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn import Conv2dOp, DenseOp, NetworkOp
from hapir.dialects.num import shape_of
from hapir.lowering.schedule.capacity import is_chain
from hapir.lowering.schedule.conv_work import map_shape
from hapir.lowering.schedule.weight_stationary import taps_at_once
from hapir.lowering.schedule.ws_machine import WsMachine, ws_machine

LOW = 0.1
"""The utilization below which a machine is hardly the right one for a network."""


def best_utilization(network: NetworkOp, machine: WsMachine) -> float:
    """The share of multipliers and cycles that useful products can fill at best, 0..1; 1 of a network without any."""
    useful = occupied = 0
    products = [op for op in network.body.block.ops if isinstance(op, Conv2dOp | DenseOp)]
    for op in products:
        channels, height, width = map_shape(op.x)
        filters, *pixels = shape_of(op.result)[1:]
        taps = prod(op.window.window.kernel) if isinstance(op, Conv2dOp) else height * width
        at_once = taps_at_once(channels, taps, machine.rows) if op is products[0] else 1
        row_tiles = -(-taps // at_once) if at_once > 1 else -(-channels // machine.rows) * taps
        tiles = row_tiles * -(-filters // machine.cols)
        useful += filters * channels * taps * prod(pixels)
        occupied += tiles * prod(pixels) * machine.rows * machine.cols
    return useful / occupied if occupied else 1.0


def utilization_warnings(network: NetworkOp, machine: MachineOp, schedule: ScheduleOp) -> list[Diagnostic]:
    """A warning HAP0612 where even at best hardly any of the array works; nothing for other machines and networks."""
    if schedule.dataflow.data != "weight_stationary" or not is_chain(network):
        return []
    try:
        described = ws_machine(machine)
    except HapirError:
        return []
    best = best_utilization(network, described)
    if best >= LOW:
        return []
    name, size = described.array, f"{described.rows} x {described.cols}"
    return [
        Diagnostic(
            "HAP0612",
            f"at most {best:.1%} of the {size} array `{name}` can work on the network `{network.sym_name.data}`",
            span_of(schedule.location),
            described.labels(name, "this array"),
            "rows take input channels and columns output channels: choose a smaller array, or a wider network",
            "warning",
        )
    ]
