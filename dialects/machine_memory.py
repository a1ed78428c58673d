"""`machine.memory`: a memory as integers in bits, words, bits per cycle and cycles, and energies in picojoules.

`bandwidth` is shared by reads and writes, `read_bandwidth` and `write_bandwidth` are each its own; `latency` is that of
a read. Energies are those of one access of `width` bits, so a memory that names one has a width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    Float64Type,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    SymbolNameConstraint,
    UnitAttr,
    i64,
)
from xdsl.ir import Attribute, Operation
from xdsl.irdl import IRDLOperation, irdl_op_definition, opt_prop_def, prop_def, traits_def
from xdsl.traits import SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.assembly import Real

Held = Literal["input", "weight", "output", "psum"]
HELD: tuple[str, ...] = get_args(Held)
"""What a memory may hold: activations read, weights, activations written, partial sums."""
MemoryKind = Literal["dram", "sram", "register", "fifo"]
MEMORY_KINDS: tuple[str, ...] = get_args(MemoryKind)
"""How a memory is built: off the chip, as a block of memory, of flip-flops, or read in the order written."""

Multiplicity = Literal["pe", "row", "column"]
MULTIPLICITIES: tuple[str, ...] = get_args(Multiplicity)
"""What of an array has a memory of its own."""


def integer_attr(value: int | None) -> IntegerAttr[IntegerType] | None:
    """An `i64` attribute; None for what is not said."""
    return None if value is None else IntegerAttr(value, i64)


def strings_attr(values: Sequence[str] | None) -> ArrayAttr[StringAttr] | None:
    """An array of strings; None for what is not said."""
    return None if values is None else ArrayAttr([StringAttr(value) for value in values])


def number(attribute: IntegerAttr[IntegerType] | None) -> int | None:
    """The integer of an optional property."""
    return None if attribute is None else attribute.value.data


def verify_at_least(op: Operation, least: int, values: Mapping[str, IntegerAttr[IntegerType] | None]) -> None:
    """Refuse integers below `least`, by the name that the text of the op gives them."""
    for name, value in values.items():
        if value is not None and value.value.data < least:
            limit = "must not be negative" if least == 0 else f"must be at least {least}"
            raise VerifyException(f"{op.name}: {name} {limit}, got {value.value.data}")


def verify_tensors(what: str, names: ArrayAttr[StringAttr] | None) -> None:
    """Refuse names that are not tensors of a layer, and names given twice."""
    given = [name.data for name in names or ()]
    for tensor in given:
        if tensor not in HELD:
            raise VerifyException(f"{what} one of {', '.join(HELD)}, not {tensor}")
        if given.count(tensor) > 1:
            raise VerifyException(f"{what} {tensor} once, not {given.count(tensor)} times")


@irdl_op_definition
class MemoryOp(IRDLOperation):
    """A memory: size in bits or in words of what it holds, ports in bits per cycle, read latency in cycles.

    `holds` and `bypass` name tensors: what it keeps, and what passes it by; a tensor is not in both. In an array there
    is one `per` PE, row or column.

    Example: `machine.memory @dram kind "dram" bandwidth 64 latency 20`
    """

    name = "machine.memory"
    sym_name = prop_def(SymbolNameConstraint())
    kind = opt_prop_def(StringAttr)
    size_bits = opt_prop_def(IntegerAttr[I64])
    size_words = opt_prop_def(IntegerAttr[I64])
    width_bits = opt_prop_def(IntegerAttr[I64])
    banks = opt_prop_def(IntegerAttr[I64])
    read_ports = opt_prop_def(IntegerAttr[I64])
    write_ports = opt_prop_def(IntegerAttr[I64])
    shared_ports = opt_prop_def(IntegerAttr[I64])
    bandwidth_bits = opt_prop_def(IntegerAttr[I64])
    read_bandwidth_bits = opt_prop_def(IntegerAttr[I64])
    write_bandwidth_bits = opt_prop_def(IntegerAttr[I64])
    latency_cycles = opt_prop_def(IntegerAttr[I64])
    write_latency_cycles = opt_prop_def(IntegerAttr[I64])
    read_energy_pj = opt_prop_def(FloatAttr[Float64Type])
    write_energy_pj = opt_prop_def(FloatAttr[Float64Type])
    holds = opt_prop_def(ArrayAttr[StringAttr])
    bypass = opt_prop_def(ArrayAttr[StringAttr])
    per = opt_prop_def(StringAttr)
    double_buffered = opt_prop_def(UnitAttr)
    traits = traits_def(SymbolOpInterface())
    assembly_format = (
        "$sym_name (`kind` $kind^)? (`size` $size_bits^)? (`words` $size_words^)? (`width` $width_bits^)? "
        "(`banks` $banks^)? (`read_ports` $read_ports^)? (`write_ports` $write_ports^)? "
        "(`shared_ports` $shared_ports^)? (`bandwidth` $bandwidth_bits^)? (`read_bandwidth` $read_bandwidth_bits^)? "
        "(`write_bandwidth` $write_bandwidth_bits^)? (`latency` $latency_cycles^)? "
        "(`write_latency` $write_latency_cycles^)? (`read_energy` custom<Real>($read_energy_pj)^)? "
        "(`write_energy` custom<Real>($write_energy_pj)^)? (`holds` $holds^)? (`bypass` $bypass^)? (`per` $per^)? "
        "(`double_buffered` $double_buffered^)? attr-dict"
    )
    custom_directives = (Real,)

    def __init__(
        self,
        name: str,
        *,
        kind: str | None = None,
        size_bits: int | None = None,
        size_words: int | None = None,
        width_bits: int | None = None,
        banks: int | None = None,
        read_ports: int | None = None,
        write_ports: int | None = None,
        shared_ports: int | None = None,
        bandwidth_bits: int | None = None,
        read_bandwidth_bits: int | None = None,
        write_bandwidth_bits: int | None = None,
        latency_cycles: int | None = None,
        write_latency_cycles: int | None = None,
        read_energy_pj: float | None = None,
        write_energy_pj: float | None = None,
        holds: Sequence[str] | None = None,
        bypass: Sequence[str] | None = None,
        per: str | None = None,
        double_buffered: bool = False,
    ):
        properties: dict[str, Attribute | None] = {
            "sym_name": StringAttr(name),
            "kind": None if kind is None else StringAttr(kind),
            "size_bits": integer_attr(size_bits),
            "size_words": integer_attr(size_words),
            "width_bits": integer_attr(width_bits),
            "banks": integer_attr(banks),
            "read_ports": integer_attr(read_ports),
            "write_ports": integer_attr(write_ports),
            "shared_ports": integer_attr(shared_ports),
            "bandwidth_bits": integer_attr(bandwidth_bits),
            "read_bandwidth_bits": integer_attr(read_bandwidth_bits),
            "write_bandwidth_bits": integer_attr(write_bandwidth_bits),
            "latency_cycles": integer_attr(latency_cycles),
            "write_latency_cycles": integer_attr(write_latency_cycles),
            "read_energy_pj": None if read_energy_pj is None else FloatAttr(read_energy_pj, 64),
            "write_energy_pj": None if write_energy_pj is None else FloatAttr(write_energy_pj, 64),
            "holds": strings_attr(holds),
            "bypass": strings_attr(bypass),
            "per": None if per is None else StringAttr(per),
            "double_buffered": UnitAttr() if double_buffered else None,
        }
        super().__init__(properties=properties)

    @property
    def multiplicity(self) -> str:
        """What has one: as the memory says, else columns for partial sums alone, and PEs for the rest."""
        if self.per is not None:
            return self.per.data
        return "column" if [held.data for held in self.holds or ()] == ["psum"] else "pe"

    def verify_(self) -> None:
        if self.kind is not None and self.kind.data not in MEMORY_KINDS:
            raise VerifyException(f"the kind of a memory is one of {', '.join(MEMORY_KINDS)}, not {self.kind.data}")
        if self.per is not None and self.per.data not in MULTIPLICITIES:
            raise VerifyException(f"a memory is one per {', '.join(MULTIPLICITIES)}, not per {self.per.data}")
        verify_at_least(
            self,
            1,
            {
                "size": self.size_bits,
                "words": self.size_words,
                "width": self.width_bits,
                "banks": self.banks,
                "bandwidth": self.bandwidth_bits,
                "read_bandwidth": self.read_bandwidth_bits,
                "write_bandwidth": self.write_bandwidth_bits,
            },
        )
        verify_at_least(
            self,
            0,
            {
                "latency": self.latency_cycles,
                "write_latency": self.write_latency_cycles,
                "read_ports": self.read_ports,
                "write_ports": self.write_ports,
                "shared_ports": self.shared_ports,
            },
        )
        self._verify_alternatives()
        verify_tensors("a memory holds", self.holds)
        verify_tensors("a memory is bypassed by", self.bypass)
        both = [held.data for held in self.holds or () if held in (self.bypass or ())]
        if both:
            raise VerifyException(f"{', '.join(both)} is held and bypasses the memory at once")

    def _verify_alternatives(self) -> None:
        """What excludes or needs something else."""
        if self.size_bits is not None and self.size_words is not None:
            raise VerifyException("the size of a memory is in bits or in words, not in both")
        split = self.read_bandwidth_bits is not None or self.write_bandwidth_bits is not None
        if self.bandwidth_bits is not None and split:
            raise VerifyException(
                "bandwidth is shared by reads and writes; give it, or read_bandwidth and write_bandwidth"
            )
        ports = [number(p) for p in (self.read_ports, self.write_ports, self.shared_ports)]
        if any(p is not None for p in ports) and not any(ports):
            raise VerifyException("a memory has at least one port")
        energies = {"read_energy": self.read_energy_pj, "write_energy": self.write_energy_pj}
        for name, energy in energies.items():
            if energy is None:
                continue
            if not 0 <= energy.value.data < float("inf"):
                raise VerifyException(f"{name} must not be negative, got {energy.value.data}")
            if self.width_bits is None:
                raise VerifyException(f"{name} is that of an access of `width` bits; the memory has no width")
