"""Entries of named pipelines: the passes in their order, and a command line that runs them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from hapir.catalogue.classes import class_entry
from hapir.catalogue.entry import Entry
from hapir.registry import universe


def pipeline_entries() -> list[Entry]:
    """The named pipelines of the registry."""
    getters: Mapping[str, Callable[[], Any]] = getattr(universe(), "pipelines", {})
    known = {name: get() for name, get in getters.items()}
    return [_entry(name, known) for name in known]


def _entry(name: str, known: Mapping[str, Any]) -> Entry:
    pipeline = known[name]
    needed = ",".join(f"{option}={value}" for option, value in _needed(pipeline.passes, known).items())
    summary = f"{pipeline.summary[0].upper()}{pipeline.summary[1:]}."
    text = f"It stands for `{pipeline.passes}`.\n\n{pipeline.reason}"
    example = f"hapir opt digits.hap -p '{name}{{{needed}}}'" if needed else f"hapir opt digits.hap -p {name}"
    return Entry("pipeline", name, summary, text, example=example, defined="hapir.pipelines")


def _needed(passes: str, known: Mapping[str, Any]) -> dict[str, str]:
    """The options that passes of a pipeline must be given, with the values of the passes' own examples."""
    values: dict[str, str] = {}
    for name in re.findall(r"(\w+)(?:\{[^}]*\})?", passes):
        if name in known:
            values |= _needed(known[name].passes, known)
        elif name in universe().all_passes:
            entry = class_entry("pass", name, universe().all_passes[name]())
            written = dict(re.findall(r"(\w+) = (\"[^\"]*\"|\w+)", entry.example or ""))
            values |= {o.name: written[o.name] for o in entry.options if o.required}
    return values
