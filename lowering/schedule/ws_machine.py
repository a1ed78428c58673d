"""A weight-stationary machine as plain numbers, read from a `machine.machine` op.

What such a machine has: one outside memory (a port of W bits per cycle, latency L), an activation memory of two halves
(a layer reads one and writes the other), a weight buffer of slots (one tile of weights each), and an array of R x C
multiply-accumulate units with a weight register per PE and an accumulator memory per column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.dialects.builtin import IntegerType

from hapir.diagnostics import Label, did_you_mean, fail, span_of
from hapir.dialects.machine import ArrayOp, MachineOp
from hapir.dialects.machine_devices import NetworkOnChipOp
from hapir.dialects.machine_memory import MemoryOp
from hapir.dialects.machine_units import MacUnit, RequantizeUnit, UnitOp
from hapir.dialects.num import Rounding, is_signed
from hapir.multipliers.model import Int, Multiplier, product_table
from hapir.registered import MULTIPLIER, value_at

BYTE = 8
PARAMETER_BITS = 64
"""One output channel's parameters: bias in bits 0..31, multiplier in 32..55, shift in 56..61."""


@dataclass(frozen=True)
class WsMachine:
    """Sizes of a weight-stationary machine. Bits are bits, widths are per word, latencies are cycles."""

    name: str
    op: MachineOp
    clock_hz: int
    rows: int
    cols: int
    activation: IntegerType
    weight: IntegerType
    multiplier: str
    accumulator_bits: int
    accumulator_depth: int
    multiplier_bits: int
    rounding: Rounding
    memory_bits: int
    latency: int
    activation_bits: int
    weight_buffer_bits: int
    dram: str
    activations: str
    weights: str
    accumulator: str
    register: str
    array: str
    parts: Mapping[str, MemoryOp | ArrayOp]

    def labels(self, part: str, message: str) -> tuple[Label, ...]:
        """A second place for a diagnostic: where the spec declares a part; nothing where that is unknown."""
        span = span_of(self.parts[part].location)
        return () if span is None else (Label(span, message),)

    @property
    def multiplier_model(self) -> Multiplier:
        """The multiplier of a PE. Raises HapirError (HAP0233) where none of its name is registered."""
        return value_at(self.multiplier, MULTIPLIER, self.op)

    def products(self) -> Int:
        """All products of a PE. Raises ValueError where its multiplier cannot take its operands."""
        return product_table(self.multiplier_model, self.activation, self.weight)

    @property
    def word_bytes(self) -> int:
        """Bytes in a word of the outside memory and of the activation banks."""
        return self.memory_bits // BYTE

    @property
    def activation_signed(self) -> bool:
        """Whether activations are signed bytes."""
        return is_signed(self.activation)

    @property
    def bank_depth(self) -> int:
        """Words per activation bank and half; there is one bank per array row."""
        return self.activation_bits // (2 * self.rows * self.memory_bits)

    @property
    def words_per_row(self) -> int:
        """Memory words that hold one array row of weights (a byte each, the last word padded)."""
        return -(-self.cols * BYTE // self.memory_bits)

    @property
    def parameter_words(self) -> int:
        """Memory words that hold the parameters of one tile of output channels."""
        return -(-self.cols * PARAMETER_BITS // self.memory_bits)

    @property
    def slots(self) -> int:
        """Weight tiles that the weight buffer holds."""
        return self.weight_buffer_bits // (self.rows * self.words_per_row * self.memory_bits)

    @property
    def write_beats(self) -> int:
        """Cycles to write one output pixel of all columns into the banks."""
        return -(-self.cols // self.rows)

    @property
    def array_latency(self) -> int:
        """Cycles from the issue of a pixel to its partial sums of all columns, aligned."""
        return self.rows + self.cols + 3

    @property
    def output_latency(self) -> int:
        """Cycles from aligned partial sums to the end of the write into the activation memory."""
        return 6


def ws_machine(op: MachineOp) -> WsMachine:
    """Read a machine. Raises HapirError HAP0601..HAP0603 where it is not a complete weight-stationary machine."""
    array = _one_array(op)
    _refuse_other_parts(op)
    if op.clock_hz is None:
        fail("HAP0601", f"machine `{op.sym_name.data}` has no clock", at=op, help="write `clock = 200 MHz`")
    mac, requantize = _units(op, array)
    dram = _memory(op, [m for m in _memories(op) if m.bandwidth_bits is not None], "an outside memory with `bandwidth`")
    activations = _that_holds(op, dram, {"input", "output"})
    weights = _that_holds(op, dram, {"weight"})
    if activations is None or activations.size_bits is None or activations.double_buffered is None:
        fail(
            "HAP0601",
            f"machine `{op.sym_name.data}` has no activation memory",
            at=op,
            help="add `memory activations { size = 16 KiB, holds = [input, output], double_buffered = true }`",
        )
    if weights is None or weights.size_bits is None:
        fail("HAP0601", f"machine `{op.sym_name.data}` has no weight buffer", at=op,
             help="add `memory weights { size = 2 KiB, holds = weight }`")  # fmt: skip
    accumulator = _in_array(array, "psum", "memory accumulator { size = 256 word, holds = psum }")
    register = _in_array(array, "weight", "memory weight_reg { size = 1 word, holds = weight, double_buffered = true }")
    for memory, expected in ((accumulator, "column"), (register, "pe")):
        if memory.multiplicity != expected:
            fail("HAP0602", f"`{memory.sym_name.data}` is one per {memory.multiplicity}, this dataflow has one per "
                 f"{expected}", at=memory, help=f"write `per = {expected}`, or leave it out")  # fmt: skip
    if register.double_buffered is None:
        fail("HAP0602", "the weight registers of this dataflow are double-buffered", at=register,
             help="set `double_buffered = true`")  # fmt: skip
    assert dram.bandwidth_bits is not None
    machine = WsMachine(
        name=op.sym_name.data,
        op=op,
        clock_hz=op.clock_hz.value.data,
        rows=array.rows.data,
        cols=array.cols.data,
        activation=mac.multiply[0],
        weight=mac.multiply[1],
        multiplier=mac.multiplier,
        accumulator_bits=mac.accumulate.width.data,
        accumulator_depth=accumulator.size_words.value.data if accumulator.size_words else 0,
        multiplier_bits=requantize.multiplier.width.data,
        rounding=requantize.rounding,
        memory_bits=dram.bandwidth_bits.value.data,
        latency=dram.latency_cycles.value.data if dram.latency_cycles else 1,
        activation_bits=activations.size_bits.value.data,
        weight_buffer_bits=weights.size_bits.value.data,
        dram=dram.sym_name.data,
        activations=activations.sym_name.data,
        weights=weights.sym_name.data,
        accumulator=accumulator.sym_name.data,
        register=register.sym_name.data,
        array=array.sym_name.data,
        parts={part.sym_name.data: part for part in (dram, activations, weights, accumulator, register, array)},
    )
    _check(machine, op, array, dram, activations, weights, accumulator)
    return machine


def _memories(op: MachineOp | ArrayOp) -> list[MemoryOp]:
    return [o for o in op.body.block.ops if isinstance(o, MemoryOp)]


def _one_array(op: MachineOp) -> ArrayOp:
    arrays = [o for o in op.body.block.ops if isinstance(o, ArrayOp)]
    if len(arrays) != 1:
        fail("HAP0601", f"a weight-stationary machine has one array, `{op.sym_name.data}` has {len(arrays)}", at=op,
             help="write `array pe[8, 8] { ... }` once")  # fmt: skip
    return arrays[0]


_DESCRIBED = (
    "hapir builds and estimates one array of `mac` and `requantize`, like `machines/ws.hap`; "
    "others can be described, and estimated by a plug-in"
)


def _refuse_other_parts(op: MachineOp) -> None:
    """What the circuit of this dataflow would not have, though the machine describes it."""
    for part in op.walk():
        if isinstance(part, NetworkOnChipOp):
            fail("HAP0611", f"the network-on-chip `{part.sym_name.data}` cannot be built: this dataflow has wiring of "
                 "its own", at=part, help=_DESCRIBED)  # fmt: skip
        if isinstance(part, UnitOp) and part.kind.data not in (MacUnit.name, RequantizeUnit.name):
            fail("HAP0611", f"no circuit for the unit `{part.kind.data}`", at=part,
                 help=_DESCRIBED)  # fmt: skip
        if isinstance(part, ArrayOp) and isinstance(part.parent_op(), ArrayOp):
            fail("HAP0611", f"the array `{part.sym_name.data}` in an array cannot be built", at=part,
                 help=_DESCRIBED)  # fmt: skip


def _memory(op: MachineOp, found: list[MemoryOp], what: str) -> MemoryOp:
    if len(found) != 1:
        fail("HAP0601", f"machine `{op.sym_name.data}` needs {what}, found {len(found)}", at=op,
             help="write `memory dram { bandwidth = 8 B/cycle, latency = 20 cycle }`")  # fmt: skip
    return found[0]


def _that_holds(op: MachineOp, dram: MemoryOp, tensors: set[str]) -> MemoryOp | None:
    """The memory on the chip that holds just these tensors; None where there is none."""
    found = [m for m in _memories(op) if m is not dram and {h.data for h in m.holds or ()} == tensors]
    if len(found) > 1:
        span = span_of(found[0].location)
        fail("HAP0601", f"two memories of machine `{op.sym_name.data}` hold {' and '.join(sorted(tensors))}, this "
             "dataflow has one", at=found[1], labels=[] if span is None else [Label(span, "the other one")],
             help="make one of them of both, or say what else it holds")  # fmt: skip
    return found[0] if found else None


def _in_array(array: ArrayOp, held: str, example: str) -> MemoryOp:
    found = [m for m in _memories(array) if m.holds is not None and [h.data for h in m.holds] == [held]]
    if len(found) != 1:
        fail("HAP0601", f"array `{array.sym_name.data}` needs one memory that holds {held}, found {len(found)}",
             at=array, help=f"add `{example}`")  # fmt: skip
    return found[0]


def _units(op: MachineOp, array: ArrayOp) -> tuple[MacUnit, RequantizeUnit]:
    units = {u.kind.data: u for part in (op, array) for u in part.body.block.ops if isinstance(u, UnitOp)}
    if MacUnit.name not in units:
        fail("HAP0601", f"array `{array.sym_name.data}` has no `mac` unit", at=array, help=did_you_mean("mac", units)
             or "add `unit mac { multiply = u8 * i8, accumulate = i32 }`")  # fmt: skip
    requantize = units[RequantizeUnit.name].requantize() if RequantizeUnit.name in units else RequantizeUnit()
    mac = units[MacUnit.name].mac()
    if not is_signed(mac.multiply[1]):
        fail("HAP0603", f"the weight operand of a mac is signed, this one is {mac.multiply[1]}",
             at=units[MacUnit.name], help="write the activation first: `multiply = u8 * i8`")  # fmt: skip
    return mac, requantize


def _check(
    machine: WsMachine,
    op: MachineOp,
    array: ArrayOp,
    dram: MemoryOp,
    activations: MemoryOp,
    weights: MemoryOp,
    accumulator: MemoryOp,
) -> None:
    width = machine.memory_bits
    if width < 8 or width > 512 or width & (width - 1):
        fail("HAP0602", f"the port of `{machine.dram}` is {width} bit/cycle; it must be a power of two from 8 to 512",
             at=dram, help="for example `bandwidth = 8 B/cycle`")  # fmt: skip
    if machine.latency < 1:
        fail("HAP0602", f"the latency of `{machine.dram}` must be at least 1 cycle", at=dram)
    if machine.accumulator_depth < 1:
        fail("HAP0602", f"`{machine.accumulator}` has no size in words", at=accumulator, help="write `size = 256 word`")
    if machine.slots < 2:
        needed = 2 * machine.rows * machine.words_per_row * width
        fail("HAP0604", f"`{machine.weights}` holds {machine.weight_buffer_bits} bit, two weight tiles need {needed}",
             at=weights, help=f"give it at least {-(-needed // 8)} B")  # fmt: skip
    if machine.bank_depth < 1:
        needed = 2 * machine.rows * width
        fail("HAP0604", f"`{machine.activations}` holds {machine.activation_bits} bit, less than one word per row and "
             f"half ({needed})", at=activations, help=f"give it at least {needed // 8} B")  # fmt: skip
    for what, storage in (("activation", machine.activation), ("weight", machine.weight)):
        if storage.width.data > 8:
            fail("HAP0603", f"the {what} operand {storage} is wider than a byte", at=array,
                 help="this dataflow moves bytes")  # fmt: skip
    try:
        machine.products()
    except ValueError as error:
        fail("HAP0603", f"the multiplier `{machine.multiplier}` cannot multiply {machine.activation} by "
             f"{machine.weight}: {error}", at=array, help="change `multiply` or `multiplier`")  # fmt: skip
    if not 8 <= machine.accumulator_bits <= 32:
        fail("HAP0603", f"accumulators have 8 to 32 bit, not {machine.accumulator_bits}", at=array)
    if not 2 <= machine.multiplier_bits <= 24:
        fail("HAP0603", f"the requantizer's factor has 2 to 24 bit, not {machine.multiplier_bits}", at=op)
