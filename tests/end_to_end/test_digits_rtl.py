"""The digits specs as Verilog: the reference's integers, the estimate's cycles, and no slow toy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.targets.verilog.bench import Bench, run_bench
from hapir.targets.verilog.emit import bench_of, emit_verilog, simulate
from hapir.targets.verilog.lint import lint
from tests.end_to_end.digits import DIGITS, TALL, TEST_DATA, arrays_of
from tests.projects import run_main


@pytest.mark.parametrize("spec", [DIGITS, TALL], ids=lambda spec: spec.stem)
def test_rtl_equals_the_reference_and_the_estimate(spec: Path):
    outcome = run_main("run", spec, "--on", "rtl", "--input", TEST_DATA, "--limit", 60, "--format", "json")
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert report["images"] == 60
    assert report["mismatches_vs_reference"] == 0
    assert report["accuracy"] >= 0.95
    estimated = run_main("estimate", spec, "--format", "json").json
    cycles = {layer["name"]: layer["total_cycles"] for layer in estimated["layers"]}
    assert report["layer_cycles"] == cycles
    assert report["cycles"] == estimated["total_cycles"] == sum(cycles.values())


@pytest.mark.parametrize("spec", [DIGITS, TALL], ids=lambda spec: spec.stem)
def test_every_layer_is_close_to_its_tile_ideal(spec: Path):
    """Ideal: every tile at the larger of its pixels and the weight rows it loads."""
    for layer in hapir.load(spec).schedule().estimate().layers:
        assert layer.total_cycles <= 1.3 * layer.ideal_cycles, layer.name


def test_a_memory_that_stalls_and_a_circuit_that_wakes_up_dirty_change_nothing():
    scheduled = hapir.load(DIGITS).schedule()
    machine, schedule = scheduled.machine, scheduled.schedule_op
    assert machine is not None
    assert schedule is not None
    artefact = emit_verilog(scheduled.cut.body, scheduled.weights, machine, schedule)
    simulation = simulate(artefact)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    expected = simulation.run({artefact.input_name: x})[artefact.output_name]
    undisturbed = simulation.runs
    for seed in (1, 2):
        found = simulation.run({artefact.input_name: x}, stall_seed=seed, start_seed=seed)[artefact.output_name]
        np.testing.assert_array_equal(found, expected)
        assert all(slow.cycles > quick.cycles for slow, quick in zip(simulation.runs, undisturbed, strict=True))


def test_the_data_are_there():
    assert len(arrays_of(TEST_DATA)["label"]) >= 500


@pytest.mark.parametrize("spec", [DIGITS, TALL], ids=lambda spec: spec.stem)
def test_the_verilog_is_clean_and_its_own_bench_agrees(spec: Path):
    """Without hapir: the emitted bench compares the outputs and counts the cycles, under plain Verilator."""
    scheduled = hapir.load(spec).schedule()
    machine, schedule = scheduled.machine, scheduled.schedule_op
    assert machine is not None
    assert schedule is not None
    artefact = emit_verilog(scheduled.cut.body, scheduled.weights, machine, schedule)
    circuit = {f"{artefact.top}.v": artefact.verilog}
    assert lint(circuit, artefact.top) == []
    bench = bench_of(artefact, scheduled.cut.body, scheduled.weights)
    assert {**circuit, **bench.files}.items() <= artefact.files.items()
    result = run_bench(circuit, bench)
    assert result.passed, result.text
    assert result.layer_cycles == tuple(layer.total_cycles for layer in scheduled.estimate().layers)
    data = f"{bench.name}_expected.hex"
    first, *rest = bench.files[data].split()
    wrong = "\n".join([f"{int(first, 16) ^ 1:03x}", *rest, ""])
    spoilt = Bench(bench.name, {**bench.files, data: wrong})
    assert not run_bench(circuit, spoilt).passed


def test_the_estimate_is_analytic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is made with an empty cache and no program to call; the simulation, built afterwards, agrees."""
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path))

    def forbidden(*args: object, **options: object) -> None:
        raise AssertionError("the estimate ran a program")

    scheduled = hapir.load(TALL).schedule()
    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen", forbidden)
        patch.setattr("ctypes.CDLL", forbidden)
        estimated = scheduled.estimate()
    assert list(tmp_path.iterdir()) == []
    machine, schedule = scheduled.machine, scheduled.schedule_op
    assert machine is not None
    assert schedule is not None
    simulation = simulate(emit_verilog(scheduled.cut.body, scheduled.weights, machine, schedule))
    simulation.run({simulation.artefact.input_name: np.zeros((1, 1, 8, 8), np.uint8)})
    assert simulation.layer_cycles() == {layer.name: layer.total_cycles for layer in estimated.layers}
