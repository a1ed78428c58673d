"""Machines that generated C is compiled for and run on: the host's instruction sets, and others under qemu-user.

`run_on` compiles networks for a machine together with a program that feeds them, and gives what came out. A machine
whose compiler, emulator or instructions are missing says so in `missing`.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from _pytest.mark import ParameterSet

from hapir.lowering.kernel.c_types import DTYPES
from hapir.targets.c.emit import CArtefact
from hapir.weights import Array

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
BASE = ("-std=c11", "-ffp-contract=fast", "-fno-math-errno", *WARNINGS)


@dataclass(frozen=True)
class Machine:
    """A compiler with flags, and what runs its programs; `needs` are names of the host's instruction sets."""

    name: str
    compiler: str
    flags: tuple[str, ...]
    emulator: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()

    @property
    def missing(self) -> str | None:
        """What keeps the machine from being used here."""
        if not self.emulator and platform.machine() != "x86_64":
            return "the host is no x86-64"
        for tool in (self.compiler, *self.emulator[:1]):
            if shutil.which(tool) is None:
                return f"`{tool}` is not installed"
        absent = sorted(self.needs - host_features())
        return f"the host has no {', '.join(absent)}" if absent else None

    def __str__(self) -> str:
        return self.name


@cache
def host_features() -> frozenset[str]:
    """The instruction sets of the host as Linux names them; none where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))


def _x86(compiler: str) -> tuple[Machine, ...]:
    def machine(name: str, *flags: str, needs: str = "") -> Machine:
        return Machine(f"{compiler}-{name}", compiler, flags, needs=frozenset(needs.split()))

    return (
        machine("native", "-march=native"),
        machine("avx2", "-mavx2", "-mfma", needs="avx2 fma"),
        machine("sse2", "-march=x86-64"),
        machine("avx512", "-march=skylake-avx512", needs="avx512f avx512bw avx512vl avx512dq avx512cd"),
        machine("avx2-vnni", "-mavx2", "-mfma", "-mavxvnni", needs="avx2 fma avx_vnni"),
        machine("plain", "-march=native", "-DHAPIR_PLAIN_C"),
    )


def _qemu(name: str, architecture: str, *flags: str, cpu: str | None = None) -> Machine:
    emulator = (f"qemu-{architecture}", *(("-cpu", cpu) if cpu else ()))
    return Machine(name, f"{architecture}-linux-gnu-gcc", ("-static", *flags), emulator)


GCC, CLANG = _x86("gcc"), _x86("clang")
FOREIGN = (
    _qemu("aarch64", "aarch64", cpu="cortex-a53"),
    _qemu("aarch64-dotprod", "aarch64", "-march=armv8.2-a+dotprod", cpu="max"),
    _qemu("aarch64-i8mm", "aarch64", "-march=armv8.2-a+dotprod+i8mm", cpu="max"),
    _qemu("aarch64-bf16", "aarch64", "-march=armv8.2-a+bf16", cpu="max"),
    _qemu("riscv64", "riscv64"),
)
MACHINES = (*GCC, *CLANG, *FOREIGN)


def _marked(*often: Machine) -> tuple[ParameterSet | Machine, ...]:
    """All machines for `parametrize`, slow tests but on some."""
    return tuple(m if m in often else pytest.param(m, marks=pytest.mark.slow) for m in MACHINES)


EACH_TIME = _marked(GCC[0], GCC[1], GCC[-1], CLANG[0], *FOREIGN[:2], FOREIGN[-1])
"""A machine per path, and a second compiler."""
FEW = _marked(GCC[0], GCC[-1], FOREIGN[0], FOREIGN[-1])
"""One of each kind."""


def skip_unless_here(machine: Machine) -> None:
    """Skip the test, with the reason, where a machine cannot be used."""
    if machine.missing:
        pytest.skip(f"{machine}: {machine.missing}")


Job = tuple[CArtefact, Mapping[str, Array]]
"""A network and its inputs: axis 0 is a multiple of the declared batch."""


def run_on(
    machine: Machine, jobs: Sequence[Job], optimize: str = "-O1", environment: Mapping[str, str] | None = None
) -> list[dict[str, Array]]:
    """Compile all networks into one program for the machine, run it, and return each network's results."""
    with tempfile.TemporaryDirectory() as folder:
        build_on(machine, jobs, Path(folder), optimize)
        return run_built(machine, jobs, Path(folder), environment)


