"""Hardware: memories, arrays of processing elements and their units, networks-on-chip, FPGA devices and host CPUs.

Rationale. A machine is a symbol with a body of parts; an array has its own memories, units and inner arrays, one per
PE (or, where they `hold` partial sums, one per column), a host its caches. All sizes are integers in stated units:
bits, bits per cycle, cycles, hertz; `size_words` counts data of what the memory holds where the spec says `word`. What
is not known is left out and never guessed: a board has no clock, a published chip often no energies. Emitters and
estimates refuse a machine that lacks what they need. The parts lie in files of their own: `machine_memory`,
`machine_units`, `machine_devices`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from xdsl.dialects.builtin import (
    I64,
    AnyFloat,
    DictionaryAttr,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    f64,
)
from xdsl.ir import Block, Dialect, Operation, Region
from xdsl.irdl import IRDLOperation, irdl_op_definition, opt_prop_def, prop_def, region_def, traits_def
from xdsl.traits import HasParent, NoTerminator, SymbolOpInterface, SymbolTable
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.assembly import Body, Grid
from hapir.dialects.machine_devices import CacheOp, FpgaOp, HostOp, NetworkOnChipOp
from hapir.dialects.machine_memory import MemoryOp, integer_attr, verify_at_least
from hapir.dialects.machine_units import UnitOp


@irdl_op_definition
class ArrayOp(IRDLOperation):
    """A two-dimensional array of processing elements with the units, memories and arrays of each.

    Example: `machine.array @pe 8 x 8 { machine.memory @weight_reg words 1 holds ["weight"] }`
    """

    name = "machine.array"
    sym_name = prop_def(SymbolNameConstraint())
    rows = prop_def(IntAttr)
    cols = prop_def(IntAttr)
    body = region_def("single_block")
    traits = traits_def(SymbolOpInterface(), SymbolTable(), NoTerminator())
    assembly_format = "$sym_name custom<Grid>($rows, $cols) attr-dict-with-keyword custom<Body>($body)"
    custom_directives = (Grid, Body)

    def __init__(self, name: str, rows: int, cols: int, body: Sequence[Operation]):
        super().__init__(
            properties={"sym_name": StringAttr(name), "rows": IntAttr(rows), "cols": IntAttr(cols)},
            regions=[Region(Block(body))],
        )

    def verify_(self) -> None:
        if self.rows.data < 1 or self.cols.data < 1:
            raise VerifyException(f"an array has at least one row and column, got {self.rows.data} x {self.cols.data}")


@irdl_op_definition
class MachineOp(IRDLOperation):
    """A machine: technology table, clock in hertz, and its parts.

    `overrides` replaces entries of the technology table, each in the table's own unit.

    Example: `machine.machine @tiny technology "cmos45" clock 200000000 { machine.memory @dram bandwidth 64 }`
    """

    name = "machine.machine"
    sym_name = prop_def(SymbolNameConstraint())
    technology = opt_prop_def(StringAttr)
    overrides = opt_prop_def(DictionaryAttr)
    clock_hz = opt_prop_def(IntegerAttr[I64])
    body = region_def("single_block")
    traits = traits_def(SymbolOpInterface(), SymbolTable(), NoTerminator())
    assembly_format = (
        "$sym_name (`technology` $technology^)? (`overrides` $overrides^)? (`clock` $clock_hz^)? "
        "attr-dict-with-keyword custom<Body>($body)"
    )
    custom_directives = (Body,)

    def __init__(
        self,
        name: str,
        technology: str | None,
        clock_hz: int | None,
        body: Sequence[Operation],
        overrides: Mapping[str, float] | None = None,
    ):
        replaced = {key: FloatAttr(value, 64) for key, value in (overrides or {}).items()}
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "technology": None if technology is None else StringAttr(technology),
                "overrides": DictionaryAttr(replaced) if replaced else None,
                "clock_hz": integer_attr(clock_hz),
            },
            regions=[Region(Block(body))],
        )

    @property
    def replaced(self) -> dict[str, float]:
        """The entries of the technology table that this machine replaces."""
        entries = () if self.overrides is None else self.overrides.data.items()
        return {name: value.value.data for name, value in entries if isinstance(value, FloatAttr)}

    def verify_(self) -> None:
        verify_at_least(self, 1, {"clock": self.clock_hz})
        if self.overrides is not None and self.technology is None:
            raise VerifyException("there is no technology table whose entries the machine could replace")
        for name, value in () if self.overrides is None else self.overrides.data.items():
            number = cast("FloatAttr[AnyFloat]", value) if isinstance(value, FloatAttr) else None
            if number is None or number.type != f64 or not 0 <= number.value.data < float("inf"):
                raise VerifyException(f"the technology entry {name} is a number of f64 and not negative, got {value}")
        places = {op.sym_name.data for op in self.body.walk() if isinstance(op, MemoryOp | ArrayOp)}
        for op in self.body.walk():
            if isinstance(op, NetworkOnChipOp):
                for end in (*op.source, *op.destination):
                    if end.data not in places:
                        raise VerifyException(
                            f"{op.sym_name.data} connects {end.data}, which is no memory or array of the machine"
                        )


MemoryOp.traits.add_trait(HasParent(MachineOp, ArrayOp, HostOp))
UnitOp.traits.add_trait(HasParent(MachineOp, ArrayOp))
ArrayOp.traits.add_trait(HasParent(MachineOp, ArrayOp))
NetworkOnChipOp.traits.add_trait(HasParent(MachineOp, ArrayOp))
FpgaOp.traits.add_trait(HasParent(MachineOp))
HostOp.traits.add_trait(HasParent(MachineOp))

Machine = Dialect("machine", [MachineOp, MemoryOp, ArrayOp, UnitOp, NetworkOnChipOp, FpgaOp, HostOp, CacheOp], [])
