"""Small pieces of C text that all printers use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent, indent

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.geometry import Origin

LINE_LENGTH = 110
"""Where lists are broken, before indentation."""

_ALONE = re.compile(r"^( *)\$(\w+)$")
_NAME = re.compile(r"\$(\w+)")


@dataclass(frozen=True)
class Printed:
    """A step's text: its functions, and the call of the last one with its arguments: buffers, then loaded tables."""

    text: str
    function: str
    arguments: tuple[int, ...]
    tables: tuple[Table, ...] = ()


def c(template: str, **values: object) -> str:
    """A dedented template with each `$name` replaced.

    A name alone on its line takes several lines at its indentation, and none where its text is empty.
    """
    lines: list[str] = []
    for line in dedent(template).strip("\n").split("\n"):
        alone = _ALONE.match(line)
        if alone is None:
            lines.append(_NAME.sub(lambda match: str(values[match[1]]), line))
        elif text := str(values[alone[2]]):
            lines.append(indent(text, alone[1]))
    return "\n".join(lines)


def function(head: str, parameters: Sequence[str], body: str, origin: Origin | None = None) -> str:
    """A static function, under a comment that says which layer it is."""
    text = c("$head\n{\n    $body\n}", head=listed(f"static void {head}(", parameters, ")"), body=body)
    return text if origin is None else f"{origin_comment(origin)}\n{text}"


def listed(head: str, items: Sequence[str], tail: str) -> str:
    """`head item, item, ... tail`, broken between items where a line would be long."""
    lines, line = list[str](), head
    for i, item in enumerate(items):
        piece = item + ("," if i + 1 < len(items) else tail)
        if len(line) + len(piece) > LINE_LENGTH and not line.endswith("("):
            lines.append(line.rstrip())
            line = " " * min(len(head), 8)
        line += piece + (" " if i + 1 < len(items) else "")
    return "\n".join([*lines, line if items else head + tail])


def origin_comment(origin: Origin) -> str:
    """`/* c1: conv2d ... (digits.hap:6) */`"""
    place = f" ({origin.place})" if origin.place else ""
    return f"/* {comment_text(f'{origin.layer}: {origin.text}{place}')} */"


def comment_text(text: str) -> str:
    """Text that cannot end a comment, start another, join lines or spell a trigraph."""
    safe = text.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").replace("\\", "/")
    return "".join(character if character.isprintable() else " " for character in safe)


def minus(value: str, number: int) -> str:
    """`value - number` without a zero."""
    return value if number == 0 else f"{value} - {number}"


def times(factor: str, length: int) -> str:
    """`factor * length` without a factor of one."""
    return factor if length == 1 else f"{factor} * {length}"


def source(ctype: CType, name: str) -> str:
    """A parameter that is read."""
    return f"const {ctype} *restrict {name}"


def sink(ctype: CType, name: str) -> str:
    """A parameter that is written."""
    return f"{ctype} *restrict {name}"


def offset(base: str, *terms: str) -> str:
    """A pointer plus terms that are not zero."""
    return " + ".join([base, *(t for t in terms if t and t != "0")])
