"""The runner of filecheck files: what RUN lines may say, and that what is wrong fails with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.filecheck.runner import MARK as RUN
from tests.filecheck.runner import commands, run_file, run_lines

GOOD = f"{RUN} hapir opt %s | filecheck %s\nbuiltin.module {{}}\n// CHECK: builtin.module\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "case.mlir"
    path.write_text(text)
    return path


def fails(folder: Path, text: str) -> str:
    with pytest.raises(AssertionError) as error:
        run_file(write(folder, text), folder)
    return str(error.value)


def test_lines_and_their_continuations() -> None:
    found = run_lines(f"{RUN} a | \\\n// text\n  {RUN} b\n\n{RUN} c\n")
    assert [(line.line, line.text) for line in found] == [(1, "a | b"), (5, "c")]
    with pytest.raises(AssertionError, match="nothing follows"):
        run_lines(f"{RUN} a \\\n")


def test_commands_are_split_as_a_shell_does() -> None:
    line = """hapir opt %s -p 'a{s="x | y"}' 2>&1|filecheck %s --check-prefix "A B" """
    assert commands(line) == [
        ["hapir", "opt", "%s", "-p", 'a{s="x | y"}', "2>&1"],
        ["filecheck", "%s", "--check-prefix", "A B"],
    ]
    with pytest.raises(AssertionError, match="missing"):
        commands("hapir opt | | filecheck")


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"{RUN} hapir opt %s | hapir opt | filecheck %s\n{GOOD}",
        f"{RUN} hapir opt %s -o %t.mlir\n{GOOD}",
        f"{RUN} not hapir opt %s -p fuze 2>&1 | filecheck %s --check-prefix ERR\n// ERR: no pass or pipeline `fuze`\n"
        + GOOD,
        f"{RUN} hapir opt %s | not filecheck %s --check-prefix NO\n// NO: nowhere\n{GOOD}",
        f"{RUN} not hapir opt --no-such-option %s\n{GOOD}",
        f"{RUN} hapir opt %S/case.mlir\n{GOOD}",
    ],
    ids=["plain", "several lines", "temporary", "not and messages", "not filecheck", "usage", "folder"],
)
def test_good_files_pass(tmp_path: Path, text: str) -> None:
    run_file(write(tmp_path, text), tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("builtin.module {}\n", ["case.mlir has no RUN line"]),
        (GOOD + "// CHECK: nowhere.in.the.output\n", ["case.mlir:1", "nowhere.in.the.output", "case.mlir:4"]),
        (GOOD.replace("CHECK:", "CHEKC:"), ["case.mlir:1", "filecheck"]),
        (f"\n{RUN} hapir opt %s\nnn.relo\n", ["case.mlir:2", "gave 1", "there is no operation `nn.relo`"]),
        (f"{RUN} not hapir opt %s\nbuiltin.module {{}}\n", ["gave 0"]),
        (f"{RUN} rm %s\n", ["runs hapir or filecheck, not `rm"]),
        (f"{RUN} hapir opt --no-such %s\n", ["gave 2", "--no-such"]),
    ],
    ids=["no line", "check", "no check", "exit code", "not", "other tool", "usage"],
)
def test_wrong_files_fail_with_the_place(tmp_path: Path, text: str, words: list[str]) -> None:
    said = fails(tmp_path, text)
    assert [word for word in words if word not in said] == []


def test_messages_stay_out_of_the_pipe_unless_asked_for(tmp_path: Path) -> None:
    check = "| filecheck %s\nbuiltin.module {}\n// CHECK: IR after cse\n"
    run_file(write(tmp_path, f"{RUN} hapir opt %s -p cse --print-ir-after-all 2>&1 {check}"), tmp_path)
    assert "IR after cse" in fails(tmp_path, f"{RUN} hapir opt %s -p cse --print-ir-after-all {check}")
