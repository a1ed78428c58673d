"""The command line as a whole: help, usage errors, exit codes, formats, colours, bugs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hapir.cli import main as cli
from hapir.cli.main import COMMANDS
from tests.projects import run_main, write_project


def test_help_names_every_command() -> None:
    outcome = run_main("--help")
    assert outcome.code == 0
    for command in COMMANDS:
        assert f"    {command}" in [line.rstrip()[: len(command) + 4] for line in outcome.out.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_an_example(command: str) -> None:
    outcome = run_main(command, "--help")
    assert outcome.code == 0
    assert f"example: hapir {command}" in outcome.out


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("compiel",),
        ("run", "x.hap"),
        ("run", "x.hap", "--input", "d.npz", "--on", "fpga"),
        ("run", "x.hap", "--input", "d.npz", "--limit", "0"),
        ("run", "x.hap", "--input", "d.npz", "--limit", "many"),
        ("compile", "x.hap"),
        ("compile", "-o", "out"),
        ("list", "colours"),
        ("check", "x.hap", "--format", "xml"),
        ("opt", "--no-such-option"),
        ("opt", "-f", "vhdl"),
    ],
)
def test_wrong_usage_exits_2(argv: tuple[str, ...]) -> None:
    outcome = run_main(*argv)
    assert outcome.code == 2
    assert "usage: hapir" in outcome.err
    assert outcome.out == ""


def test_the_version_names_hapir_and_xdsl() -> None:
    outcome = run_main("--version")
    assert outcome.code == 0
    assert outcome.out.startswith("hapir ")
    assert " xdsl 0.74" in outcome.out


def test_a_missing_spec_is_a_diagnostic_in_both_formats(tmp_path: Path) -> None:
    text = run_main("check", tmp_path / "no.hap")
    assert (text.code, text.out) == (1, "")
    assert "error[HAP0106]" in text.err
    data = run_main("check", tmp_path / "no.hap", "--format", "json")
    assert (data.code, data.err) == (1, "")
    assert [d["code"] for d in data.json["diagnostics"]] == ["HAP0106"]


def test_colour_follows_the_option(tmp_path: Path) -> None:
    assert "\x1b[" in run_main("check", tmp_path / "no.hap", "--color", "always").err
    for when in ("never", "auto"):  # a test's stderr is no terminal
        assert "\x1b[" not in run_main("check", tmp_path / "no.hap", "--color", when).err


def test_a_bug_is_one_line_and_exit_70(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("quotient\nsecond line")

    monkeypatch.setattr("hapir.driver.load", broken)
    outcome = run_main("check", write_project(tmp_path))
    assert outcome.code == 70
    assert "internal error: ZeroDivisionError: quotient; this is a bug in hapir" in outcome.err
    assert "Traceback" not in outcome.err
    monkeypatch.setenv("HAPIR_DEBUG", "1")
    outcome = run_main("check", write_project(tmp_path))
    assert outcome.code == 70
    assert "Traceback" in outcome.err


def test_an_interrupt_exits_130_without_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hapir.driver.load", interrupted)
    outcome = run_main("check", write_project(tmp_path))
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "interrupted\n")


def test_the_table_of_commands_is_the_folder() -> None:
    # a module whose command is a word of Python ends in `_`
    modules = {p.stem.removesuffix("_") for p in Path(cli.__file__).parent.glob("[a-z]*.py")}
    shared = {"main", "command", "console", "progress", "opt_driver"}
    assert modules - shared == set(COMMANDS)


def test_check_counts(tmp_path: Path) -> None:
    outcome = run_main("check", write_project(tmp_path), "--format", "json")
    assert outcome.code == 0
    (network,) = outcome.json["networks"]
    # c1 4x2x3x3 + 4 on 4x4 maps, f1 3x16 + 3
    assert network["parameters"] == 72 + 4 + 48 + 3
    assert network["macs"] == 72 * 16 + 48
    assert [layer["name"] for layer in network["layers"]][:2] == ["c1", "r1"]
    assert outcome.json["schedules"] == ["on_m"]


def test_check_tells_all_that_is_wrong(tmp_path: Path) -> None:
    spec = write_project(tmp_path)
    spec.write_text(spec.read_text().replace("conv2d(", "conv2(").replace("relu(", "rel("))
    outcome = run_main("check", spec, "--format", "json")
    assert outcome.code == 1
    assert [d["code"] for d in outcome.json["diagnostics"]] == ["HAP0201", "HAP0201"]
    assert [d["span"]["line"] for d in outcome.json["diagnostics"]] == [4, 5]


def test_json_output_is_one_document(tmp_path: Path) -> None:
    spec = write_project(tmp_path)
    for argv in (
        ("check", spec),
        ("run", spec, "--input", tmp_path / "test.npz"),
        ("estimate", spec),
        ("compile", spec, "-o", tmp_path / "out", "--target", "c"),
        ("list", "passes"),
        ("explain", "conv2d"),
    ):
        outcome = run_main(*argv, "--format", "json")
        assert (outcome.code, outcome.err) == (0, "")
        assert isinstance(json.loads(outcome.out), dict)
