"""The house: which files lie where, how they are packaged, and what no file may hold."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdsl.dialects import get_all_dialects
from xdsl.targets import get_all_targets
from xdsl.transforms import get_all_passes

from hapir.registry import universe

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("dialects", "lowering", "targets")
TOP_LEVEL = {
    *("hapir", "dialects", "lowering", "targets", "spec_examples", "tests", "docs", "benchmarks", ".ci"),
    *("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore"),
}
INLINE = re.compile(r"#\s*(?:type:\s*ignore|pyright:\s*ignore|noqa)\b")
"""An inline ignore."""
REASONED = re.compile(r"#\s*(?:pyright:\s*ignore\[\w+(?:,\s*\w+)*\]|noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)\s+#\s+\S+")
"""One that names its rules and gives a reason after them."""
WHOLE_FILE = re.compile(r"^\s*#\s*(?:type:\s*ignore|pyright:\s*(?!ignore)\S+|(?:ruff|flake8):\s*noqa)", re.MULTILINE)
SELF = Path(__file__).resolve()


def git(*arguments: str) -> str:
    """The output of a git command in the repository."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def tracked() -> dict[str, str]:
    """The mode of each file in git's index, by path. Skips outside a git checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    rows = (line.split(maxsplit=3) for line in git("ls-files", "--stage").splitlines())
    return {path: mode for mode, _, _, path in rows}


def sources() -> Iterator[Path]:
    """Every Python file of the project but this one, which spells out what it looks for."""
    for folder in ("hapir", *FOLDERS, "tests", "spec_examples", "benchmarks"):
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if path != SELF)


def test_the_three_folders_are_relative_links_in_git(tracked: dict[str, str]):
    for folder in FOLDERS:
        assert tracked[f"hapir/{folder}"] == "120000"
        assert git("cat-file", "blob", f":hapir/{folder}") == f"../{folder}"


def test_the_top_level_is_the_agreed_one(tracked: dict[str, str]):
    assert {path.split("/")[0] for path in tracked} <= TOP_LEVEL


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_not_importable_by_its_own_name(folder: str):
    """A second module object would define every attribute and pass twice."""
    done = subprocess.run([sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"import hapir.{folder}, not {folder}" in done.stderr


@pytest.mark.parametrize("link", ["missing", "text file"])
def test_a_checkout_without_symlinks_works(tmp_path: Path, link: str):
    for folder in ("hapir", *FOLDERS):
        # the links are files in such a checkout, so they are left out here and put in by hand
        ignored = shutil.ignore_patterns("__pycache__", *(FOLDERS if folder == "hapir" else ()))
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    if link == "text file":
        for folder in FOLDERS:
            (tmp_path / "hapir" / folder).write_text(f"../{folder}")
    program = "import hapir.dialects.nn as nn, hapir.lowering, hapir.targets; print(nn.__file__)"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert Path(done.stdout.strip()) == tmp_path / "dialects" / "nn.py"


def test_names_are_disjoint_from_those_of_xdsl():
    ours = universe()
    assert not set(ours.all_dialects) & set(get_all_dialects())
    assert not set(ours.all_passes) & set(get_all_passes())
    assert not set(ours.all_targets) & set(get_all_targets())


def test_no_file_switches_a_checker_off():
    assert [str(p) for p in sources() if WHOLE_FILE.search(p.read_text(encoding="utf-8"))] == []


def test_each_inline_ignore_names_its_rule_and_a_reason():
    unreasoned = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if INLINE.search(line) and not REASONED.search(line)
    ]
    assert unreasoned == []


def test_the_patterns_for_ignores_find_what_they_should():
    assert WHOLE_FILE.search("# pyright: basic\n")
    assert WHOLE_FILE.search('"""Doc."""\n# ruff: noqa\n')
    assert WHOLE_FILE.search("# type: ignore\nimport os\n")
    assert not WHOLE_FILE.search("x = f()  # pyright: ignore[reportCallIssue]  # why\n")
    assert INLINE.search("x = f()  # type: ignore")
    assert not REASONED.search("x = f()  # pyright: ignore[reportCallIssue]")
    assert not REASONED.search("x = f()  # noqa")
    assert REASONED.search("x = f()  # noqa: E501  # a table")
    assert REASONED.search("x = f()  # pyright: ignore[reportCallIssue]  # why")


def package_files() -> Iterator[str]:
    """What an installed hapir must hold, as paths in the wheel."""
    for folder, _, names in os.walk(ROOT / "hapir", followlinks=True):
        for name in names:
            if Path(name).suffix in {".py", ".lark", ".toml", ".hap", ".h", ".c", ".v", ".cpp", ".typed", ".md", ""}:
                yield (Path(folder) / name).relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the tree, as `pip install .` builds it."""
    tree = tmp_path_factory.mktemp("tree") / "hapir"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=ignored)
    out = tree.parent / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(out), str(tree)], check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"hapir"}
    expected = set(package_files())
    assert {"hapir/spec/hap.lark", "hapir/dialects/nn.py", "hapir/targets/technology/cmos45.toml"} <= expected
    assert expected - names == set()


@pytest.mark.slow
def test_an_installed_wheel_runs_from_another_folder(wheel: Path, tmp_path: Path):
    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, "install", "--no-deps", str(wheel)], check=True)
    (site,) = (home / "lib").glob("python*/site-packages")
    # the dependencies come from the environment of the tests; what the new one holds itself, hapir, comes before
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    shutil.copytree(ROOT / "spec_examples", tmp_path / "specs")

    def run(*command: str) -> str:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert Path(run(str(python), "-c", "import hapir; print(hapir.__file__)").strip()).is_relative_to(home)
    hapir = str(home / "bin" / "hapir")
    assert "estimate" in run(hapir, "--help")
    assert "digits.hap: good" in run(hapir, "check", "specs/digits.hap")
    run(hapir, "new", "net")
    assert "net.hap: good" in run(hapir, "check", "net/net.hap")
