"""Where the time of a network in C goes, layer by layer, against what the computer can do at best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from hapir.report.table import table

if TYPE_CHECKING:
    from hapir.targets.c.emit import CArtefact
    from hapir.targets.c.memory import LayerRow
    from hapir.targets.c.profile import Times


class Limits(Protocol):
    """What a computer can do: multiply-accumulates per second by contraction, bytes per second by how many they are."""

    @property
    def macs(self) -> Mapping[str, float]:
        """By the contraction's name."""
        ...

    def bandwidth(self, size_bytes: int) -> float:
        """Of reading so many bytes again and again."""
        ...


@dataclass(frozen=True)
class ProfileRow:
    """A layer, or layers joined into one: median seconds, their share of all, billions of operations per second.

    A multiply-accumulate is two operations; those with zero weights count. `roofline` is the time that the layer would
    take at the peak of its products, or at the bandwidth of the memory that its data come from where that is more, as a
    share of the time that it takes; `bound` says which of the two it is. Kernels that multiply less than the layer says
    can pass 1; layers that move data cannot, also where they read only a part of it.
    """

    layers: str
    kernels: str
    seconds: float
    share: float
    gops: float
    roofline: float
    bound: str


@dataclass(frozen=True)
class Profile:
    """The rows in order, the seconds of a whole run without the hooks, and the peaks in GOPS by kind of product."""

    rows: tuple[ProfileRow, ...]
    seconds: float
    gops: float
    peaks: dict[str, float]

    @property
    def layers_seconds(self) -> float:
        """The sum over the layers: that of the whole run, up to noise."""
        return sum(row.seconds for row in self.rows)

    def to_json(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "seconds": self.seconds,
            "layers_seconds": self.layers_seconds,
            "gops": self.gops,
            "peaks": self.peaks,
            "layers": [asdict(row) for row in self.rows],
        }

    def to_text(self) -> str:
        """A table, and how its sum compares with a whole run."""
        rows = [
            (r.layers, r.kernels, _microseconds(r.seconds), f"{100 * r.share:.1f} %", f"{r.gops:.1f}", *_roof(r))
            for r in self.rows
        ]
        header = ("layers", "kernels", "time", "share", "GOPS", "of the roofline", "bound by")
        peaks = ", ".join(f"{name} {gops:.0f} GOPS" for name, gops in self.peaks.items())
        lines = [
            f"one run {_microseconds(self.seconds)}, the layers add up to {_microseconds(self.layers_seconds)}, "
            f"{self.gops:.1f} GOPS",
            *([f"peaks of this computer: {peaks}"] if peaks else []),
        ]
        return "\n".join([table(header, rows), *lines])


def _roof(row: ProfileRow) -> tuple[str, str]:
    return f"{100 * row.roofline:.0f} %", row.bound


def _microseconds(seconds: float) -> str:
    return f"{1e6 * seconds:.2f} us" if seconds < 1e-3 else f"{1e3 * seconds:.3f} ms"


def profile_of(artefact: CArtefact, times: Times, peaks: Limits) -> Profile:
    """The profile of measured times."""
    steps = list(zip(artefact.layers, times.steps, strict=True))
    total = sum(times.steps)
    # constants are read once per run, so they come from where all of them lie
    constants = peaks.bandwidth(artefact.weight_bytes + artefact.loaded_bytes)
    values = peaks.bandwidth(artefact.arena_bytes)

    def bounds(row: LayerRow) -> tuple[float, float]:
        work = row.work
        compute = 0.0 if work.contraction is None else row.macs / peaks.macs[work.contraction.name]
        return compute, work.constant_bytes / constants + work.value_bytes / values

    def line(joined: Sequence[tuple[LayerRow, float]]) -> ProfileRow:
        seconds = sum(time for _, time in joined)
        limits = [bounds(row) for row, _ in joined]
        compute, memory = (sum(limit[i] for limit in limits) for i in (0, 1))
        macs = sum(row.macs for row, _ in joined)
        return ProfileRow(
            "+".join(joined[0][0].work.layers),
            "+".join(dict.fromkeys(row.kernel for row, _ in joined)),
            seconds,
            seconds / total if total else 0.0,
            _gops(macs, seconds),
            max(compute, min(sum(map(max, limits)), seconds)) / seconds if seconds else 0.0,
            "compute" if compute > memory else "memory",
        )

    groups: Iterable[list[tuple[LayerRow, float]]] = (
        list(group) for _, group in groupby(steps, key=lambda step: step[0].work.layers)
    )
    macs = sum(row.macs for row in artefact.layers)
    shown = {name: 2e-9 * rate for name, rate in peaks.macs.items()}
    return Profile(tuple(line(group) for group in groups), times.whole, _gops(macs, times.whole), shown)


def _gops(macs: int, seconds: float) -> float:
    return 2e-9 * macs / seconds if seconds else 0.0
