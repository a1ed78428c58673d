"""Comments that silence warnings: `// hapir: allow HAP0220, HAP0250`.

At the end of a line the comment speaks of that line, on a line of its own of the next statement's first line, and above
the version line of the whole file. A reason may follow: `// hapir: allow HAP0250: for the next version`. Only warnings
can be silenced. A comment that names no code, an unknown code or a code that nothing is silenced of is a warning
itself, so that none outlives its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hapir.codes import CODES
from hapir.diagnostics import LIBRARY, Diagnostic, Span, did_you_mean

_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*')
_ALLOW = re.compile(r"//[ \t]*hapir:[ \t]*allow\b(?P<codes>[^\n:]*)(?P<reason>:[^\n]*)?")
_CODE = re.compile(r"[^\s,]+")


@dataclass(frozen=True)
class Allowance:
    """A code that a comment silences: where it is written, and the line it speaks of (None: the whole file)."""

    code: str
    at: Span
    line: int | None


@dataclass
class Silencer:
    """The allowances of a spec's files, and those that have silenced something."""

    allowances: tuple[Allowance, ...] = ()
    _used: set[Allowance] = field(default_factory=set[Allowance])

    def heard(self, diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """Diagnostics without the warnings that a comment silences."""
        return tuple(d for d in diagnostics if d.severity != "warning" or not self._silences(d))

    def _silences(self, warning: Diagnostic) -> bool:
        at = warning.span
        if at is None:
            return False
        found = [
            a for a in self.allowances if a.code == warning.code and a.at.file == at.file and a.line in (None, at.line)
        ]
        self._used.update(found)
        return bool(found)

    def useless(self, checked: Iterable[str]) -> list[Diagnostic]:
        """A warning for each allowance of a code among `checked` that has silenced nothing, and for what is no code.

        The library's own are trusted: what one importer has no use for, another may need.
        """
        known = set(checked)
        found: list[Diagnostic] = []
        for allowance in self.allowances:
            code, at = allowance.code, allowance.at
            if at.file.startswith(LIBRARY):
                continue
            if code not in CODES:
                help = did_you_mean(code, CODES) or "write `// hapir: allow HAP0220`"
                message = f"`{code}` is not a code" if code else "this comment names no code"
                found.append(Diagnostic("HAP0251", message, at, help=help, severity="warning"))
            elif code in known and allowance not in self._used:
                message = f"nothing here gives {code}"
                found.append(Diagnostic("HAP0251", message, at, help="remove the comment", severity="warning"))
        return found


def silencer(texts: Mapping[str, str]) -> Silencer:
    """The allowances in the comments of files, by the name that spans carry."""
    found: list[Allowance] = []
    for file, text in texts.items():
        if "hapir:" in text:
            found += _allowances(file, text)
    return Silencer(tuple(found))


def _allowances(file: str, text: str) -> Iterable[Allowance]:
    head = re.search(r"^[ \t]*hap[ \t]+[0-9]", text, re.MULTILINE)
    for comment in _COMMENT.finditer(text):
        allow = _ALLOW.fullmatch(comment.group())
        if allow is None:
            continue
        line = text.count("\n", 0, comment.start()) + 1
        first = text.rfind("\n", 0, comment.start()) + 1
        alone = not text[first : comment.start()].strip()
        if head is not None and comment.start() < head.start():
            speaks_of = None
        else:
            speaks_of = _next_statement(text, comment.end(), line) if alone else line
        if not allow["codes"].strip():
            column = comment.start() - first + 1
            yield Allowance("", Span(file, line, column, line, column + len(allow.group())), speaks_of)
        for code in _CODE.finditer(allow["codes"]):
            column = comment.start() + allow.start("codes") + code.start() - first + 1
            yield Allowance(code.group(), Span(file, line, column, line, column + len(code.group())), speaks_of)


def _next_statement(text: str, end: int, line: int) -> int:
    """The line of the first thing after a comment that is no comment."""
    for offset, written in enumerate(text[end:].split("\n")[1:], 1):
        stripped = written.strip()
        if stripped and not stripped.startswith("//"):
            return line + offset
    return line
