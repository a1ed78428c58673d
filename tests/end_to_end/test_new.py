"""`hapir new`: each template makes a project that runs at once, always with the same bytes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hapir.project import PLACEHOLDER, templates
from hapir.spec import load_spec
from tests.projects import run_main, tree

TEMPLATES = templates()


def test_there_are_templates():
    assert set(TEMPLATES) >= {"cnn", "mlp"}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_project_runs_at_once(template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The commands that are printed and that the project's README shows, one after the other."""
    monkeypatch.chdir(tmp_path)
    outcome = run_main("new", "my_net", "--template", template, "--format", "json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["folder"] == "my_net"
    monkeypatch.chdir("my_net")
    commands: list[str] = outcome.json["commands"]
    assert {command.split()[1] for command in commands} == {"check", "run", "estimate", "compile"}
    for command in commands:
        assert command in Path("README.md").read_text(encoding="utf-8")
        ran = run_main(*shlex.split(command)[1:])
        assert ran.code == 0, ran.err


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_network_has_learnt_its_task(template: str, tmp_path: Path):
    assert run_main("new", "net", "--template", template, "--dir", tmp_path).code == 0
    folder = tmp_path / "net"
    for recipe in ("none", "int8"):
        args = ("--input", folder / "test.npz", "--recipe", recipe, "--format", "json")
        assert run_main("run", folder / "net.hap", *args).json["accuracy"] > 0.98


@pytest.mark.parametrize("template", TEMPLATES)
def test_projects_are_the_same_but_for_their_name(template: str, tmp_path: Path):
    for name in ("first", "second"):
        assert run_main("new", name, "--template", template, "--dir", tmp_path).code == 0
    first, second = tree(tmp_path / "first"), tree(tmp_path / "second")
    renamed = {k.replace("first", "second"): v.replace(b"first", b"second") for k, v in first.items()}
    assert renamed == second
    assert not any(PLACEHOLDER.encode() in content for content in second.values())
    assert {"second.hap", "README.md", ".gitignore", "weights.safetensors", "test.npz"} <= set(second)


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_scripts_of_a_project_make_its_files_again(template: str, tmp_path: Path):
    assert run_main("new", "net", "--template", template, "--dir", tmp_path).code == 0
    before = tree(tmp_path / "net")
    for script in ("make_data.py", "make_weights.py"):
        subprocess.run([sys.executable, "-I", str(tmp_path / "net" / script)], check=True, cwd=tmp_path)
    assert tree(tmp_path / "net") == before


def test_an_existing_place_is_left_alone(tmp_path: Path):
    (tmp_path / "net").mkdir()
    (tmp_path / "file").write_text("mine")
    for name in ("net", "file"):
        outcome = run_main("new", name, "--dir", tmp_path)
        assert outcome.code == 1
        assert "HAP0891" in outcome.err
    assert tree(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("my-net", "`my_net` would do"),
        ("../net", "`net` would do"),
        ("8bit", "begins with a letter"),
        ("ünder", "begins with a letter"),
        ("", "begins with a letter"),
        ("x" * 61, "at most 60"),
        ("small_array", "like `small_array_net`"),
        ("int8", "like `int8_net`"),
    ],
)
def test_a_name_that_cannot_be_used(name: str, help: str, tmp_path: Path):
    outcome = run_main("new", name, "--dir", tmp_path / "parent")
    assert outcome.code == 1
    assert "HAP0890" in outcome.err
    assert help in outcome.err
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("name", ["machine", "network", "hap", "none", "range", "f32", "int", "reg", "c1", "image"])
def test_a_name_that_means_something_is_refused_or_works(name: str, tmp_path: Path):
    outcome = run_main("new", name, "--dir", tmp_path)
    if outcome.code == 0:
        assert name in load_spec(tmp_path / name / f"{name}.hap").networks
    else:
        assert "HAP0890" in outcome.err
        assert tree(tmp_path) == {}


def test_an_unknown_template_has_a_suggestion(tmp_path: Path):
    outcome = run_main("new", "net", "--template", "cnm", "--dir", tmp_path)
    assert outcome.code == 1
    assert "HAP0892" in outcome.err
    assert "did you mean `cnn`?" in outcome.err


def test_a_place_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    outcome = run_main("new", "net", "--dir", tmp_path / "file")
    assert outcome.code == 1
    assert "HAP0884" in outcome.err
