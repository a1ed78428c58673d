"""Pages of documentation as programs: files that they show are written, commands that they show are run.

In a page, `<!-- file: NAME -->` before a fenced block writes the block to a file of that name, and
`<!-- append: NAME -->` adds to it. A fenced `console` block is run: each line `$ COMMAND` in turn, in one folder per
page, and what it prints is the text up to the next. `...` stands for any text. A command that fails shows `[exit N]` as
its last line. Under `<!-- not run -->` a block is only shown. Beside the folder lies the repository, as `../hapir`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 300
_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>file|append|not run)(?:: (?P<name>[^\n]+?))? -->\n\s*)?"
    r"^```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Fence:
    """A fenced block of a page: what is to be done with it, and where its body lies in the text."""

    mark: str
    name: str
    language: str
    body: str
    start: int


@dataclass(frozen=True)
class Command:
    """A command of a page with what it is said to print."""

    line: str
    expected: str


def fences(text: str) -> Iterator[Fence]:
    """The fenced blocks of a page, in order."""
    for match in _FENCE.finditer(text):
        yield Fence(match["mark"] or "", match["name"] or "", match["language"], match["body"], match.start("body"))


def commands(body: str) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for line in body.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append(Command(line[2:].rstrip("\n"), ""))
        elif found:
            found[-1] = replace(found[-1], expected=found[-1].expected + line)
    return found


def matches(expected: str, printed: str) -> bool:
    """Whether a command printed what a page says; `...` stands for any text."""
    pattern = ".*".join(re.escape(part) for part in expected.rstrip().split("..."))
    return re.fullmatch(pattern, printed.rstrip(), re.DOTALL) is not None


def run_page(text: str, folder: Path) -> tuple[str, list[str]]:
    """Run a page in a folder: the page as it ought to be, and what differs in this one."""
    wrong: list[str] = []
    pieces: list[str] = []
    done = 0
    for fence in fences(text):
        if fence.mark in ("file", "append"):
            path = folder / fence.name
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = path.read_text(encoding="utf-8") if fence.mark == "append" else ""
            path.write_text(kept + fence.body, encoding="utf-8")
        elif fence.language == "console" and fence.mark != "not run":
            body = ""
            for command in commands(fence.body):
                printed = _run(command.line, folder)
                same = matches(command.expected, printed)
                if not same:
                    wrong.append(f"$ {command.line}\n--- the page says\n{command.expected}--- it prints\n{printed}")
                body += f"$ {command.line}\n{command.expected if same else printed}"
            pieces += [text[done : fence.start], body]
            done = fence.start + len(fence.body)
    return "".join([*pieces, text[done:]]), wrong


def _run(command: str, folder: Path) -> str:
    """What a command prints, stdout and stderr as they come; paths are those of the page's folder."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, **_environment(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    ending = f"[exit {done.returncode}]\n" if done.returncode else ""
    return done.stdout + ending


def _environment(folder: Path) -> dict[str, str]:
    """`hapir` and `python` as these tests run them, wherever that is, and a terminal of known width."""
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    repository = folder.parent / "hapir"
    if not repository.exists():
        repository.symlink_to(ROOT)
    for name, arguments in (("hapir", " -m hapir"), ("python", "")):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1", "PYTHONHASHSEED": "0"}
