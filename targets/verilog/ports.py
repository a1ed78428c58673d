"""What the text around a module's body needs: names and widths of its ports, ranges, comments."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from xdsl.dialects import hw
from xdsl.dialects.builtin import IntegerType, StringAttr
from xdsl.ir import Attribute, Operation

from hapir.diagnostics import fail
from hapir.targets.verilog.names import Names

_COMMANDS = ("verilator", "synopsys", "synthesis", "pragma", "translate_", "cadence", "exemplar", "xilinx", "altera")


@dataclass(frozen=True)
class Ports:
    """The Verilog names of a module and of its ports."""

    module: str
    names: Mapping[str, str]
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]


def ports_of(type_: hw.ModuleType, module: str, at: Operation) -> Ports:
    """Names and widths of a module's ports. Raises HapirError (HAP0741) for ports that are not bit vectors."""
    scope = Names()
    names: dict[str, str] = {}
    sides: dict[hw.Direction, list[tuple[str, int]]] = {hw.Direction.INPUT: [], hw.Direction.OUTPUT: []}
    for port in type_.ports:
        label = port.port_name.data
        if port.dir.data not in sides:
            fail("HAP0741", f"port `{label}` is neither input nor output", at=at)
        names[label] = scope.fresh(label)
        sides[port.dir.data].append((names[label], width_in_bits(port.type, at)))
    return Ports(module, names, tuple(sides[hw.Direction.INPUT]), tuple(sides[hw.Direction.OUTPUT]))


def width_in_bits(type_: Attribute, at: Operation) -> int:
    width = cast(IntegerType, type_).width.data if isinstance(type_, IntegerType) else 0
    if width < 1:
        fail("HAP0741", f"a value of type {type_} is no bit vector", at=at)
    return width


def bits(width: int) -> str:
    """The range of a declaration, with a blank before it."""
    return "" if width == 1 else f" [{width - 1}:0]"


def comment_lines(op: Operation, width: int) -> Sequence[str]:
    """The lines of an op's `comment` attribute."""
    comment = op.attributes.get("comment")
    if not isinstance(comment, StringAttr):
        return ()
    lines = [line for part in comment.data.splitlines() for line in textwrap.wrap(part, width) or [""]]
    # tools take a comment that begins with their name for a command
    return [f"- {line}" if line.lower().startswith(_COMMANDS) else line for line in lines]
