"""Functional units: what `unit mac { ... }` may say, and `machine.unit`, which holds it in the IR.

The vocabulary of a unit is a dataclass, so its options are checked like those of a pass. An emitter refuses the units
that it cannot build; describing one costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, cast

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, IntegerType, Signedness, StringAttr, i64
from xdsl.ir import Attribute
from xdsl.irdl import IRDLOperation, irdl_op_definition, prop_def
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.num import SI8, SI32, UI8, UI16, Rounding, integer_range, is_signed, signed
from hapir.registered import MultiplierText

SI16 = signed(16)


@dataclass(frozen=True)
class MacUnit:
    """`unit mac`: multiply an activation (first) by a weight (second) and accumulate.

    Fixed-point numbers are integers of their width here: `i16 * i16` is a 16-bit fixed-point multiplier.

    `multiply`: the formats of the activation and of the weight.
    `accumulate`: the format of the sum.
    `multiplier`: a registered multiplier model; `exact` is two's complement.

    Example: `unit mac { multiply = u8 * i8, accumulate = i32, multiplier = exact }`
    """

    name: ClassVar[str] = "mac"
    multiply: tuple[IntegerType, IntegerType] = (UI8, SI8)
    accumulate: IntegerType = SI32
    multiplier: MultiplierText = "exact"


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


@dataclass(frozen=True)
class XnorPopcountUnit:
    """`unit xnor_popcount`: products of values -1 and +1, a bit each, summed: `2 * popcount(xnor(a, w)) - lanes`.

    `lanes`: the bits of activations that meet as many of weights in a cycle.
    `accumulate`: the format of the sum, which must hold that of one cycle.

    Example: `unit xnor_popcount { lanes = 64, accumulate = i16 }`
    """

    name: ClassVar[str] = "xnor_popcount"
    lanes: int = 64
    accumulate: IntegerType = SI16

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise ValueError(f"lanes must be at least 1, got {self.lanes}")
        low, high = integer_range(self.accumulate)
        if -self.lanes < low or self.lanes > high:
            raise ValueError(
                f"{self.lanes} lanes sum to -{self.lanes}..{self.lanes}, the accumulator holds {low}..{high}"
            )


Unit: TypeAlias = MacUnit | RequantizeUnit | XnorPopcountUnit


def _is_format(attribute: Attribute) -> bool:
    """Whether an attribute is an integer type that says its sign."""
    return isinstance(attribute, IntegerType) and cast(IntegerType, attribute).signedness.data != Signedness.SIGNLESS


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
    def of(unit: Unit) -> UnitOp:
        """The op for a unit's options."""
        match unit:
            case MacUnit():
                options: dict[str, Attribute] = {
                    "multiply": ArrayAttr(unit.multiply),
                    "accumulate": unit.accumulate,
                    "multiplier": StringAttr(unit.multiplier),
                }
            case RequantizeUnit():
                options = {"multiplier": unit.multiplier, "rounding": StringAttr(unit.rounding.value)}
            case XnorPopcountUnit():
                options = {"lanes": IntegerAttr(unit.lanes, i64), "accumulate": unit.accumulate}
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

    def xnor_popcount(self) -> XnorPopcountUnit:
        """The options of an `xnor_popcount`."""
        options = self.options.data
        return XnorPopcountUnit(
            cast("IntegerAttr[IntegerType]", options["lanes"]).value.data, cast(IntegerType, options["accumulate"])
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
        match kind:
            case MacUnit.name:
                self._verify_mac()
            case RequantizeUnit.name:
                self._verify_requantize()
            case _:
                self._verify_xnor_popcount()

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

    def _verify_xnor_popcount(self) -> None:
        if not _is_format(self.options.data["accumulate"]):
            raise VerifyException("an xnor_popcount unit accumulates in an integer whose type says the sign")
        try:
            self.xnor_popcount()
        except ValueError as error:
            raise VerifyException(f"unit xnor_popcount: {error}") from error


_OPTIONS: dict[str, dict[str, type[Attribute]]] = {
    MacUnit.name: {"multiply": ArrayAttr, "accumulate": IntegerType, "multiplier": StringAttr},
    RequantizeUnit.name: {"multiplier": IntegerType, "rounding": StringAttr},
    XnorPopcountUnit.name: {"lanes": IntegerAttr, "accumulate": IntegerType},
}
