"""Entries as text for a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence

from hapir.catalogue.entry import Entry, Option
from hapir.report.table import table, table_rows

_PROSE, _MOST = 100, 120
"""The widest lines of text, and those of tables."""


def _width(most: int) -> int:
    """The columns to use: those of the terminal, so many at most; where there is none, so many."""
    return min(most, shutil.get_terminal_size((most, 24)).columns)


def to_text(entry: Entry, related: Sequence[str] = ()) -> str:
    """All that is known of an entry."""
    law = f", {entry.law}" if entry.law else ""
    parts = [f"{entry.name} ({entry.kind}{law})", *(_filled(text) for text in (entry.summary, entry.text))]
    if entry.options:
        parts.append(option_lines(entry.options))
    if entry.example:
        parts.append("example:\n" + textwrap.indent(entry.example, "    "))
    last = [("defined in", entry.defined or ""), ("see also", ", ".join(related))]
    parts.append("\n".join(_wrapped(title, text) for title, text in last if text))
    return "\n\n".join(part for part in parts if part)


def kind_text(name: str, what: str, members: Iterable[Entry]) -> str:
    """A kind with its members."""
    rows = [(entry.name, entry.summary) for entry in members]
    return f"{name}: {what}\n\n{table(('name', 'what it is'), rows) if rows else f'no {name}'}"


def option_lines(options: Sequence[Option]) -> str:
    """A table of options, each with its description under it."""
    rows = [
        (option.name, option.allowed, "required" if option.default is None else option.default) for option in options
    ]
    head, rule, *lines = table_rows(("option", "takes", "default"), rows, _width(_MOST))
    shown = [head, rule]
    for option, line in zip(options, lines, strict=True):
        shown.append(line)
        if option.description:
            width = _width(_PROSE)
            shown.append(textwrap.fill(option.description, width, initial_indent="    ", subsequent_indent="    "))
    return "\n".join(shown)


def _filled(text: str) -> str:
    """A text whose paragraphs of a single long line are broken; what is laid out in lines already stays as it is."""
    return "\n\n".join(
        p if "\n" in p else textwrap.fill(p, _width(_PROSE), break_long_words=False) for p in text.split("\n\n")
    )


def _wrapped(title: str, text: str) -> str:
    return textwrap.fill(f"{title}: {text}", _width(_PROSE), subsequent_indent="    ", break_long_words=False)
