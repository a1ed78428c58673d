"""What can be said of a machine without a network: memories too small for one word, devices too small for the machine.

A check speaks only of what is certain. A memory whose size is not said, or whose words have no known format, counts as
nothing; what becomes of lookup tables and multipliers is the synthesis tool's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from xdsl.ir import Operation

from hapir.diagnostics import Findings, Label, Span, span_of
from hapir.dialects.machine import ArrayOp, MachineOp
from hapir.dialects.machine_devices import FpgaOp, HostOp
from hapir.dialects.machine_memory import HELD, MemoryOp, number
from hapir.dialects.machine_units import MacUnit, UnitOp
from hapir.spec.machine_blocks import MemoryBlock

Places = Mapping[Operation, Mapping[str, Span]]
"""Where each setting of an operation is written; the block's name has the key ``."""


def check_tensors(settings: object, places: Mapping[str, Span], findings: Findings) -> bool:
    """Whether a memory holds something, and nothing that bypasses it; an error (HAP0610) with both places."""
    if not isinstance(settings, MemoryBlock):
        return True
    holds, bypass = settings.holds, settings.bypass or ()
    if holds == ():
        findings.error("HAP0610", "this memory holds nothing", at=places["holds"],
                       help=f"name some of {', '.join(HELD)}, or leave `holds` out")  # fmt: skip
        return False
    both = [tensor for tensor in holds or () if tensor in bypass]
    if both:
        message = f"{_listed(both)} cannot be held here and bypass the memory"
        labels = [Label(places["holds"], "held here")]
        findings.error("HAP0610", message, at=places["bypass"], labels=labels, help="name each tensor in one of them")
    elif set(bypass) >= set(HELD):
        findings.error("HAP0610", "every tensor bypasses this memory", at=places["bypass"],
                       help="leave out what it holds, or the memory")  # fmt: skip
    return not both and not set(bypass) >= set(HELD)


