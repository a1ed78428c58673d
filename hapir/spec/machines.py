"""A `machine` block as a `machine.machine`: settings with units become integers in bits, cycles and hertz."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.resources import files
from typing import Any, Literal, cast

from xdsl.dialects.builtin import ArrayAttr, FloatAttr, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute, Operation
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import Findings, Label, Span, did_you_mean
from hapir.dialects.machine import ArrayOp, MachineOp, MemoryOp, UnitOp
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.networks import location_of
from hapir.spec.options import Measure, measured_in, read_options
from hapir.spec.resolve import resolve

Held = Literal["input", "weight", "output", "psum"]


@dataclass(frozen=True)
class MachineSettings:
    """What a `machine` block may set."""

    technology: str
    clock: Measure = field(metadata=measured_in("frequency"))


@dataclass(frozen=True)
class MemorySettings:
    """What a `memory` block may set; sizes in words count data of what the memory holds."""

    size: Measure | None = field(default=None, metadata=measured_in("size", "words"))
    width: Measure | None = field(default=None, metadata=measured_in("size"))
    banks: int | None = None
    bandwidth: Measure | None = field(default=None, metadata=measured_in("rate per cycle", "rate per second"))
    latency: Measure | None = field(default=None, metadata=measured_in("cycles", "time"))
    holds: tuple[Held, ...] | None = None
    double_buffered: bool = False


def technologies() -> list[str]:
    """The technology tables of the library."""
    folder = files("hapir.targets") / "technology"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


class MachineBuilder:
    """Builds one machine; errors go to the findings."""

    def __init__(self, machine: syntax.Machine, findings: Findings):
        self._machine = machine
        self._findings = findings
        self._clock_hz = 0
        self._named: dict[str, Span] = {}

    def build(self) -> MachineOp | None:
        """The machine's op; None after an error."""
        what = f"machine `{self._machine.name.text}`"
        assignments = self._assignments(self._machine.items)
        settings = read_options(
            MachineSettings, assignments, at=self._machine.name.span, what=what, findings=self._findings
        )
        if settings is not None:
            self._clock_hz = self._whole(settings.clock.value, "clock", self._place(assignments, "clock"), "hertz")
            self._check_technology(settings.technology, self._place(assignments, "technology"))
        body = self._parts(self._machine.items, ("memory", "array", "unit"))
        if settings is None or self._findings.failed:
            return None
        name = self._machine.name
        return self._made(lambda: MachineOp(name.text, settings.technology, self._clock_hz, body), name.span)

    def _made(self, make: Any, at: Span) -> Any:
        """An op at its place; what its verifier refuses becomes a finding and gives None."""
        try:
            op = make()
            op.verify()
        except (VerifyException, ValueError) as error:
            self._findings.error("HAP0305", str(error).removeprefix("Operation does not verify: "), at=at)
            return None
        op.location = location_of(at)
        return op

    def _assignments(self, items: Sequence[syntax.Item]) -> list[syntax.Assign]:
        for item in items:
            if not isinstance(item, syntax.Assign | syntax.Block):
                self._findings.error(
                    "HAP0216", "a machine is made of settings and blocks", at=item.span, help="write `name = value`"
                )
        return [item for item in items if isinstance(item, syntax.Assign)]

    @staticmethod
    def _place(assignments: Sequence[syntax.Assign], name: str) -> Span:
        return next(a.value.span for a in assignments if a.name.text == name)

    def _check_technology(self, name: str, at: Span) -> None:
        known = technologies()
        if name not in known:
            help = did_you_mean(name, known) or f"known: {', '.join(known)}"
            self._findings.error("HAP0219", f"there is no technology table `{name}`", at=at, help=help)

    def _parts(self, items: Sequence[syntax.Item], kinds: Sequence[str]) -> list[Operation]:
        build = {"memory": self._memory, "array": self._array, "unit": self._unit}
        parts: list[Operation] = []
        units: dict[str, Span] = {}
        for block in items:
            if not isinstance(block, syntax.Block):
                continue
            kind, name = block.kind.text, block.name
            if kind not in kinds:
                help = did_you_mean(kind, kinds) or f"here may stand {', '.join(kinds)}"
                self._findings.error("HAP0216", f"there is no block `{kind}` here", at=block.kind.span, help=help)
                continue
            # units are told apart by kind within their block, memories and arrays by name within the machine
            seen = units if kind == "unit" else self._named
            if name.text in seen:
                labels = [Label(seen[name.text], "first defined here")]
                self._findings.error("HAP0207", f"`{name.text}` is defined twice", at=name.span, labels=labels)
                continue
            seen[name.text] = name.span
            if kind != "array" and block.dimensions:
                self._findings.error("HAP0205", f"a {kind} has no size in brackets", at=name.span)
            part = build[kind](block)
            if part is not None:
                parts.append(part)
        return parts

    def _no_blocks(self, block: syntax.Block) -> None:
        for item in block.items:
            if isinstance(item, syntax.Block):
                message = f"a {block.kind.text} holds no block `{item.kind.text}`"
                self._findings.error("HAP0216", message, at=item.kind.span)

    def _memory(self, block: syntax.Block) -> MemoryOp | None:
        self._no_blocks(block)
        assignments = self._assignments(block.items)
        what = f"memory `{block.name.text}`"
        settings = read_options(MemorySettings, assignments, at=block.name.span, what=what, findings=self._findings)
        if settings is None:
            return None
        numbers: dict[str, int] = {}
        for name in ("size", "width", "bandwidth", "latency"):
            measure: Measure | None = getattr(settings, name)
            if measure is not None:
                key, value = self._in_cycles(name, measure)
                numbers[key] = self._whole(value, name, self._place(assignments, name), key.partition("_")[2])
        return self._made(
            lambda: MemoryOp(
                block.name.text,
                **numbers,
                banks=settings.banks,
                holds=settings.holds,
                double_buffered=settings.double_buffered,
            ),
            block.name.span,
        )

    def _in_cycles(self, name: str, measure: Measure) -> tuple[str, Fraction]:
        """The op's keyword for a setting and its value; times and rates per second take the clock into account."""
        value = measure.value
        if measure.dimension == "words":
            return "size_words", value
        if measure.dimension == "rate per second":
            # a port cannot move a part of a bit: what the clock does not divide is lost
            return "bandwidth_bits", Fraction(math.floor(value / (self._clock_hz or 1)))
        if measure.dimension == "time":
            return "latency_cycles", Fraction(math.ceil(value * self._clock_hz))
        return {"bandwidth": "bandwidth_bits", "latency": "latency_cycles"}.get(name, f"{name}_bits"), value

    def _whole(self, value: Fraction, name: str, at: Span, unit: str) -> int:
        least = 0 if name == "latency" else 1
        if value.denominator == 1 and least <= value < 1 << 62:
            return int(value)
        message = f"`{name}` must be a whole number of {unit}, at least {least}"
        self._findings.error("HAP0305", f"{message}; this is {float(value):g}", at=at)
        return least

    def _array(self, block: syntax.Block) -> ArrayOp | None:
        sizes = [d.value if isinstance(d, syntax.Number) else None for d in block.dimensions]
        for item in block.items:
            if not isinstance(item, syntax.Block):
                self._findings.error("HAP0216", "an array is made of units and memories", at=item.span)
        body = self._parts(block.items, ("memory", "unit"))
        if len(sizes) != 2 or not all(isinstance(s, int) and 1 <= s <= 4096 for s in sizes):
            self._findings.error(
                "HAP0305",
                f"array `{block.name.text}` needs its rows and columns, integers in 1..4096",
                at=block.dimensions[0].span if block.dimensions else block.name.span,
                help=f"for example `array {block.name.text}[8, 8]`",
            )
            return None
        rows, columns = cast("list[int]", sizes)
        return self._made(lambda: ArrayOp(block.name.text, rows, columns, body), block.name.span)

    def _unit(self, block: syntax.Block) -> UnitOp | None:
        definition = resolve(universe().units, block.name, "unit", "HAP0215", self._findings)
        self._no_blocks(block)
        assignments = self._assignments(block.items)
        if definition is None:
            return None
        what = f"unit `{block.name.text}`"
        unit = read_options(definition, assignments, at=block.name.span, what=what, findings=self._findings)
        if unit is None:
            return None
        options = {f.name: attribute_of(getattr(unit, f.name)) for f in dataclasses.fields(unit)}
        return self._made(lambda: UnitOp(block.name.text, options), block.name.span)


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
