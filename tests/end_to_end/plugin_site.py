"""Plug-in packages installed where only a test sees them, and `hapir` run with them in a process of its own.

The working packages are those of `tests/plugins`, installed by pip from copies (pip builds inside the source folder);
broken ones are written as they would be installed: a module and its metadata.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.projects import Outcome

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "tests" / "plugins"
NAMES = sorted(path.parent.name for path in PACKAGES.glob("*/pyproject.toml"))


@dataclass(frozen=True)
class Site:
    """A folder of installed packages, and a project of digits files with the examples of the packages."""

    packages: Path
    project: Path

    def hapir(self, *arguments: object) -> Outcome:
        """Run `hapir` in the project with the packages on its path."""
        return self.python("-m", "hapir", *map(str, arguments))

    def python(self, *arguments: str) -> Outcome:
        """Run Python in the project with the packages on its path."""
        path = os.pathsep.join([str(self.packages), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def write_package(self, name: str, text: str, value: str) -> None:
        """A package of one module, as pip leaves it, whose entry point is `value`."""
        (self.packages / f"{name}.py").write_text(text, encoding="utf-8")
        info = self.packages / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[xdsl.universe]\n{name} = {value}\n", encoding="utf-8")


def make_project(folder: Path) -> Path:
    """The digits spec with its data, and each package's example under the package's name."""
    shutil.copytree(ROOT / "spec_examples", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name in NAMES:
        shutil.copy(PACKAGES / name / "example.hap", folder / f"{name}.hap")
    return folder


def install(folder: Path) -> Site:
    """All packages of `tests/plugins`, installed by one pip call below a folder."""
    sources = folder / "sources"
    for name in NAMES:
        shutil.copytree(PACKAGES / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", "test_*.py"))
    packages = folder / "site"
    # setuptools builds wheels by itself from 70.1 on; an older one needs the network for a build environment of its own
    own = tuple(map(int, version("setuptools").split(".")[:2])) >= (70, 1)
    offline = ["--no-build-isolation", "--no-index"] if own else []
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", *offline]
    subprocess.run([*pip, "--target", str(packages), *(str(sources / name) for name in NAMES)], check=True)
    return Site(packages, make_project(folder / "project"))
