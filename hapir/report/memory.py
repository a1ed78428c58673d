"""The memory of a network in C as JSON and as text; `hapir compile` writes both beside the C."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from hapir.report.table import Cell, table
from hapir.targets.c.memory import figures

if TYPE_CHECKING:
    from hapir.targets.c.emit import CArtefact


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
