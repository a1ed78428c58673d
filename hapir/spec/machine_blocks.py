"""What may stand in a `machine`: one frozen dataclass per kind of block, its fields the settings of the block.

`within` names the blocks that it may stand in; `refers`, where there is one, the settings whose values name memories or
arrays of the machine. `op` turns settings whose quantities are settled (`machine_measures.py`)
into an operation; `array` and `unit` have none, for their operations need more than settings: sizes in brackets, and
the kind of the unit. A plug-in adds a block by a class like these and a line in its universe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from xdsl.ir import Operation

from hapir.dialects.machine import MachineOp
from hapir.dialects.machine_memory import Held, MemoryKind, MemoryOp, Multiplicity
from hapir.spec.machine_measures import RATE, WAIT, real, whole
from hapir.spec.options import Measure, measured_in

MACHINE, ARRAY, HOST = "machine", "array", "host"


@dataclass(frozen=True)
class MachineBlock:
    """`machine NAME { ... }`: hardware, made of the blocks below, and two settings of its own.

    `technology`: a table of energies and areas in `targets/technology`, which an estimate needs. Any entry of the table
        can be replaced: `technology = cmos45(dram_access = 640 pJ)` sets it for this machine, at every size and in the
        table's own terms (an access of the `word_bits` that the table states).
    `clock`: what turns times and rates per second into cycles; Verilog and estimates need it.

    Example:
        machine tiny {
            technology = cmos45
            clock = 200 MHz
            memory dram { bandwidth = 8 B/cycle, latency = 20 cycle }
        }
    """

    name: ClassVar[str] = MACHINE
    within: ClassVar[tuple[str, ...]] = ()
    technology: str | None = None
    clock: Measure | None = field(default=None, metadata=measured_in("frequency"))

    def op(self, name: str, parts: Sequence[Operation]) -> MachineOp:
        """A `machine.machine`."""
        return MachineOp(name, self.technology, whole(self.clock), parts)


@dataclass(frozen=True)
class MemoryBlock:
    """`memory NAME { ... }`: a memory of a machine, or one in each PE of an array.

    `kind`: `dram` lies outside the chip, `sram` is a block of memory, `register` of flip-flops, `fifo` is read in the
        order written.
    `size`: in bits and bytes, or in words of what it holds.
    `width`: of a port.
    `banks`: how many work at the same time.
    `read_ports`: how many reads a bank takes in a cycle.
    `write_ports`: how many writes a bank takes in a cycle.
    `shared_ports`: how many accesses, each a read or a write, a bank takes in a cycle.
    `bandwidth`: shared by reads and writes.
    `read_bandwidth`: of reads alone.
    `write_bandwidth`: of writes alone.
    `latency`: of a read, from the request to the data.
    `write_latency`: of a write.
    `read_energy`: of a read of `width` bits, instead of the technology's value.
    `write_energy`: of a write of `width` bits, instead of the technology's value.
    `holds`: the tensors that are kept here. What neither this nor `bypass` names is left to the mapping.
    `bypass`: the tensors that pass it by on their way further in or out.
    `per`: in an array there is one for each `pe`, `row` or `column`. Where it is not said, memories that hold partial
        sums alone are one per column, others one per PE.
    `double_buffered`: one half is filled while the other is used. Of a memory measured in bytes the halves are parts; a
        register measured in words is there twice.

    Example: `memory buffer { size = 64 KiB, banks = 4, width = 64 b, holds = [input, output], bypass = weight }`
    """

    name: ClassVar[str] = "memory"
    within: ClassVar[tuple[str, ...]] = (MACHINE, ARRAY, HOST)
    kind: MemoryKind | None = None
    size: Measure | None = field(default=None, metadata=measured_in("size", "words"))
    width: Measure | None = field(default=None, metadata=measured_in("size"))
    banks: int | None = None
    read_ports: int | None = None
    write_ports: int | None = None
    shared_ports: int | None = None
    bandwidth: Measure | None = field(default=None, metadata=measured_in(*RATE))
    read_bandwidth: Measure | None = field(default=None, metadata=measured_in(*RATE))
    write_bandwidth: Measure | None = field(default=None, metadata=measured_in(*RATE))
    latency: Measure | None = field(default=None, metadata=measured_in(*WAIT))
    write_latency: Measure | None = field(default=None, metadata=measured_in(*WAIT))
    read_energy: Measure | None = field(default=None, metadata=measured_in("energy"))
    write_energy: Measure | None = field(default=None, metadata=measured_in("energy"))
    holds: tuple[Held, ...] | None = None
    bypass: tuple[Held, ...] | None = None
    per: Multiplicity | None = None
    double_buffered: bool = False

    def op(self, name: str, parts: Sequence[Operation]) -> MemoryOp:
        """A `machine.memory`."""
        in_words = self.size is not None and self.size.dimension == "words"
        return MemoryOp(
            name,
            kind=self.kind,
            size_bits=None if in_words else whole(self.size),
            size_words=whole(self.size) if in_words else None,
            width_bits=whole(self.width),
            banks=self.banks,
            read_ports=self.read_ports,
            write_ports=self.write_ports,
            shared_ports=self.shared_ports,
            bandwidth_bits=whole(self.bandwidth),
            read_bandwidth_bits=whole(self.read_bandwidth),
            write_bandwidth_bits=whole(self.write_bandwidth),
            latency_cycles=whole(self.latency),
            write_latency_cycles=whole(self.write_latency),
            read_energy_pj=real(self.read_energy),
            write_energy_pj=real(self.write_energy),
            holds=self.holds,
            bypass=self.bypass,
            per=self.per,
            double_buffered=self.double_buffered,
        )


@dataclass(frozen=True)
class ArrayBlock:
    """`array NAME[rows, columns] { ... }`: processing elements, each with the units, memories and arrays inside.

    `array lane[4]` is one row. An array in an array gives each PE an array of its own: clusters, lanes of a vector.

    Example: `array pe[8, 8] { unit mac { multiply = u8 * i8 }, memory weight_reg { size = 1 word, holds = weight } }`
    """

    name: ClassVar[str] = ARRAY
    within: ClassVar[tuple[str, ...]] = (MACHINE, ARRAY)


@dataclass(frozen=True)
class UnitBlock:
    """`unit KIND { ... }`: a functional unit; its settings are those of the kind, see `hapir list units`.

    Example: `unit mac { multiply = u8 * i8, accumulate = i32 }`
    """

    name: ClassVar[str] = "unit"
    within: ClassVar[tuple[str, ...]] = (MACHINE, ARRAY)
