"""A small construction kit for circuits: `Module` builds one `hw.module`, `Signal` is a bit vector with operators.

Widths are strict: both operands of an operator are equally wide, results are as wide as their operands (carries are
lost unless extended first), and Python integers take the width of the other operand. `Reg.set` may be called several
times; of the conditions that hold, the last set wins, and where none holds the register keeps its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects import comb, hw
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, IntegerType, StringAttr, SymbolRefAttr, i32
from xdsl.ir import Block, Operation, Region, SSAValue

from hapir.dialects import rtl


@dataclass(frozen=True, eq=False)
class Signal:
    """A bit vector inside a module under construction."""

    module: Module
    value: SSAValue

    @property
    def width(self) -> int:
        """Width in bits."""
        return rtl.width_of(self.value)

    def _other(self, other: Signal | int) -> Signal:
        if isinstance(other, int):
            return self.module.const(other, self.width)
        if other.width != self.width:
            raise ValueError(f"widths differ: {self.width} and {other.width}")
        return other

    def _emit(self, op: Operation) -> Signal:
        return self.module.emit(op)

    def __add__(self, other: Signal | int) -> Signal:
        return self._emit(comb.AddOp([self.value, self._other(other).value], self.value.type))

    def __sub__(self, other: Signal | int) -> Signal:
        return self._emit(comb.SubOp(self.value, self._other(other).value, self.value.type))

    def __and__(self, other: Signal | int) -> Signal:
        return self._emit(comb.AndOp([self.value, self._other(other).value], self.value.type))

    def __or__(self, other: Signal | int) -> Signal:
        return self._emit(comb.OrOp([self.value, self._other(other).value], self.value.type))

    def __xor__(self, other: Signal | int) -> Signal:
        return self._emit(comb.XorOp([self.value, self._other(other).value], self.value.type))

    def __invert__(self) -> Signal:
        return self ^ ((1 << self.width) - 1)

    def _compare(self, other: Signal | int, predicate: str) -> Signal:
        return self._emit(comb.ICmpOp(self.value, self._other(other).value, predicate))

    def eq(self, other: Signal | int) -> Signal:
        """1 where equal."""
        return self._compare(other, "eq")

    def ne(self, other: Signal | int) -> Signal:
        """1 where different."""
        return self._compare(other, "ne")

    def ult(self, other: Signal | int) -> Signal:
        """Unsigned less-than."""
        return self._compare(other, "ult")

    def uge(self, other: Signal | int) -> Signal:
        """Unsigned at-least."""
        return self._compare(other, "uge")

    def slt(self, other: Signal | int) -> Signal:
        """Signed less-than."""
        return self._compare(other, "slt")

    def sgt(self, other: Signal | int) -> Signal:
        """Signed greater-than."""
        return self._compare(other, "sgt")

    def sra(self, amount: Signal) -> Signal:
        """Arithmetic shift right by an amount of any width not above this one's."""
        return self._emit(comb.ShrSOp(self.value, amount.zext(self.width).value, self.value.type))

    def shl(self, amount: Signal) -> Signal:
        """Shift left by an amount of any width not above this one's."""
        return self._emit(comb.ShlOp(self.value, amount.zext(self.width).value, self.value.type))

    def bits(self, low: int, width: int) -> Signal:
        """`width` bits from bit `low` on."""
        if low < 0 or width < 1 or low + width > self.width:
            raise ValueError(f"bits {low}..{low + width - 1} of a {self.width}-bit signal")
        if width == self.width:
            return self
        return self._emit(comb.ExtractOp(self.value, IntegerAttr(low, i32), IntegerType(width)))

    def bit(self, index: int) -> Signal:
        """One bit."""
        return self.bits(index, 1)

    def zext(self, width: int) -> Signal:
        """Extended with zeros to `width`."""
        if width == self.width:
            return self
        return self.module.cat(self.module.const(0, width - self.width), self)

    def sext(self, width: int) -> Signal:
        """Extended with the sign bit to `width`."""
        if width == self.width:
            return self
        if width < self.width:
            raise ValueError(f"cannot extend {self.width} bits to {width}")
        return self.module.cat(self.bit(self.width - 1).repeat(width - self.width), self)

    def repeat(self, times: int) -> Signal:
        """This vector several times side by side."""
        if times == 1:
            return self
        return self._emit(comb.ReplicateOp(self.value, IntegerType(self.width * times)))

    def fit(self, width: int) -> Signal:
        """Zero-extended or truncated to `width`."""
        return self.bits(0, width) if width < self.width else self.zext(width)

    def named(self, hint: str) -> Signal:
        """This value with a name that the emitted Verilog keeps."""
        self.value.name_hint = hint
        return self

    def any(self) -> Signal:
        """1 where at least one bit is set."""
        return self if self.width == 1 else self.ne(0)


class Reg(Signal):
    """A register: its current value, and what it takes next."""

    def set(self, value: Signal | int, when: Signal | None = None) -> None:
        """Take `value` at the next clock edge where `when` holds (always, if not given)."""
        self.module.drivers.setdefault(self, []).append((self._other(value), when))


class Wire(Signal):
    """A net that is read before it is driven."""

    def drive(self, value: Signal) -> None:
        """Connect the one value that drives it."""
        self.module.block.add_op(rtl.AssignOp(self.value, value.value))


@dataclass(frozen=True, eq=False)
class Memory:
    """A memory of a module under construction; one write port."""

    module: Module
    value: SSAValue
    depth: int
    width: int

    @property
    def address_width(self) -> int:
        """Bits of an address."""
        return rtl.address_width(self.depth)

    def read(self, address: Signal, hint: str, when: Signal | None = None) -> Signal:
        """The word at `address`, one cycle later; held while `when` is low."""
        enable = None if when is None else when.value
        address = address.fit(self.address_width)
        return self.module.emit(rtl.ReadOp(self.value, address.value, self.module.clk.value, hint, enable))

    def write(self, address: Signal, data: Signal, when: Signal, mask: Signal | None = None) -> None:
        """Write at the clock edge where `when` holds, only the lanes whose mask bit is set."""
        address = address.fit(self.address_width)
        self.module.block.add_op(
            rtl.WriteOp(
                self.value,
                address.value,
                data.value,
                when.value,
                self.module.clk.value,
                None if mask is None else mask.value,
            )
        )


