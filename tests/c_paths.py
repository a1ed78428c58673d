"""The SIMD paths of generated C that tests compile on an x86 host: flags, and which of them the host can run."""

from __future__ import annotations

import platform
import subprocess
from functools import cache

import pytest

from hapir.targets.c.build import FAST_FLAGS, find_compiler

PATHS: dict[str, tuple[str, ...]] = {
    "native": ("-march=native",),
    "avx512": ("-march=skylake-avx512",),
    "avx2": ("-march=haswell",),
    "plain": ("-march=native", "-DHAPIR_PLAIN_C"),
}
"""All that the host has; AVX-512 without the later extensions; AVX2 without them; no vectors of ours."""

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")


def flags_of(path: str, fast: bool) -> tuple[str, ...]:
    """The flags of a path, without optimization where speed does not matter."""
    flags = [f for f in FAST_FLAGS if not f.startswith("-march") and (fast or f != "-O3")]
    return (*flags, *([] if fast else ["-O1"]), *WARNINGS, *PATHS[path])


_NEEDED = {"avx512": "__AVX512F__", "avx2": "__AVX2__"}


@cache
def _macros() -> str:
    command = [*find_compiler().command, "-march=native", "-dM", "-E", "-x", "c", "-"]
    return subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout


def needs_path(path: str) -> None:
    """Skip the test where this host does not run a path."""
    needed = _NEEDED.get(path)
    if needed is not None and (platform.machine() not in ("x86_64", "AMD64") or f"{needed} " not in _macros()):
        pytest.skip(f"this host has no {path}")