def _listed(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def check_machine(machine: MachineOp, places: Places, findings: Findings) -> None:
    """Find memories that hold no word (HAP0608) and devices that the memories do not fit (HAP0609)."""
    for op in machine.walk():
        if isinstance(op, MemoryOp):
            _check_word(op, places, findings)
    for op in machine.body.block.ops:
        if isinstance(op, FpgaOp):
            _check_device(machine, op, places, findings)


def _check_word(memory: MemoryOp, places: Places, findings: Findings) -> None:
    size, width, at = number(memory.size_bits), number(memory.width_bits), places[memory]
    if size is None:
        return
    banks = number(memory.banks) or 1
    if width is not None and banks * width > size:
        words = f"{banks} banks of {width} bit" if banks > 1 else f"{width} bit"
        labels = [Label(at["width"], f"{width} bit wide, from here")]
        findings.error("HAP0608", f"`{memory.sym_name.data}` holds {size} bit, one word of {words} needs "
                       f"{banks * width}: {banks * width - size} bit too small", at=at["size"], labels=labels,
                       help="make it larger, or its port narrower")  # fmt: skip
    found = word_bits(memory)
    if found is not None and found.bits > size:
        unit = span_of(found.unit.location)
        labels = [] if unit is None else [Label(unit, f"{found.bits} bit each, from here")]
        findings.error("HAP0608", f"`{memory.sym_name.data}` holds {size} bit, one {found.tensor} has {found.bits}: "
                       f"{found.bits - size} bit too small", at=at["size"], labels=labels,
                       help="write `size = 1 word`, or a larger size")  # fmt: skip


@dataclass(frozen=True)
class Word:
    """The widest datum that a memory holds, and the unit whose formats say so."""

    tensor: str
    bits: int
    unit: UnitOp


def word_bits(memory: MemoryOp) -> Word | None:
    """The widest datum of a memory; None where it says not what it holds, or no unit around or below tells a format."""
    unit = _unit_of(memory)
    held = [tensor.data for tensor in memory.holds or ()]
    if unit is None or not held:
        return None
    mac = unit.mac()
    activation, weight = (operand.width.data for operand in mac.multiply)
    bits = {"input": activation, "output": activation, "weight": weight, "psum": mac.accumulate.width.data}
    tensor = max(held, key=lambda name: bits[name])
    return Word(tensor, bits[tensor], unit)


def _unit_of(memory: MemoryOp) -> UnitOp | None:
    """The `mac` of the nearest block around a memory that has one, of its inner arrays where it has none itself.

    None where several of those differ.
    """
    around = memory.parent_op()
    while isinstance(around, ArrayOp | MachineOp):
        own, below = ([op for op in ops if _is_mac(op)] for ops in (around.body.block.ops, around.walk()))
        units = own or below
        if units:
            return units[0] if len({unit.mac() for unit in units}) == 1 else None
        around = around.parent_op()
    return None


def _is_mac(op: Operation) -> TypeGuard[UnitOp]:
    return isinstance(op, UnitOp) and op.kind.data == MacUnit.name


def _check_device(machine: MachineOp, device: FpgaOp, places: Places, findings: Findings) -> None:
    stores = list(_on_chip(machine))
    at = places[device]
    offers = (
        ("block_rams", "memories", "memory", device.memory_bits, [s for s in stores if not s.registers]),
        ("flip_flops", "registers", "flip-flops", number(device.flip_flops), [s for s in stores if s.registers]),
    )
    for setting, what, resource, offered, wanted in offers:
        needed = sum(store.bits for store in wanted)
        if offered is None or needed <= offered:
            continue
        largest = max(wanted, key=lambda store: store.bits)
        own = places[largest.memory]
        findings.error(
            "HAP0609",
            f"the {what} of machine `{machine.sym_name.data}` hold {size_text(needed)}, the {resource} of "
            f"`{device.sym_name.data}` {size_text(offered)}: {size_text(needed - offered)} too small",
            at=at.get(setting, at[""]),
            labels=[Label(own.get("size", own[""]), f"the largest: {size_text(largest.bits)}")],
            help="take a larger device, or shrink the machine",
        )


@dataclass(frozen=True)
class _Store:
    """The bits of all copies of a memory."""

    memory: MemoryOp
    bits: int
    registers: bool


def _on_chip(machine: MachineOp) -> Iterator[_Store]:
    """The memories of a machine whose bits are known, but those off the chip and those of its hosts."""
    for memory in machine.walk():
        if not isinstance(memory, MemoryOp) or isinstance(memory.parent_op(), HostOp):
            continue
        kind = None if memory.kind is None else memory.kind.data
        bits, words = number(memory.size_bits), number(memory.size_words)
        if bits is None and words is not None:
            word = word_bits(memory)
            # a size in words is that of one buffer, of which a double-buffered memory has two
            bits = None if word is None else words * word.bits * (1 if memory.double_buffered is None else 2)
        if bits is not None and kind != "dram":
            yield _Store(memory, bits * _copies(memory), kind == "register" or (kind is None and words == 1))


def _copies(memory: MemoryOp) -> int:
    """How many of a memory there are: one per PE, row or column of its array, as often as there is that array."""
    copies, around = 1, memory.parent_op()
    if isinstance(around, ArrayOp):
        rows, columns = around.rows.data, around.cols.data
        copies = {"pe": rows * columns, "row": rows, "column": columns}[memory.multiplicity]
        around = around.parent_op()
    while isinstance(around, ArrayOp):
        copies *= around.rows.data * around.cols.data
        around = around.parent_op()
    return copies


def size_text(bits: int) -> str:
    """Bits as a reader likes them: `12 b`, `6 B`, `4.5 KiB`, `3.14 MiB`."""
    if bits % 8 or bits < 8:
        return f"{bits} b"
    amount, unit = bits / 8, "B"
    for larger in ("KiB", "MiB", "GiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.4g} {unit}"
