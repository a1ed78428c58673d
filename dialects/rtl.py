"""Registers, memories, ROMs and signed products: what xDSL's `hw`, `comb` and `seq` do not have.

Rationale. A circuit is `hw.module`s of `comb` logic plus the ops here; together they print as Verilog-2005 with no
choice left to the printer. All values are signless `iN`; only `rtl.mul` knows signs, and says them. State is declared
first (`rtl.reg`, `rtl.wire`, `rtl.memory`) and driven later (`rtl.next`, `rtl.assign`, `rtl.write`), so feedback needs
no forward reference and each driver can be checked to be the only one. There is one clock per module; reset is
synchronous.
"""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import IntAttr, IntegerType, StringAttr, UnitAttr
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    base,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    param_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException


@irdl_attr_definition
class MemoryType(ParametrizedAttribute, TypeAttribute):
    """A memory of `depth` words of `width` bits: `!rtl.memory_type<256 of 64>`."""

    name = "rtl.memory_type"
    depth: IntAttr = param_def(converter=IntAttr.get)
    width: IntAttr = param_def(converter=IntAttr.get)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            depth = parser.parse_integer(allow_negative=False)
            parser.parse_keyword("of")
            return [IntAttr(depth), IntAttr(parser.parse_integer(allow_negative=False))]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.depth.data} of {self.width.data}")

    def verify(self) -> None:
        if self.depth.data < 1 or self.width.data < 1:
            raise VerifyException(
                f"a memory has at least one word of one bit, got {self.depth.data} of {self.width.data}"
            )


def width_of(value: SSAValue) -> int:
    """The width in bits of a signless integer value."""
    type_ = value.type
    if not isinstance(type_, IntegerType):
        raise VerifyException(f"expected a bit vector, got {type_}")
    return cast(IntegerType, type_).width.data


def address_width(depth: int) -> int:
    """Bits that address `depth` words; at least 1."""
    return max(1, (depth - 1).bit_length())


def _single_driver(op: IRDLOperation, target: SSAValue, declared: type[IRDLOperation]) -> None:
    if not isinstance(target.owner, declared):
        raise VerifyException(f"{op.name} drives the result of {declared.name} only")
    drivers = [use.operation for use in target.uses if isinstance(use.operation, type(op)) and use.index == 0]
    if len(drivers) != 1:
        raise VerifyException(f"{declared.name} has {len(drivers)} drivers, needs exactly one")


@irdl_op_definition
class RegOp(IRDLOperation):
    """A register's current value; driven by one `rtl.next`. With `reset`, a high reset loads `init` at the clock edge.

    Example: `%count = rtl.reg "count" clock %clk reset %rst init #builtin.int<0> : i8`
    """

    name = "rtl.reg"
    hint = prop_def(StringAttr)
    clock = operand_def(IntegerType(1))
    reset = opt_operand_def(IntegerType(1))
    init = opt_prop_def(IntAttr)
    result = result_def(base(IntegerType))
    assembly_format = "$hint `clock` $clock (`reset` $reset^)? (`init` $init^)? attr-dict `:` type($result)"

    def __init__(self, hint: str, clock: SSAValue, width: int, *, reset: SSAValue | None = None, init: int = 0):
        super().__init__(
            operands=[clock, reset],
            result_types=[IntegerType(width)],
            properties={"hint": StringAttr(hint), "init": None if reset is None else IntAttr(init)},
        )

    def verify_(self) -> None:
        if (self.reset is None) != (self.init is None):
            raise VerifyException("a register has both a reset and an initial value, or neither")
        if self.init is not None and not 0 <= self.init.data < 1 << width_of(self.result):
            raise VerifyException(f"the initial value {self.init.data} does not fit {width_of(self.result)} bits")


@irdl_op_definition
class NextOp(IRDLOperation):
    """What a register holds after the next clock edge (where `enable` is given and low: what it holds now).

    Example: `rtl.next %count, %plus_one when %run : i8, i8`
    """

    name = "rtl.next"
    target = operand_def(base(IntegerType))
    value = operand_def(base(IntegerType))
    enable = opt_operand_def(IntegerType(1))
    assembly_format = "$target `,` $value (`when` $enable^)? attr-dict `:` type($target) `,` type($value)"

    def __init__(self, target: SSAValue, value: SSAValue, enable: SSAValue | None = None):
        super().__init__(operands=[target, value, enable])

    def verify_(self) -> None:
        if self.target.type != self.value.type:
            raise VerifyException(f"a {self.target.type} register cannot take a {self.value.type}")
        _single_driver(self, self.target, RegOp)


