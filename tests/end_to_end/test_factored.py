"""`digits_factored.hap` and `digits_generated.hap`: every form runs, all witnesses agree, sizes are what they should be."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.numpy import load_file

import hapir
from tests.projects import run_main

EXAMPLES = Path(__file__).resolve().parents[2] / "spec_examples"
FACTORED, GENERATED = EXAMPLES / "digits_factored.hap", EXAMPLES / "digits_generated.hap"
DATA = EXAMPLES / "digits_test.npz"
SCHEDULES = [
    *((FACTORED, name) for name in ("low_rank", "tucker", "separable", "alf", "crelu")),
    *((GENERATED, name) for name in ("csg", "bsg")),
]
FOR_THE_ARRAY = [
    (spec, name) for spec, name in SCHEDULES if name in ("low_rank", "tucker", "alf", "bsg")
]  # the others have depthwise convolutions, or stay float


@pytest.mark.parametrize(("spec", "name"), SCHEDULES, ids=[name for _, name in SCHEDULES])
def test_reference_and_c_agree(spec: Path, name: str):
    scheduled = hapir.load(spec).schedule(name)
    accuracies = [scheduled.run(on=on, inputs=DATA).accuracy for on in ("reference", "c")]
    assert accuracies[0] == accuracies[1]
    assert accuracies[0] is not None
    assert accuracies[0] > 0.95
    result = scheduled.run(on="c", inputs=DATA, limit=50)
    assert result.mismatches_vs_reference in (0, None)


@pytest.mark.parametrize(("spec", "name"), FOR_THE_ARRAY, ids=[name for _, name in FOR_THE_ARRAY])
def test_the_array_agrees_and_the_estimate_knows_its_cycles(spec: Path, name: str):
    scheduled = hapir.load(spec).schedule(name)
    result = scheduled.run(on="rtl", inputs=DATA, limit=1)
    assert result.mismatches_vs_reference == 0
    assert result.details["cycles"] == scheduled.estimate().total_cycles


@pytest.mark.parametrize("name", ["low_rank", "alf"])
def test_chains_cost_fewer_macs(name: str):
    """What they are for: the layers that are taken apart cost less than they did."""

    def macs(schedule: hapir.Design, which: str) -> int:
        layers = schedule.schedule(which).estimate().layers
        return sum(layer.macs for layer in layers)

    assert macs(hapir.load(FACTORED), name) < macs(hapir.load(FACTORED), "on_tiny")


def test_the_compiled_weights_are_the_codes(tmp_path: Path):
    outcome = run_main("compile", GENERATED, "--schedule", "csg", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    stored = {key: array.shape for key, array in load_file(tmp_path / "out" / "weights.safetensors").items()}
    assert stored["csg.matrix"] == (36, 26)
    assert stored["c2.weight.folded.codes"] == (32 * 4, 26)
    assert stored["c3.weight.folded.codes"] == (32 * 8, 26)
    assert "c3.weight.folded" not in stored
