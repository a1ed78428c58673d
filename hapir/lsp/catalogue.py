"""The catalogue as the server asks for it: entries by kind and name, their classes, and their words as Markdown."""

from __future__ import annotations

from functools import cache
from typing import Any

from hapir.catalogue import Entry, entries
from hapir.catalogue.markdown import option_table, prose
from hapir.diagnostics import HapirError
from hapir.lsp.symbols import Known
from hapir.registry import universe

_KINDS = {
    "layer": ("layers",),
    "pass": ("passes",),
    "block": ("blocks",),
    "unit": ("units",),
    "dataflow": ("dataflows",),
    "function": ("functions",),
    "quantity": ("quantities",),
    "code": ("codes",),
    "word": ("multipliers", "formats", "encodings", "evaluators", "technologies", "dataflows", "kernels"),
}
"""Where the entries of a `Known` kind are listed; a word may be of several kinds."""


@cache
def listed(kind: str) -> tuple[Entry, ...]:
    """The entries of a kind of the catalogue; they do not change while the server runs."""
    return tuple(entries(kind))


def entry_of(known: Known) -> Entry | None:
    """The entry of a word that hapir knows."""
    return next((e for kind in _KINDS.get(known.kind, ()) for e in listed(kind) if e.name == known.name), None)


def class_of(known: Known) -> type[Any] | None:
    """The dataclass whose fields are the options of a word that hapir knows."""
    everything = universe()
    fields = {
        "layer": everything.layers,
        "pass": everything.all_passes,
        "block": everything.blocks,
        "unit": everything.units,
        "dataflow": everything.dataflows,
    }
    getter = fields.get(known.kind, {}).get(known.name)
    if getter is None:
        return None
    try:
        return getter()
    except HapirError:  # a plug-in's entry that fails to load; the checker tells it where it is used
        return None


def markdown(entry: Entry) -> str:
    """An entry as Markdown."""
    law = f" ({entry.kind}, {entry.law})" if entry.law else f" ({entry.kind})"
    example = f"```hap\n{entry.example}\n```" if entry.example else ""
    parts = [f"**{entry.name}**{law}", prose(entry.summary), option_table(entry.options), prose(entry.text), example]
    return "\n\n".join(part for part in parts if part)


def option_markdown(entry: Entry, name: str) -> str | None:
    """An option of an entry as Markdown."""
    option = next((o for o in entry.options if o.name == name), None)
    if option is None:
        return None
    default = "required" if option.default is None else f"default `{option.default}`"
    said = f"\n\n{prose(option.description)}" if option.description else ""
    return f"**{name}** of the {entry.kind} `{entry.name}`: {prose(option.allowed)}; {default}{said}"
