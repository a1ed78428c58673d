"""A text as nested brackets of elements, with its comments: what the formatter lays out anew.

Everything that is written is kept but spaces and separators. An element is what stands between two separators: a
statement, an argument, a member of a list. A comment belongs to the element before it on the same line, to the bracket
that opened last on that line, or else to the element that follows; after the last element it belongs to the bracket.

Only texts that `parse.py` takes may be read here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hapir.spec.grammar import NUMBER, quantity_pattern

Kind: TypeAlias = Literal["name", "number", "string", "member", "operator"]

CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Word:
    """A token: a name, a number or quantity, a string, a member (`.c1`), or an operator (`=`, `->`, `:` and `+-*/`)."""

    kind: Kind
    text: str


@dataclass
class Comment:
    """A comment on a line of its own; `spaced` tells of an empty line above it."""

    text: str
    spaced: bool


@dataclass
class Element:
    """What stands between two separators."""

    above: list[Comment] = field(default_factory=list[Comment])
    """The comments on the lines above it."""
    spaced: bool = False
    """Whether an empty line stands above it, below its comments."""
    first_in_line: bool = False
    parts: list[Word | Group] = field(default_factory=list["Word | Group"])
    beside: str | None = None
    """The comment at the end of its line."""


@dataclass
class Group:
    """A bracket and its elements; the whole file is a group whose `opening` is empty."""

    opening: str
    elements: list[Element] = field(default_factory=list[Element])
    beside: str | None = None
    """The comment beside the opening bracket."""
    below: list[Comment] = field(default_factory=list[Comment])
    """The comments after the last element."""
    one_line: bool = True
    """Whether it is written on one line."""

    @property
    def closing(self) -> str:
        """The bracket at its end."""
        return CLOSING.get(self.opening, "")


def _tokens() -> re.Pattern[str]:
    kinds = {
        "comment": r"//[^\n]*",
        "newline": r"\n",
        "space": r"[ \t\r]+",
        "separator": r"[,;]",
        "open": r"[(\[{]",
        "close": r"[)\]}]",
        "string": r'"(?:[^"\\\n]|\\.)*"',
        "quantity": quantity_pattern(),
        "number": NUMBER,
        "name": r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_0-9]+)*",
        "member": r"\.[A-Za-z_0-9]+(?:\.[A-Za-z_0-9]+)*",
        "operator": r"->|[=:+*/-]",
    }
    return re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in kinds.items()))


_TOKENS = _tokens()
_QUANTITY = re.compile(rf"({NUMBER})[ \t]*(.+)")


def read_pieces(text: str) -> Group:
    """The pieces of a text that `parse` takes, without a byte order mark."""
    reader = _Reader()
    position = 0
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            raise ValueError(f"no token of the language at {position}: {text[position : position + 20]!r}")
        reader.take(str(match.lastgroup), match.group())
        position = match.end()
    return reader.whole()


class _Reader:
    """Puts tokens in their place, one after the other."""

    def __init__(self) -> None:
        self._open = [Group("")]
        self._element: Element | None = None
        """The element that is being written, if any."""
        self._pending: list[Comment] = []
        """Comments on lines of their own that no element has followed yet."""
        self._newlines = 0
        """Newlines since the last token but spaces."""
        self._begun = False
        """Whether something but comments and separators stands on this line."""

    def take(self, kind: str, text: str) -> None:
        match kind:
            case "space":
                pass
            case "newline":
                self._element = None
                self._begun = False
                self._newlines += 1
                self._open[-1].one_line = False
            case "separator":
                self._element = None
                self._newlines = 0
            case "comment":
                self._comment(text.rstrip())
            case "open":
                group = Group(text)
                self._part(group)
                self._open.append(group)
                self._element = None
            case "close":
                self._close()
            case _:
                self._part(_word(kind, text))

    def whole(self) -> Group:
        """The file, after its last token."""
        (file,) = self._open
        file.below, self._pending = self._pending, []
        return file

    def _part(self, part: Word | Group) -> None:
        if self._element is None:
            self._element = Element(self._pending, self._newlines > 1, not self._begun)
            self._pending = []
            self._open[-1].elements.append(self._element)
        self._element.parts.append(part)
        self._newlines = 0
        self._begun = True

    def _close(self) -> None:
        closed = self._open.pop()
        closed.below, self._pending = self._pending, []
        around = self._open[-1]
        around.one_line = around.one_line and closed.one_line
        self._element = around.elements[-1]
        self._newlines = 0
        self._begun = True

    def _comment(self, text: str) -> None:
        group = self._open[-1]
        if not self._begun:
            self._pending.append(Comment(text, self._newlines > 1))
        elif group.elements:
            group.elements[-1].beside = text
        else:
            group.beside = text
        self._newlines = 0


def _word(kind: str, text: str) -> Word:
    match kind:
        case "quantity":
            parts = _QUANTITY.fullmatch(text)
            assert parts is not None
            return Word("number", f"{parts[1]} {parts[2]}")
        case "name" | "number" | "string" | "member":
            return Word(kind, text)
        case _:
            return Word("operator", text)
