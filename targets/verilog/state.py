"""Prints what remembers: registers, delays and memories, in the forms that synthesis tools recognize.

Registers that share clock, reset and enable share an `always` block. A memory with its ports is one block, reads seeing
the old word; a write mask is a loop over lanes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import rtl
from hapir.targets.verilog import expressions as expr
from hapir.targets.verilog.expressions import Text
from hapir.targets.verilog.ports import bits

if TYPE_CHECKING:
    from hapir.targets.verilog.module_printer import ModulePrinter


@dataclass(frozen=True)
class _Group:
    """What registers of one `always` block have in common."""

    clock: SSAValue
    reset: SSAValue | None
    enable: str | None


@dataclass(frozen=True)
class _Update:
    """`target <= value` at the edge, `target <= init` under reset."""

    target: str
    width: int
    value: Text
    init: int


class StatePrinter:
    """The registers and memories of one module."""

    def __init__(self, module: ModulePrinter):
        self.module = module
        self.lines: dict[rtl.DelayOp, str] = {}

    @staticmethod
    def owns(op: Operation) -> bool:
        """Whether this class prints an op."""
        return isinstance(op, (rtl.RegOp, rtl.NextOp, rtl.MemoryOp, rtl.ReadOp, rtl.WriteOp, rtl.DelayOp))

    def declare(self) -> None:
        """Declare all state, and nets that are driven later: they may be read anywhere."""
        out = self.module
        for op in out.block.ops:
            if op not in out.live:
                continue
            if isinstance(op, rtl.WireOp):
                self._driver(op.result, rtl.AssignOp)
                self._declare_net("wire", op.result)
            elif isinstance(op, (rtl.RegOp, rtl.ReadOp)):
                self._declare_net("reg", op.result)
            elif isinstance(op, rtl.DelayOp):
                self._declare_delay(op)
            elif isinstance(op, rtl.MemoryOp):
                width, depth = op.result.type.width.data, op.result.type.depth.data
                self._line(f"reg{bits(width)} {out.nets[op.result]} [0:{depth - 1}];  // {depth} words")

    def _line(self, text: str) -> None:
        self.module.lines.append(text)

    def _declare_net(self, kind: str, value: SSAValue) -> None:
        if value not in self.module.outputs:
            self._line(f"{kind}{bits(rtl.width_of(value))} {self.module.nets[value]};")

    def _declare_delay(self, op: rtl.DelayOp) -> None:
        """One register, or a shift register whose oldest end is the result."""
        out, width, cycles = self.module, rtl.width_of(op.result), op.cycles.data
        if cycles == 1:
            self._declare_net("reg", op.result)
            return
        name = self.lines[op] = out.scope.fresh(f"{out.nets[op.result]}_line")
        self._line(f"reg [{cycles * width - 1}:0] {name};  // {cycles} cycles")
        oldest = f"{name}[{cycles * width - 1}{'' if width == 1 else f':{(cycles - 1) * width}'}]"
        if op.result in out.outputs:
            self._line(f"assign {out.nets[op.result]} = {oldest};")
        else:
            self._line(f"wire{bits(width)} {out.nets[op.result]} = {oldest};")

    def _driver(self, value: SSAValue, kind: type[rtl.NextOp] | type[rtl.AssignOp]) -> Operation:
        for use in value.uses:
            if isinstance(use.operation, kind) and use.index == 0:
                return use.operation
        assert isinstance(value.owner, Operation)
        fail("HAP0743", f"`{self.module.nets[value]}` is never driven", at=value.owner)

    def drive(self) -> None:
        """The `always` blocks."""
        out = self.module
        groups: dict[_Group, list[_Update]] = {}
        for op in out.block.ops:
            if op not in out.live:
                continue
            if isinstance(op, rtl.RegOp):
                self._register(op, groups)
            elif isinstance(op, rtl.DelayOp):
                width = rtl.width_of(op.result) * op.cycles.data
                update = _Update(self._delay_target(op), width, self._delayed(op), 0)
                groups.setdefault(_Group(op.clock, op.reset, None), []).append(update)
        for group, updates in groups.items():
            self._print_group(group, updates)
        for op in out.block.ops:
            if op in out.live and isinstance(op, rtl.MemoryOp):
                self._print_memory(op)

    def _register(self, op: rtl.RegOp, groups: dict[_Group, list[_Update]]) -> None:
        out = self.module
        driver = self._driver(op.result, rtl.NextOp)
        assert isinstance(driver, rtl.NextOp)
        enable = None
        if driver.enable is not None and out.known.get(driver.enable) != 1:
            enable = out.code(driver.enable)
        init = 0 if op.init is None else op.init.data
        update = _Update(out.nets[op.result], rtl.width_of(op.result), out.text(driver.value), init)
        groups.setdefault(_Group(op.clock, op.reset, enable), []).append(update)

    def _delay_target(self, op: rtl.DelayOp) -> str:
        return self.lines.get(op, self.module.nets[op.result])

    def _delayed(self, op: rtl.DelayOp) -> Text:
        x = self.module.text(op.x)
        if op.cycles.data == 1:
            return x
        high = rtl.width_of(op.x) * (op.cycles.data - 1) - 1
        kept = Text(f"{self.lines[op]}[{high}:0]" if high else f"{self.lines[op]}[0]")
        return expr.concat([kept, x])

    def _print_group(self, group: _Group, updates: list[_Update]) -> None:
        out = self.module
        out.gap()
        self._line(f"always @(posedge {out.net(group.clock, 'clock')}) begin")
        indent = "  "
        if group.reset is not None:
            self._line(f"  if ({out.code(group.reset)}) begin")
            for update in updates:
                self._line(f"    {update.target} <= {expr.constant(update.init, update.width).code};")
            self._line("  end else begin" if group.enable is None else f"  end else if ({group.enable}) begin")
            indent = "    "
        elif group.enable is not None:
            self._line(f"  if ({group.enable}) begin")
            indent = "    "
        for update in updates:
            out.statement(f"{update.target} <=", update.value, indent)
        if len(indent) > 2:
            self._line("  end")
        self._line("end")

    def _print_memory(self, op: rtl.MemoryOp) -> None:
        out = self.module
        users = sorted(
            {use.operation for use in op.result.uses if use.operation in out.live}, key=lambda user: out.order[user]
        )
        writes = [user for user in users if isinstance(user, rtl.WriteOp)]
        reads = [user for user in users if isinstance(user, rtl.ReadOp)]
        clocks = list(dict.fromkeys(port.clock for port in (*writes, *reads)))
        for clock in clocks:
            out.gap()
            prepared = [self._lanes(write) for write in writes if write.clock == clock]
            self._line(f"always @(posedge {out.net(clock, 'clock')}) begin")
            for write, lane in zip((w for w in writes if w.clock == clock), prepared, strict=True):
                self._print_write(write, lane)
            for read in reads:
                if read.clock == clock:
                    self._print_read(read)
            self._line("end")

    def _lanes(self, op: rtl.WriteOp) -> tuple[str, str, str] | None:
        """Names of the loop variable, data net and mask net of a masked write, declared before the block."""
        if op.mask is None:
            return None
        lane = self.module.scope.fresh("lane")
        self._line(f"integer {lane};")
        return lane, self.module.net(op.data, "write_data"), self.module.net(op.mask, "write_mask")

    def _print_write(self, op: rtl.WriteOp, names: tuple[str, str, str] | None) -> None:
        out = self.module
        word = f"{out.nets[op.memory]}[{out.code(op.address)}]"
        self._line(f"  if ({out.code(op.enable)}) begin")
        if names is None or op.mask is None:
            out.statement(f"{word} <=", out.text(op.data), "    ")
        else:
            lane, data, mask = names
            lanes = rtl.width_of(op.mask)
            size = rtl.width_of(op.data) // lanes
            part = f"[{lane} * {size} +: {size}]" if rtl.width_of(op.data) > 1 else ""
            bit = f"[{lane}]" if lanes > 1 else ""
            self._line(f"    for ({lane} = 0; {lane} < {lanes}; {lane} = {lane} + 1) begin")
            self._line(f"      if ({mask}{bit}) {word}{part} <= {data}{part};")
            self._line("    end")
        self._line("  end")

    def _print_read(self, op: rtl.ReadOp) -> None:
        out = self.module
        load = f"{out.nets[op.result]} <= {out.nets[op.memory]}[{out.code(op.address)}];"
        if op.enable is None or out.known.get(op.enable) == 1:
            self._line(f"  {load}")
        else:
            self._line(f"  if ({out.code(op.enable)}) {load}")
