"""Runs the `// RUN:` lines of every file below this folder, in this process: tools take longer to start than to run.

A line is a chain of `[not] hapir ...` and `filecheck ...` commands joined by ` | `; `%s` is the file, `%S` its folder,
`%t` a path for a temporary file. `2>&1` after a command pipes its messages on with its output.
"""

from __future__ import annotations

import io
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import parse_argv_options
from filecheck.parser import Parser, pattern_for_opts

from hapir.cli.main import main

FOLDER = Path(__file__).parent
FILES = sorted(p for p in FOLDER.rglob("*") if p.suffix in (".mlir", ".hap"))


def run_lines(path: Path) -> list[str]:
    """The commands after `// RUN:`, a trailing backslash continuing on the next such line."""
    commands: list[str] = []
    continued = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("// RUN:"):
            continue
        text = line.removeprefix("// RUN:").strip()
        joined = f"{commands.pop()} {text}" if continued else text
        continued = joined.endswith("\\")
        commands.append(joined.removesuffix("\\").strip())
    return commands


def run_hapir(arguments: list[str], text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """One `hapir` command on standard input `text`; its output. Fails where the exit code is not the expected one."""
    fails = arguments[0] == "not"
    words = arguments[2:] if fails else arguments[1:]
    merged = words[-1:] == ["2>&1"]
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))
    with redirect_stdout(out), redirect_stderr(out if merged else err):
        code = main(words[:-1] if merged else words)
    assert (code != 0) == fails, f"`{shlex.join(arguments)}` returned {code}\n{out.getvalue()}{err.getvalue()}"
    return out.getvalue()


def run_filecheck(arguments: list[str], text: str) -> None:
    """Match `text` against the CHECK lines of the file named in the arguments."""
    options = parse_argv_options(arguments)
    with Path(options.match_filename).open(encoding="utf-8") as checks, redirect_stderr(io.StringIO()) as messages:
        source = FInput("<output>", text)
        code = Matcher(options, source, Parser(options, checks, *pattern_for_opts(options))).run()
    assert code == 0, f"{messages.getvalue()}\nthe output was:\n{text}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(FOLDER)))
def test_run_lines(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run_lines(path)
    assert lines, f"{path.name} has no RUN line"
    for line in lines:
        text = ""
        for stage in line.split(" | "):
            words = [
                word.replace("%s", str(path)).replace("%S", str(path.parent)).replace("%t", str(tmp_path / "t"))
                for word in shlex.split(stage)
            ]
            if words[0] == "filecheck":
                run_filecheck(words, text)
            else:
                assert "hapir" in words[:2], f"a RUN line runs hapir or filecheck, not {words[0]}"
                text = run_hapir(words, text, monkeypatch)


def test_a_wrong_check_line_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wrong.mlir"
    path.write_text("// RUN: hapir opt %s | filecheck %s\nbuiltin.module {}\n// CHECK: nowhere.in.the.output\n")
    with pytest.raises(AssertionError, match=r"nowhere\.in\.the\.output"):
        test_run_lines(path, tmp_path, monkeypatch)
