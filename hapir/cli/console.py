"""Where a command's words go: results to stdout as text or JSON, diagnostics and progress to stderr."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO, cast

if TYPE_CHECKING:
    from hapir.diagnostics import Diagnostic

Format = Literal["text", "json"]
Colour = Literal["auto", "always", "never"]


class OutputError(Exception):
    """Standard output cannot be written, for another reason than a reader that went away; carries why."""


def write_output(text: str) -> None:
    """Print text at once. Raises OutputError, and BrokenPipeError where the reader went away."""
    try:
        if cast("TextIO | None", sys.stdout) is None:  # what Python makes of `>&-`
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        print(text, end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise OutputError(error.strerror) from error


def drop_output() -> None:
    """Forget what is still buffered for a stdout that takes no more: Python would complain about it at exit."""
    if cast("TextIO | None", sys.stdout) is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True)
class Console:
    """The output of one command: its format and when to colour."""

    format: Format = "text"
    colour: Colour = "auto"

    def result(
        self, text: str | Callable[[], str], data: Mapping[str, object], warnings: Iterable[Diagnostic] = ()
    ) -> None:
        """Print a result in the chosen format, with warnings about it: as `diagnostics` of the JSON, or before it."""
        heard = tuple(warnings)
        if self.format == "json":
            said = {"diagnostics": [d.to_json() for d in heard]} if heard else {}
            write_output(json.dumps({**data, **said}, indent=2) + "\n")
        else:
            if heard:
                self.diagnostics(heard)
            shown = text if isinstance(text, str) else text()
            if shown:
                write_output(f"{shown}\n")

    def diagnostics(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Show diagnostics alone: text goes to stderr, JSON is the command's one document on stdout."""
        from hapir.diagnostics import render

        if self.format == "json":
            write_output(json.dumps({"diagnostics": [d.to_json() for d in diagnostics]}, indent=2) + "\n")
        else:
            print(render(diagnostics, colour=self.coloured()), file=sys.stderr)

    def note(self, text: str) -> None:
        """A remark for people: stderr, and never in JSON."""
        if self.format == "text":
            print(text, file=sys.stderr)

    def coloured(self) -> bool:
        """Whether diagnostics are coloured: `auto` asks the terminal and NO_COLOR."""
        if self.colour == "auto":
            return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        return self.colour == "always"
