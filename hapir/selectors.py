"""Globs over layer names: `c*`, `stage2.*.c1`, `block[2].c?`.

`*` stands for any text, dots included, `?` for one character, and `[i]` or `[i, j]` for the indices that a name of a
`repeat` is made with: `x[2]` is `x2`, `c1[2]` is `c1_2`. Everything else stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache

_PART = re.compile(r"\*|\?|\[ *([0-9]+(?: *, *[0-9]+)*) *\]")


def matches(name: str, glob: str) -> bool:
    """Whether a glob selects a layer."""
    return _pattern(glob).fullmatch(name) is not None


def selected(names: Iterable[str], globs: Collection[str]) -> list[str]:
    """The names that one of the globs selects, in their order."""
    return [name for name in names if any(matches(name, glob) for glob in globs)]


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    """A glob as a regular expression."""
    pieces: list[str] = []
    done = 0
    for part in _PART.finditer(glob):
        before = glob[done : part.start()]
        pieces.append(re.escape(before))
        done = part.end()
        if part[1] is None:
            pieces.append(".*" if part[0] == "*" else ".")
            continue
        # after a digit an index has a `_` before it; behind `*` and `?` it may have one
        last = glob[part.start() - 1 : part.start()]
        pieces.append("_" if last.isdigit() or last == "]" else "_?" if last in ("*", "?") else "")
        pieces.append("_".join(re.findall("[0-9]+", part[1])))
    return re.compile("".join([*pieces, re.escape(glob[done:])]), re.DOTALL)
