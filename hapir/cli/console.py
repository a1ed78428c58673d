"""Where a command's words go: results to stdout as text or JSON, diagnostics and progress to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hapir.diagnostics import Diagnostic

Format = Literal["text", "json"]
Colour = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class Console:
    """The output of one command: its format and when to colour."""

    format: Format = "text"
    colour: Colour = "auto"

    def result(self, text: str | Callable[[], str], data: Mapping[str, object]) -> None:
        """Print a result in the chosen format."""
        if self.format == "json":
            print(json.dumps(data, indent=2))
        else:
            shown = text if isinstance(text, str) else text()
            if shown:
                print(shown)

    def diagnostics(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Show diagnostics alone: text goes to stderr, JSON is the command's one document on stdout."""
        from hapir.diagnostics import render

        if self.format == "json":
            print(json.dumps({"diagnostics": [d.to_json() for d in diagnostics]}, indent=2))
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
