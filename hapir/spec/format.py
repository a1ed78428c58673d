"""The one layout of `.hap` text: `hapir fmt`.

Law: the text means what it meant (`parse(format_text(x)) == parse(x)` but for spans), every comment stays, in order and
beside what it was beside, and a second run changes nothing.

- Four spaces per level, lines of at most 120 characters, one space round operators, `200 MHz` with one space.
- One statement per line; several results stay on the line of their `return` while they fit. A body in braces that is
  written on one line stays there while it fits.
- Other brackets are on one line where they fit and hold no comment. Else they keep the rows that they are written in;
  a call or parameters written on one line get one line for each argument. No separator ends a line.
- Empty lines stay, at most one in a row and none next to a brace; a definition of several lines has one on both sides.
- The braces of one-line blocks of one kind on consecutive lines are aligned, and so are comments at the ends of
  consecutive lines of one body, two spaces after the longest, where that keeps all of them inside the line.

Numbers, strings and parentheses are kept as they are written. Line ends become LF, a byte order mark goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hapir.spec.parse import parse
from hapir.spec.pieces import Comment, Element, Group, Word, read_pieces

WIDTH = 120
"""Characters of a line, comments not counted."""
_INDENT = 4
_GAP = 2
"""Spaces before a comment at the end of a line, at least."""
_SILENCE = re.compile(r"//[ \t]*hapir:")


def format_text(text: str, file: str) -> str:
    """The text laid out anew; `file` is the name that spans carry.

    Raises HapirError with the diagnostics of `parse` (HAP01xx) where the text has syntax errors.
    """
    parse(text, file)
    whole = read_pieces(text.removeprefix("\ufeff"))
    lines = list(_Layout().file(whole))
    _align_braces(lines)
    _align_comments(lines)
    return "".join(f"{line.written}\n" for line in lines)


@dataclass
class _Line:
    """A line of the result. One that is a comment alone has no text."""

    level: int
    text: str = ""
    comment: str = ""
    gap: int = _GAP
    """Spaces between text and comment."""
    spaced: bool = False
    """Whether an empty line comes before it."""
    block: tuple[str, int] | None = None
    """Of a one-line block: its kind, and where its brace stands in the text."""

    @property
    def width(self) -> int:
        """Characters up to the end of the text."""
        return self.level * _INDENT + len(self.text)

    @property
    def written(self) -> str:
        """The line with what comes before it."""
        between = " " * self.gap if self.text and self.comment else ""
        return ("\n" if self.spaced else "") + " " * (self.level * _INDENT) + self.text + between + self.comment


class _Layout:
    """From pieces to lines; `_flat` remembers the one-line text of each group, which is asked for at every level."""

    def __init__(self) -> None:
        self._flats: dict[int, str | None] = {}

    def file(self, whole: Group) -> Iterator[_Line]:
        """The lines of a file: definitions of several lines stand apart."""
        apart = False
        for element in whole.elements:
            comments, lines = list(_comments(element.above, 0)), list(self._element(element, 0))
            defines = len(lines) > 1 and _ends_in_braces(element)
            first = (comments or lines)[0]
            first.spaced = element is not whole.elements[0] and (first.spaced or defines or apart)
            yield from comments
            yield from lines
            apart = defines
        yield from _comments(whole.below, 0)

    def _body(self, group: Group, level: int) -> Iterator[_Line]:
        """The elements of a body, one per line; results that are returned on one line stay there while they fit."""
        returned: _Line | None = None
        for element in group.elements:
            flat = self._flat_parts(element)
            joins = returned is not None and not (element.above or element.first_in_line or returned.comment)
            if returned is not None and joins and flat is not None and returned.width + len(f", {flat}") <= WIDTH:
                returned.text += f", {flat}"
                returned.comment = element.beside or ""
                continue
            if returned is not None:
                yield returned
                returned = None
            lines = [*_comments(element.above, level), *self._element(element, level)]
            lines[0].spaced = lines[0].spaced and element is not group.elements[0]
            yield from lines[:-1]
            if _text(element.parts[0]) == "return":
                returned = lines[-1]
            else:
                yield lines[-1]
        if returned is not None:
            yield returned
        below = list(_comments(group.below, level))
        if below and not group.elements:
            below[0].spaced = False
        yield from below

    def _list(self, group: Group, level: int) -> Iterator[_Line]:
        """The elements of a list or call, without empty lines."""
        for line in self._rows(group, level):
            line.spaced = False
            yield line

    def _rows(self, group: Group, level: int) -> Iterator[_Line]:
        """Elements in the rows that they are written in as far as they fit; those of a call on one line each alone."""
        alone = group.opening == "(" and group.one_line
        row: _Line | None = None
        for element in group.elements:
            flat = self._flat_parts(element)
            fits = flat is not None and level * _INDENT + len(flat) <= WIDTH
            if row is not None:
                joins = fits and not (alone or element.above or element.first_in_line or row.comment)
                if joins and row.width + len(f", {flat}") <= WIDTH:
                    row.text += f", {flat}"
                    row.comment = element.beside or ""
                    continue
                yield row
                row = None
            yield from _comments(element.above, level)
            if fits and flat is not None:
                row = _Line(level, flat, element.beside or "")
            else:
                yield from self._element(element, level)
        if row is not None:
            yield row
        yield from _comments(group.below, level)

    def _element(self, element: Element, level: int) -> Iterator[_Line]:
        """The lines of an element without the comments above it; brackets break from left to right as they must."""
        line = _Line(level, spaced=element.spaced)
        beside = element.beside or ""
        # a comment that silences speaks of its line: where the line is broken, it stays with the first part
        silences = _SILENCE.match(beside) and all(isinstance(p, Word) or p.one_line for p in element.parts)
        for index, part in enumerate(element.parts):
            space = " " if _spaced(element.parts, index) else ""
            if isinstance(part, Word):
                line.text += space + part.text
                continue
            flat = self._flat(part)
            if flat is not None and line.width + len(space + flat) + self._rest(element, index + 1) <= WIDTH:
                if _is_block(element, index):
                    line.block = (_text(element.parts[0]), len(line.text))
                line.text += space + flat
                continue
            line.text += space + part.opening
            line.comment = part.beside or ""
            if silences:
                line.comment, beside, silences = beside, "", False
            yield line
            yield from (self._body if part.opening == "{" else self._list)(part, level + 1)
            line = _Line(level, part.closing)
        line.comment = beside
        yield line

    def _rest(self, element: Element, start: int) -> int:
        """The width of what must follow on the same line: up to the next bracket that can be broken."""
        width = 0
        for index in range(start, len(element.parts)):
            part = element.parts[index]
            width += _spaced(element.parts, index)
            if isinstance(part, Group):
                return width + (len(self._flat(part) or "") if _is_empty(part) else 1)
            width += len(part.text)
        return width

    def _flat(self, group: Group) -> str | None:
        """The one-line text of a bracket; None where it needs several lines."""
        if id(group) not in self._flats:
            self._flats[id(group)] = self._flattened(group)
        return self._flats[id(group)]

    def _flattened(self, group: Group) -> str | None:
        if _is_empty(group):
            return "{ }" if group.opening == "{" else group.opening + group.closing
        if group.beside or group.below or (group.opening == "{" and not group.one_line):
            return None
        if any(e.above or e.beside for e in group.elements):
            return None
        flats = [self._flat_parts(e) for e in group.elements]
        if group.opening != "{":
            inside = ", ".join(f for f in flats if f is not None)
        else:
            inside = f" {(', ' if all(map(_is_setting, group.elements)) else '; ').join(f or '' for f in flats)} "
        return None if None in flats or len(inside) > WIDTH else group.opening + inside + group.closing

    def _flat_parts(self, element: Element) -> str | None:
        flat: list[str] = []
        for index, part in enumerate(element.parts):
            text = part.text if isinstance(part, Word) else self._flat(part)
            if text is None:
                return None
            flat.append(" " + text if _spaced(element.parts, index) else text)
        return "".join(flat)


def _comments(comments: Sequence[Comment], level: int) -> Iterator[_Line]:
    return (_Line(level, comment=c.text, spaced=c.spaced) for c in comments)


def _is_empty(group: Group) -> bool:
    return not (group.elements or group.beside or group.below)


def _text(part: Word | Group) -> str:
    return part.text if isinstance(part, Word) else part.opening


def _ends_in_braces(element: Element) -> bool:
    return _text(element.parts[-1]) == "{"


def _is_setting(element: Element) -> bool:
    """Whether an element is `name = value`."""
    return len(element.parts) > 2 and _text(element.parts[1]) == "="


def _is_block(element: Element, index: int) -> bool:
    """Whether the part at `index` is the body of a block: `memory buffer { ... }`, `array pe[8, 8] { ... }`."""
    before = [part.kind if isinstance(part, Word) else part.opening for part in element.parts[:index]]
    return _text(element.parts[index]) == "{" and before in (
        ["name", "name"],
        ["name", "string"],
        ["name", "name", "["],
        ["name", "string", "["],
    )


def _spaced(parts: Sequence[Word | Group], index: int) -> bool:
    """Whether a space stands before the part at `index`."""
    if index == 0:
        return False
    part, before = parts[index], parts[index - 1]
    if isinstance(part, Group):
        if part.opening == "{":
            return True
        if isinstance(before, Group):
            return False
        belongs = before.kind in ("name", "string") and not _is_keyword(parts, index - 1)
        return not belongs and not _is_sign(parts, index - 1)
    if part.kind == "member" or part.text == ":":
        return False
    return not _is_sign(parts, index - 1)


def _is_sign(parts: Sequence[Word | Group], index: int) -> bool:
    """Whether the part at `index` is the minus before an operand, not the one between two."""
    if _text(parts[index]) != "-":
        return False
    before = parts[index - 1] if index else None
    return before is None or (isinstance(before, Word) and (before.kind == "operator" or _is_keyword(parts, index - 1)))


def _is_keyword(parts: Sequence[Word | Group], index: int) -> bool:
    """Whether the part at `index` is a word of the grammar before a value: `return` or the `in` of a repeat."""
    word = _text(parts[index])
    return (word == "return" and index == 0) or (word == "in" and index == 2 and _text(parts[0]) == "repeat")


def _align_braces(lines: Sequence[_Line]) -> None:
    """Give the braces of one-line blocks of one kind on consecutive lines one column."""

    def measure(line: _Line) -> tuple[object, int, int] | None:
        if line.block is None:
            return None
        kind, at = line.block
        return (line.level, kind), line.level * _INDENT + at, len(line.text) - at

    for run in _runs(lines, measure):
        column = max(line.block[1] for line in run if line.block)
        for line in run:
            if line.block:
                at = line.block[1]
                line.text = line.text[:at].ljust(column) + line.text[at:]


def _align_comments(lines: Sequence[_Line]) -> None:
    """Give the comments at the ends of consecutive lines one column."""

    def measure(line: _Line) -> tuple[object, int, int] | None:
        return (line.level, line.width + _GAP, len(line.comment)) if line.text and line.comment else None

    for run in _runs(lines, measure):
        end = max(line.width for line in run)
        for line in run:
            line.gap = end - line.width + _GAP


def _runs(
    lines: Sequence[_Line], measure: Callable[[_Line], tuple[object, int, int] | None]
) -> Iterator[Sequence[_Line]]:
    """Consecutive lines of one key that fit when the widest part before the column meets the widest after it.

    `measure` gives the key and the two widths, or None for a line that has nothing to align.
    """
    run: list[_Line] = []
    key, before, after = None, 0, 0
    for line in lines:
        measured = measure(line)
        widths = measured[1:] if measured else (0, 0)
        joined = max(before, widths[0]), max(after, widths[1])
        if run and (measured is None or line.spaced or measured[0] != key or sum(joined) > WIDTH):
            yield run
            run, joined = [], widths
        if measured is not None:
            run.append(line)
            key, (before, after) = measured[0], joined
    if run:
        yield run
