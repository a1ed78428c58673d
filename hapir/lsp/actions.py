"""Quick fixes for diagnostics: the spelling that was meant, a missing import, a comment that silences a warning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hapir.diagnostics import Diagnostic, Span
from hapir.spec.imports import library_names

_MEANT = re.compile(r"did you mean `([^`]+)`\?|^(?:write|here it is called) `([\w.%/]+)`$")
_IMPORT = re.compile(r'import it: `(import "([^"]+)")`')


@dataclass(frozen=True)
class Fix:
    """A change of the root file that mends a diagnostic: a stretch and what replaces it. `sure` where it is the one."""

    title: str
    at: Span
    text: str
    sure: bool = False


def fixes(diagnostic: Diagnostic, text: str) -> Iterator[Fix]:
    """What can be done about a diagnostic of a file with this text."""
    at, help = diagnostic.span, diagnostic.help or ""
    if at is None:
        return
    lines = text.split("\n")
    if at.line > len(lines):
        return
    meant = _MEANT.search(help)
    if meant is not None and at.line == at.end_line:
        yield from _spelling(diagnostic, at, lines[at.line - 1], meant[1] or meant[2])
    wanted = _IMPORT.search(help)
    if wanted is not None and wanted[2] in library_names():
        yield Fix(f"add `{wanted[1]}`", _after_version(at.file, lines), f"\n{wanted[1]}", sure=True)
    if diagnostic.severity == "warning":
        yield _silence(diagnostic.code, at, lines[at.line - 1])


def _spelling(diagnostic: Diagnostic, at: Span, line: str, meant: str) -> Iterator[Fix]:
    """Put the word that was meant in the place of the one that the message shows in backticks."""
    shown = line[at.column - 1 : at.end_column - 1]
    written = re.findall(r"`([^`]+)`", diagnostic.message)
    for word in (shown.strip('"'), *written):
        start = shown.find(word) if word else -1
        if start >= 0 and re.fullmatch(r"[\w.%/*]+", word):
            column = at.column + start
            place = Span(at.file, at.line, column, at.line, column + len(word))
            yield Fix(f"write `{meant}`", place, meant, sure=True)
            return


def _after_version(file: str, lines: list[str]) -> Span:
    number = next((n for n, line in enumerate(lines, 1) if re.match(r"\s*hap\s+\d", line)), 1)
    column = len(lines[number - 1].rstrip("\r")) + 1
    return Span(file, number, column, number, column)


def _silence(code: str, at: Span, line: str) -> Fix:
    line = line.rstrip("\r")
    known = re.search(r"//\s*hapir:\s*allow\b.*$", line)
    column = len(line.rstrip()) + 1
    place = Span(at.file, at.line, column, at.line, len(line) + 1)
    if known is not None:
        return Fix(f"allow {code} here", place, f", {code}")
    if "//" in line:
        # a second comment on the line would be part of the first one: it goes above
        indent = line[: len(line) - len(line.lstrip())]
        above = Span(at.file, at.line, 1, at.line, 1)
        return Fix(f"allow {code} here", above, f"{indent}// hapir: allow {code}\n")
    return Fix(f"allow {code} here", place, f"  // hapir: allow {code}")
