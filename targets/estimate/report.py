"""The estimate as data, and as a table for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from hapir.lowering.schedule.ws_timing import LayerCycles
from hapir.lowering.schedule.ws_traffic import Access
from hapir.targets.estimate.technology import Constant


@dataclass(frozen=True)
class Roofline:
    """Operations per byte of outside traffic, the two ceilings, and which one holds (MACs per cycle)."""

    macs_per_byte: float
    compute_macs_per_cycle: int
    memory_macs_per_cycle: float
    bound: str
    achieved_macs_per_cycle: float


@dataclass(frozen=True)
class LayerEstimate:
    """One layer: cycles by cause, MACs, accesses, energy by component in pJ, utilization of the array 0..1."""

    name: str
    cycles: LayerCycles
    total_cycles: int
    ideal_cycles: int
    macs_useful: int
    macs_issued: int
    utilization: float
    accesses: tuple[Access, ...]
    energy_pj: dict[str, float]
    roofline: Roofline

    @property
    def total_energy_pj(self) -> float:
        """All components together."""
        return sum(self.energy_pj.values())


@dataclass(frozen=True)
class EstimateReport:
    """What a network costs on a machine. `basis` is `emitted` where the cycles are those of hapir's own RTL."""

    network: str
    machine: str
    basis: str
    clock_hz: int
    layers: tuple[LayerEstimate, ...]
    area_um2: dict[str, float]
    constants: tuple[Constant, ...]

    @property
    def total_cycles(self) -> int:
        """Cycles from start to done."""
        return sum(layer.total_cycles for layer in self.layers)

    @property
    def total_energy_pj(self) -> float:
        """Energy of one run."""
        return sum(layer.total_energy_pj for layer in self.layers)

    @property
    def latency_s(self) -> float:
        """Time of one run."""
        return self.total_cycles / self.clock_hz

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict, with the totals."""
        totals: dict[str, object] = {
            "total_cycles": self.total_cycles,
            "total_energy_pj": self.total_energy_pj,
            "latency_s": self.latency_s,
            "total_area_um2": sum(self.area_um2.values()),
        }
        return {**asdict(self), **totals}

    def to_text(self) -> str:
        """Tables for a terminal: cycles by cause, traffic, energy, constants with sources."""
        return "\n\n".join((self._summary(), self._cycles(), self._energy(), self._traffic(), self._constants()))

    def _summary(self) -> str:
        area = sum(self.area_um2.values())
        return (
            f"{self.network} on {self.machine} ({self.basis}): {self.total_cycles} cycles, "
            f"{self.latency_s * 1e6:.1f} us at {self.clock_hz / 1e6:g} MHz, "
            f"{self.total_energy_pj / 1e6:.3f} uJ, {area / 1e6:.3f} mm2"
        )

    def _cycles(self) -> str:
        header = ["layer", "cycles", "fetch", "load", "weights", "compute", "drain", "store", "ideal", "utilization",
                  "MACs", "MAC/B", "bound"]  # fmt: skip
        rows: list[list[str]] = []
        for e in self.layers:
            c = e.cycles
            parts = (e.total_cycles, c.fetch, c.load, c.weights, c.compute, c.drain, c.store, e.ideal_cycles)
            rows.append(
                [
                    e.name,
                    *map(str, parts),
                    f"{e.utilization:.1%}",
                    str(e.macs_useful),
                    f"{e.roofline.macs_per_byte:.1f}",
                    e.roofline.bound,
                ]
            )
        return aligned([header, *rows])

    def _energy(self) -> str:
        components = sorted({name for e in self.layers for name in e.energy_pj})
        rows = [[e.name, *(f"{e.energy_pj[c] / 1e3:.2f}" for c in components)] for e in self.layers]
        return aligned([["energy nJ", *components], *rows])

    def _traffic(self) -> str:
        rows = [["accesses", "memory", "tensor", "reads", "writes", "word"]]
        for e in self.layers:
            rows += [
                [e.name, a.memory, a.tensor, str(a.reads), str(a.writes), f"{a.word_bits} b"]
                for a in e.accesses
                if a.reads or a.writes
            ]
        return aligned(rows)

    def _constants(self) -> str:
        rows = [["constant", "value", "standing", "source"]]
        rows += [[c.name, f"{c.value:.4g} {c.unit}", c.standing, c.source] for c in self.constants]
        return aligned(rows)


def aligned(rows: list[list[str]]) -> str:
    """Columns padded to equal width: the first and the last to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines: list[str] = []
    for row in rows:
        cells = [
            cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
