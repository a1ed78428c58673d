"""Hardware: memories, processing-element arrays and the units in them.

Rationale. A machine is a symbol with a body of memories, arrays and units; an array has its own memories and units, one
per PE (or, where they `hold` partial sums, one per column). All sizes are integers in stated units: bits, bits per
cycle, cycles, hertz; `size_words` counts data of what the memory holds where the spec says `word`. The vocabulary of
a unit (what `unit mac { ... }` may say) is a dataclass below, so its options are checked like a pass's options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    DictionaryAttr,
    IntAttr,
    IntegerAttr,
    IntegerType,
    Signedness,
    StringAttr,
    SymbolNameConstraint,
    UnitAttr,
    i64,
)
from xdsl.ir import Attribute, Block, Dialect, Operation, Region
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
)
from xdsl.traits import HasParent, NoTerminator, SymbolOpInterface, SymbolTable
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.assembly import Body, Grid
from hapir.dialects.num import SI8, SI32, UI8, UI16, Rounding, is_signed

HELD = ("input", "weight", "output", "psum")
"""What a memory may hold: activations read, weights, activations written, partial sums."""


@dataclass(frozen=True)
class MacUnit:
    """`unit mac`: multiply an activation (first) by a weight (second) and accumulate.

    `multiply`: the formats of the activation and of the weight.
    `accumulate`: the format of the sum.
    `multiplier`: a registered multiplier model; `exact` is two's complement.

    Example: `unit mac { multiply = u8 * i8, accumulate = i32, multiplier = exact }`
    """

    name: ClassVar[str] = "mac"
    multiply: tuple[IntegerType, IntegerType] = (UI8, SI8)
    accumulate: IntegerType = SI32
    multiplier: str = "exact"


@dataclass(frozen=True)
class RequantizeUnit:
    """`unit requantize`: `clamp(round((psum + bias) * multiplier / 2^shift) + zero_point)` at the foot of each column.

    `multiplier`: the unsigned format of the factor.
    `rounding`: how the hardware rounds what it shifts out.

    Example: `unit requantize { multiplier = u16, rounding = half_up }`
    """

    name: ClassVar[str] = "requantize"
    multiplier: IntegerType = UI16
    rounding: Rounding = Rounding.half_up


def _positive(op: Operation, **values: IntegerAttr | None) -> None:
    for name, value in values.items():
        if value is not None and value.value.data < 1:
            raise VerifyException(f"{op.name}: {name} must be at least 1, got {value.value.data}")


def _integer(value: int | None) -> IntegerAttr[IntegerType] | None:
    return None if value is None else IntegerAttr(value, i64)


def _is_format(attribute: Attribute) -> bool:
    """Whether an attribute is an integer type that says its sign."""
    return isinstance(attribute, IntegerType) and cast(IntegerType, attribute).signedness.data != Signedness.SIGNLESS


@irdl_op_definition
class MemoryOp(IRDLOperation):
    """A memory: size in bits or in words of what it holds, ports in bits per cycle, read latency in cycles.

    Example: `machine.memory @dram bandwidth 64 latency 20`
    """

    name = "machine.memory"
    sym_name = prop_def(SymbolNameConstraint())
    size_bits = opt_prop_def(IntegerAttr[I64])
    size_words = opt_prop_def(IntegerAttr[I64])
    width_bits = opt_prop_def(IntegerAttr[I64])
    banks = opt_prop_def(IntegerAttr[I64])
    bandwidth_bits = opt_prop_def(IntegerAttr[I64])
    latency_cycles = opt_prop_def(IntegerAttr[I64])
    holds = opt_prop_def(ArrayAttr[StringAttr])
    double_buffered = opt_prop_def(UnitAttr)
    traits = traits_def(SymbolOpInterface())
    assembly_format = (
        "$sym_name (`size` $size_bits^)? (`words` $size_words^)? (`width` $width_bits^)? (`banks` $banks^)? "
        "(`bandwidth` $bandwidth_bits^)? (`latency` $latency_cycles^)? (`holds` $holds^)? "
        "(`double_buffered` $double_buffered^)? attr-dict"
    )

    def __init__(
        self,
        name: str,
        *,
        size_bits: int | None = None,
        size_words: int | None = None,
        width_bits: int | None = None,
        banks: int | None = None,
        bandwidth_bits: int | None = None,
        latency_cycles: int | None = None,
        holds: Sequence[str] | None = None,
        double_buffered: bool = False,
    ):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "size_bits": _integer(size_bits),
                "size_words": _integer(size_words),
                "width_bits": _integer(width_bits),
                "banks": _integer(banks),
                "bandwidth_bits": _integer(bandwidth_bits),
                "latency_cycles": _integer(latency_cycles),
                "holds": None if holds is None else ArrayAttr([StringAttr(h) for h in holds]),
                "double_buffered": UnitAttr() if double_buffered else None,
            }
        )

    def verify_(self) -> None:
        _positive(
            self,
            size=self.size_bits,
            words=self.size_words,
            width=self.width_bits,
            banks=self.banks,
            bandwidth=self.bandwidth_bits,
        )
        if self.latency_cycles is not None and self.latency_cycles.value.data < 0:
            raise VerifyException(f"latency must not be negative, got {self.latency_cycles.value.data}")
        for held in self.holds or ():
            if held.data not in HELD:
                raise VerifyException(f"a memory holds one of {', '.join(HELD)}, not {held.data}")


@irdl_op_definition
class UnitOp(IRDLOperation):
    """A functional unit: `kind` names an entry of the unit registry, `options` its typed options.

    Example: `machine.unit "mac" {multiply = [ui8, si8], accumulate = si32, multiplier = "exact"}`
    """

    name = "machine.unit"
    kind = prop_def(StringAttr)
    options = prop_def(DictionaryAttr)
    assembly_format = "$kind $options attr-dict"

    def __init__(self, kind: str, options: Mapping[str, Attribute]):
        super().__init__(properties={"kind": StringAttr(kind), "options": DictionaryAttr(dict(options))})

    @staticmethod
    def of(unit: MacUnit | RequantizeUnit) -> UnitOp:
        """The op for a unit's options."""
        if isinstance(unit, MacUnit):
            options: dict[str, Attribute] = {
                "multiply": ArrayAttr(unit.multiply),
                "accumulate": unit.accumulate,
                "multiplier": StringAttr(unit.multiplier),
            }
        else:
            options = {"multiplier": unit.multiplier, "rounding": StringAttr(unit.rounding.value)}
        return UnitOp(unit.name, options)

    def mac(self) -> MacUnit:
        """The options of a `mac`."""
        options = self.options.data
        activation, weight = cast(ArrayAttr[IntegerType], options["multiply"])
        return MacUnit(
            (activation, weight),
            cast(IntegerType, options["accumulate"]),
            cast(StringAttr, options["multiplier"]).data,
        )

    def requantize(self) -> RequantizeUnit:
        """The options of a `requantize`."""
        options = self.options.data
        return RequantizeUnit(
            cast(IntegerType, options["multiplier"]), Rounding(cast(StringAttr, options["rounding"]).data)
        )

    def verify_(self) -> None:
        kind, options = self.kind.data, self.options.data
        expected = _OPTIONS.get(kind)
        if expected is None:  # a plug-in's unit: its own dataclass checks the options
            return
        if set(options) != set(expected):
            raise VerifyException(f"unit {kind} has the options {', '.join(expected)}, got {', '.join(options)}")
        for name, attribute in expected.items():
            if not isinstance(options[name], attribute):
                raise VerifyException(f"unit {kind}: {name} cannot be {options[name]}")
        if kind == MacUnit.name:
            self._verify_mac()
        else:
            self._verify_requantize()

    def _verify_mac(self) -> None:
        formats = cast(ArrayAttr[Attribute], self.options.data["multiply"]).data
        if len(formats) != 2:
            raise VerifyException(f"a mac multiplies two formats, got {len(formats)}")
        unit = self.mac()
        if not all(_is_format(f) for f in (*formats, unit.accumulate)):
            raise VerifyException("a mac multiplies and accumulates integers whose type says the sign")
        if not is_signed(unit.accumulate):
            raise VerifyException(f"a mac accumulates in a signed format, got {unit.accumulate}")

    def _verify_requantize(self) -> None:
        multiplier = cast(IntegerType, self.options.data["multiplier"])
        if not _is_format(multiplier) or is_signed(multiplier):
            raise VerifyException(f"the multiplier of a requantize unit is unsigned, got {multiplier}")
        rounding = cast(StringAttr, self.options.data["rounding"]).data
        if rounding not in [r.value for r in Rounding]:
            raise VerifyException(f"a requantize unit rounds by one of {', '.join(Rounding)}, not {rounding}")


