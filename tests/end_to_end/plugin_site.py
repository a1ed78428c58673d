"""Plug-in packages installed where only a test sees them, and `hapir` run with them in a process of its own.

The working packages are those of `tests/plugins`, installed by pip from copies (pip builds inside the source folder);
broken ones are written as they would be installed: a module and its metadata.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.projects import Outcome

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "tests" / "plugins"
NAMES = sorted(path.parent.name for path in PACKAGES.glob("*/pyproject.toml"))


_FORKS = """
import json, os, sys, traceback
import hapir.catalogue, hapir.cli.main, hapir.driver, hapir.execution, hapir.opt.driver, hapir.targets.estimate
from hapir.spec.grammar import grammar
grammar()
for line in sys.stdin:
    arguments, out, err = json.loads(line)
    child = os.fork()
    if child == 0:
        for stream, place in ((1, out), (2, err)):
            os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        code = 70
        try:
            code = hapir.cli.main.main(arguments)
        except SystemExit as exit_:
            code = exit_.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs each command line that it reads in a fork of a process that has imported hapir, and seen no plug-in."""


@dataclass
class Site:
    """A folder of installed packages, and a project of digits files with the examples of the packages."""

    packages: Path
    project: Path
    _forks: subprocess.Popen[str] | None = None

    def hapir(self, *arguments: object) -> Outcome:
        """Run `hapir` in the project with the packages on its path, in a process of its own."""
        if self._forks is None:
            self._forks = subprocess.Popen(
                [sys.executable, "-c", _FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **self._place
            )
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        out, err = (self.packages.parent / name for name in ("out.txt", "err.txt"))
        self._forks.stdin.write(f"{json.dumps([[str(a) for a in arguments], str(out), str(err)])}\n")
        self._forks.stdin.flush()
        code = int(self._forks.stdout.readline())
        return _checked(Outcome(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")))

    def close(self) -> None:
        """End the process that `hapir` forks."""
        if self._forks is not None:
            self._forks.communicate()

    def python(self, *arguments: str) -> Outcome:
        """Run Python in the project with the packages on its path."""
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=300, check=False, **self._place
        )
        return _checked(Outcome(done.returncode, done.stdout, done.stderr))

    @property
    def _place(self) -> dict[str, Any]:
        path = os.pathsep.join([str(self.packages), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        return {"cwd": self.project, "env": environment}

    def write_package(self, name: str, text: str, value: str) -> None:
        """A package of one module, as pip leaves it, whose entry point is `value`."""
        (self.packages / f"{name}.py").write_text(text, encoding="utf-8")
        info = self.packages / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[xdsl.universe]\n{name} = {value}\n", encoding="utf-8")


def _checked(outcome: Outcome) -> Outcome:
    assert "Traceback" not in outcome.err, outcome.err
    return outcome


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