@irdl_op_definition
class WireOp(IRDLOperation):
    """A named net, driven by one `rtl.assign`: a value used before it is computed (no combinational loops).

    Example: `%busy = rtl.wire "busy" : i1`
    """

    name = "rtl.wire"
    hint = prop_def(StringAttr)
    result = result_def(base(IntegerType))
    assembly_format = "$hint attr-dict `:` type($result)"

    def __init__(self, hint: str, width: int):
        super().__init__(result_types=[IntegerType(width)], properties={"hint": StringAttr(hint)})


@irdl_op_definition
class AssignOp(IRDLOperation):
    """Drives a wire. Example: `rtl.assign %busy, %any : i1, i1`"""

    name = "rtl.assign"
    target = operand_def(base(IntegerType))
    value = operand_def(base(IntegerType))
    assembly_format = "$target `,` $value attr-dict `:` type($target) `,` type($value)"

    def __init__(self, target: SSAValue, value: SSAValue):
        super().__init__(operands=[target, value])

    def verify_(self) -> None:
        if self.target.type != self.value.type:
            raise VerifyException(f"a {self.target.type} wire cannot take a {self.value.type}")
        _single_driver(self, self.target, WireOp)


@irdl_op_definition
class MemoryOp(IRDLOperation):
    """Storage without reset. Example: `%mem = rtl.memory "bank" : !rtl.memory_type<256 of 64>`"""

    name = "rtl.memory"
    hint = prop_def(StringAttr)
    result = result_def(MemoryType)
    assembly_format = "$hint attr-dict `:` type($result)"

    def __init__(self, hint: str, depth: int, width: int):
        super().__init__(result_types=[MemoryType(depth, width)], properties={"hint": StringAttr(hint)})


def _memory(value: SSAValue) -> MemoryType:
    return cast(MemoryType, value.type)


def _check_address(op: IRDLOperation, memory: SSAValue, address: SSAValue) -> None:
    needed = address_width(_memory(memory).depth.data)
    if width_of(address) != needed:
        raise VerifyException(
            f"{op.name}: {_memory(memory)} needs a {needed}-bit address, got {width_of(address)} bits"
        )


@irdl_op_definition
class ReadOp(IRDLOperation):
    """A synchronous read port: the word at `address` appears after the clock edge and stays while `enable` is low.

    A write to the same word at the same edge is not seen (old data).

    Example: `%d = rtl.read %mem, %a clock %clk when %en "d" : !rtl.memory_type<256 of 64>, i8 -> i64`
    """

    name = "rtl.read"
    memory = operand_def(MemoryType)
    address = operand_def(base(IntegerType))
    clock = operand_def(IntegerType(1))
    enable = opt_operand_def(IntegerType(1))
    hint = prop_def(StringAttr)
    result = result_def(base(IntegerType))
    assembly_format = (
        "$memory `,` $address `clock` $clock (`when` $enable^)? $hint attr-dict "
        "`:` type($memory) `,` type($address) `->` type($result)"
    )

    def __init__(self, memory: SSAValue, address: SSAValue, clock: SSAValue, hint: str, enable: SSAValue | None = None):
        super().__init__(
            operands=[memory, address, clock, enable],
            result_types=[IntegerType(_memory(memory).width.data)],
            properties={"hint": StringAttr(hint)},
        )

    def verify_(self) -> None:
        _check_address(self, self.memory, self.address)
        if width_of(self.result) != _memory(self.memory).width.data:
            raise VerifyException(f"{_memory(self.memory)} is not read as {self.result.type}")


@irdl_op_definition
class WriteOp(IRDLOperation):
    """A synchronous write port, on one memory at most one; `mask` has one bit per equal lane of the word.

    Example: `rtl.write %mem, %a, %d when %en clock %clk mask %m : i8
        : !rtl.memory_type<256 of 64>, i8, i64`
    """

    name = "rtl.write"
    memory = operand_def(MemoryType)
    address = operand_def(base(IntegerType))
    data = operand_def(base(IntegerType))
    enable = operand_def(IntegerType(1))
    clock = operand_def(IntegerType(1))
    mask = opt_operand_def(base(IntegerType))
    assembly_format = (
        "$memory `,` $address `,` $data `when` $enable `clock` $clock (`mask` $mask^ `:` type($mask))? attr-dict "
        "`:` type($memory) `,` type($address) `,` type($data)"
    )

    def __init__(
        self,
        memory: SSAValue,
        address: SSAValue,
        data: SSAValue,
        enable: SSAValue,
        clock: SSAValue,
        mask: SSAValue | None = None,
    ):
        super().__init__(operands=[memory, address, data, enable, clock, mask])

    def verify_(self) -> None:
        _check_address(self, self.memory, self.address)
        width = _memory(self.memory).width.data
        if width_of(self.data) != width:
            raise VerifyException(f"{_memory(self.memory)} cannot take a {self.data.type}")
        if self.mask is not None and width % width_of(self.mask):
            raise VerifyException(f"{width_of(self.mask)} mask bits do not divide a word of {width} bits")
        writers = [use for use in self.memory.uses if isinstance(use.operation, WriteOp)]
        if len(writers) != 1:
            raise VerifyException(f"a memory has one write port, found {len(writers)}")


