"""From a name to its definition, to all its uses, and to another name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hapir.diagnostics import LIBRARY, Span
from hapir.dialects.nn import WeightOp
from hapir.lsp.names import NameIndex
from hapir.lsp.symbols import Known, Occurrence, Symbol
from hapir.spec import syntax
from hapir.spec.analysis import Analysis
from hapir.spec.expected import KEYWORDS
from hapir.spec.frames import indexed

View = tuple[Analysis, NameIndex]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Refused(Exception):
    """A name that cannot be changed, or not into this one; the message says why."""


@dataclass(frozen=True, order=True)
class Location:
    """A stretch of a file on disk; lines and columns as in spans."""

    path: Path
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True)
class Edit:
    """A stretch of a file and what replaces it."""

    at: Location
    text: str


def locate(analysis: Analysis, span: Span) -> Location | None:
    """Where a span lies on disk; None where its file was not read."""
    source = analysis.sources.get(span.file)
    if source is None:
        return None
    path = Path(str(source.location))
    return Location(path, span.line, span.column, span.end_line, span.end_column)


def symbol_at(view: View, line: int, column: int) -> Occurrence | None:
    """The name at a place of the root file, if it stands for something."""
    return view[1].at(view[0].name, line, column)


def definition(view: View, line: int, column: int) -> Location | None:
    """Where the name at a place is defined; of an import, the file that it brings in."""
    found = symbol_at(view, line, column)
    if found is None or isinstance(found.target, Known):
        return None
    return locate(view[0], found.target.span)


def uses(views: Iterable[View], target: Location, *, defining: bool = True) -> list[tuple[Location, Occurrence]]:
    """All places, in the files of all views, where a name stands for what is defined at a place."""
    found: dict[Location, Occurrence] = {}
    for analysis, names in views:
        for occurrences in names.occurrences.values():
            for occurrence in occurrences:
                symbol = occurrence.target
                if isinstance(symbol, Symbol) and symbol.kind != "file" and locate(analysis, symbol.span) == target:
                    at = locate(analysis, occurrence.span)
                    if at is not None and (defining or not occurrence.defines):
                        found.setdefault(at, occurrence)
    return sorted(found.items(), key=lambda item: item[0])


def renamable(view: View, line: int, column: int) -> Occurrence:
    """The name at a place, if it can be changed. Raises Refused."""
    found = symbol_at(view, line, column)
    if found is None:
        raise Refused("here is no name that a spec defines")
    target = found.target
    if isinstance(target, Known):
        raise Refused(f"`{target.option or target.name}` is a word of hapir")
    if target.kind == "file":
        raise Refused("rename the file itself, then the import")
    if target.span.file.startswith(LIBRARY):
        raise Refused(f"`{target.name}` belongs to hapir's library")
    return found


def check_weights(views: Iterable[View], symbol: Symbol) -> None:
    """Raise Refused where stored weights would lose their layer: their keys hold its name."""
    if symbol.kind != "tensor":
        return
    part = re.compile(rf"(?:.*\.)?{re.escape(symbol.name)}(?:_?\d+)*(?:_\d+)*\.")
    for analysis, _ in views:
        for name, network in analysis.networks.items():
            node = analysis.program.networks.get(name)
            stored = node is not None and any(isinstance(s, syntax.Weights) for s in node.statements)
            keys = [op.key.data for op in network.walk() if isinstance(op, WeightOp)]
            lost = next((key for key in keys if part.match(key)), None) if stored else None
            if lost is not None:
                raise Refused(f"the weights file of `{name}` holds `{lost}`: rename it there first, or drop the file")


def rename(found: Iterable[tuple[Location, Occurrence]], new: str) -> list[Edit]:
    """The edits that give a symbol a new name. Raises Refused where that is no name."""
    if not _NAME.fullmatch(new):
        raise Refused(f"`{new}` is not a name: letters, digits and `_`, no digit first")
    if new in KEYWORDS:
        raise Refused(f"`{new}` is a word of the language")
    return [Edit(at, _written(occurrence, new)) for at, occurrence in found]


def _written(occurrence: Occurrence, new: str) -> str:
    return indexed(new, list(occurrence.indices)) if occurrence.indices else new


def edited(texts: dict[Path, str], edits: Iterable[Edit]) -> Iterator[tuple[Path, str]]:
    """Files with edits applied; edits lie on one line each and do not overlap."""
    by_path: dict[Path, list[Edit]] = {}
    for edit in edits:
        by_path.setdefault(edit.at.path, []).append(edit)
    for path, own in by_path.items():
        lines = texts[path].split("\n")
        for edit in sorted(own, key=lambda e: e.at, reverse=True):
            line = lines[edit.at.line - 1]
            lines[edit.at.line - 1] = line[: edit.at.column - 1] + edit.text + line[edit.at.end_column - 1 :]
        yield path, "\n".join(lines)
