"""Chains of stages as C functions over pixels, compiled for every SIMD path that the host can run."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import DTYPES, CType
from hapir.lowering.kernel.plan_stages import stage_tables
from hapir.lowering.kernel.stages import Stage
from hapir.targets.c.emit import INLINE
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.print_weights import print_table
from hapir.targets.c.simd.primitive import print_primitives
from hapir.targets.c.vector_stages import print_vectors
from hapir.weights import Array

STRICT = ("-std=c11", "-Wall", "-Wextra", "-Werror")
HOST_PATHS: dict[str, tuple[str, ...]] = {
    "native": ("-O2", "-march=native", "-ffp-contract=fast", "-fno-math-errno"),
    "avx2": ("-O1", "-mavx2", "-mfma"),
    "c": ("-O1", "-DHAPIR_PLAIN_C", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"),
    "native -O0": ("-O0", "-march=native", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"),
}
AARCH64 = ("aarch64-linux-gnu-gcc", "-O1", "-static")


@dataclass(frozen=True)
class Case:
    """A chain, what it reads (pixels x channels) and what it must give."""

    stages: tuple[Stage, ...]
    source: CType
    x: Array
    expected: Array

    @property
    def target(self) -> CType:
        """The type of the results."""
        return self.stages[-1].ctype


def print_cases(cases: Sequence[Case], bias: Table | None = None) -> str:
    """One function per case: `case_N(x, y, pixels)`."""
    tables: dict[int, str] = {}
    texts: list[str] = []
    found = [t for case in cases for t in stage_tables(case.stages)] + ([] if bias is None else [bias])
    for table in found:
        if id(table) not in tables:
            tables[id(table)] = f"table_{len(tables)}"
            texts.append("static " + print_table(table, tables[id(table)]))
    symbols, functions = Symbols(tables), list[str]()
    for n, case in enumerate(cases):
        channels = case.x.shape[1]
        body = print_vectors("x", case.source, "y", case.target, case.stages, "", channels, symbols, bias=bias)
        functions.append(
            f"void case_{n}(const {case.source} *restrict x, {case.target} *restrict y, int pixels);\n"
            f"void case_{n}(const {case.source} *restrict x, {case.target} *restrict y, int pixels)\n{{\n"
            f"for (int p = 0; p < pixels; ++p, x += {channels}, y += {channels}) {{\n{body}\n}}\n}}"
        )
    headers = "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n"
    simd = print_primitives(symbols.primitives.values())
    return "\n\n".join((headers, INLINE, simd, *texts, *symbols.helpers.values(), *functions)) + "\n"


def run_host(text: str, cases: Sequence[Case], flags: Sequence[str], folder: Path, cc: str = "gcc") -> list[Array]:
    """What the functions give on this host."""
    source, library = folder / "cases.c", folder / f"cases{len(list(folder.iterdir()))}.so"
    source.write_text(text)
    subprocess.run([cc, *STRICT, *flags, "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
    loaded, results = ctypes.CDLL(str(library)), list[Array]()
    for n, case in enumerate(cases):
        # memory of exactly the right size: reads outside of it are seen by tools that look for them
        x = np.ascontiguousarray(case.x, DTYPES[case.source])
        y = np.zeros(x.shape, DTYPES[case.target])
        loaded[f"case_{n}"](ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), len(x))
        results.append(y)
    return results


def run_aarch64(text: str, cases: Sequence[Case], folder: Path) -> list[Array]:
    """What the functions give on AArch64, emulated."""
    calls: list[str] = []
    for n, case in enumerate(cases):
        size, length = case.x.size, len(case.x)
        calls.append(
            f"{{ static {case.source} x[{size}]; static {case.target} y[{size}];\n"
            f"if (fread(x, sizeof(*x), {size}, stdin) != {size}) return 1;\n"
            f"case_{n}(x, y, {length});\nif (fwrite(y, sizeof(*y), {size}, stdout) != {size}) return 1; }}"
        )
    joined = "\n".join(calls)
    (folder / "arm.c").write_text(f"{text}\nint main(void)\n{{\n{joined}\nreturn 0;\n}}\n")
    subprocess.run([*AARCH64, *STRICT, "-o", folder / "arm", folder / "arm.c", "-lm"], check=True)
    given = b"".join(np.ascontiguousarray(case.x, DTYPES[case.source]).tobytes() for case in cases)
    done = subprocess.run(["qemu-aarch64", folder / "arm"], input=given, capture_output=True, check=True)
    results, at = list[Array](), 0
    for case in cases:
        dtype = DTYPES[case.target]
        size = case.x.size * dtype.itemsize
        results.append(np.frombuffer(done.stdout[at : at + size], dtype).reshape(case.x.shape))
        at += size
    return results


def has_aarch64() -> bool:
    """Whether AArch64 can be compiled for and emulated."""
    return shutil.which(AARCH64[0]) is not None and shutil.which("qemu-aarch64") is not None
