"""The output-stationary dataflow, as a first-order estimate.

Every PE keeps one output: rows take output pixels, columns output channels. Activations enter from the left and weights
from the top, each row and column one cycle after the one before, and a PE adds one product per cycle. For a tile of
r pixels and c channels of a layer with L = C * R * S products per output

    fill = r + c - 2      compute = L      drain = r      (results leave row by row)

and with `overlapped` the drain of a tile runs under the next one, so only the last one counts. Memory is not
simulated: a layer takes at least the time that its traffic needs at the port, and what exceeds the array's time is
`load`. There is no hardware behind this: hapir tags the report `model`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hapir.diagnostics import fail
from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.machine import ArrayOp, MachineOp, MemoryOp, UnitOp
from hapir.dialects.nn import NetworkOp
from hapir.lowering.schedule.conv_work import ConvWork, network_work
from hapir.lowering.schedule.ws_timing import LayerCycles
from hapir.lowering.schedule.ws_traffic import Access
from hapir.targets.estimate.report import EstimateReport, LayerEstimate, Roofline
from hapir.targets.estimate.technology import Technology, load_technology
from hapir.universe import HapirUniverse


@dataclass(frozen=True)
class Tile:
    """So many tiles of `pixels` rows and `channels` columns."""

    count: int
    pixels: int
    channels: int


def tiles(work: ConvWork, rows: int, columns: int) -> Iterator[Tile]:
    """The tiles of a layer on an array, full and partial ones: four kinds at most, so the cost is constant."""
    p, q = work.conv_size
    for full_p, last_p in ((p * q // rows, 0), (0, p * q % rows)):
        for full_k, last_k in ((work.filters // columns, 0), (0, work.filters % columns)):
            count = (full_p or bool(last_p)) * (full_k or bool(last_k))
            if count:
                yield Tile(count, last_p or rows, last_k or columns)


def array_cycles(work: ConvWork, rows: int, columns: int, overlapped: bool) -> tuple[int, int]:
    """Cycles to fill and compute all tiles of a layer, and to drain them: the formula above."""
    length = work.channels * work.taps
    kinds = list(tiles(work, rows, columns))
    compute = sum(t.count * (length + t.pixels + t.channels - 2) for t in kinds)
    drain = kinds[-1].pixels if overlapped else sum(t.count * t.pixels for t in kinds)
    return compute, drain


@dataclass(frozen=True)
class Array:
    """What the estimate reads of a machine."""

    rows: int
    columns: int
    port: str
    port_bits: int
    product_bits: float
    accumulator_bits: int


def array_of(machine: MachineOp) -> Array:
    """The one array, its `mac`, and the port. Raises HapirError (HAP0601) where the machine lacks one of them."""
    ops = list(machine.walk())
    arrays = [op for op in ops if isinstance(op, ArrayOp)]
    macs = [op.mac() for op in ops if isinstance(op, UnitOp) and op.kind.data == "mac"]
    ports = [op for op in ops if isinstance(op, MemoryOp) and op.bandwidth_bits is not None]
    if len(arrays) != 1 or len(macs) != 1 or len(ports) != 1:
        fail("HAP0601", "output_stationary needs one array, one `mac` and one memory with a bandwidth", at=machine)
    assert ports[0].bandwidth_bits is not None
    activation, weight = (format.width.data for format in macs[0].multiply)
    return Array(
        arrays[0].rows.data,
        arrays[0].cols.data,
        ports[0].sym_name.data,
        ports[0].bandwidth_bits.value.data,
        (activation * weight) ** 0.5,
        macs[0].accumulate.width.data,
    )


@dataclass(frozen=True)
class OutputStationary:
    """Outputs stay in the array while activations and weights stream through it. Estimated, not emitted.

    `overlapped`: whether the results of a tile leave while the next one computes.

    Example: `dataflow = output_stationary(overlapped = true)`
    """

    name: ClassVar[str] = "output_stationary"
    overlapped: bool = False

    def estimate(
        self,
        body: NetworkOp,
        weights: Mapping[str, npt.NDArray[np.generic]],
        machine: MachineOp,
        schedule: ScheduleOp,
    ) -> EstimateReport:
        """The report of an integer body. Raises HapirError (HAP0601, HAP0607, HAP0605, HAP072x)."""
        if schedule.body.block.first_op is not None:
            fail("HAP0607", "output_stationary takes no maps", at=schedule.body.block.first_op, help="drop the `map`")
        if machine.clock_hz is None:
            fail("HAP0601", "output_stationary needs the machine's clock", at=machine, help="write `clock = 200 MHz`")
        array = array_of(machine)
        table = load_technology(machine)
        works = network_work(body, "the estimate")
        constants = (
            table.constant("integer_multiply", "multiplication in a PE", array.product_bits),
            table.constant("integer_add", "addition in a PE", array.accumulator_bits),
            table.constant(
                "dram_access",
                f"access of {array.port}",
                scale=array.port_bits / table.entries["dram_access"].word_bits,
            ),
        )
        energies = tuple(constant.value for constant in constants)
        return EstimateReport(
            network=body.sym_name.data,
            machine=machine.sym_name.data,
            basis="model",
            clock_hz=machine.clock_hz.value.data,
            layers=tuple(self._layer(work, array, *energies) for work in works),
            area_um2=_area(array, table),
            constants=constants,
        )

    def _layer(
        self, work: ConvWork, array: Array, multiply_pj: float, add_pj: float, access_pj: float
    ) -> LayerEstimate:
        compute, drain = array_cycles(work, array.rows, array.columns, self.overlapped)
        accesses = tuple(Access(array.port, t, r, w, array.port_bits) for t, r, w in _traffic(work, array))
        words = sum(a.reads + a.writes for a in accesses)
        cycles = LayerCycles(0, max(0, words - compute - drain), 0, compute, drain, 0)
        peak, moved = array.rows * array.columns, words * array.port_bits // 8
        memory = work.macs / moved * (array.port_bits // 8)
        return LayerEstimate(
            name=work.name,
            cycles=cycles,
            total_cycles=cycles.total,
            ideal_cycles=-(-work.macs // peak),
            macs_useful=work.macs,
            macs_issued=work.macs,
            utilization=work.macs / (cycles.total * peak),
            accesses=accesses,
            energy_pj={"mac": work.macs * (multiply_pj + add_pj), array.port: words * access_pj},
            roofline=Roofline(
                macs_per_byte=work.macs / moved,
                compute_macs_per_cycle=peak,
                memory_macs_per_cycle=memory,
                bound="compute" if memory >= peak else "memory",
                achieved_macs_per_cycle=work.macs / cycles.total,
            ),
        )


def _traffic(work: ConvWork, array: Array) -> list[tuple[str, int, int]]:
    """Words read and written at the port, a byte per value: each tile reads its operands, outputs leave once."""
    length, kinds = work.channels * work.taps, list(tiles(work, array.rows, array.columns))
    p, q = work.output_size
    values = {
        "input": sum(t.count * t.pixels for t in kinds) * length,
        "weight": sum(t.count * t.channels for t in kinds) * length,
        "output": work.filters * p * q,
    }
    words = {name: -(-8 * count // array.port_bits) for name, count in values.items()}
    return [(name, 0 if name == "output" else n, n if name == "output" else 0) for name, n in words.items()]


def _area(array: Array, table: Technology) -> dict[str, float]:
    pes = array.rows * array.columns
    return {
        "multipliers": pes * table.constant("integer_multiply_area", "multiplier", array.product_bits).value,
        "adders": pes * table.constant("integer_add_area", "adder", array.accumulator_bits).value,
        "accumulators": pes * array.accumulator_bits * table.constant("register_area", "register bit").value,
    }


UNIVERSE = HapirUniverse(dataflows={"output_stationary": lambda: OutputStationary})
