"""Parts of a machine that are no memory and compute nothing: networks-on-chip, FPGA devices, host CPUs and caches.

They describe what is there, so that a mapper can place data and a check can say what does not fit. All sizes are
integers in bits, bits per cycle, cycles and hertz; resources of a device are counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    Float64Type,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    UnitAttr,
)
from xdsl.ir import Block, Operation, Region
from xdsl.irdl import IRDLOperation, irdl_op_definition, opt_prop_def, prop_def, region_def, traits_def
from xdsl.traits import HasParent, NoTerminator, SymbolOpInterface, SymbolTable
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.assembly import Body, Real
from hapir.dialects.machine_memory import integer_attr, strings_attr, verify_at_least, verify_tensors

Topology = Literal["bus", "broadcast", "systolic", "mesh", "torus", "ring", "tree", "crossbar", "point_to_point"]
TOPOLOGIES: tuple[str, ...] = get_args(Topology)
"""Shapes of a network-on-chip."""
InstructionSet = Literal["x86_64", "aarch64", "armv7", "armv7e_m", "riscv32", "riscv64", "generic"]
INSTRUCTION_SETS: tuple[str, ...] = get_args(InstructionSet)
"""Instruction sets of a host."""
CacheContents = Literal["data", "instructions", "unified"]
CACHE_CONTENTS: tuple[str, ...] = get_args(CacheContents)
"""What a cache keeps."""
BLOCK_RAM_BITS = 36 * 1024
"""Bits of one block RAM where a device does not say it: those of AMD since the Virtex-5 (UG190, UG473, UG573)."""
LUT_RAM_BITS = 64
"""Bits of one lookup table of six inputs that is used as memory (UG474, UG574)."""
ULTRA_RAM_BITS = 288 * 1024
"""Bits of one UltraRAM block (UG573)."""


def _one_of(what: str, value: StringAttr, known: Sequence[str]) -> None:
    if value.data not in known:
        raise VerifyException(f"{what} is one of {', '.join(known)}, not {value.data}")


@irdl_op_definition
class NetworkOnChipOp(IRDLOperation):
    """A network that carries tensors from some memories or arrays to others.

    `width` is that of a link; `hop_energy` that of `width` bits over one hop, `latency` that of one hop. `multicast`
    says that one word reaches several destinations at the price of one, `reduces` that partial sums are added on the
    way.

    Example: `machine.network_on_chip @gin topology "bus" from ["glb"] to ["pe"] carries ["input"] width 16 multicast`
    """

    name = "machine.network_on_chip"
    sym_name = prop_def(SymbolNameConstraint())
    topology = prop_def(StringAttr)
    source = prop_def(ArrayAttr[StringAttr])
    destination = prop_def(ArrayAttr[StringAttr])
    carries = opt_prop_def(ArrayAttr[StringAttr])
    width_bits = opt_prop_def(IntegerAttr[I64])
    bandwidth_bits = opt_prop_def(IntegerAttr[I64])
    latency_cycles = opt_prop_def(IntegerAttr[I64])
    hop_energy_pj = opt_prop_def(FloatAttr[Float64Type])
    multicast = opt_prop_def(UnitAttr)
    reduces = opt_prop_def(UnitAttr)
    traits = traits_def(SymbolOpInterface())
    assembly_format = (
        "$sym_name `topology` $topology `from` $source `to` $destination (`carries` $carries^)? "
        "(`width` $width_bits^)? (`bandwidth` $bandwidth_bits^)? (`latency` $latency_cycles^)? "
        "(`hop_energy` custom<Real>($hop_energy_pj)^)? (`multicast` $multicast^)? (`reduces` $reduces^)? attr-dict"
    )
    custom_directives = (Real,)

    def __init__(
        self,
        name: str,
        topology: str,
        source: Sequence[str],
        destination: Sequence[str],
        *,
        carries: Sequence[str] | None = None,
        width_bits: int | None = None,
        bandwidth_bits: int | None = None,
        latency_cycles: int | None = None,
        hop_energy_pj: float | None = None,
        multicast: bool = False,
        reduces: bool = False,
    ):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "topology": StringAttr(topology),
                "source": strings_attr(source),
                "destination": strings_attr(destination),
                "carries": strings_attr(carries),
                "width_bits": integer_attr(width_bits),
                "bandwidth_bits": integer_attr(bandwidth_bits),
                "latency_cycles": integer_attr(latency_cycles),
                "hop_energy_pj": None if hop_energy_pj is None else FloatAttr(hop_energy_pj, 64),
                "multicast": UnitAttr() if multicast else None,
                "reduces": UnitAttr() if reduces else None,
            }
        )

    def verify_(self) -> None:
        _one_of("the topology of a network-on-chip", self.topology, TOPOLOGIES)
        if not self.source.data or not self.destination.data:
            raise VerifyException("a network-on-chip has a source and a destination")
        verify_tensors("a network-on-chip carries", self.carries)
        verify_at_least(self, 1, {"width": self.width_bits, "bandwidth": self.bandwidth_bits})
        verify_at_least(self, 0, {"latency": self.latency_cycles})
        if self.hop_energy_pj is None:
            return
        if not 0 <= self.hop_energy_pj.value.data < float("inf"):
            raise VerifyException(f"hop_energy must not be negative, got {self.hop_energy_pj.value.data}")
        if self.width_bits is None:
            raise VerifyException("hop_energy is that of `width` bits over one hop; the network has no width")


@irdl_op_definition
class FpgaOp(IRDLOperation):
    """What an FPGA device offers: lookup tables, flip-flops, memory blocks, multipliers, pins.

    Example: `machine.fpga @pl part "xc7z020clg484-1" luts 53200 flip_flops 106400 block_rams 140 dsps 220`
    """

    name = "machine.fpga"
    sym_name = prop_def(SymbolNameConstraint())
    part = opt_prop_def(StringAttr)
    luts = opt_prop_def(IntegerAttr[I64])
    flip_flops = opt_prop_def(IntegerAttr[I64])
    lut_ram_bits = opt_prop_def(IntegerAttr[I64])
    block_rams = opt_prop_def(IntegerAttr[I64])
    block_ram_bits = opt_prop_def(IntegerAttr[I64])
    ultra_rams = opt_prop_def(IntegerAttr[I64])
    dsps = opt_prop_def(IntegerAttr[I64])
    pins = opt_prop_def(IntegerAttr[I64])
    traits = traits_def(SymbolOpInterface())
    assembly_format = (
        "$sym_name (`part` $part^)? (`luts` $luts^)? (`flip_flops` $flip_flops^)? (`lut_ram` $lut_ram_bits^)? "
        "(`block_rams` $block_rams^)? (`block_ram_size` $block_ram_bits^)? (`ultra_rams` $ultra_rams^)? "
        "(`dsps` $dsps^)? (`pins` $pins^)? attr-dict"
    )

    def __init__(
        self,
        name: str,
        *,
        part: str | None = None,
        luts: int | None = None,
        flip_flops: int | None = None,
        lut_ram_bits: int | None = None,
        block_rams: int | None = None,
        block_ram_bits: int | None = None,
        ultra_rams: int | None = None,
        dsps: int | None = None,
        pins: int | None = None,
    ):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "part": None if part is None else StringAttr(part),
                "luts": integer_attr(luts),
                "flip_flops": integer_attr(flip_flops),
                "lut_ram_bits": integer_attr(lut_ram_bits),
                "block_rams": integer_attr(block_rams),
                "block_ram_bits": integer_attr(block_ram_bits),
                "ultra_rams": integer_attr(ultra_rams),
                "dsps": integer_attr(dsps),
                "pins": integer_attr(pins),
            }
        )

    @property
    def memory_bits(self) -> int | None:
        """Bits of block RAM, UltraRAM and LUT RAM together, at most; None where the device does not say its block RAMs.

        Where it does not say its LUT RAM, each of its lookup tables counts: no device has more.
        """
        if self.block_rams is None:
            return None
        block = BLOCK_RAM_BITS if self.block_ram_bits is None else self.block_ram_bits.value.data
        ultra = 0 if self.ultra_rams is None else self.ultra_rams.value.data
        tables = 0 if self.luts is None else self.luts.value.data * LUT_RAM_BITS
        lut_ram = tables if self.lut_ram_bits is None else self.lut_ram_bits.value.data
        return self.block_rams.value.data * block + ultra * ULTRA_RAM_BITS + lut_ram

    def verify_(self) -> None:
        verify_at_least(self, 1, {"luts": self.luts, "block_ram_size": self.block_ram_bits})
        verify_at_least(
            self,
            0,
            {
                "flip_flops": self.flip_flops,
                "lut_ram": self.lut_ram_bits,
                "block_rams": self.block_rams,
                "ultra_rams": self.ultra_rams,
                "dsps": self.dsps,
                "pins": self.pins,
            },
        )


@irdl_op_definition
class HostOp(IRDLOperation):
    """A CPU: instruction set, width and number of its SIMD registers, cores, clock, extensions, caches and memories.

    Example: `machine.host @cpu isa "x86_64" simd 256 registers 16 extensions ["avx2"] {}`
    """

    name = "machine.host"
    sym_name = prop_def(SymbolNameConstraint())
    isa = prop_def(StringAttr)
    simd_bits = opt_prop_def(IntegerAttr[I64])
    registers = opt_prop_def(IntegerAttr[I64])
    cores = opt_prop_def(IntegerAttr[I64])
    clock_hz = opt_prop_def(IntegerAttr[I64])
    extensions = opt_prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")
    traits = traits_def(SymbolOpInterface(), SymbolTable(), NoTerminator())
    assembly_format = (
        "$sym_name `isa` $isa (`simd` $simd_bits^)? (`registers` $registers^)? (`cores` $cores^)? "
        "(`clock` $clock_hz^)? (`extensions` $extensions^)? attr-dict-with-keyword custom<Body>($body)"
    )
    custom_directives = (Body,)

    def __init__(
        self,
        name: str,
        isa: str,
        body: Sequence[Operation],
        *,
        simd_bits: int | None = None,
        registers: int | None = None,
        cores: int | None = None,
        clock_hz: int | None = None,
        extensions: Sequence[str] | None = None,
    ):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "isa": StringAttr(isa),
                "simd_bits": integer_attr(simd_bits),
                "registers": integer_attr(registers),
                "cores": integer_attr(cores),
                "clock_hz": integer_attr(clock_hz),
                "extensions": strings_attr(extensions),
            },
            regions=[Region(Block(body))],
        )

    def verify_(self) -> None:
        _one_of("the instruction set of a host", self.isa, INSTRUCTION_SETS)
        verify_at_least(
            self,
            1,
            {"simd": self.simd_bits, "registers": self.registers, "cores": self.cores, "clock": self.clock_hz},
        )


@irdl_op_definition
class CacheOp(IRDLOperation):
    """A cache of a host, the one next to the core first: size and line in bits, ways, bandwidth and latency.

    `shared` says that all cores use one; else each core has its own.

    Example: `machine.cache @l1 keeps "data" size 262144 line 512 ways 8`
    """

    name = "machine.cache"
    sym_name = prop_def(SymbolNameConstraint())
    keeps = opt_prop_def(StringAttr)
    size_bits = prop_def(IntegerAttr[I64])
    line_bits = opt_prop_def(IntegerAttr[I64])
    ways = opt_prop_def(IntegerAttr[I64])
    bandwidth_bits = opt_prop_def(IntegerAttr[I64])
    latency_cycles = opt_prop_def(IntegerAttr[I64])
    shared = opt_prop_def(UnitAttr)
    traits = traits_def(SymbolOpInterface(), HasParent(HostOp))
    assembly_format = (
        "$sym_name (`keeps` $keeps^)? `size` $size_bits (`line` $line_bits^)? (`ways` $ways^)? "
        "(`bandwidth` $bandwidth_bits^)? (`latency` $latency_cycles^)? (`shared` $shared^)? attr-dict"
    )

    def __init__(
        self,
        name: str,
        size_bits: int,
        *,
        keeps: str | None = None,
        line_bits: int | None = None,
        ways: int | None = None,
        bandwidth_bits: int | None = None,
        latency_cycles: int | None = None,
        shared: bool = False,
    ):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "keeps": None if keeps is None else StringAttr(keeps),
                "size_bits": integer_attr(size_bits),
                "line_bits": integer_attr(line_bits),
                "ways": integer_attr(ways),
                "bandwidth_bits": integer_attr(bandwidth_bits),
                "latency_cycles": integer_attr(latency_cycles),
                "shared": UnitAttr() if shared else None,
            }
        )

    def verify_(self) -> None:
        if self.keeps is not None:
            _one_of("what a cache keeps", self.keeps, CACHE_CONTENTS)
        sizes = {"size": self.size_bits, "line": self.line_bits, "ways": self.ways, "bandwidth": self.bandwidth_bits}
        verify_at_least(self, 1, sizes)
        verify_at_least(self, 0, {"latency": self.latency_cycles})
        line = 1 if self.line_bits is None else self.line_bits.value.data
        ways = 1 if self.ways is None else self.ways.value.data
        size = self.size_bits.value.data
        if size % (line * ways):
            raise VerifyException(f"a cache of {size} bit is not made of {ways} ways of whole lines of {line} bit")