class Module:
    """One `hw.module` under construction; `clk` and `rst` are its first inputs unless it is combinational."""

    def __init__(self, name: str, inputs: Mapping[str, int], *, combinational: bool = False, doc: str = ""):
        ports = dict(inputs) if combinational else {"clk": 1, "rst": 1, **inputs}
        self.name = name
        self.doc = doc
        self.block = Block(arg_types=[IntegerType(width) for width in ports.values()])
        self.inputs: dict[str, Signal] = {}
        for argument, port in zip(self.block.args, ports, strict=True):
            argument.name_hint = port
            self.inputs[port] = Signal(self, argument)
        self.outputs: dict[str, Signal] = {}
        self.drivers: dict[Reg, list[tuple[Signal, Signal | None]]] = {}
        self._constants: dict[tuple[int, int], Signal] = {}

    @property
    def clk(self) -> Signal:
        """The clock."""
        return self.inputs["clk"]

    @property
    def rst(self) -> Signal:
        """The synchronous reset, active high."""
        return self.inputs["rst"]

    def __getitem__(self, port: str) -> Signal:
        return self.inputs[port]

    def emit(self, op: Operation) -> Signal:
        """Append an op with one result."""
        self.block.add_op(op)
        return Signal(self, op.results[0])

    def const(self, value: int, width: int) -> Signal:
        """A constant; negative values are two's complement. Raises ValueError where it does not fit."""
        if not -(1 << (width - 1)) <= value < (1 << width):
            raise ValueError(f"{value} does not fit {width} bits")
        key = (value % (1 << width), width)
        if key not in self._constants:
            # hoisted to the front, so that every later use may share it
            op = hw.ConstantOp(key[0] if key[0] < 1 << (width - 1) else key[0] - (1 << width), width)
            if self.block.first_op is None:
                self.block.add_op(op)
            else:
                self.block.insert_op_before(op, self.block.first_op)
            self._constants[key] = Signal(self, op.result)
        return self._constants[key]

    def reg(self, name: str, width: int, init: int | None = 0) -> Reg:
        """A register; `init` is its reset value, None for a register that is not reset."""
        reset = None if init is None else self.rst.value
        op = rtl.RegOp(name, self.clk.value, width, reset=reset, init=init or 0)
        self.block.add_op(op)
        op.result.name_hint = name
        return Reg(self, op.result)

    def wire(self, name: str, width: int) -> Wire:
        """A net to be driven later."""
        op = rtl.WireOp(name, width)
        self.block.add_op(op)
        op.result.name_hint = name
        return Wire(self, op.result)

    def memory(self, name: str, depth: int, width: int) -> Memory:
        """A memory without reset."""
        op = rtl.MemoryOp(name, depth, width)
        self.block.add_op(op)
        op.result.name_hint = name
        return Memory(self, op.result, depth, width)

    def rom(self, name: str, address: Signal, words: Sequence[int], width: int) -> Signal:
        """A combinational table; `address` is fitted to the number of words."""
        address = address.fit(rtl.address_width(len(words)))
        return self.emit(rtl.RomOp(name, address.value, list(words), width)).named(name)

    def mul(self, lhs: Signal, rhs: Signal, *, lhs_signed: bool, rhs_signed: bool) -> Signal:
        """The exact product, as wide as both operands together."""
        return self.emit(rtl.MulOp(lhs.value, rhs.value, lhs_signed=lhs_signed, rhs_signed=rhs_signed))

    def delay(self, x: Signal, cycles: int, name: str, *, reset: bool = False) -> Signal:
        """`x` that many cycles ago; `x` itself for 0."""
        if cycles == 0:
            return x
        op = rtl.DelayOp(name, x.value, cycles, self.clk.value, self.rst.value if reset else None)
        return self.emit(op).named(name)

    def cat(self, *parts: Signal) -> Signal:
        """Parts side by side, the first one at the high end."""
        if len(parts) == 1:
            return parts[0]
        width = sum(p.width for p in parts)
        return self.emit(comb.ConcatOp([p.value for p in parts], IntegerType(width)))

    def mux(self, condition: Signal, then: Signal, otherwise: Signal | int) -> Signal:
        """`then` where the condition bit is 1, else `otherwise`."""
        other = self.const(otherwise, then.width) if isinstance(otherwise, int) else otherwise
        if then.width != other.width:
            raise ValueError(f"widths differ: {then.width} and {other.width}")
        return self.emit(comb.MuxOp(condition.value, then.value, other.value))

    def all_of(self, *conditions: Signal) -> Signal:
        """Conjunction of single bits."""
        result = conditions[0]
        for condition in conditions[1:]:
            result = result & condition
        return result

    def any_of(self, *conditions: Signal) -> Signal:
        """Disjunction of single bits."""
        result = conditions[0]
        for condition in conditions[1:]:
            result = result | condition
        return result

    def instance(self, module: Module, name: str, /, **inputs: Signal) -> dict[str, Signal]:
        """Instantiate a finished module; clock and reset connect by themselves. Returns its outputs by name."""
        if "clk" in module.inputs:
            inputs = {"clk": self.clk, "rst": self.rst, **inputs}
        if set(inputs) != set(module.inputs):
            raise ValueError(f"{module.name} needs inputs {sorted(module.inputs)}, got {sorted(inputs)}")
        for port, signal in inputs.items():
            if signal.width != module.inputs[port].width:
                raise ValueError(f"{module.name}.{port} is {module.inputs[port].width} bits, got {signal.width}")
        op = hw.InstanceOp(
            name,
            SymbolRefAttr(module.name),
            [(port, inputs[port].value) for port in module.inputs],
            [(port, IntegerType(signal.width)) for port, signal in module.outputs.items()],
        )
        self.block.add_op(op)
        found: dict[str, Signal] = {}
        for port, result in zip(module.outputs, op.outputs, strict=True):
            result.name_hint = f"{name}_{port}"
            found[port] = Signal(self, result)
        return found

    def output(self, name: str, signal: Signal) -> None:
        """Declare an output port."""
        self.outputs[name] = signal

    def finish(self) -> hw.HWModuleOp:
        """Close the module: connect registers, add the terminator, and return the op."""
        for reg, updates in self.drivers.items():
            value: Signal | None = None
            enable: Signal | None = None
            for new, when in updates:
                if value is None or when is None:
                    value, enable = new, when
                    continue
                value = self.mux(when, new, value)
                enable = None if enable is None else enable | when
            assert value is not None
            self.block.add_op(rtl.NextOp(reg.value, value.value, None if enable is None else enable.value))
        self.block.add_op(hw.OutputOp([s.value for s in self.outputs.values()]))
        ports = [
            *(_port(name, s.width, hw.Direction.INPUT) for name, s in self.inputs.items()),
            *(_port(name, s.width, hw.Direction.OUTPUT) for name, s in self.outputs.items()),
        ]
        op = hw.HWModuleOp(StringAttr(self.name), hw.ModuleType(ArrayAttr(ports)), Region(self.block))
        if self.doc:
            op.attributes["comment"] = StringAttr(self.doc)
        return op


def _port(name: str, width: int, direction: hw.Direction) -> hw.ModulePort:
    return hw.ModulePort(StringAttr(name), IntegerType(width), hw.DirectionAttr(direction))
