"""The README cannot rot: CI runs its test command, and its commands, specs, messages and code are run here."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from hapir.diagnostics import HapirError, render
from hapir.dialects.nn import LayerOp
from hapir.registry import make_context
from hapir.spec import build_module
from hapir.spec.check import Spec, load_spec_text
from tests.projects import run_main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def command(name: str) -> str:
    """The marked set-up command."""
    (text,) = re.findall(rf"^<!-- command: {name} -->\n```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return text


def hapir_commands() -> list[list[str]]:
    """The arguments of each hapir command in the set-up."""
    lines = command("run").replace("&&", "\n").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith(".venv/bin/hapir ")]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: it has the example specs, as commands that start at the repository's root see them."""
    shutil.copytree(ROOT / "spec_examples", tmp_path / "spec_examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ci_runs_the_test_command_of_the_readme():
    shown = subprocess.run([ROOT / ".ci" / "run", "--show"], check=True, capture_output=True, text=True).stdout
    assert shown == command("test")
    for tool in ("ruff check", "ruff format --check", "pyright", "pytest -q -n 2"):
        assert tool in shown


@pytest.mark.parametrize("name", ["run", "test"])
def test_a_setup_command_makes_its_own_environment_and_names_an_extra_that_exists(name: str):
    home, extra = re.findall(r"^python3 -m venv (\S+) && \1/bin/pip install .*'\.\[(\w+)\]' &&", command(name))[0]
    assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    # every program after that comes from the environment, none from the machine
    programs = [part.split()[0] for part in command(name).split("&&")][1:]
    assert all(program.startswith(f"{home}/bin/") for program in programs)


@pytest.mark.parametrize("arguments", hapir_commands(), ids=" ".join)
@pytest.mark.usefixtures("checkout")
def test_the_commands_of_the_setup_work(arguments: list[str]):
    outcome = run_main(*arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.out


def layer_names(spec: Spec, schedule: str) -> list[str]:
    """The layers of a schedule's network."""
    module = build_module(spec, schedule, make_context())
    return [op.layer_name or "" for op in module.walk() if isinstance(op, LayerOp)]


def test_the_language_by_example_is_a_good_spec():
    texts = [f"hap 1{text}" for text in "\n".join(blocks("hap")).split("hap 1")[1:]]
    first, second = (load_spec_text(text, "readme.hap", ROOT / "spec_examples") for text in texts)
    assert first.warnings == second.warnings == ()
    assert [*first.networks, *first.machines, *first.recipes, *first.schedules] == [
        "digits",
        "tiny",
        "small",
        "on_tiny",
    ]
    assert "x8.c1" in layer_names(second, "deeper")


def test_the_message_shown_is_the_one_printed(checkout: Path):
    spec = "hap 1\n\nnetwork digits(image: f32[1, 1, 8, 8]) -> f32[1, 16, 6, 6] {\n\n"
    (line,) = re.findall(r"^5 \| (.*)$", README, re.MULTILINE)
    path = checkout / "digits.hap"
    path.write_text(f"{spec}{line}\n    return c1\n}}\n", encoding="utf-8")
    with pytest.raises(HapirError) as caught:
        load_spec_text(path.read_text(encoding="utf-8"), "digits.hap", Path())
    assert render(caught.value.diagnostics[:1]) + "\n" in blocks("text")


def test_the_python_example_runs(checkout: Path):
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert (checkout / "out" / "digits.c").is_file()


def test_every_command_and_option_named_exists():
    table = dict(re.findall(r"^\| `hapir (\w+)[^|]*(?:\\\|[^|]*)*\| (.*) \|$", README, re.MULTILINE))
    assert {"check", "run", "estimate", "compile", "opt", "list"} <= set(table)
    for name in table:
        assert run_main(name, "--help").code == 0
    named = set(re.findall(r"--(?:schedule|recipe|format|jobs|limit|input|on)\b", README))
    offered = "".join(run_main(name, "--help").out for name in ("run", "compile"))
    assert all(option in offered for option in named)


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []
