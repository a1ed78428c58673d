"""From a scheduled network to layer plans: read the machine, the layers and the pinned maps, and check that they fit.

What a `map` may pin on this machine: at the array, rows out of C, R, S and columns K (that is how it is built); at the
accumulator memory, P and Q factors whose product is the number of output pixels per tile. Anything else would need
other hardware and is a diagnostic.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hapir.diagnostics import fail
from hapir.dialects.dataflow import LevelOp, MapOp, ScheduleOp
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import integer_range
from hapir.lowering.schedule.conv_work import ConvWork, LayerData, layer_data, network_work
from hapir.lowering.schedule.weight_stationary import LayerPlan, plan_network
from hapir.lowering.schedule.ws_machine import WsMachine, ws_machine
from hapir.multipliers.model import product_range


def plan_schedule(
    body: NetworkOp,
    weights: Mapping[str, npt.NDArray[np.generic]],
    machine: MachineOp,
    schedule: ScheduleOp,
    target: str,
) -> list[LayerPlan]:
    """Plan every layer of an integer body. Raises HapirError HAP06xx and HAP07xx where something does not fit."""
    if schedule.dataflow.data != "weight_stationary":
        fail("HAP0606", f"{target} has no dataflow `{schedule.dataflow.data}`", at=schedule,
             help="write `dataflow = weight_stationary`")  # fmt: skip
    described = ws_machine(machine)
    works = network_work(body, target)
    for work in works:
        data = layer_data(work, weights)
        _check_accumulator(work, described, data)
        _check_factors(work, described, data)
    return plan_network(works, described, _pinned_windows(schedule, described, works))


def _check_factors(work: ConvWork, machine: WsMachine, data: LayerData) -> None:
    """The requantization factors must fit the machine's multiplier as they are."""
    needed = int(data.multiplier.max()).bit_length()
    if needed > machine.multiplier_bits:
        fail(
            "HAP0603",
            f"layer `{work.name}` requantizes by factors of {needed} bit, the machine by {machine.multiplier_bits}",
            at=work.op,
            help=f"quantize(multiplier_bits = {machine.multiplier_bits})",
        )


def _check_accumulator(work: ConvWork, machine: WsMachine, data: LayerData) -> None:
    """Prove from the actual weights that no partial sum can leave the accumulator."""
    low, high = integer_range(machine.weight)
    # weights that the array cannot hold are refused elsewhere
    lows, highs = product_range(machine.products(), machine.weight, np.clip(data.weights, low, high))
    # every partial sum lies between these two, because 0 does: activations of unused taps are 0
    top, bottom = highs.sum(axis=(1, 2, 3)), lows.sum(axis=(1, 2, 3))
    limit = 1 << (machine.accumulator_bits - 1)
    worst = max(int((top + np.maximum(data.bias, 0)).max()), -int((bottom + np.minimum(data.bias, 0)).min()) - 1)
    if worst >= limit:
        fail(
            "HAP0603",
            f"a sum of layer `{work.name}` may reach {worst}, the accumulators hold {machine.accumulator_bits} bit "
            f"(up to {limit - 1})",
            at=work.op,
            labels=machine.labels(machine.array, "accumulated here"),
            help=f"accumulate in i{worst.bit_length() + 1}, or use narrower weights",
        )


def _pinned_windows(schedule: ScheduleOp, machine: WsMachine, works: list[ConvWork]) -> dict[str, int]:
    by_name = {work.name: work for work in works}
    pinned: dict[str, int] = {}
    for op in schedule.body.block.ops:
        if not isinstance(op, MapOp):
            continue  # a kernel is for the host
        work = by_name.get(op.layer.data)
        if work is None:
            fail("HAP0607", f"`{op.layer.data}` is not a layer of its own on this machine", at=op,
                 help=f"the layers are: {', '.join(by_name)}")  # fmt: skip
        for level in op.body.block.ops:
            assert isinstance(level, LevelOp)
            windows = _level(level, machine, work)
            if windows is not None:
                pinned[work.name] = windows
    return pinned


def _level(level: LevelOp, machine: WsMachine, work: ConvWork) -> int | None:
    """The output pixels per tile that a level pins, if it does."""
    place = level.place.data
    if level.bypass:
        fail("HAP0607", "no tensor can bypass a memory of this machine", at=level, help="drop `bypass`")
    if place == machine.array and not level.loops:
        rows, columns = ({d.data for d in part} for part in (level.rows, level.columns))
        if not rows <= {"C", "R", "S"} or not columns <= {"K"}:
            fail("HAP0607", f"rows of `{place}` take C, R and S, columns take K", at=level,
                 help="write `rows = [C, R, S], columns = [K]`")  # fmt: skip
        return None
    if place == machine.accumulator and not level.rows and not level.columns:
        factors = {loop.dimension.data: loop.factor.data for loop in level.loops}
        if set(factors) <= {"P", "Q"}:
            p, q = work.output_size
            factor_p, factor_q = factors.get("P", 1), factors.get("Q", 1)
            if factor_p > p or factor_q > q:
                fail("HAP0607", f"layer `{work.name}` has {p} x {q} output pixels, the map takes "
                     f"{factor_p} x {factor_q}", at=level, help="map at most all of them")  # fmt: skip
            return factor_p * factor_q
    fail("HAP0607", f"this machine cannot be told its loops at `{place}`", at=level,
         help=f"pin rows and columns at `{machine.array}`, or P and Q at `{machine.accumulator}`")  # fmt: skip
