"""The memory of a network in C as JSON and as text; `hapir compile` writes both beside the C."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from hapir.report.table import Cell, cell_text, table
from hapir.targets.c.memory import figures

if TYPE_CHECKING:
    from hapir.targets.c.emit import CArtefact


@dataclass(frozen=True)
class Memory:
    """The bytes that a network in C takes: its context, of that the arena, its constants, the weights file that it
    reads; and per step what the arena holds, the part that the step touches, and its constants."""

    context_bytes: int
    arena_bytes: int
    weight_bytes: int
    file_bytes: int
    layers: tuple[Mapping[str, Cell], ...]

    @staticmethod
    def of(artefact: CArtefact) -> Memory:
        """The figures of a network."""
        rows = tuple(figures(row) for row in artefact.layers)
        a = artefact
        return Memory(a.context_bytes, a.arena_bytes, a.weight_bytes, a.file_bytes, rows)

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields."""
        return asdict(self)

    def to_text(self) -> str:
        """The totals, then a line per step."""
        file = f", and reads {cell_text(self.file_bytes)} bytes of weights" if self.file_bytes else ""
        ram, flash = cell_text(self.context_bytes), cell_text(self.weight_bytes)
        rows = [[row[name] for name in _SHORT] for row in self.layers]
        return f"the C takes {ram} bytes of RAM and {flash} of constants{file}:\n\n{table(list(_SHORT.values()), rows)}"


_SHORT = {
    "layer": "layer",
    "kernel": "kernel",
    "live_bytes": "RAM in use",
    "arena_bytes": "of that touched",
    "weight_bytes": "constants",
}


def memory_json(artefact: CArtefact) -> dict[str, object]:
    """All figures, JSON-ready."""
    return {
        "name": artefact.name,
        "context_bytes": artefact.context_bytes,
        "arena_bytes": artefact.arena_bytes,
        "live_bytes": artefact.live_bytes,
        "weight_bytes": artefact.weight_bytes,
        "loaded_bytes": artefact.loaded_bytes,
        "file_bytes": artefact.file_bytes,
        "layers": [figures(row) for row in artefact.layers],
        "tables": [asdict(row) for row in artefact.tables],
    }


def memory_text(artefact: CArtefact) -> str:
    """The same for people."""
    name = artefact.name
    totals: list[tuple[Cell, ...]] = [
        ("RAM", f"struct {name}_ctx", artefact.context_bytes),
        ("", "of that, the arena", artefact.arena_bytes),
        ("", "values of one layer alive at once, at least", artefact.live_bytes),
        ("flash", f"constants in {name}_weights.c", artefact.weight_bytes),
    ]
    if artefact.file_bytes:
        totals += [("file", "weights that are loaded", artefact.file_bytes)]
    layers = [(i, *figures(row).values()) for i, row in enumerate(artefact.layers)]
    tables = [(t.symbol, t.ctype, t.elements, t.bytes, t.layer) for t in artefact.tables]
    return "\n\n".join(
        [
            f"{name}: the memory of the generated C in bytes",
            table(("", "what", "bytes"), totals),
            f'Layers by the number that {name}_layer_time gets. A constant counts where it is read first; "live" is\n'
            'what the arena holds while the layer runs, "arena" the part of it that the layer reads or writes.',
            table(("number", "layer", "kernel", "macs", "arena", "live", "constants", "loaded"), layers),
            "Constants, each at a multiple of 64 bytes; the linker adds what lies between.",
            table(("symbol", "type", "elements", "bytes", "layer"), tables),
        ]
    )
