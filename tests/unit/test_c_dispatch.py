"""Run-time dispatch: every path that the processor has gives the same bits, and the choice follows the processor."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from hapir.reference.interpret import run_network
from hapir.targets.c.build import CModule, build_c
from hapir.targets.c.dispatch import ALL, paths_of
from hapir.targets.c.emit import CArtefact, emit_c
from hapir.targets.c.options import COptions
from hapir.targets.c.project import project_files
from hapir.weights import Array
from tests.c_machines import host_features
from tests.property.integer_networks import integer_networks
from tests.property.test_c_machines import drawn

FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic")
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
NEEDS = {
    "avx512_bf16": "avx512_bf16",
    "avx512_vnni": "avx512_vnni",
    "avx512": "avx512f",
    "avx2_vnni": "avx_vnni",
    "avx2": "avx2",
}
"""Paths, and what Linux calls the feature that sets each apart."""


def dispatched(number: int) -> tuple[CArtefact, dict[str, Array], dict[str, Array]]:
    """A random network with dispatch, its inputs and what the reference gives."""
    sample = drawn(integer_networks(max_layers=4), number + 1, 3)[number]
    inputs = sample.inputs(1)
    artefact = emit_c(sample.network, sample.weights, "net", options=COptions(dispatch=True))
    return artefact, inputs, dict(run_network(sample.network, sample.weights, inputs))


def names(artefact: CArtefact) -> list[str]:
    """The paths that an artefact has, by number."""
    return [path.name for path in paths_of(artefact.files["net.c"])]


def run_on(module: CModule, path: int, inputs: dict[str, Array]) -> tuple[int, dict[str, Array]]:
    """`net_run_on` on a path."""
    a = module.artefact
    results = {p.name: np.zeros(p.shape, {"float": "f4"}.get(p.ctype, p.ctype.removesuffix("_t"))) for p in a.results}
    memory = np.zeros(a.context_bytes + 64, np.uint8)
    context = -(-memory.ctypes.data // 64) * 64
    arrays = [np.ascontiguousarray(inputs[p.name]) for p in a.inputs]
    pointers = [(ctypes.c_void_p * len(group))(*(x.ctypes.data for x in group)) for group in (arrays, results.values())]
    function = module.library["net_run_on"]
    function.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    return function(path, context, *(ctypes.addressof(p) for p in pointers)), results


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_path_gives_the_same_bits(compiler: str):
    tried: set[str] = set()
    for number in (5, 9):
        artefact, inputs, expected = dispatched(number)
        module = build_c(artefact, cc=compiler, flags=FLAGS, cache=False)
        for path, name in enumerate(names(artefact)):
            status, found = run_on(module, path, inputs)
            assert status == (0 if module.library["net_has_path"](path) else 1)
            if status == 0:
                tried.add(name)
                for key, array in expected.items():
                    np.testing.assert_array_equal(found[key], array)
        for key, array in module.run(inputs).items():
            np.testing.assert_array_equal(array, expected[key])
        assert run_on(module, len(names(artefact)), inputs)[0] == 1 == run_on(module, -1, inputs)[0]
    assert "base" in tried


@pytest.mark.skipif(not host_features(), reason="the system does not say what the processor has")
def test_the_paths_are_those_of_the_processor():
    artefact, _, _ = dispatched(5)
    library = build_c(artefact, flags=FLAGS, cache=False).library
    for number, name in enumerate(names(artefact)):
        assert bool(library["net_has_path"](number)) == (name == "base" or NEEDS[name] in host_features()), name


def test_threads_may_ask_first_together():
    artefact, inputs, expected = dispatched(5)
    module = build_c(artefact, flags=FLAGS, cache=False)
    found: list[dict[str, Array]] = []
    threads = [threading.Thread(target=lambda: found.append(module.run(inputs))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for results in found:
        for key, array in expected.items():
            np.testing.assert_array_equal(results[key], array)


SHOW = """
#include "net_dispatch.h"
#include <stdio.h>
int main(void)
{
    for (int i = 0; i < PATHS; ++i) {
        printf("%d", net_has_path(i));
    }
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="`qemu-x86_64` is not installed")
def test_the_choice_follows_an_emulated_processor(tmp_path: Path):
    artefact, _, _ = dispatched(5)
    files = {**artefact.files, "show.c": SHOW.replace("PATHS", str(len(names(artefact))))}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "Makefile").write_text(project_files(artefact)["Makefile"])
    subprocess.run(["make", "-s", "libnet.a", "CFLAGS=-O1"], cwd=tmp_path, check=True)
    subprocess.run(["gcc", "-static", "-o", "show", "show.c", "libnet.a", "-lm"], cwd=tmp_path, check=True)

    def has(cpu: str) -> dict[str, bool]:
        command = ["qemu-x86_64", "-cpu", cpu, "./show"]
        bits = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        return dict(zip(names(artefact), (bit == "1" for bit in bits), strict=True))

    assert [name for name, there in has("Nehalem").items() if there] == ["base"]
    # the emulator knows AVX2 since version 7.2, and no AVX-512
    assert [name for name, there in has("max").items() if there and name.startswith("avx512")] == []


def test_paths_that_would_be_the_same_are_left_out():
    assert [path.name for path in paths_of("no vectors")] == ["avx512", "avx2", "base"]
    assert [path.name for path in paths_of("#if defined(__AVX512BF16__)")] == ["avx512_bf16", "avx512", "avx2", "base"]
    assert paths_of(" ".join(feature.macro for path in ALL for feature in path.features)) == ALL
