"""Entries as Markdown for the reference pages: text of docstrings made safe, tables, links between entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hapir.catalogue.entry import Entry, Option

Link = Callable[[Entry], str]
"""The address of an entry from the page that is being written."""
_CODE = re.compile(r"(`+)(?:.+?)\1", re.DOTALL)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def entry_section(entry: Entry, related: Sequence[Entry], link: Link, *, level: int = 2) -> str:
    """A section about one entry, under a heading with the entry's anchor."""
    text = prose(entry.text)
    if entry.law:
        text = text.replace(f"Law: {entry.law}", f"**Law: {entry.law}**", 1)
    parts = [
        f"{'#' * level} {literal(entry.name)} {{: #{anchor(entry)} }}",
        prose(entry.summary),
        option_table(entry.options),
        text,
        f"Example:\n\n{code_block(entry.example)}" if entry.example else "",
        footer(entry, related, link),
    ]
    return "\n\n".join(part for part in parts if part)


def footer(entry: Entry, related: Sequence[Entry], link: Link) -> str:
    """Where an entry is defined, and the others that it names."""
    parts = [f"Defined in {literal(entry.defined)}." if entry.defined else ""]
    if related:
        links = [f"[{literal(other.name)}]({link(other)})" for other in related]
        parts.append(f"See also {', '.join(links)}.")
    return " ".join(filter(None, parts))


def anchor(entry: Entry) -> str:
    """The anchor of an entry on its page."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", entry.name)


def option_table(options: Sequence[Option]) -> str:
    """Options as a table."""
    rows = [
        (
            literal(option.name),
            prose(option.allowed),
            "required" if option.default is None else literal(option.default),
            prose(option.description),
        )
        for option in options
    ]
    return table(("option", "takes", "default", "what it is for"), rows) if rows else ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are Markdown on one line."""
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def literal(text: str) -> str:
    """Text as code; a longer fence where backticks are in it."""
    mark = "``" if "`" in text else "`"
    return f"{mark} {text} {mark}" if len(mark) == 2 else f"{mark}{text}{mark}"


def code_block(text: str) -> str:
    """Text as a block of code."""
    return f"```text\n{text}\n```"


def prose(text: str) -> str:
    """The text of a docstring as Markdown: blocks and spans of code are kept, other characters mean themselves."""
    parts: list[str] = []
    position = 0
    for fence in _FENCE.finditer(text):
        parts += [_paragraphs(text[position : fence.start()]), f"\n\n{fence[0]}\n\n"]
        position = fence.end()
    parts.append(_paragraphs(text[position:]))
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).strip()


def _paragraphs(text: str) -> str:
    return "\n\n".join(map(_paragraph, text.split("\n\n")))


def _paragraph(text: str) -> str:
    """A paragraph with what Markdown would take for more escaped; one that is indented as a whole is code."""
    if all(line.startswith("    ") for line in text.splitlines()):
        return text
    escaped = _outside_code(text, lambda s: s.replace("<", "&lt;").replace("*", "\\*"))
    # Markdown wants a blank line before a list
    return re.sub(r"^(?!- |  )(.+)\n(?=- )", r"\1\n\n", escaped, flags=re.MULTILINE)


def _cell(text: str) -> str:
    return _outside_code(" ".join(text.split()), lambda s: s.replace("|", "\\|"))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change the parts of a text that are no spans of code."""
    parts: list[str] = []
    position = 0
    for code in _CODE.finditer(text):
        parts += [change(text[position : code.start()]), code[0]]
        position = code.end()
    return "".join([*parts, change(text[position:])])
