"""A `machine` block as a `machine.machine`: settings with units become integers in bits, cycles and hertz.

The kinds of blocks come from the registry (`blocks`); what this file knows of them is how they nest, that units are
told apart by kind, and that arrays have sizes. What can be checked without a network is checked here and in
`machine_checks.py`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from xdsl.dialects.builtin import ArrayAttr, FloatAttr, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute, Operation
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import Findings, Span, did_you_mean, location_of
from hapir.dialects.machine import ArrayOp, MachineOp
from hapir.dialects.machine_units import UnitOp
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.foreign import BLOCKS, suggest
from hapir.spec.machine_blocks import ARRAY, MACHINE, MachineBlock, UnitBlock
from hapir.spec.machine_checks import check_machine, check_tensors
from hapir.spec.machine_measures import settled
from hapir.spec.options import origins, read_options
from hapir.spec.resolve import resolve
from hapir.spec.technologies import check_technology, read_overrides
from hapir.spec.twice import defined_twice
from hapir.spec.values import word

MAXIMUM_ROWS = 4096
NODES = ("memory", ARRAY)
"""The blocks that a network-on-chip connects and a map places loops at."""
AnyOp = TypeVar("AnyOp", bound=Operation)
S = TypeVar("S")


class MachineBuilder:
    """Builds one machine; errors go to the findings."""

    def __init__(self, machine: syntax.Machine, findings: Findings):
        self._machine = machine
        self._findings = findings
        self._clock_hz: int | None = None
        self._named: dict[str, Span] = {}
        self._places: dict[Operation, Mapping[str, Span]] = {}
        self._nodes: list[str] = []
        self._references: list[syntax.Name] = []

    def build(self) -> MachineOp | None:
        """The machine's op; None after an error."""
        name = self._machine.name
        assignments = self._assignments(self._machine.items, "a machine is made of settings and blocks")
        assignments, overrides = self._technology(assignments)
        settings = self._settings(MachineBlock, assignments, name.span, f"machine `{name.text}`")
        if settings is None:
            self._clock_hz = 1  # that rates cannot be counted would be an error that is none
        elif settings.clock is not None:
            self._clock_hz = int(settings.clock.value)
        parts = self._parts(self._machine.items, MACHINE)
        self._check_references()
        if settings is None or self._findings.failed:
            return None
        op = self._made(lambda: MachineOp(name.text, settings.technology, self._clock_hz, parts, overrides), name.span)
        if op is not None:
            check_machine(op, self._places, self._findings)
        return None if self._findings.failed else op

    def _made(self, make: Callable[[], AnyOp], at: Span) -> AnyOp | None:
        """An op at its place; what its verifier refuses becomes a finding and gives None."""
        try:
            op = make()
            op.verify()
        except (VerifyException, ValueError) as error:
            self._findings.error(
                "HAP0305",
                str(error).removeprefix("Operation does not verify: "),
                at=at,
                help="change the settings that it speaks of",
            )
            return None
        op.location = location_of(at)
        return op

    def _assignments(self, items: Sequence[syntax.Item], rule: str) -> list[syntax.Assign]:
        for item in items:
            if not isinstance(item, syntax.Assign | syntax.Block):
                self._findings.error("HAP0216", rule, at=item.span, help="write `name = value`")
        return [item for item in items if isinstance(item, syntax.Assign)]

    def _technology(self, assignments: list[syntax.Assign]) -> tuple[list[syntax.Assign], dict[str, float]]:
        """The settings with `technology = table(entry = value)` as `technology = table`, and the entries replaced."""
        overrides: dict[str, float] = {}
        plain: list[syntax.Assign] = []
        for assignment in assignments:
            value = assignment.value
            if assignment.name.text == "technology" and isinstance(value, syntax.Call):
                overrides |= read_overrides(value, self._findings)
                assignment = dataclasses.replace(assignment, value=value.function)
            elif assignment.name.text == "technology":
                text = value.value if isinstance(value, syntax.Text) else word(value)
                if text is not None:
                    check_technology(syntax.Name(text, value.span), self._findings)
            plain.append(assignment)
        return plain, overrides

    def _settings(self, kind: type[S], assignments: Sequence[syntax.Assign], at: Span, what: str) -> S | None:
        """The settings of a block, settled; a setting that could not be is a finding and has its least value."""
        given = read_options(kind, assignments, at=at, what=what, findings=self._findings)
        if given is None:
            return None
        clock = getattr(given, "clock", None)
        whole, problems = settled(given, self._clock_hz if clock is None else max(1, int(clock.value)))
        for problem in problems:
            place = next(a.value.span for a in assignments if a.name.text == problem.setting)
            self._findings.error("HAP0305", problem.message, at=place, help=problem.help)
        return whole

    def _parts(self, items: Sequence[syntax.Item], parent: str) -> list[Operation]:
        parts: list[Operation] = []
        units: dict[str, Span] = {}
        for block in items:
            if not isinstance(block, syntax.Block):
                continue
            definition = self._definition(block.kind, parent)
            # units are told apart by kind within their block, everything else by name within the machine
            if definition is None or not self._is_new(block.name, units if definition is UnitBlock else self._named):
                continue
            if block.kind.text in NODES:
                self._nodes.append(block.name.text)
            if block.kind.text != ARRAY and block.dimensions:
                self._findings.error(
                    "HAP0205",
                    f"a {block.kind.text} has no size in brackets",
                    at=block.name.span,
                    help=f"write `{block.kind.text} {block.name.text} {{ ... }}`",
                )
            if definition is UnitBlock:
                part: Operation | None = self._unit(block)
            elif block.kind.text == ARRAY:
                part = self._array(block)
            else:
                part = self._block(block, definition)
            if part is not None:
                parts.append(part)
        return parts

    def _definition(self, kind: syntax.Name, parent: str) -> type[Any] | None:
        """The block of this kind, where it may stand here."""
        blocks, elsewhere = universe().blocks, None
        if kind.text in blocks:
            found = resolve(blocks, kind, "block", "HAP0216", self._findings)
            if found is None or parent in found.within:
                return found
            elsewhere = f"it may stand in {' or '.join(f'`{name}`' for name in found.within)}" if found.within else None
        here = [name for name, getter in blocks.items() if parent in _within(getter)]
        if not here:
            self._findings.error(
                "HAP0216", f"a {parent} holds no block `{kind.text}`", at=kind.span, help="move it to the machine"
            )
        else:
            help = elsewhere or suggest(kind.text, here, BLOCKS) or f"here may stand {', '.join(here)}"
            self._findings.error("HAP0216", f"there is no block `{kind.text}` here", at=kind.span, help=help)
        return None

    def _is_new(self, name: syntax.Name, seen: dict[str, Span]) -> bool:
        if name.text in seen:
            defined_twice(f"`{name.text}`", name.span, seen[name.text], self._findings)
            return False
        seen[name.text] = name.span
        return True

    def _block(self, block: syntax.Block, definition: type[Any]) -> Operation | None:
        kind, name = block.kind.text, block.name
        assignments = self._assignments(block.items, f"a {kind} is made of settings")
        settings = self._settings(definition, assignments, name.span, f"{kind} `{name.text}`")
        self._references += _references(assignments, getattr(definition, "refers", ()))
        outer = self._clock_hz
        own_clock = getattr(settings, "clock", None)
        if own_clock is not None:
            self._clock_hz = int(own_clock.value)  # the cycles in a block with a clock are its own
        parts = self._parts(block.items, kind)
        self._clock_hz = outer
        places = {a.name.text: a.span for a in assignments} | {"": name.span}
        if settings is None or not check_tensors(settings, places, self._findings):
            return None
        op = self._made(lambda: definition.op(settings, name.text, parts), name.span)
        if op is not None:
            self._places[op] = places
        return op

    def _array(self, block: syntax.Block) -> ArrayOp | None:
        for item in block.items:
            if not isinstance(item, syntax.Block):
                self._findings.error(
                    "HAP0216",
                    "an array is made of units, memories and arrays",
                    at=item.span,
                    help="settings belong to these or to the machine",
                )
        parts = self._parts(block.items, ARRAY)
        name = block.name
        sizes = [d.value if isinstance(d, syntax.Number) else None for d in block.dimensions]
        if len(sizes) not in (1, 2) or not all(isinstance(s, int) and 1 <= s <= MAXIMUM_ROWS for s in sizes):
            more = len(sizes) > 2
            self._findings.error(
                "HAP0305",
                f"array `{name.text}` needs its rows and columns, integers in 1..{MAXIMUM_ROWS}",
                at=block.dimensions[0].span if block.dimensions else name.span,
                labels=origins(d for d in block.dimensions if not isinstance(d, syntax.Pair)),
                help="put an array into the array for more dimensions"
                if more
                else f"for example `array {name.text}[8, 8]`",
            )
            return None
        rows, columns = cast("list[int]", [1, *sizes][-2:])
        op = self._made(lambda: ArrayOp(name.text, rows, columns, parts), name.span)
        if op is not None:
            self._places[op] = {"": name.span}
        return op

    def _unit(self, block: syntax.Block) -> UnitOp | None:
        definition = resolve(universe().units, block.name, "unit", "HAP0215", self._findings)
        assignments = self._assignments(block.items, "a unit is made of settings")
        self._parts(block.items, "unit")
        if definition is None:
            return None
        what = f"unit `{block.name.text}`"
        unit = read_options(definition, assignments, at=block.name.span, what=what, findings=self._findings)
        if unit is None:
            return None
        options = {f.name: attribute_of(getattr(unit, f.name)) for f in dataclasses.fields(unit)}
        op = self._made(lambda: UnitOp(block.name.text, options), block.name.span)
        if op is not None:
            self._places[op] = {"": block.name.span} | {a.name.text: a.span for a in assignments}
        return op

    def _check_references(self) -> None:
        """What blocks name of the machine, such as the ends of a network-on-chip, is there."""
        for name in self._references:
            if name.text not in self._nodes:
                known = did_you_mean(name.text, self._nodes) or (
                    f"it has {', '.join(self._nodes)}" if self._nodes else "it has none"
                )
                message = f"the machine `{self._machine.name.text}` has no memory or array `{name.text}`"
                self._findings.error("HAP0210", message, at=name.span, help=known)


