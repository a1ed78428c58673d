"""The blocks of a `machine` that describe what is around its memories and arrays: networks, FPGA devices, host CPUs.

They are written like those of `machine_blocks.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from xdsl.ir import Operation

from hapir.dialects.machine_devices import (
    CacheContents,
    CacheOp,
    FpgaOp,
    HostOp,
    InstructionSet,
    NetworkOnChipOp,
    Topology,
)
from hapir.dialects.machine_memory import Held
from hapir.spec.machine_blocks import ARRAY, HOST, MACHINE
from hapir.spec.machine_measures import RATE, WAIT, real, whole
from hapir.spec.options import Measure, measured_in


@dataclass(frozen=True)
class NetworkOnChipBlock:
    """`network_on_chip NAME { ... }`: how tensors travel between memories and arrays.

    `topology`: how it is laid out.
    `source`: names of memories or arrays of the machine, one or several. An array that is source and destination has
        links between its PEs.
    `destination`: names of memories or arrays as well.
    `carries`: the tensors that travel here; all of them where it is not said.
    `width`: of a link.
    `bandwidth`: of all of the network together.
    `latency`: of one hop.
    `hop_energy`: of one hop of `width` bits.
    `multicast`: a word reaches several destinations at once.
    `reduces`: partial sums are added on the way.

    Example: `network_on_chip inputs { topology = bus, source = buffer, destination = pe, carries = input }`
    """

    name: ClassVar[str] = "network_on_chip"
    within: ClassVar[tuple[str, ...]] = (MACHINE, ARRAY)
    refers: ClassVar[tuple[str, ...]] = ("source", "destination")
    topology: Topology
    source: tuple[str, ...]
    destination: tuple[str, ...]
    carries: tuple[Held, ...] | None = None
    width: Measure | None = field(default=None, metadata=measured_in("size"))
    bandwidth: Measure | None = field(default=None, metadata=measured_in(*RATE))
    latency: Measure | None = field(default=None, metadata=measured_in(*WAIT))
    hop_energy: Measure | None = field(default=None, metadata=measured_in("energy"))
    multicast: bool = False
    reduces: bool = False

    def op(self, name: str, parts: Sequence[Operation]) -> NetworkOnChipOp:
        """A `machine.network_on_chip`."""
        return NetworkOnChipOp(
            name,
            self.topology,
            self.source,
            self.destination,
            carries=self.carries,
            width_bits=whole(self.width),
            bandwidth_bits=whole(self.bandwidth),
            latency_cycles=whole(self.latency),
            hop_energy_pj=real(self.hop_energy),
            multicast=self.multicast,
            reduces=self.reduces,
        )


@dataclass(frozen=True)
class FpgaBlock:
    """`fpga NAME { ... }`: the resources of the device that the machine is built on.

    The memories of a machine that say how large they are must fit.

    `part`: the name of the device.
    `luts`: the number of lookup tables.
    `flip_flops`: their number.
    `lut_ram`: the memory that lookup tables can be turned into.
    `block_rams`: their number.
    `block_ram_size`: the size of one; 36 Kib where it is not said.
    `ultra_rams`: the number of UltraRAMs, of 288 Kib each.
    `dsps`: the number of multipliers.
    `pins`: the number of user pins.

    Example: `fpga pl { part = "xc7z020clg484-1", luts = 53200, flip_flops = 106400, block_rams = 140, dsps = 220 }`
    """

    name: ClassVar[str] = "fpga"
    within: ClassVar[tuple[str, ...]] = (MACHINE,)
    part: str | None = None
    luts: int | None = None
    flip_flops: int | None = None
    lut_ram: Measure | None = field(default=None, metadata=measured_in("size"))
    block_rams: int | None = None
    block_ram_size: Measure | None = field(default=None, metadata=measured_in("size"))
    ultra_rams: int | None = None
    dsps: int | None = None
    pins: int | None = None

    def op(self, name: str, parts: Sequence[Operation]) -> FpgaOp:
        """A `machine.fpga`."""
        return FpgaOp(
            name,
            part=self.part,
            luts=self.luts,
            flip_flops=self.flip_flops,
            lut_ram_bits=whole(self.lut_ram),
            block_rams=self.block_rams,
            block_ram_bits=whole(self.block_ram_size),
            ultra_rams=self.ultra_rams,
            dsps=self.dsps,
            pins=self.pins,
        )


@dataclass(frozen=True)
class HostBlock:
    """`host NAME { ... }`: a CPU, with its caches and memories inside.

    `isa`: the instruction set.
    `simd`: the width of a vector register.
    `registers`: the number of vector registers.
    `cores`: how many there are.
    `clock`: the host's own; cycles inside the block are its cycles. Without it they are those of the machine.
    `extensions`: of the instruction set, named as compilers name them.

    Example: `host cpu { isa = x86_64, simd = 256 b, registers = 16, extensions = [avx2, fma] }`
    """

    name: ClassVar[str] = HOST
    within: ClassVar[tuple[str, ...]] = (MACHINE,)
    isa: InstructionSet
    simd: Measure | None = field(default=None, metadata=measured_in("size"))
    registers: int | None = None
    cores: int | None = None
    clock: Measure | None = field(default=None, metadata=measured_in("frequency"))
    extensions: tuple[str, ...] | None = None

    def op(self, name: str, parts: Sequence[Operation]) -> HostOp:
        """A `machine.host`."""
        return HostOp(
            name,
            self.isa,
            parts,
            simd_bits=whole(self.simd),
            registers=self.registers,
            cores=self.cores,
            clock_hz=whole(self.clock),
            extensions=self.extensions,
        )


@dataclass(frozen=True)
class CacheBlock:
    """`cache NAME { ... }`: a cache of a host, the one next to the core first.

    `size`: of all of it.
    `line`: the size of a line.
    `associativity`: the number of ways.
    `keeps`: tells a data cache from an instruction cache.
    `bandwidth`: of all accesses together.
    `latency`: of a hit.
    `shared`: all cores use one; else each core has its own.

    Example: `cache l1 { size = 32 KiB, line = 64 B, associativity = 8, keeps = data, latency = 4 cycle }`
    """

    name: ClassVar[str] = "cache"
    within: ClassVar[tuple[str, ...]] = (HOST,)
    size: Measure = field(metadata=measured_in("size"))
    line: Measure | None = field(default=None, metadata=measured_in("size"))
    associativity: int | None = None
    keeps: CacheContents | None = None
    bandwidth: Measure | None = field(default=None, metadata=measured_in(*RATE))
    latency: Measure | None = field(default=None, metadata=measured_in(*WAIT))
    shared: bool = False

    def op(self, name: str, parts: Sequence[Operation]) -> CacheOp:
        """A `machine.cache`."""
        return CacheOp(
            name,
            int(self.size.value),
            keeps=self.keeps,
            line_bits=whole(self.line),
            ways=self.associativity,
            bandwidth_bits=whole(self.bandwidth),
            latency_cycles=whole(self.latency),
            shared=self.shared,
        )