_OPTIONS: dict[str, dict[str, type[Attribute]]] = {
    MacUnit.name: {"multiply": ArrayAttr, "accumulate": IntegerType, "multiplier": StringAttr},
    RequantizeUnit.name: {"multiplier": IntegerType, "rounding": StringAttr},
}


@irdl_op_definition
class ArrayOp(IRDLOperation):
    """A two-dimensional array of processing elements with the units and memories of each.

    Example: `machine.array @pe 8 x 8 { machine.memory @weight_reg words 1 holds ["weight"] }`
    """

    name = "machine.array"
    sym_name = prop_def(SymbolNameConstraint())
    rows = prop_def(IntAttr)
    cols = prop_def(IntAttr)
    body = region_def("single_block")
    traits = traits_def(SymbolOpInterface(), SymbolTable(), NoTerminator())
    assembly_format = "$sym_name custom<Grid>($rows, $cols) attr-dict-with-keyword custom<Body>($body)"
    custom_directives = (Grid, Body)

    def __init__(self, name: str, rows: int, cols: int, body: Sequence[Operation]):
        super().__init__(
            properties={"sym_name": StringAttr(name), "rows": IntAttr(rows), "cols": IntAttr(cols)},
            regions=[Region(Block(body))],
        )

    def verify_(self) -> None:
        if self.rows.data < 1 or self.cols.data < 1:
            raise VerifyException(f"an array has at least one row and column, got {self.rows.data} x {self.cols.data}")


