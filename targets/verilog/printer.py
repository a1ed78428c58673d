"""Prints circuits (`hw.module`s of `comb` and `rtl` ops) as Verilog-2005.

Invariants: the text has the meaning of the IR and decides nothing; it is the same from run to run; it has no implicit
net, extension or truncation, so that pyslang, `verilator -Wall`, Icarus and Yosys read it without a warning. What no
output or instance depends on is left out, and input bits that nobody reads are listed in a net `unused_ok`, the form
that Verilator documents for that.

Names come from ports, from the `hint` of state and from SSA name hints. Values with a name are nets; others are pasted
into the one place that uses them while they are short.

    hw.module @inc(in %clk: i1, in %x: i8, out y: i8) {     module inc (
      %one = hw.constant 1 : i8                                 input  wire       clk,
      %r = rtl.reg "r" clock %clk : i8                          input  wire [7:0] x,
      %0 = comb.add %x, %one : i8                 ->            output wire [7:0] y
      rtl.next %r, %0 : i8, i8                              );
      hw.output %r : i8                                       reg [7:0] r;
    }
                                                              always @(posedge clk) begin
                                                                r <= x + 8'd1;
                                                              end

                                                              assign y = r;
                                                            endmodule
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, ClassVar

from xdsl.context import Context
from xdsl.dialects import hw
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.target import Target

from hapir.diagnostics import fail
from hapir.targets.verilog.module_printer import ModulePrinter
from hapir.targets.verilog.names import Names, mangle
from hapir.targets.verilog.ports import Ports, ports_of

_HEAD = "// Verilog-2005, written by hapir.\n"
_SEVERAL = """\
// Several modules share this file, so most are not named as it is.
/* verilator lint_off DECLFILENAME */
"""


def print_modules(module: ModuleOp) -> dict[str, str]:
    """Each `hw.module`'s Verilog name -> its text, in IR order; `NAME.v` is the file that lint tools expect it in.

    Raises HapirError (HAP0741, HAP0742, HAP0743) where something has no Verilog text.
    """
    ports = _interfaces(module)
    bodies = {op.sym_name.data: op for op in module.body.block.ops if isinstance(op, hw.HWModuleOp)}
    names: dict[str, Names] = {symbol: Names() for symbol in ports if symbol not in bodies}
    texts: dict[str, str] = {}
    for symbol in _inside_out(bodies):
        printer = ModulePrinter(bodies[symbol], ports, names)
        texts[symbol] = printer.print()
        names[symbol] = printer.scope
    return {ports[symbol].module: texts[symbol] for symbol in bodies}


def _inside_out(bodies: Mapping[str, hw.HWModuleOp]) -> list[str]:
    """The modules in an order in which each one comes after those it instantiates."""
    order: list[str] = []
    open_: list[str] = []

    def visit(symbol: str) -> None:
        if symbol in order or symbol not in bodies:
            return
        if symbol in open_:
            fail("HAP0741", f"module `{symbol}` contains itself", at=bodies[symbol])
        open_.append(symbol)
        for op in bodies[symbol].body.block.ops:
            if isinstance(op, hw.InstanceOp):
                visit(op.module_name.root_reference.data)
        order.append(symbol)

    for symbol in bodies:
        visit(symbol)
    return order


def print_files(module: ModuleOp) -> dict[str, str]:
    """File name -> complete text, one file per module."""
    return {f"{name}.v": _file(text) for name, text in print_modules(module).items()}


def print_verilog(module: ModuleOp) -> str:
    """All modules as the text of one file."""
    texts = list(print_modules(module).values())
    return _file("\n".join(texts), several=len(texts) > 1)


def _file(text: str, several: bool = False) -> str:
    return f"{_HEAD}{_SEVERAL if several else ''}`default_nettype none\n\n{text}\n`default_nettype wire\n"


def _interfaces(module: ModuleOp) -> Mapping[str, Ports]:
    """Symbol -> the Verilog names of a module and its ports. External modules keep theirs, which must be legal."""
    names = Names()
    found: dict[str, Ports] = {}
    externals: list[hw.HWModuleExternOp] = []
    for op in module.body.block.ops:
        if isinstance(op, hw.HWModuleExternOp):
            externals.append(op)
            verilog_name = op.sym_name.data if op.verilog_name is None else op.verilog_name.data
            found[op.sym_name.data] = ports_of(op.module_type, names.fresh(verilog_name), op)
        elif not isinstance(op, hw.HWModuleOp):
            fail("HAP0741", f"`{op.name}` is no circuit and has no Verilog text", at=op)
    for op in module.body.block.ops:
        if isinstance(op, hw.HWModuleOp):
            if op.parameters:
                fail("HAP0741", f"module `{op.sym_name.data}` has parameters, which are not printed", at=op)
            found[op.sym_name.data] = ports_of(op.module_type, names.fresh(op.sym_name.data), op)
    for op in externals:
        verilog_name = op.sym_name.data if op.verilog_name is None else op.verilog_name.data
        for name in (verilog_name, *(port.port_name.data for port in op.module_type.ports)):
            if mangle(name) != name:
                fail("HAP0742", f"the external module's name `{name}` is not legal in Verilog", at=op)
    return found


def verilog_names(module: ModuleOp) -> dict[str, str]:
    """Symbol -> Verilog name of every module."""
    return {symbol: ports.module for symbol, ports in _interfaces(module).items()}


@dataclass(frozen=True)
class VerilogTarget(Target):
    """Prints the circuits of a module as one Verilog file.

    Example: `hapir opt digits.hap -t verilog
    -p 'fold_batch_norm,quantize{calibration="digits_calib.npz"},fuse,lower_to_rtl'`
    """

    name: ClassVar[str] = "verilog"

    def emit(self, ctx: Context, module: ModuleOp, output: IO[str]) -> None:
        output.write(print_verilog(module))
