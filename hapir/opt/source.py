"""What `hapir opt` reads: a file or standard input, whole or in chunks that lie between lines `// -----`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hapir.diagnostics import Diagnostic, HapirError, did_you_mean, fail, files_from

SPLIT = re.compile(r"// -----[-\s]*")
"""The whole of a line between two chunks."""
STANDARD_INPUT = "<stdin>"
"""What diagnostics call standard input."""


@dataclass(frozen=True)
class Source:
    """An input: its text, the kind of the text, and where it comes from (`path` is None for standard input)."""

    text: str
    kind: str
    path: Path | None

    @property
    def name(self) -> str:
        """What places in it call it: the name of the file in its folder."""
        return self.path.name if self.path else STANDARD_INPUT

    @property
    def folder(self) -> Path:
        """Where files that it names relatively lie."""
        return self.path.parent if self.path else Path()

    @property
    def texts(self) -> Mapping[str, str]:
        """The text by name, where no file holds it."""
        return {} if self.path else {STANDARD_INPUT: self.text}

    def placed(self, diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """Diagnostics that can show their lines of this source."""
        try:
            with files_from(self.folder, self.texts):
                raise HapirError(diagnostics)
        except HapirError as error:
            return error.diagnostics


@dataclass(frozen=True)
class Chunk:
    """A part of an input. `text` starts with an empty line for each line before it, so that places are the input's."""

    text: str
    first: int
    last: int
    """Its first and last line, counted from 1."""

    @property
    def blank(self) -> bool:
        """Whether it holds nothing but comments."""
        return all(not line or line.startswith("//") for line in map(str.strip, self.text.split("\n")))


def read_source(argument: str | None, kind: str | None, kinds: Iterable[str]) -> Source:
    """The input that a command line names. Raises HapirError (HAP0851)."""
    path = None if argument in (None, "-") else Path(argument)
    shown = f"`{path}`" if path else "standard input"
    found = kind or (path.suffix.removeprefix(".") if path else "mlir")
    known = sorted(kinds)
    # a file that is not there has a wrong name first of all
    try:
        data = path.read_bytes() if path else sys.stdin.buffer.read()
    except (OSError, ValueError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
        fail("HAP0851", f"cannot read {shown}: {reason}", help=_near(path))
    if found not in known:
        what = f"`.{found}`" if found else "no known ending"
        help = f"it reads {', '.join(f'.{k}' for k in known)}; `-f` says which of them the file is"
        fail("HAP0851", f"hapir opt does not know the kind of {shown}: {what}", help=help)
    try:
        return Source(data.decode("utf-8-sig").replace("\r\n", "\n"), found, path)
    except UnicodeDecodeError as error:
        fail("HAP0851", f"{shown} is not UTF-8 text: byte {error.start} is no part of it", help="name a text file")


def _near(path: Path | None) -> str | None:
    """A file of the same folder with a similar name."""
    try:
        return did_you_mean(path.name, [p.name for p in path.parent.iterdir() if p.is_file()]) if path else None
    except OSError:
        return None


def chunks_of(source: Source, split: bool) -> list[Chunk]:
    """The parts of an input; all of it where it is not split."""
    lines = source.text.split("\n")
    if not split:
        return [Chunk(source.text, 1, len(lines))]
    marks = [index for index, line in enumerate(lines) if SPLIT.fullmatch(line)]
    starts, ends = [0, *(mark + 1 for mark in marks)], [*marks, len(lines)]
    return [
        Chunk("\n" * start + "\n".join(lines[start:end]), start + 1, end)
        for start, end in zip(starts, ends, strict=True)
    ]
