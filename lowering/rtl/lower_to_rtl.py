"""Replace a fused network, its machine and its schedule by the circuit that runs it.

Law: exact on the integer body, bit for bit; the float edges are dropped (the host runs them). Coded and encoded weights
are decoded first, as `fold_constants` does. The program and the image of the outside memory belong to the Verilog
target, which takes the same plan; here the IR of the circuit is shown.

Before:
```
nn.network @net (...) { ... dataflow.layer "c1" ... }
machine.machine @m ... { ... }
dataflow.schedule @s network @net machine @m dataflow "weight_stationary" {}
```
After:
```
hw.module @net_pe(in %clk: i1, ...) { ... rtl.mul ... }
hw.module @net(in %clk: i1, in %rst: i1, in %start: i1, ...) { ... }
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.traits import SymbolTable

from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn import NetworkOp
from hapir.lowering.cut_integer_body import cut
from hapir.lowering.fold_constants import fold_constants
from hapir.lowering.rtl.accelerator import build_accelerator
from hapir.lowering.schedule.plan import plan_schedule

OpT = TypeVar("OpT", bound=Operation)


@dataclass(frozen=True)
class LowerToRtlPass(ModulePass):
    """Lower a scheduled, fused integer network to `hw`, `comb` and `rtl` modules. Exact.

    Example: `hapir opt digits.hap -p 'fold_batch_norm,quantize{calibration="digits_calib.npz"},fuse,lower_to_rtl'`
    """

    name = "lower_to_rtl"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite the module in place. Raises HapirError (HAP0517, HAP06xx, HAP07xx)."""
        weights = hapir_context(ctx).weights
        schedule = _only(op, ScheduleOp)
        network = _named(op, NetworkOp, schedule.network.string_value(), schedule)
        if schedule.machine is None:
            fail("HAP0517", "the schedule names no machine", at=schedule, help="write `schedule ... on MACHINE { }`")
        machine = _named(op, MachineOp, schedule.machine.string_value(), schedule)
        fold_constants(network, weights)
        plans = plan_schedule(cut(network, floats_inside=False).body, weights, machine, schedule, "the lowering to RTL")
        circuit = build_accelerator(plans, network.sym_name.data).module
        op.body.detach_block(0)
        op.body.add_block(circuit.body.detach_block(0))


def _only(module: ModuleOp, kind: type[OpT]) -> OpT:
    found = [op for op in module.body.block.ops if isinstance(op, kind)]
    if len(found) != 1:
        fail("HAP0517", f"lower_to_rtl needs one {kind.name}, the module has {len(found)}", at=module,
             help="choose one schedule with --schedule")  # fmt: skip
    return found[0]


def _named(module: ModuleOp, kind: type[OpT], name: str, schedule: ScheduleOp) -> OpT:
    op = SymbolTable.lookup_symbol(module, name)
    if isinstance(op, kind):
        return op
    fail("HAP0517", f"the schedule names `{name}`, the module has no such {kind.name}", at=schedule,
         help="keep network, machine and schedule in one module")  # fmt: skip
