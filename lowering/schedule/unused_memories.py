"""Memories of a weight-stationary machine that its dataflow never touches: often a name that was meant for another."""

from __future__ import annotations

from hapir.diagnostics import Diagnostic, HapirError, did_you_mean, span_of
from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.machine import ArrayOp, MachineOp
from hapir.dialects.machine_memory import MemoryOp
from hapir.lowering.schedule.ws_machine import ws_machine


def unused_memory_warnings(machine: MachineOp, schedule: ScheduleOp) -> list[Diagnostic]:
    """A warning HAP0613 for each memory without a part in the dataflow; nothing for machines of another kind."""
    if schedule.dataflow.data != "weight_stationary":
        return []
    try:
        described = ws_machine(machine)
    except HapirError:
        return []
    memories = [op for op in machine.body.block.ops if isinstance(op, MemoryOp)]
    inside = [op for array in machine.body.block.ops if isinstance(array, ArrayOp) for op in array.body.block.ops]
    memories += [op for op in inside if isinstance(op, MemoryOp)]
    # the weight registers have no size of their own in the plan, so it does not name them
    used = {described.dram, described.activations, described.weights, described.accumulator}
    used |= {op.sym_name.data for op in inside if isinstance(op, MemoryOp) and _holds(op) == ["weight"]}
    return [
        Diagnostic(
            "HAP0613",
            f"the dataflow of machine `{described.name}` does not use the memory `{op.sym_name.data}`",
            span_of(op.location),
            (),
            did_you_mean(op.sym_name.data, used) or f"it uses {', '.join(sorted(used))}; remove this one",
            "warning",
        )
        for op in memories
        if op.sym_name.data not in used
    ]


def _holds(op: MemoryOp) -> list[str]:
    return [] if op.holds is None else [held.data for held in op.holds]