def _within(getter: Callable[[], type[Any]]) -> tuple[str, ...]:
    """Where a block may stand; nowhere, if it is that of a plug-in that fails, which is reported where it is named."""
    try:
        return getter().within
    except Exception:  # a plug-in may fail in any way
        return ()


def _references(assignments: Sequence[syntax.Assign], settings: Sequence[str]) -> list[syntax.Name]:
    """The names that some settings give, one or a list each."""
    values = [a.value for a in assignments if a.name.text in settings]
    elements = [e for v in values for e in (v.elements if isinstance(v, syntax.Sequence) else (v,))]
    written = [(e.value if isinstance(e, syntax.Text) else word(e), e.span) for e in elements]
    return [syntax.Name(text, span) for text, span in written if text is not None]


def attribute_of(value: object) -> Attribute:
    """An option of a unit as the IR holds it."""
    match value:
        case Attribute():
            return value
        case enum.Enum():
            return StringAttr(str(value.value))
        case bool():
            return IntegerAttr.from_bool(value)
        case int():
            return IntegerAttr(value, i64)
        case float():
            return FloatAttr(value, 64)
        case str():
            return StringAttr(value)
        case tuple():
            return ArrayAttr([attribute_of(v) for v in cast("tuple[object, ...]", value)])
        case _:
            raise TypeError(f"no attribute for {value!r}")
