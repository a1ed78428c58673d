"""`--verify-diagnostics`: comments that say which diagnostics an input gives, and the check that it gives just those.

```
// expected-error@+1 {{there is no pass}}
recipe r { quantise() }        // expected-note {{a part of a label}}
```

The text must be a part of `CODE: message`. Every error and warning needs a comment, every comment a diagnostic.
Labels count as notes: a comment may expect one, but need not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hapir.diagnostics import Diagnostic, Severity, Span
from hapir.opt.source import Chunk

_MARK = re.compile(r"//[/\s]*expected-(?:error|warning|note|remark)(?![a-zA-Z])")
_EXPECTATION = re.compile(
    r"//[/\s]*expected-(?P<severity>error|warning|note)(?P<re>-re)?"
    r"[ \t]*(?:@(?P<where>[+-]\d+|above|below|unknown))?[ \t]*\{\{(?P<text>.*)\}\}\s*"
)


@dataclass(frozen=True)
class Expectation:
    """A diagnostic that is to come: its severity, its line (None: no place in this input), and what it says."""

    severity: Severity
    line: int | None
    text: str
    pattern: re.Pattern[str]
    at: Span


@dataclass(frozen=True)
class _Seen:
    """A diagnostic or a label that came."""

    severity: Severity
    line: int | None
    text: str
    source: Diagnostic
    required: bool


def expectations_of(chunk: Chunk, name: str) -> tuple[list[Expectation], list[Diagnostic]]:
    """The expectations of a chunk, and what is wrong with those that cannot be read (HAP0858)."""
    lines = chunk.text.split("\n")
    found: list[Expectation] = []
    problems: list[Diagnostic] = []
    for number, line in enumerate(lines, 1):
        mark = _MARK.search(line)
        if mark is None:
            continue
        at = Span(name, number, mark.start() + 1, number, len(line.rstrip()) + 1)
        expected = _EXPECTATION.fullmatch(line, mark.start())
        try:
            pattern = re.compile(_pattern(expected)) if expected else None
        except re.error as error:
            problems.append(Diagnostic("HAP0858", f"the regular expression cannot be read: {error}", at))
            continue
        if expected is None or pattern is None:
            help = "write `// expected-error@+1 {{text}}`"
            problems.append(Diagnostic("HAP0858", "this expectation cannot be read", at, help=help))
            continue
        target = _line(expected["where"], number, lines)
        severity: Severity = expected["severity"]  # pyright: ignore[reportAssignmentType]  # the pattern allows no other
        found.append(Expectation(severity, target, expected["text"], pattern, at))
    return found, problems


def _pattern(expected: re.Match[str]) -> str:
    """A regular expression for the text; that of `-re` is plain but for what stands in double braces."""
    if not expected["re"]:
        return re.escape(expected["text"])
    # every second part stands in braces
    parts = re.split(r"\{\{(.*?)\}\}", expected["text"])
    return "".join(f"(?:{part})" if index % 2 else re.escape(part) for index, part in enumerate(parts))


def _line(where: str | None, number: int, lines: Sequence[str]) -> int | None:
    """The line that an expectation in line `number` means; `above` and `below` skip lines of expectations alone."""

    def alone(line: int) -> bool:
        return 1 <= line <= len(lines) and bool(_MARK.match(lines[line - 1].lstrip()))

    match where:
        case None:
            return number
        case "unknown":
            return None
        case "above" | "below":
            step = -1 if where == "above" else 1
            target = number + step
            while alone(target):
                target += step
            return target
        case _:
            return number + int(where)


def unmet(expected: Sequence[Expectation], diagnostics: Sequence[Diagnostic], name: str) -> list[Diagnostic]:
    """What differs between the expectations and the diagnostics of an input; nothing where they match.

    Each expectation takes one diagnostic: HAP0856 for an expectation that finds none, HAP0857 for a diagnostic that
    none takes.
    """
    seen = [one for diagnostic in diagnostics for one in _seen(diagnostic, name)]
    taken = _match([[i for i, one in enumerate(seen) if _fits(wish, one)] for wish in expected])
    left = [one for i, one in enumerate(seen) if i not in taken.values()]
    problems = [_missing(wish, left) for i, wish in enumerate(expected) if i not in taken]
    for one in left:
        if one.required:
            source = one.source
            message = f"this {one.severity} was not expected: {source.code}: {source.message}"
            help = f"write `// expected-{one.severity}@+1 {{{{{source.message}}}}}` above it" if one.line else None
            problems.append(
                Diagnostic("HAP0857", message, source.span, source.labels, help, "error", source.folder, source.sources)
            )
    return problems


def _seen(diagnostic: Diagnostic, name: str) -> list[_Seen]:
    def line(span: Span | None) -> int | None:
        return span.line if span and span.file == name else None

    text = f"{diagnostic.code}: {diagnostic.message}"
    own = _Seen(diagnostic.severity, line(diagnostic.span), text, diagnostic, diagnostic.severity != "note")
    return [own, *(_Seen("note", line(label.span), label.message, diagnostic, False) for label in diagnostic.labels)]


def _fits(wish: Expectation, one: _Seen) -> bool:
    return wish.severity == one.severity and wish.line == one.line and bool(wish.pattern.search(one.text))


def _match(choices: Sequence[Sequence[int]]) -> dict[int, int]:
    """A largest assignment of wishes to different choices, by augmenting paths; wish -> choice."""
    owner: dict[int, int] = {}

    def assign(wish: int, tried: set[int]) -> bool:
        for choice in choices[wish]:
            if choice in tried:
                continue
            tried.add(choice)
            if choice not in owner or assign(owner[choice], tried):
                owner[choice] = wish
                return True
        return False

    for wish in range(len(choices)):
        assign(wish, set())
    return {wish: choice for choice, wish in owner.items()}


def _missing(wish: Expectation, left: Sequence[_Seen]) -> Diagnostic:
    """An expectation that was not met, with what came close."""
    place = "without a place in this file" if wish.line is None else f"on line {wish.line}"
    message = f"no {wish.severity} {place} says `{wish.text}`"
    alike = [one for one in left if one.severity == wish.severity]
    here = next((one for one in alike if one.line == wish.line), None)
    moved = next((one for one in alike if wish.pattern.search(one.text)), None)
    help = None
    if moved is not None:
        help = "it came without a place in this file" if moved.line is None else f"it came on line {moved.line}"
    elif here is not None:
        help = f"it says `{here.text}`"
    return Diagnostic("HAP0856", message, wish.at, help=help)
