"""`digits_factored.hap` and `digits_generated.hap`: every form runs, all witnesses agree, sizes are as they say."""

from __future__ import annotations

from pathlib import Path

import pytest

import hapir
from hapir.weights import WeightStore
from tests.projects import run_main

EXAMPLES = Path(__file__).resolve().parents[2] / "spec_examples"
FACTORED, GENERATED = EXAMPLES / "digits_factored.hap", EXAMPLES / "digits_generated.hap"
DATA = EXAMPLES / "digits_test.npz"
SCHEDULES = [
    *((FACTORED, name) for name in ("low_rank", "tucker", "separable", "alf", "crelu")),
    *((GENERATED, name) for name in ("csg", "bsg")),
]


@pytest.mark.parametrize(("spec", "name"), SCHEDULES, ids=[name for _, name in SCHEDULES])
def test_reference_and_c_agree(spec: Path, name: str):
    scheduled = hapir.load(spec).schedule(name)
    reference, c = scheduled.run(inputs=DATA), scheduled.run(on="c", inputs=DATA)
    assert reference.accuracy == c.accuracy
    assert c.accuracy is not None
    assert c.accuracy > 0.95
    assert c.mismatches_vs_reference in ((0,) if scheduled.is_integer else (0, None))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        pytest.param(FACTORED, "low_rank", id="low_rank"),
        pytest.param(GENERATED, "bsg", id="bsg"),
        pytest.param(FACTORED, "tucker", id="tucker", marks=pytest.mark.slow),
        pytest.param(FACTORED, "alf", id="alf", marks=pytest.mark.slow),
    ],
)
def test_the_array_agrees_and_the_estimate_knows_its_cycles(spec: Path, name: str):
    """The other schedules have depthwise convolutions or stay float, which the array does not run."""
    scheduled = hapir.load(spec).schedule(name)
    result = scheduled.run(on="rtl", inputs=DATA, limit=1)
    assert result.mismatches_vs_reference == 0
    assert result.details["cycles"] == scheduled.estimate().total_cycles


@pytest.mark.parametrize("name", ["low_rank", "alf"])
def test_chains_cost_fewer_macs(name: str):
    """What they are for: the layers that are taken apart cost less than they did."""

    def macs(schedule: hapir.Design, which: str) -> int:
        layers = schedule.schedule(which).estimate().layers
        return sum(layer.macs_useful for layer in layers)

    assert macs(hapir.load(FACTORED), name) < macs(hapir.load(FACTORED), "on_tiny")


def test_the_compiled_weights_are_the_codes(tmp_path: Path):
    outcome = run_main("compile", GENERATED, "--schedule", "csg", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    stored = {key: array.shape for key, array in WeightStore.load(tmp_path / "out" / "weights.safetensors").items()}
    assert stored["csg.matrix"] == (36, 26)
    assert stored["c2.weight.folded.codes"] == (32 * 4, 26)
    assert stored["c3.weight.folded.codes"] == (32 * 8, 26)
    assert "c3.weight.folded" not in stored
