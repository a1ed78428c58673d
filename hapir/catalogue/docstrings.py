"""Docstrings as data: the first line, the options, the example, and the text that is left.

The convention, which a test holds every entry to:

- the first paragraph is the summary;
- a line that starts with an option's name in backticks and a colon (after `- ` in a list) describes that option, up to
  the next such line or the end of the paragraph; what several classes of a module share may stand in the module's
  docstring;
- `Example:` is followed by code: in backticks, fenced, or indented by four spaces.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_OPTION = re.compile(r"(?:- )?`(\w+)`: (?=\S)")
_EXAMPLE = re.compile(
    r"""\bExample:(?:
        \s*```\w*\n(?P<block>.*?)```[^\n]*
        |\s*`(?P<inline>[^`]+)`[^\n]*
        |\n(?P<indented>(?:(?:[ ]{4}[^\n]*)?\n)+)
    )""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Parsed:
    """A docstring in its parts; `text` is what is neither summary nor option nor example."""

    summary: str
    text: str
    options: Mapping[str, str]
    example: str | None


def parse_docstring(docstring: str) -> Parsed:
    """The parts of a docstring."""
    text = f"{inspect.cleandoc(docstring)}\n"
    found = _EXAMPLE.search(text)
    example = _code(found) if found else None
    text = _EXAMPLE.sub("", text)
    options: dict[str, str] = {}
    kept: list[str] = []
    for paragraph in re.split(r"\n{2,}", text):
        rest = _without_options(paragraph, options)
        if rest:
            kept.append(rest)
    summary = one_line(kept[0]) if kept else ""
    return Parsed(summary, "\n\n".join(kept[1:]), options, example)


def one_line(text: str) -> str:
    """A paragraph on one line."""
    return " ".join(text.split())


def _code(found: re.Match[str]) -> str:
    """The code of an example: a block as it stands, a span of text on one line."""
    block = found["block"] or found["indented"]
    return textwrap.dedent(block).strip() if block else one_line(found["inline"])


def _without_options(paragraph: str, options: dict[str, str]) -> str:
    """A paragraph without its lines that describe options, which are added to `options`."""
    kept: list[str] = []
    name = ""
    for line in paragraph.splitlines():
        start = _OPTION.match(line)
        if start:
            name = str(start[1])
            options[name] = line[start.end() :].strip()
        elif name:
            options[name] += f" {line.strip()}"
        elif line.strip():
            kept.append(line)
    return "\n".join(kept)


def own_docstring(thing: object) -> str:
    """What an object's own source says of it; what a dataclass generates or a base class lends does not count."""
    text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    generated = inspect.isclass(thing) and text and text.startswith(f"{thing.__name__}(")
    return "" if text is None or generated else text


def module_docstring(thing: Any) -> str:
    """The docstring of the module that defines a class or function."""
    module: ModuleType | None = inspect.getmodule(thing)
    return (module and module.__doc__) or ""


def option_descriptions(cls: type[Any]) -> dict[str, str]:
    """What docstrings say of the options of a class: its own, its bases', their modules'; the nearest counts."""
    described: dict[str, str] = {}
    bases = [base for base in cls.__mro__ if base is not object]
    for text in (*map(own_docstring, bases), *map(module_docstring, bases)):
        described = {**parse_docstring(text).options, **described}
    return described