@irdl_op_definition
class RomOp(IRDLOperation):
    """A combinational table: the word at `address`, 0 beyond the last. Words are hexadecimal, separated by blanks.

    Example: `%w = rtl.rom "program" %pc "3f 1a2 0" : i2 -> i12`
    """

    name = "rtl.rom"
    hint = prop_def(StringAttr)
    address = operand_def(base(IntegerType))
    words = prop_def(StringAttr)
    result = result_def(base(IntegerType))
    traits = traits_def(Pure())
    assembly_format = "$hint $address $words attr-dict `:` type($address) `->` type($result)"

    def __init__(self, hint: str, address: SSAValue, words: list[int], width: int):
        super().__init__(
            operands=[address],
            result_types=[IntegerType(width)],
            properties={"hint": StringAttr(hint), "words": StringAttr(" ".join(f"{w:x}" for w in words))},
        )

    @property
    def table(self) -> list[int]:
        """The words as integers."""
        return [int(w, 16) for w in self.words.data.split()]

    def verify_(self) -> None:
        try:
            words = self.table
        except ValueError as error:
            raise VerifyException(f"a ROM word is not hexadecimal: {error}") from error
        if not words or len(words) > 1 << width_of(self.address):
            raise VerifyException(f"{len(words)} words do not match a {width_of(self.address)}-bit address")
        if min(words) < 0:
            raise VerifyException(f"a word is negative: {min(words)}")
        if max(words) >= 1 << width_of(self.result):
            raise VerifyException(f"a word exceeds {width_of(self.result)} bits")


@irdl_op_definition
class MulOp(IRDLOperation):
    """The exact product of two bit vectors, each read as signed or unsigned; as wide as both together.

    Example: `%p = rtl.mul %a, %b {rhs_signed} : i8, i8 -> i16`
    """

    name = "rtl.mul"
    lhs = operand_def(base(IntegerType))
    rhs = operand_def(base(IntegerType))
    lhs_signed = opt_prop_def(UnitAttr)
    rhs_signed = opt_prop_def(UnitAttr)
    result = result_def(base(IntegerType))
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue, *, lhs_signed: bool, rhs_signed: bool):
        super().__init__(
            operands=[lhs, rhs],
            result_types=[IntegerType(width_of(lhs) + width_of(rhs))],
            properties={
                "lhs_signed": UnitAttr() if lhs_signed else None,
                "rhs_signed": UnitAttr() if rhs_signed else None,
            },
        )

    def verify_(self) -> None:
        if width_of(self.result) != width_of(self.lhs) + width_of(self.rhs):
            raise VerifyException(f"the product of {self.lhs.type} and {self.rhs.type} is not {self.result.type}")


@irdl_op_definition
class DelayOp(IRDLOperation):
    """A value some clock cycles ago: a chain of registers without reset (with one, where `reset` is given: to 0).

    Example: `%late = rtl.delay "late" %x by #builtin.int<3> clock %clk : i8 -> i8`
    """

    name = "rtl.delay"
    hint = prop_def(StringAttr)
    x = operand_def(base(IntegerType))
    cycles = prop_def(IntAttr)
    clock = operand_def(IntegerType(1))
    reset = opt_operand_def(IntegerType(1))
    result = result_def(base(IntegerType))
    assembly_format = (
        "$hint $x `by` $cycles `clock` $clock (`reset` $reset^)? attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(self, hint: str, x: SSAValue, cycles: int, clock: SSAValue, reset: SSAValue | None = None):
        super().__init__(
            operands=[x, clock, reset],
            result_types=[x.type],
            properties={"hint": StringAttr(hint), "cycles": IntAttr(cycles)},
        )

    def verify_(self) -> None:
        if self.cycles.data < 1:
            raise VerifyException(f"a delay lasts at least one cycle, got {self.cycles.data}")
        if self.x.type != self.result.type:
            raise VerifyException(f"a delay keeps its type, got {self.x.type} and {self.result.type}")


Rtl = Dialect(
    "rtl",
    [RegOp, NextOp, WireOp, AssignOp, MemoryOp, ReadOp, WriteOp, RomOp, MulOp, DelayOp],
    [MemoryType],
)
