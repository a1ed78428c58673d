"""`hapir completion`: bash runs the script and completes commands, options, choices, names and files."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from hapir.catalogue import everything
from hapir.cli.completion import script
from hapir.cli.main import COMMANDS

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


def complete(line: str, folder: Path) -> list[str]:
    """What bash offers for the last word of a command line."""
    words = line.split(" ")
    ask = f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _hapir; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(
        ["bash", "-c", f"{script('bash')}\n{ask}"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@needs_bash
def test_commands_are_completed(tmp_path: Path) -> None:
    assert set(complete("hapir ", tmp_path)) == set(COMMANDS)
    assert complete("hapir exp", tmp_path) == ["explain", "export"]


@needs_bash
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hapir run --on ", {"reference", "c", "rtl"}),
        ("hapir run --on r", {"reference", "rtl"}),
        ("hapir check --format ", {"text", "json"}),
        ("hapir check --allow", {"--allow-outside"}),
        ("hapir list pas", {"passes"}),
        ("hapir help keep_", {"keep_accuracy"}),
        ("hapir explain HAP030", {e.name for e in everything() if e.name.startswith("HAP030")}),
        ("hapir run --nothing", {""}),
    ],
)
def test_options_choices_and_names_are_completed(line: str, words: set[str], tmp_path: Path) -> None:
    assert set(complete(line, tmp_path)) == words - {""}


@needs_bash
def test_files_are_completed_where_no_word_fits(tmp_path: Path) -> None:
    (tmp_path / "digits.hap").touch()
    assert complete("hapir check dig", tmp_path) == ["digits.hap"]


def test_zsh_reads_the_same_script_through_its_own_bridge() -> None:
    text = script("zsh")
    assert "bashcompinit" in text
    assert text.partition("_hapir()")[2] == script("bash").partition("_hapir()")[2]