@irdl_op_definition
class MachineOp(IRDLOperation):
    """A machine: technology table, clock in hertz, and its parts.

    Example: `machine.machine @tiny technology "cmos45" clock 200000000 { machine.memory @dram bandwidth 64 }`
    """

    name = "machine.machine"
    sym_name = prop_def(SymbolNameConstraint())
    technology = prop_def(StringAttr)
    clock_hz = prop_def(IntegerAttr[I64])
    body = region_def("single_block")
    traits = traits_def(SymbolOpInterface(), SymbolTable(), NoTerminator())
    assembly_format = "$sym_name `technology` $technology `clock` $clock_hz attr-dict-with-keyword custom<Body>($body)"
    custom_directives = (Body,)

    def __init__(self, name: str, technology: str, clock_hz: int, body: Sequence[Operation]):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "technology": StringAttr(technology),
                "clock_hz": IntegerAttr(clock_hz, i64),
            },
            regions=[Region(Block(body))],
        )

    def verify_(self) -> None:
        _positive(self, clock=self.clock_hz)


MemoryOp.traits.add_trait(HasParent(MachineOp, ArrayOp))
UnitOp.traits.add_trait(HasParent(MachineOp, ArrayOp))
ArrayOp.traits.add_trait(HasParent(MachineOp))

Machine = Dialect("machine", [MachineOp, MemoryOp, ArrayOp, UnitOp], [])
