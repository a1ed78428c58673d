"""`hapir fmt`: specs in the one layout of the language."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hapir.cli.command import Command
from hapir.cli.console import Console, write_output

if TYPE_CHECKING:
    from hapir.diagnostics import Diagnostic

STDIN = "-"
_STDIN_NAME = "<stdin>"


@dataclass(frozen=True)
class _Change:
    """A file before and after; `before` is what its bytes say, with a byte order mark if it has one."""

    shown: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        """The difference as a unified diff."""
        import difflib

        before, after = (re.findall(r"[^\n]*\n|[^\n]+$", text) for text in (self.before, self.after))
        lines = difflib.unified_diff(before, after, self.shown, self.shown)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="a spec, a folder of specs, or `-` to read stdin and write stdout"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="change nothing, name what would change; exit 1 if anything")
    how.add_argument("--diff", action="store_true", help="change nothing, show what would change; exit 1 if anything")


def _execute(args: argparse.Namespace, console: Console) -> int:
    from hapir.diagnostics import HapirError

    changed: list[str] = []
    diffs: list[str] = []
    problems: list[Diagnostic] = []
    count = 0
    in_place = not (args.check or args.diff)
    for path in _specs(args.files, problems):
        count += 1
        try:
            change = _format(path)
            if in_place and path is None and console.format == "text":
                write_output(change.after)
            elif change.changed:
                changed.append(change.shown)
                if args.diff:
                    diffs.append(change.diff())
                elif in_place and path is not None:
                    _replace(path, change.after)
        except HapirError as error:
            problems.extend(error.diagnostics)
    data = {"files": count, "changed": changed, "diff": "".join(diffs), "diagnostics": [p.to_json() for p in problems]}
    verb = "formatted" if in_place else "would change"
    lines = [f"{verb} {name}" for name in changed]
    if not (changed or problems or STDIN in args.files):
        lines = [f"{count} file{'s' * (count != 1)}, formatted already"]
    console.result("".join(diffs).rstrip("\n") if args.diff else "\n".join(lines), data)
    if problems and console.format == "text":
        console.diagnostics(problems)
    return 1 if problems or (changed and not in_place) else 0


def _specs(names: Sequence[str], problems: list[Diagnostic]) -> Iterator[Path | None]:
    """The files to format, each once, None for stdin; of a folder the specs below it that are not hidden."""
    from hapir.diagnostics import Diagnostic

    seen: set[Path] = set()
    for name in names:
        path = Path(name)
        if name == STDIN:
            yield None
            continue
        found = [path]
        if path.is_dir():
            below = sorted(p for p in path.rglob("*.hap") if p.is_file())
            found = [p for p in below if not any(part.startswith(".") for part in p.relative_to(path).parts)]
            if not found:
                help = "name a .hap file, or a folder with some below it"
                problems.append(Diagnostic("HAP0106", f"the folder `{name}` holds no .hap file", help=help))
        for file in found:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _format(path: Path | None) -> _Change:
    """What becomes of a file. Raises HapirError where it cannot be read or has syntax errors."""
    from hapir.diagnostics import files_from
    from hapir.spec.format import format_text
    from hapir.spec.imports import decoded, read_bytes

    if path is None:
        data = sys.stdin.buffer.read()
        text = decoded(data, _STDIN_NAME)
        with files_from(Path(), {_STDIN_NAME: text}):
            return _Change(_STDIN_NAME, data.decode("utf-8"), format_text(text, _STDIN_NAME))
    with files_from(path.parent):
        data = read_bytes(path)
        text = decoded(data, path.name)
        return _Change(str(path), data.decode("utf-8"), format_text(text, path.name))


def _replace(path: Path, text: str) -> None:
    """Write a file in one step: the file that a link leads to, with the rights it has."""
    from hapir.files import write_atomically

    path = path.resolve()
    write_atomically(path, text.encode("utf-8"), mode=path.stat().st_mode)


COMMAND = Command(
    "fmt",
    "lay specs out in the one style of the language, comments and meaning kept",
    "hapir fmt --check digits.hap",
    _add_arguments,
    _execute,
)
