"""Technology tables: energies and areas with their sources, read from `targets/technology/*.toml`.

Between published points a quantity follows a power law through the two nearest ones, beyond them the nearest segment
goes on; what was not published itself is marked `interpolated`, and `assumed` where the table says so.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from typing import Literal, cast

from hapir.diagnostics import did_you_mean, fail
from hapir.dialects.machine import MachineOp
from hapir.library import TECHNOLOGY, library_files

Standing = Literal["published", "interpolated", "assumed", "given"]
"""How sure a number is; `given` ones the machine itself says."""


@dataclass(frozen=True)
class Constant:
    """One number of an estimate: what it stands for, its unit, where it comes from, and how sure that is."""

    name: str
    value: float
    unit: str
    source: str
    standing: Standing


@dataclass(frozen=True)
class Entry:
    """One quantity of a table: a single value, or points over a size."""

    unit: str
    source: str
    assumed: bool
    word_bits: int
    value: float | None
    points: tuple[tuple[float, float], ...]
    given: bool = False


@dataclass(frozen=True)
class Technology:
    """A table by quantity."""

    name: str
    description: str
    entries: dict[str, Entry]

    def constant(self, quantity: str, label: str, size: float | None = None, scale: float = 1.0) -> Constant:
        """A quantity at a size, times `scale` (for example accesses of another width), with its source."""
        entry = self.entries[quantity]
        if entry.given and entry.value is not None:
            return Constant(label, entry.value * scale, entry.unit, entry.source, "given")
        if entry.value is not None:
            standing: Standing = "assumed" if entry.assumed else ("published" if scale == 1.0 else "interpolated")
            return Constant(label, entry.value * scale, entry.unit, entry.source, standing)
        assert size is not None
        value, exact = _power_law(entry.points, size)
        standing = "published" if exact and scale == 1.0 else "interpolated"
        return Constant(label, value * scale, entry.unit, entry.source, "assumed" if entry.assumed else standing)


def _power_law(points: tuple[tuple[float, float], ...], size: float) -> tuple[float, bool]:
    """The value at `size` on the power law through the nearest two points; whether `size` is a published point."""
    for at, value in points:
        if at == size:
            return value, True
    upper = next((i for i, (at, _) in enumerate(points) if at > size), len(points) - 1)
    (x0, y0), (x1, y1) = points[max(0, upper - 1)], points[max(1, upper)]
    slope = math.log(y1 / y0) / math.log(x1 / x0)
    return y0 * (size / x0) ** slope, False


def load_technology(machine: MachineOp) -> Technology:
    """The table of a machine, with the entries that it replaces. Raises HapirError HAP0605 where there is none."""
    tables = library_files(TECHNOLOGY)
    if machine.technology is None:
        fail("HAP0605", f"machine `{machine.sym_name.data}` names no technology, so there are no energies and areas",
             at=machine, help=f"write `technology = NAME`; there are: {', '.join(tables)}")  # fmt: skip
    name = machine.technology.data
    if name not in tables:
        fail("HAP0605", f"no technology table `{name}`", at=machine,
             help=did_you_mean(name, tables) or f"there are: {', '.join(tables)}")  # fmt: skip
    raw = tomllib.loads(tables[name].read_text(encoding="utf-8"))
    entries = {key: _entry(cast("dict[str, object]", value)) for key, value in raw.items() if isinstance(value, dict)}
    source = f"machine {machine.sym_name.data}"
    for entry, value in machine.replaced.items():
        if entry not in entries:
            fail("HAP0605", f"the technology table `{name}` has no entry `{entry}`", at=machine,
                 help=did_you_mean(entry, entries) or f"its entries are {', '.join(entries)}")  # fmt: skip
        entries[entry] = replace(entries[entry], value=value, points=(), source=source, given=True)
    return Technology(str(raw["name"]), str(raw["description"]), entries)


def _entry(raw: dict[str, object]) -> Entry:
    points = cast("dict[str, float]", raw.get("points", {}))
    return Entry(
        unit=str(raw["unit"]),
        source=str(raw["source"]),
        assumed=bool(raw.get("assumed", False)),
        word_bits=cast(int, raw.get("word_bits", 0)),
        value=cast("float | None", raw.get("value")),
        points=tuple(sorted((float(size), value) for size, value in points.items())),
    )
