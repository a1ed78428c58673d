"""OpenMP changes no bit: random networks on one, two and four threads."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr, TensorType, f32, i64

from hapir.dialects.kernel import ChoiceAttr
from hapir.dialects.nn import Conv2dOp, DenseOp, NetworkOp, ReturnOp, WeightOp
from hapir.dialects.nn_shapes import Window
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.shared_loops import shared_loop
from hapir.lowering.kernel.steps import Convolution
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore
from tests.c_machines import Job, Machine, build_on, run_built
from tests.property.integer_networks import integer_networks
from tests.property.strategies import networks
from tests.property.test_c_depthwise import depthwise_layers
from tests.property.test_c_machines import drawn
from tests.property.test_c_reference import grouped

FLAGS = ("-march=native",) if platform.machine() == "x86_64" else ()
THREADED = Machine("threads", "gcc", (*FLAGS, "-fopenmp", "-DHAPIR_THREAD_MACS=0"))
"""Every loop that may be shared is."""


@cache
def has_openmp() -> bool:
    """Whether gcc links OpenMP programs here."""
    command = ["gcc", "-fopenmp", "-x", "c", "-o", "/dev/null", "-"]
    try:
        return (
            subprocess.run(command, input=b"int main(void) { return 0; }", capture_output=True, check=False).returncode
            == 0
        )
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not has_openmp(), reason="there is no gcc with OpenMP")


def check(jobs: Sequence[Job], folder: Path) -> list[dict[str, Array]]:
    """What the networks give on four threads, which is what they give on one and two."""
    build_on(THREADED, jobs, folder)
    runs = [run_built(THREADED, jobs, folder, {"OMP_NUM_THREADS": str(count)}) for count in (1, 2, 4)]
    for other in runs[1:]:
        for first, second in zip(runs[0], other, strict=True):
            for name, array in first.items():
                np.testing.assert_array_equal(second[name], array)
    return runs[-1]


def test_integers_give_the_reference_on_any_number_of_threads(tmp_path: Path):
    samples = drawn(integer_networks(max_layers=4, batch=2), 12, 11)
    forms = [(grouped(s.network, s.weights), s) for s in samples]
    jobs = [(emit_c(n, s.weights, f"net{i}"), s.inputs(2)) for i, (n, s) in enumerate(forms)]
    for (network, sample), found in zip(forms, check(jobs, tmp_path), strict=True):
        for name, array in run_network(network, sample.weights, sample.inputs(2)).items():
            np.testing.assert_array_equal(found[name], array)
    symbols = subprocess.run(["nm", "main"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "GOMP_parallel" in symbols


def filtered(tile: int) -> Job:
    """A convolution by minimal filtering."""
    store = WeightStore({"w": np.random.default_rng(3).standard_normal((24, 16, 3, 3)).astype(np.float32)})
    shape, result = (2, 16, 13, 14), (2, 24, 13, 14)
    network = NetworkOp(f"tile{tile}", [("x", TensorType(f32, shape))], [("y", TensorType(f32, result))])
    w = WeightOp("w", TensorType(f32, (24, 16, 3, 3)))
    layer = Conv2dOp(network.body.block.args[0], w.result, window=Window((3, 3), padding=(1, 1, 1, 1)), layer="c")
    layer.attributes["kernel"] = ChoiceAttr.of("winograd", "", {"tile": IntegerAttr(tile, i64)})
    network.body.block.add_ops([w, layer, ReturnOp([layer.result])])
    x = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    return emit_c(network, store), {"x": x}


def test_minimal_filtering_and_depthwise_layers(tmp_path: Path):
    layers = [sample.job for sample in drawn(depthwise_layers(), 8, 4)]
    jobs = [(emit_c(network, weights, f"net{i}"), inputs) for i, (network, weights, inputs) in enumerate(layers)]
    filtering = [filtered(2), filtered(4)]
    results = check([*filtering, *jobs], tmp_path)
    for (network, weights, inputs), found in zip(layers, results[len(filtering) :], strict=True):
        for name, array in run_network(network, weights, inputs).items():
            np.testing.assert_array_equal(found[name], array)
    for part in (filtering[:1], filtering[1:], jobs):
        assert any("HAPIR__THREADS(" in artefact.files[f"{artefact.name}.c"] for artefact, _ in part)
    assert all("winograd" in row.kernel for artefact, _ in filtering for row in artefact.layers if row.macs)


def test_floats_give_the_same_bits_on_any_number_of_threads(tmp_path: Path):
    samples = drawn(networks(max_layers=4), 6, 11)
    check([(emit_c(s.network, s.weights, f"net{i}"), dict(s.inputs(2))) for i, s in enumerate(samples)], tmp_path)


def wide(kind: str) -> tuple[NetworkOp, WeightStore]:
    """A layer of one row: of many filters (a dense layer), or of many pixels (a 1x1 convolution)."""
    shape, weight = ((1, 40), (600, 40)) if kind == "filters" else ((1, 3, 20, 21), (8, 3, 1, 1))
    store = WeightStore({"w": np.random.default_rng(1).standard_normal(weight).astype(np.float32)})
    result = (1, 600) if kind == "filters" else (1, 8, 20, 21)
    network = NetworkOp(kind, [("x", TensorType(f32, shape))], [("y", TensorType(f32, result))])
    w = WeightOp("w", TensorType(f32, weight))
    x = network.body.block.args[0]
    layer = DenseOp(x, w.result) if kind == "filters" else Conv2dOp(x, w.result, window=Window((1, 1)), layer="c")
    network.body.block.add_ops([w, layer, ReturnOp([layer.result])])
    network.verify()
    return network, store


@pytest.mark.parametrize("kind", ["filters", "columns"])
def test_one_row_is_shared_by_filters_or_by_pixels(kind: str, tmp_path: Path):
    network, store = wide(kind)
    (step,) = (s for s in plan_program(network, store).steps if isinstance(s, Convolution))
    assert shared_loop(step).loop == kind
    artefact = emit_c(network, store)
    x = np.random.default_rng(2).standard_normal(artefact.inputs[0].shape).astype(np.float32)
    inputs: dict[str, Array] = {"x": x}
    (found,) = check([(artefact, inputs)], tmp_path)
    expected = run_network(network, store, inputs)["y"]
    assert np.abs(found["y"].astype(np.float64) - expected).max() <= 1e-4


def test_rows_and_groups_are_shared():
    found = {
        shared_loop(step).loop
        for sample in drawn(integer_networks(max_layers=4, batch=2), 12, 11)
        for step in plan_program(grouped(sample.network, sample.weights), sample.weights).steps
        if isinstance(step, Convolution)
    }
    assert {"rows", "groups"} <= found