def build_on(machine: Machine, jobs: Sequence[Job], folder: Path, optimize: str = "-O1") -> None:
    """Compile the program in a folder."""
    files = {"main.c": _program(jobs)}
    for artefact, _ in jobs:
        files |= artefact.files
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    sources = ["main.c", *(unit for artefact, _ in jobs for unit in artefact.units)]
    command = [machine.compiler, optimize, *BASE, *machine.flags, "-o", "main", *sources, "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run_built(
    machine: Machine, jobs: Sequence[Job], folder: Path, environment: Mapping[str, str] | None = None
) -> list[dict[str, Array]]:
    """Run the program of a folder."""
    fed = b"".join(np.ascontiguousarray(inputs[p.name]).tobytes() for a, inputs in jobs for p in a.inputs)
    program = [*machine.emulator, str(folder / "main")]
    found = subprocess.run(
        program, input=fed, capture_output=True, check=False, env={**os.environ, **(environment or {})}
    )
    assert found.returncode == 0, found.stderr.decode()
    return _results(jobs, found.stdout)


def _results(jobs: Sequence[Job], data: bytes) -> list[dict[str, Array]]:
    """What the program wrote, network by network, result by result."""
    results: list[dict[str, Array]] = []
    start = 0
    for artefact, inputs in jobs:
        runs = _runs(artefact, inputs)
        arrays: dict[str, Array] = {}
        for port in artefact.results:
            dtype, shape = DTYPES[port.ctype], (runs * port.shape[0], *port.shape[1:])
            arrays[port.name] = np.frombuffer(data, dtype, runs * port.length, start).reshape(shape)
            start += arrays[port.name].nbytes
        results.append(arrays)
    assert start == len(data)
    return results


def _runs(artefact: CArtefact, inputs: Mapping[str, Array]) -> int:
    first = artefact.inputs[0]
    return inputs[first.name].shape[0] // first.shape[0]


def _program(jobs: Sequence[Job]) -> str:
    """A main that reads every input from stdin, runs each network on all images, and writes the results to stdout."""
    parts = ["#include <stdio.h>\n#include <stdlib.h>", *(f'#include "{a.name}.h"' for a, _ in jobs)]
    for artefact, inputs in jobs:
        name, runs = artefact.name, _runs(artefact, inputs)
        reads = [
            f"{p.ctype} *{p.member}_0 = malloc(sizeof(*{p.member}_0) * {p.length * runs});\n"
            f"if (fread({p.member}_0, sizeof(*{p.member}_0), {p.length * runs}, stdin) != {p.length * runs}) return 10;"
            for p in artefact.inputs
        ]
        feeds = [f"in.{p.member} = {p.member}_0 + n * {p.length};" for p in artefact.inputs]
        makes = [
            f"{p.ctype} *{p.member}_1 = malloc(sizeof(*{p.member}_1) * {p.length * runs});" for p in artefact.results
        ]
        takes = [f"out.{p.member} = {p.member}_1 + n * {p.length};" for p in artefact.results]
        writes = [f"fwrite({p.member}_1, sizeof(*{p.member}_1), {p.length * runs}, stdout);" for p in artefact.results]
        frees = [f"free({p.member}_{i});" for i, ports in enumerate((artefact.inputs, artefact.results)) for p in ports]
        load = (
            f"if ({name}_load(&ctx, {name}_file, sizeof({name}_file)) != 0) return 11;" if artefact.file_bytes else ""
        )
        body = "\n".join(
            [
                f"static struct {name}_ctx ctx;\nstruct {name}_in in;\nstruct {name}_out out;",
                *(*reads, *makes, load),
                f"for (int n = 0; n < {runs}; ++n) {{",
                *(*feeds, *takes),
                f"if ({name}_run(&ctx, &in, &out) != 0) return 12;\n}}",
                *(*writes, *frees),
                "return 0;",
            ]
        )
        parts.append(f"static int feed_{name}(void)\n{{\n{body}\n}}")
    calls = "\n".join(f"    if ((status = feed_{a.name}()) != 0) return status;" for a, _ in jobs)
    return "\n\n".join([*parts, f"int main(void)\n{{\n    int status;\n{calls}\n    return 0;\n}}\n"])
