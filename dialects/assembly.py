"""Pieces of custom syntax that the dialects share: directives for `assembly_format`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
from xdsl.dialects.builtin import I64, ArrayAttr, Float64Type, FloatAttr, IntAttr, IntegerAttr, StringAttr, i64
from xdsl.ir import Block
from xdsl.irdl import IRDLOperation
from xdsl.irdl.declarative_assembly_format import (
    AttributeVariable,
    CustomDirective,
    ParsingState,
    PrintingState,
    RegionVariable,
    irdl_custom_directive,
)
from xdsl.parser import Parser
from xdsl.printer import Printer


def float_text(value: float) -> str:
    """The shortest text that reads back as the same finite double, always with a point or an exponent MLIR accepts."""
    text = repr(float(value))
    if "e" in text and "." not in text:
        mantissa, exponent = text.split("e")
        text = f"{mantissa}.0e{exponent}"
    return text


def shortest(number: float) -> float:
    """The double with the fewest digits that f32 rounds to the same number."""
    return float(str(np.float32(number)))


@irdl_custom_directive
class Real(CustomDirective):
    """A finite f64 property, as `float_text` writes it: xDSL's own text of some values needs the type behind it."""

    value: AttributeVariable

    def is_anchorable(self) -> bool:
        return True

    def is_present(self, op: IRDLOperation) -> bool:
        return self.value.get(op) is not None

    def parse(self, parser: Parser, state: ParsingState) -> None:
        self.value.set(state, FloatAttr(float(parser.parse_number()), 64))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        attribute = self.value.get(op)
        assert isinstance(attribute, FloatAttr)
        state.print_whitespace(printer)
        printer.print_string(float_text(attribute.value.data))


@irdl_custom_directive
class Grid(CustomDirective):
    """Two integer properties, rows and columns: `8 x 8`."""

    rows: AttributeVariable
    columns: AttributeVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        self.rows.set(state, IntAttr(parser.parse_integer(allow_boolean=False, allow_negative=False)))
        parser.parse_keyword("x")
        self.columns.set(state, IntAttr(parser.parse_integer(allow_boolean=False, allow_negative=False)))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        rows, columns = cast(IntAttr, self.rows.get(op)), cast(IntAttr, self.columns.get(op))
        state.print_whitespace(printer)
        printer.print_string(f"{rows.data} x {columns.data}")


@irdl_custom_directive
class Sizes(CustomDirective):
    """A list of integers as a property: `[2, 3]`."""

    values: AttributeVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        found = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
        self.values.set(state, sizes(found))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        values = cast("ArrayAttr[IntAttr]", self.values.get(op))
        state.print_whitespace(printer)
        printer.print_string(f"[{', '.join(str(value.data) for value in values)}]")


def sizes(values: Iterable[int]) -> ArrayAttr[IntAttr]:
    """The property that `Sizes` writes."""
    return ArrayAttr([IntAttr(value) for value in values])


def integers(values: ArrayAttr[IntAttr]) -> list[int]:
    """The integers of a property that `Sizes` writes."""
    return [value.data for value in values]


@irdl_custom_directive
class Body(CustomDirective):
    """A region of one block without arguments; `{}` is an empty block, where xDSL would read no block."""

    body: RegionVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        region = parser.parse_region()
        if not region.blocks:
            region.add_block(Block())
        self.body.set(state, region)

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        if self.body.get(op).block.is_empty:
            state.print_whitespace(printer)
            printer.print_string("{}")
        else:
            self.body.print(printer, state, op)


@irdl_custom_directive
class Word(CustomDirective):
    """A string property that is a bare word: `exp`."""

    value: AttributeVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        self.value.set(state, StringAttr(parser.parse_identifier()))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        attribute = self.value.get(op)
        assert isinstance(attribute, StringAttr)
        state.print_whitespace(printer)
        printer.print_string(attribute.data)


@irdl_custom_directive
class Reals(CustomDirective):
    """A property of finite f64 numbers: `[1.0, 0.5]`."""

    values: AttributeVariable

    def is_anchorable(self) -> bool:
        return True

    def is_present(self, op: IRDLOperation) -> bool:
        return self.values.get(op) is not None

    def parse(self, parser: Parser, state: ParsingState) -> None:
        read = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: float(parser.parse_number()))
        self.values.set(state, reals(read))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        attribute = self.values.get(op)
        assert isinstance(attribute, ArrayAttr)
        state.print_whitespace(printer)
        numbers = cast("ArrayAttr[FloatAttr]", attribute)
        printer.print_string(f"[{', '.join(float_text(v.value.data) for v in numbers)}]")


@irdl_custom_directive
class Number(CustomDirective):
    """A number property: a finite f64 with a point, or an i64."""

    value: AttributeVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        self.value.set(state, number(parser.parse_number()))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        attribute = self.value.get(op)
        state.print_whitespace(printer)
        if isinstance(attribute, FloatAttr):
            printer.print_string(float_text(attribute.value.data))
        else:
            assert isinstance(attribute, IntegerAttr)
            printer.print_string(str(attribute.value.data))


def reals(values: Iterable[float]) -> ArrayAttr[FloatAttr[Float64Type]]:
    """Numbers as a property."""
    return ArrayAttr([FloatAttr(value, 64) for value in values])


def number(value: int | float) -> FloatAttr[Float64Type] | IntegerAttr[I64]:
    """A number as a property: whole ones of Python's `int` as i64."""
    return IntegerAttr(value, i64) if isinstance(value, int) else FloatAttr(value, 64)
