"""The reference pages of the documentation, made from the catalogue and the grammar: Markdown by path.

`docs/hooks.py` hands them to mkdocs. Links between pages are relative, as mkdocs checks them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from hapir.catalogue import KINDS, entries, everything, related
from hapir.catalogue.entry import Entry
from hapir.catalogue.grammar import TERMINALS
from hapir.catalogue.markdown import Link, anchor, code_block, entry_section, literal, prose, table
from hapir.diagnostics import LIBRARY
from hapir.library import library_text
from hapir.spec.units import EXAMPLES

LANGUAGE = "language.md"
_ON_LANGUAGE = ("topics", "functions", "quantities")
"""Kinds that the language reference tells about; each other one has a page of its own."""


def page_of(kind: str) -> str:
    """The page that a kind of entries is on."""
    return LANGUAGE if kind in _ON_LANGUAGE else f"reference/{kind}.md"


def reference_pages() -> dict[str, str]:
    """The text of each page by its path, in the order of the navigation."""
    known = {kind: entries(kind) for kind in KINDS}
    book = _Book(known)
    pages = {LANGUAGE: book.language()}
    for kind in KINDS:
        if kind not in _ON_LANGUAGE:
            pages[page_of(kind)] = book.page(kind)
    return pages


def titles() -> dict[str, str]:
    """The title of each page by its path."""
    own = {page_of(kind): kind.capitalize() for kind in KINDS if kind not in _ON_LANGUAGE}
    return {LANGUAGE: "Language", **own}


class _Book:
    """All entries, and how they refer to each other."""

    def __init__(self, known: dict[str, list[Entry]]):
        self._known = known
        self._everything = everything()
        self._pages = {(e.kind, e.name): page_of(kind) for kind, members in known.items() for e in members}

    def _link(self, page: str) -> Link:
        """The address of entries as seen from a page."""

        def address(entry: Entry) -> str:
            target = self._pages[entry.kind, entry.name]
            path = "" if target == page else posixpath.relpath(target, posixpath.dirname(page) or ".")
            return f"{path}#{anchor(entry)}"

        return address

    def _section(self, entry: Entry, page: str, level: int = 2) -> str:
        return entry_section(entry, related(entry, self._everything), self._link(page), level=level)

    def language(self) -> str:
        """The language reference: topics, functions, units and terminals."""
        topics = [self._section(entry, LANGUAGE) for entry in self._in_order("topics")]
        functions = [(_anchored(e), prose(e.summary), e.text) for e in self._in_order("functions")]
        rules = [(literal(name), prose(text)) for name, text in TERMINALS.items()]
        return _joined(
            "# The language",
            "A spec is a text file, `NAME.hap`. This page follows the grammar; each rule of it is shown once. "
            "`X ...` stands for any number of X, parted by new lines, `,` or `;`; `?`, `*` and `|` have their usual "
            "meaning, words in quotes are written as they stand.",
            *topics,
            "## Functions {: #functions }",
            table(("function", "what it gives", ""), functions),
            "## Units {: #units }",
            "The closed list of units. Case matters.",
            self._units(),
            "## Words of the grammar {: #words }",
            table(("word", "what it stands for"), rules),
        )

    def _in_order(self, kind: str) -> Sequence[Entry]:
        """Entries in the order of their definition, not of their names."""
        return list(KINDS[kind].list())

    def _units(self) -> str:
        """The units by dimension."""
        members = self._in_order("quantities")
        rows: list[tuple[str, str, str]] = []
        for dimension, example in EXAMPLES.items():
            own = [e for e in members if e.summary.startswith(f"{dimension};")]
            rows.append(
                (
                    dimension,
                    ", ".join(_anchored(e) for e in own),
                    literal(example),
                )
            )
        return table(("measures", "units", "example"), rows)

    def page(self, kind: str) -> str:
        """The page of a kind: a table of its entries, then a section for each."""
        page, members = page_of(kind), self._known[kind]
        head = _joined(f"# {kind.capitalize()}", f"{KINDS[kind].what[0].upper()}{KINDS[kind].what[1:]}.")
        if not members:
            return _joined(head, "There are none in this version.")
        link = self._link(page)
        laws = any(entry.law for entry in members)
        header = ("name", *(("law",) if laws else ()), "what it is")
        rows = [
            (f"[{literal(e.name)}]({link(e)})", *((e.law or "",) if laws else ()), prose(e.summary)) for e in members
        ]
        sections = [_joined(self._section(entry, page), _source(entry)) for entry in members]
        return _joined(head, table(header, rows), *sections)


def _anchored(entry: Entry) -> str:
    """The name of an entry that has no heading, where links find it."""
    return f'<span id="{anchor(entry)}">{literal(entry.name)}</span>'


def _source(entry: Entry) -> str:
    """The text of a machine or network of the library."""
    place = entry.defined or ""
    if not place.startswith(LIBRARY) or not place.endswith(".hap"):
        return ""
    text = library_text(place.removeprefix(LIBRARY))
    return f"Its text:\n\n{code_block(text.rstrip())}"


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
