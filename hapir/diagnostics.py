"""Messages for users: what is wrong, where, and the way out.

A `Diagnostic` is data; renderers turn it into text or JSON. Code that meets bad input raises `HapirError` with one or
more diagnostics; nothing else reaches a user. Errors meant for hapir's authors stay ordinary exceptions.

Codes are stable (`HAP0301`); `hapir/codes` holds what `hapir explain CODE` prints for each.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal, NoReturn

from xdsl.dialects.builtin import FileLineColLoc, IntAttr, StringAttr
from xdsl.ir import Attribute, Operation

from hapir.library import library_text

Severity = Literal["error", "warning", "note"]

LIBRARY = "library:"
"""Starts the file of a span that lies in hapir's own library of machines and networks."""


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of a source file. Lines and columns count from 1; the end column is exclusive.

    `file` is relative to the project folder (the folder of the root spec), or starts with `library:`.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True)
class Label:
    """A second place that explains the first one ("16 channels here")."""

    span: Span
    message: str


@dataclass(frozen=True)
class Diagnostic:
    """One message: a stable code, what is wrong, where, related places, and a way out.

    `folder` is where the files of the spans are read from when the message is rendered, `sources` holds the text of
    those that are no files (standard input, a pipeline); neither is part of the message.
    """

    code: str
    message: str
    span: Span | None = None
    labels: tuple[Label, ...] = ()
    help: str | None = None
    severity: Severity = "error"
    folder: Path | None = field(default=None, compare=False, repr=False)
    sources: Mapping[str, str] = field(default_factory=dict[str, str], compare=False, repr=False)

    @property
    def way_out(self) -> str:
        """The help, or where to find more where the message says all that is known."""
        return self.help or f"`hapir explain {self.code}` tells more"

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields but the folder; files as a reader can open them from here."""

        def opened(span: Span) -> dict[str, object]:
            return {**asdict(span), "file": _shown_path(span, self)}

        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "span": None if self.span is None else opened(self.span),
            "labels": [{"span": opened(label.span), "message": label.message} for label in self.labels],
            "help": self.way_out,
        }


class HapirError(Exception):
    """The user's spec or data is wrong. Carries one or more diagnostics."""

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]):
        found = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        self.diagnostics: tuple[Diagnostic, ...] = found
        super().__init__("\n".join(f"{d.code}: {d.message}" for d in found))


class Findings:
    """Diagnostics collected while a checker goes on after an error."""

    ENOUGH = 100
    """Errors after which nobody reads on: checkers stop, so that a file of errors takes no longer than a good one."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []
        self._errors = 0

    def error(
        self, code: str, message: str, *, at: Span | None, labels: Iterable[Label] = (), help: str | None = None
    ) -> None:
        """Note an error."""
        self.add([Diagnostic(code, message, at, tuple(labels), help)])

    def warning(self, code: str, message: str, *, at: Span | None, help: str | None = None) -> None:
        """Note a warning."""
        self._found.append(Diagnostic(code, message, at, (), help, "warning"))

    def add(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Take over diagnostics found elsewhere."""
        added = tuple(diagnostics)
        self._found.extend(added)
        self._errors += sum(d.severity == "error" for d in added)

    def sorted(self) -> tuple[Diagnostic, ...]:
        """All findings by place, each once; those without a place first."""
        unique = list(dict.fromkeys(self._found))
        return tuple(sorted(unique, key=lambda d: (d.span is not None, d.span or Span("", 0, 0, 0, 0), d.code)))

    @property
    def errors(self) -> int:
        """How many errors were found."""
        return self._errors

    @property
    def failed(self) -> bool:
        """Whether an error was found."""
        return self._errors > 0

    @property
    def enough(self) -> bool:
        """Whether there are so many errors that a checker stops."""
        return self._errors >= self.ENOUGH

    def raise_errors(self) -> None:
        """Raise HapirError with all findings, warnings included, where one of them is an error."""
        if self.failed:
            raise HapirError(self.sorted())


@contextmanager
def files_from(folder: Path, sources: Mapping[str, str] | None = None) -> Generator[None]:
    """Diagnostics that leave the block know where their files lie, so that they show the source line."""
    try:
        yield
    except HapirError as error:
        raise HapirError(placed(error.diagnostics, folder, sources)) from error


def placed(
    diagnostics: Iterable[Diagnostic], folder: Path, sources: Mapping[str, str] | None = None
) -> tuple[Diagnostic, ...]:
    """Diagnostics that know where their files lie; those that know already keep their folder.

    `sources` are the texts of places that are no files, by the name that spans give them.
    """
    known = tuple(d if d.folder else replace(d, folder=folder) for d in diagnostics)
    return tuple(replace(d, sources={**sources, **d.sources}) for d in known) if sources else known


def span_of(location: Attribute) -> Span | None:
    """The span of an IR location, or None where the location is unknown. IR locations are points: one column wide."""
    if not isinstance(location, FileLineColLoc):
        return None
    line, column = location.line.data, location.column.data
    return Span(location.filename.data, line, column, line, column + 1)


