"""What hapir knows, as data for `hapir list`, `hapir help`, the language server and the reference pages.

Every word comes from docstrings, typed options and the library's files; nothing is written twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from xdsl.ir import Dialect

from hapir.catalogue.classes import class_entry
from hapir.catalogue.dialects import dialect_entry, op_entry
from hapir.catalogue.entry import Entry, Option
from hapir.catalogue.library import library_entries, technology_entries, template_entries
from hapir.catalogue.loading import loaded
from hapir.catalogue.pipelines import pipeline_entries
from hapir.catalogue.topics import function_entries, topic_entries
from hapir.catalogue.words import code_entries, command_entries, format_entries, quantity_entries
from hapir.diagnostics import HapirError, did_you_mean, fail
from hapir.dialects import kernel_kinds
from hapir.registry import universe

__all__ = ["KINDS", "Entry", "Kind", "Option", "entries", "everything", "find", "related"]


def _registered(field: str, kind: str) -> list[Entry]:
    """The classes of a field of the registry; none where the registry has no such field."""
    getters: Mapping[str, Callable[[], type[Any]]] = getattr(universe(), field, {})
    return list(loaded(kind, getters, lambda name, cls: class_entry(kind, name, cls)))


def _with_module(kind: str, getters: Mapping[str, Callable[[], type[Any]]]) -> Iterable[Entry]:
    """Classes whose module tells their law or purpose."""
    return loaded(kind, getters, lambda name, cls: class_entry(kind, name, cls, with_module=True))


def _kernels() -> list[Entry]:
    return [class_entry("kernel", name, cls) for name, cls in kernel_kinds.KINDS.items()]


def _dialects() -> list[Dialect]:
    """The dialects that load; the list of dialects says what is wrong with the others."""
    found: list[Dialect] = []
    for get in universe().all_dialects.values():
        with suppress(HapirError):
            found.append(get())
    return found


@dataclass(frozen=True)
class Kind:
    """A kind of entries: what they are for, in words, and how they are listed."""

    what: str
    list: Callable[[], Iterable[Entry]]


KINDS: dict[str, Kind] = {
    "topics": Kind("the language, part by part", topic_entries),
    "passes": Kind(
        "steps of a recipe, and of `hapir opt`",
        lambda: _with_module("pass", universe().all_passes),
    ),
    "pipelines": Kind("passes in an order that works, for `hapir opt -p`", pipeline_entries),
    "layers": Kind("statements of a network", lambda: _registered("layers", "layer")),
    "blocks": Kind("what a machine is made of", lambda: _registered("blocks", "block")),
    "units": Kind("functional units of a machine", lambda: _registered("units", "unit")),
    "multipliers": Kind("models of the multiplier in a unit", lambda: _registered("multipliers", "multiplier")),
    "dataflows": Kind("what `dataflow =` of a schedule may say", lambda: _registered("dataflows", "dataflow")),
    "kernels": Kind("what `algorithm =` of a `kernel` block may say", _kernels),
    "formats": Kind("number formats", lambda: _registered("formats", "number format") or format_entries()),
    "encodings": Kind("how weights lie in memory", lambda: _registered("encodings", "encoding")),
    "evaluators": Kind("what says how good a network is", lambda: _registered("evaluators", "evaluator")),
    "machines": Kind("machines of the library", lambda: library_entries("machine")),
    "networks": Kind("networks of the library", lambda: library_entries("network")),
    "technologies": Kind("tables of energies and areas that a machine names", technology_entries),
    "quantities": Kind("units that a number may have, like MHz and KiB", quantity_entries),
    "functions": Kind("functions of expressions", function_entries),
    "targets": Kind(
        "what can come out of the IR",
        lambda: _with_module("target", universe().all_targets),
    ),
    "dialects": Kind("parts of the IR", lambda: loaded("dialect", universe().all_dialects, dialect_entry)),
    "ops": Kind(
        "operations of the IR",
        lambda: (op_entry(op) for dialect in _dialects() for op in dialect.operations),
    ),
    "templates": Kind("projects that `hapir new` starts from", template_entries),
    "commands": Kind("what `hapir` can be told to do", command_entries),
    "codes": Kind("codes of diagnostics", code_entries),
}
"""What `hapir list` can list."""


def entries(kind: str, glob: str = "*") -> list[Entry]:
    """The entries of a kind of `KINDS` whose names match, by name. Raises KeyError for another kind."""
    return sorted((e for e in KINDS[kind].list() if fnmatchcase(e.name, glob)), key=lambda entry: entry.name)


def everything() -> list[Entry]:
    """All entries of all kinds."""
    return [entry for kind in KINDS for entry in entries(kind)]


def find(name: str, known: Sequence[Entry] | None = None) -> list[Entry]:
    """The entries of a name among those known (all of them by default), of whatever kind; codes in any case.

    A word of the grammar that is no name itself, like `extends`, or only that of a command, like `import`, stands for
    the topics whose rules have it, too.

    Raises HapirError (HAP0883) where there is none.
    """
    known = everything() if known is None else known
    found = [e for e in known if e.name == name or (e.kind == "code" and e.name == name.upper())]
    if all(entry.kind == "command" for entry in found):
        found = [*(e for e in known if e.kind == "topic" and f'"{name}"' in e.text), *found]
    if not found:
        hint = did_you_mean(name, sorted({*KINDS, *(entry.name for entry in known)}))
        fail(
            "HAP0883",
            f"hapir knows nothing of the name `{name}`",
            help=hint or f"`hapir list KIND` shows the {', '.join(KINDS)}",
        )
    return found


def related(entry: Entry, known: Iterable[Entry]) -> list[Entry]:
    """Other entries that an entry's words name in backticks or by code, and ops and layers of one name.

    Functions and units of quantities are left out: they stand in formulas, not in references. So do targets in topics,
    where `c` is a tensor.
    """
    words = " ".join((entry.summary, entry.text, *(o.description for o in entry.options)))
    named = set(re.findall(r"`([\w.%/]+)[`({]", words)) | set(re.findall(r"\bHAP\d{4}\b", words))
    dialects = ("nn", "num")
    if entry.kind == "layer":
        named |= {f"{dialect}.{entry.name}" for dialect in dialects}
    elif entry.name.startswith(tuple(f"{dialect}." for dialect in dialects)):
        named.add(entry.name.partition(".")[2])
    own = {entry.name, *(option.name for option in entry.options)}
    apart = ("function", "unit of quantities", *(("target",) if entry.kind == "topic" else ()))
    return [other for other in known if other.name in named - own and other.kind not in apart]
