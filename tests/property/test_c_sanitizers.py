"""The generated C under AddressSanitizer and UndefinedBehaviorSanitizer, as a program that feeds it random bytes.

Tensors and contexts lie in blocks of exactly their size, so a read or write past one is caught.
"""

from __future__ import annotations

import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hapir.targets.c.build import find_compiler
from hapir.targets.c.emit import CArtefact, PortLayout, emit_c
from tests.property.integer_networks import IntegerSample, integer_networks
from tests.property.strategies import Sample, networks
from tests.property.test_c_reference import grouped

SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FLAGS = ("-std=c11", "-O0", *SANITIZERS, "-Wall", "-Wextra", "-Werror", "-pedantic")
"""Without optimization: sanitized, what plain C takes for vectors costs compilers a hundred times as much with it."""
PATHS = {"base": (), **({"native": ("-O1", "-march=native")} if platform.machine() == "x86_64" else {})}
"""Flags by what compilers take without them, and with the vectors of this host."""

HEAD = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t state = 1;

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}
"""


def fill(port: PortLayout) -> str:
    """C that gives an input extremes and values between."""
    value = {
        "float": "(float)(int32_t)next() / 1e9f",
        "uint8_t": "(uint8_t)(next() % 3 ? next() : next() % 2 * 255)",
        "int8_t": "(int8_t)(next() % 3 ? (int32_t)(next() % 256) - 128 : (int32_t)(next() % 2) * 255 - 128)",
    }.get(port.ctype, f"({port.ctype})(next() >> 17)")
    return (
        f"{port.ctype} *{port.member}_in = malloc(sizeof(*{port.member}_in) * {port.length});\n"
        f"for (int i = 0; i < {port.length}; ++i) {port.member}_in[i] = {value};\n"
        f"in.{port.member} = {port.member}_in;"
    )


def program(artefacts: Sequence[CArtefact]) -> str:
    """A main that runs every network twice and prints what came out."""
    parts = [HEAD, *(f'#include "{a.name}.h"' for a in artefacts), "int main(void)\n{"]
    for a in artefacts:
        takes = [f"out.{p.member} = malloc(sizeof({p.ctype}) * {p.length});" for p in a.results]
        sums = [f"for (int i = 0; i < {p.length}; ++i) sum += (double)out.{p.member}[i];" for p in a.results]
        frees = [f"free(out.{p.member});" for p in a.results] + [f"free({p.member}_in);" for p in a.inputs]
        parts += [
            "{",
            f"struct {a.name}_ctx *ctx = aligned_alloc(64, sizeof(struct {a.name}_ctx));",
            f"struct {a.name}_in in;\nstruct {a.name}_out out;\ndouble sum = 0;",
            *map(fill, a.inputs),
            *takes,
            f"if ({a.name}_load(ctx, {a.name}_file, sizeof({a.name}_file)) != 0) return 1;" if a.file_bytes else "",
            f"for (int i = 0; i < 2; ++i) if ({a.name}_run(ctx, &in, &out) != 0) return 1;",
            *sums,
            *frees,
            f'free(ctx);\nprintf("{a.name} %g\\n", sum);\n}}',
        ]
    return "\n".join([*parts, "return 0;\n}\n"])


def run_sanitized(artefacts: Sequence[CArtefact], flags: Sequence[str] = ()) -> None:
    """Compile and run; any report of a sanitizer fails."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"main.c": program(artefacts)}
        for artefact in artefacts:
            files |= artefact.files
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        sources = [name for name in files if name.endswith(".c")]
        command = [*find_compiler().command, *FLAGS, *flags, "-o", "main", *sources, "-lm"]
        subprocess.run(command, cwd=folder, check=True)
        done = subprocess.run([str(Path(folder) / "main")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == len(artefacts)


NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
"""A smaller example costs a compilation per try."""

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


def check(samples: Sequence[IntegerSample | Sample], path: str) -> None:
    """Each network, unfused and fused, in one program."""
    artefacts: list[CArtefact] = []
    for sample in samples:
        for form in (sample.network, grouped(sample.network, sample.weights)):
            artefacts.append(emit_c(form, sample.weights, f"net{len(artefacts)}"))
    run_sanitized(artefacts, PATHS[path])


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=QUIET, phases=NO_SHRINKING)
@given(
    st.lists(integer_networks(), min_size=4, max_size=4),
    st.lists(networks(max_layers=4), min_size=2, max_size=2),
)
def test_no_undefined_behaviour(path: str, integers: list[IntegerSample], floats: list[Sample]):
    check([*integers, *floats], path)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=25, deadline=None, suppress_health_check=QUIET, phases=NO_SHRINKING)
@given(
    st.lists(integer_networks(max_layers=8), min_size=4, max_size=4),
    st.lists(networks(max_layers=8), min_size=4, max_size=4),
)
def test_no_undefined_behaviour_sweep(path: str, integers: list[IntegerSample], floats: list[Sample]):
    check([*integers, *floats], path)