def location_of(span: Span) -> FileLineColLoc:
    """The IR location of a span's beginning."""
    return FileLineColLoc(StringAttr(span.file), IntAttr(span.line), IntAttr(span.column))


def fail(
    code: str,
    message: str,
    *,
    at: Operation | Span | None = None,
    labels: Iterable[Label] = (),
    help: str | None = None,
) -> NoReturn:
    """Raise a `HapirError` with one diagnostic placed at an operation's `.hap` line or at a span."""
    span = span_of(at.location) if isinstance(at, Operation) else at
    raise HapirError(Diagnostic(code, message, span, tuple(labels), help))


MAXIMUM_COMPARED = 2000
"""Names that one unknown name is compared with."""


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A help line that names the closest known spelling, or None where nothing is close."""
    close = difflib.get_close_matches(name, list(islice(known, MAXIMUM_COMPARED)), n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else None


def some(names: Collection[str], most: int = 12) -> str:
    """Names in a row, the first so many of them."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def render(diagnostics: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """Diagnostics as text for a terminal, with the source line and a caret under the place."""
    return "\n\n".join(_render_one(d, colour) for d in diagnostics)


_COLOURS = {
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "note": "\x1b[1;36m",
    "place": "\x1b[1;34m",
    "bold": "\x1b[1m",
}


def _paint(text: str, style: str, colour: bool) -> str:
    return f"{_COLOURS[style]}{text}\x1b[0m" if colour else text


def _render_one(diagnostic: Diagnostic, colour: bool) -> str:
    head = _paint(f"{diagnostic.severity}[{diagnostic.code}]", diagnostic.severity, colour)
    lines = [f"{head}: {_paint(diagnostic.message, 'bold', colour)}"]
    places: list[tuple[Span, str, str]] = []
    if diagnostic.span is not None:
        places.append((diagnostic.span, "", "^"))
    places.extend((label.span, label.message, "-") for label in diagnostic.labels)
    for index, (span, message, mark) in enumerate(places):
        arrow = "-->" if index == 0 else ":::"
        gutter = " " * len(str(span.line))
        shown = _shown_path(span, diagnostic)
        lines.append(f"{gutter}{_paint(arrow, 'place', colour)} {shown}:{span.line}:{span.column}")
        source = source_line(span, diagnostic.folder, diagnostic.sources)
        if source is None:
            if message:
                lines.append(f"{gutter} {_paint('|', 'place', colour)} {message}")
            continue
        last = min(span.end_column, len(source) + 1) if span.end_line == span.line else len(source) + 1
        source, before, marked = _around(source, span.column - 1, max(1, last - span.column))
        # tabs keep their width under the caret: the padding repeats them
        padding = "".join("\t" if c == "\t" else " " for c in source[:before])
        underline = mark * marked
        style = diagnostic.severity if mark == "^" else "place"
        lines.append(f"{_paint(f'{span.line} |', 'place', colour)} {source}")
        tail = f" {message}" if message else ""
        lines.append(f"{gutter} {_paint('|', 'place', colour)} {padding}{_paint(underline + tail, style, colour)}")
    lines.append(f"  {_paint('=', 'place', colour)} help: {diagnostic.way_out}")
    return "\n".join(lines)


_WIDEST = 400
"""The most columns that are shown of a line; lines of files that people write are shorter."""


def _around(source: str, before: int, marked: int) -> tuple[str, int, int]:
    """What is shown of a line, and the columns before the mark and under it there: all, or what fits around it."""
    if len(source) <= _WIDEST:
        return source, before, marked
    start = max(0, before - _WIDEST // 4)
    head = "..." if start else ""
    tail = "..." if start + _WIDEST < len(source) else ""
    shown = f"{head}{source[start : start + _WIDEST]}{tail}"
    before += len(head) - start
    return shown, before, max(1, min(marked, len(shown) - len(tail) - before))


def source_line(span: Span, folder: Path | None = None, sources: Mapping[str, str] | None = None) -> str | None:
    """The text of a span's first line, from `sources` or read from its file; None where the file cannot be read."""
    try:
        if sources and span.file in sources:
            text = sources[span.file]
        elif span.file.startswith(LIBRARY):
            text = library_text(span.file.removeprefix(LIBRARY))
        else:
            # as bytes: reading as text would make lines of carriage returns
            text = ((folder or Path()) / span.file).read_bytes().decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return None
    # only newlines part lines in .hap; str.splitlines would also cut at form feeds and the like
    lines = text.split("\n")
    if not 0 < span.line <= len(lines):
        return None
    # control characters would upset the terminal; each keeps its one column
    return "".join(c if c == "\t" or c.isprintable() else "\ufffd" for c in lines[span.line - 1].rstrip("\r"))


def _shown_path(span: Span, diagnostic: Diagnostic) -> str:
    """The path a reader can open from here; that of the span where its folder is unknown or elsewhere."""
    folder = diagnostic.folder
    if folder is None or span.file.startswith(LIBRARY) or span.file in diagnostic.sources:
        return span.file
    path = folder / span.file
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return path.as_posix()
