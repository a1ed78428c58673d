"""Places of a text in the units of the protocol: lines and characters from 0, characters in units of an encoding.

Inside the server lines and columns count from 1 and columns count characters, as in spans. Only newlines part lines.
"""

from __future__ import annotations

from collections.abc import Sequence

_UNIT_BYTES = {"utf-8": 1, "utf-16": 2, "utf-32": 4}
_CODECS = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}


def units(text: str, encoding: str) -> int:
    """The length of a text in units of an encoding."""
    return len(text.encode(_CODECS[encoding], "surrogatepass")) // _UNIT_BYTES[encoding]


def to_client(lines: Sequence[str], line: int, column: int, encoding: str) -> tuple[int, int]:
    """A place from 1 in characters as one from 0 in units; one outside the text is moved into it."""
    if not 1 <= line <= len(lines):
        line = min(max(line, 1), max(len(lines), 1))
        column = 1
    text = lines[line - 1] if lines else ""
    return line - 1, units(text[: max(column - 1, 0)], encoding)


def from_client(lines: Sequence[str], line: int, character: int, encoding: str) -> tuple[int, int]:
    """A place from 0 in units as one from 1 in characters; one outside the text is moved into it."""
    if line >= len(lines):
        return max(len(lines), 1), len(lines[-1]) + 1 if lines else 1
    column = 0
    for text in lines[line]:
        if character <= 0:
            break
        character -= units(text, encoding)
        column += 1
    return line + 1, column + 1


def offset(lines: Sequence[str], line: int, column: int) -> int:
    """The number of characters before a place from 1."""
    return sum(len(text) + 1 for text in lines[: line - 1]) + column - 1
