"""RTL == reference and RTL cycles == estimated cycles, on random accelerators with random layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp, StringAttr

from hapir.context import HapirContext
from hapir.dialects.dataflow import LayerOp
from hapir.dialects.num import Rounding
from hapir.lowering.rtl.lower_to_rtl import LowerToRtlPass
from hapir.lowering.schedule.weight_stationary import LayerPlan
from hapir.lowering.schedule.ws_timing import network_cycles
from hapir.reference.interpret import run_network
from hapir.targets.estimate import estimate
from hapir.targets.verilog.emit import AcceleratorSimulation, VerilogArtefact, emit_verilog
from hapir.targets.verilog.lint import lint
from hapir.targets.verilog.printer import print_verilog
from hapir.targets.verilog.simulate import Design as Circuit
from hapir.targets.verilog.simulate import build_many
from tests.property.rtl_designs import Design, DesignDraw, LayerDraw, build_design, designs, is_tiled

IMAGES = 3


def artefact_of(design: Design, number: int) -> VerilogArtefact:
    """The Verilog of a drawn design; the number tells designs of one build apart."""
    return emit_verilog(design.body, design.weights, design.machine, design.schedule, f"design_{number}")


def simulations_of(artefacts: Sequence[VerilogArtefact]) -> list[AcceleratorSimulation]:
    """Simulations of several designs, built together."""
    circuits = [
        Circuit(
            {f"{a.top}.v": a.verilog},
            a.top,
            a.accelerator.machine.memory_bits,
            a.accelerator.program.address_bits,
        )
        for a in artefacts
    ]
    built = build_many(circuits, cache=False, optimize=False)
    return [AcceleratorSimulation(a, b) for a, b in zip(artefacts, built, strict=True)]


def _check(design: Design, simulation: AcceleratorSimulation, coverage: Counter[str]) -> None:
    x = design.inputs(IMAGES)
    expected = run_network(design.body, design.weights, {"x": x})["y"]
    found = simulation.run({"x": x})["y"]
    np.testing.assert_array_equal(found, expected)
    report = estimate(design.body, design.weights, design.machine, design.schedule)
    cycles = tuple(layer.total_cycles for layer in report.layers)
    dram = [a for layer in report.layers for a in layer.accesses if a.memory == "dram"]
    for run in simulation.runs:
        assert run.layer_cycles == cycles
        assert run.cycles == run.cycle_count == report.total_cycles
        assert run.reads == sum(a.reads for a in dram)
        assert run.writes == sum(a.writes for a in dram)
    disturbed = simulation.run({"x": x[:1]}, stall_seed=design.draw.seed, start_seed=design.draw.seed)["y"]
    np.testing.assert_array_equal(disturbed, expected[:1])
    _cover(design, simulation.artefact.accelerator.plans, expected, coverage)


def _cover(design: Design, plans: Sequence[LayerPlan], y: np.ndarray, coverage: Counter[str]) -> None:
    work = plans[-1].work
    coverage["designs"] += 1
    coverage["tiled in K, C and pixels"] += is_tiled(design.draw)
    coverage["low saturation"] += bool((y == work.low).any())
    coverage["high saturation"] += bool((y == work.high).any())
    coverage["between"] += bool(((y > work.low) & (y < work.high)).any())
    coverage["several layers"] += len(plans) > 1
    coverage["packed taps"] += plans[0].row_tiles.packed
    coverage["pooled"] += any(p.work.pool is not None for p in plans)
    coverage["more columns than rows"] += plans[0].machine.write_beats > 1
    coverage["turned banks"] += design.draw.cols % design.draw.rows != 0
    coverage["signed activations"] += design.draw.signed
    coverage["narrow formats"] += min(design.draw.formats[:2]) < 8
    coverage["tight accumulators"] += design.draw.tight
    coverage["weights bound"] += any(c.weights > c.compute for c in network_cycles(plans))
    coverage[f"rounding {design.draw.rounding.value}"] += 1


def _sweep(groups: int, size: int, first: int) -> Counter[str]:
    """`groups` builds of `size` designs each: half need several tiles of everything, a sixth have few channels."""
    coverage: Counter[str] = Counter()
    lists = st.tuples(*(designs(tiled=n % 2 == 0, packed=n % 6 == 1) for n in range(size)))

    @seed(first)
    @settings(
        max_examples=groups,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(lists)
    def sweep(draws: tuple[DesignDraw, ...]) -> None:
        built = [build_design(draw) for draw in draws]
        simulations = simulations_of([artefact_of(design, n) for n, design in enumerate(built)])
        for draw, design, simulation in zip(draws, built, simulations, strict=True):
            try:
                _check(design, simulation, coverage)
            except AssertionError as error:
                error.add_note(f"in the design {draw}")
                raise

    sweep()
    return coverage


def _demand(coverage: Counter[str], at_least: int, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\nRTL designs:", ", ".join(f"{name} {count}" for name, count in sorted(coverage.items())))
    assert coverage["designs"] >= at_least
    assert 3 * coverage["tiled in K, C and pixels"] >= coverage["designs"]
    for kind in (
        *("low saturation", "high saturation", "between", "several layers", "packed taps", "pooled"),
        *("more columns than rows", "turned banks", "signed activations", "weights bound"),
        *("narrow formats", "tight accumulators"),
        *(f"rounding {mode}" for mode in ("half_up", "half_even", "half_away", "floor")),
    ):
        assert coverage[kind] >= 3, kind


def test_random_designs(capsys: pytest.CaptureFixture[str]) -> None:
    """At least 60 designs: outputs, cycles per layer and memory traffic, each exactly."""
    _demand(_sweep(groups=10, size=6, first=20261121), 60, capsys)


@given(designs())
@settings(max_examples=5, deadline=None)
def test_the_pass_gives_the_circuit_that_the_target_emits(draw: DesignDraw) -> None:
    design = build_design(draw, "net")
    emitted = emit_verilog(design.body, design.weights, design.machine, design.schedule)
    module = ModuleOp([design.body, design.machine, design.schedule])
    LowerToRtlPass().apply(HapirContext(weights=design.weights), module)
    module.verify()
    assert print_verilog(module) == emitted.verilog


def test_a_circuit_that_wakes_up_anyhow_computes_the_same() -> None:
    """Registers that reset leaves alone may hold anything: 500 beginnings of a small design, one after another."""
    layer = LayerDraw(7, (3, 1), (1, 2), (0, 1, 0, 0), (1, 1), 0, 0, False)
    draw = DesignDraw(5, 4, 16, 15, 3, 6, True, (8, 8, 16), True, Rounding.floor, 1, 3, 1, (layer,), seed=44546)
    design = build_design(draw)
    (simulation,) = simulations_of([artefact_of(design, 0)])
    x = design.inputs(1)
    expected = run_network(design.body, design.weights, {"x": x})["y"]
    for start_seed in range(500):
        np.testing.assert_array_equal(simulation.run({"x": x}, start_seed=start_seed)["y"], expected)


@pytest.mark.parametrize("name", ["int", "reg", "module", "a.b", "a__b", "pe", "main", "größe", "1st", "end", "_"])
def test_any_name_is_legal(name: str) -> None:
    """A network and its layers may be called like words of Verilog or like the accelerator's own parts."""
    layers = tuple(LayerDraw(2, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 0, 0, True) for _ in range(2))
    draw = DesignDraw(2, 2, 16, 3, 2, 4, False, (8, 8, 16), False, Rounding.half_up, 2, 2, 2, layers, seed=1)
    design = build_design(draw, name)
    for op in design.body.walk():
        if isinstance(op, LayerOp):
            op.layer = StringAttr(name)
    artefact = emit_verilog(design.body, design.weights, design.machine, design.schedule)
    assert lint({f"{artefact.top}.v": artefact.verilog}, artefact.top) == []


@pytest.mark.slow
def test_many_random_designs(capsys: pytest.CaptureFixture[str]) -> None:
    """The same over 300 designs."""
    _demand(_sweep(groups=50, size=6, first=7), 300, capsys)
