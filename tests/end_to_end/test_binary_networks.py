"""The binarized examples: no float and no requantization inside, C bit for bit the reference, accuracy as trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.diagnostics import HapirError
from hapir.dialects import dataflow, nn, num
from hapir.dialects.num import AffineType, BipolarType, element_type
from hapir.report.kernels import ENCODED, kernel_report
from tests.end_to_end.digits import SPECS, TEST_DATA, arrays_of
from tests.projects import run_main

BINARY, MLP, ON_WS = (SPECS / f"{name}.hap" for name in ("digits_binary", "binary_mlp", "digits_binary_ws"))
NOISE = SPECS / "binary_mlp_calib.npz"


def body_ops(scheduled: hapir.Scheduled) -> list[type]:
    """The ops of the integer body, in order; weights left out."""
    kept = (nn.WeightOp, nn.ReturnOp, dataflow.LayerOp, dataflow.YieldOp)
    return [type(op) for op in scheduled.cut.body.body.walk() if not isinstance(op, kept)]


@pytest.mark.parametrize("spec", [BINARY, MLP], ids=lambda spec: spec.stem)
def test_the_body_is_sums_of_signs_and_comparisons(spec: Path):
    scheduled = hapir.load(spec).schedule()
    layers = [nn.DenseOp, num.ThresholdOp] * 2
    assert body_ops(scheduled) == [nn.FlattenOp, *layers, nn.DenseOp, num.ViewOp]
    for op in scheduled.cut.body.body.walk():
        if isinstance(op, nn.DenseOp):
            weight = op.w.owner
            assert isinstance(weight, nn.WeightOp)
            assert set(np.unique(scheduled.decoded.weights[weight.key.data]).tolist()) == {-1, 1}
        if isinstance(op, num.ThresholdOp):
            element = element_type(op.result)
            assert isinstance(element, AffineType)
            assert isinstance(element.codes, BipolarType)
            thresholds = op.thresholds.owner
            assert isinstance(thresholds, nn.WeightOp)
            different = len(np.unique(scheduled.weights[thresholds.key.data]))
            assert different > 10 if spec is BINARY else different == 1  # random batch norms change nothing


def test_c_equals_the_reference_and_the_floats_on_every_test_image():
    outcome = run_main("run", BINARY, "--on", "c", "--input", TEST_DATA, "--format", "json")
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert report["images"] == 540
    assert report["mismatches_vs_reference"] == 0
    assert report["accuracy"] == 523 / 540  # as the training script counts
    floats = hapir.load(BINARY).schedule(recipe="none").run("reference", arrays_of(TEST_DATA))
    assert floats.accuracy == 523 / 540


def test_the_sums_of_c_and_reference_are_equal_arrays():
    scheduled, data = hapir.load(MLP).schedule(), arrays_of(NOISE)
    c, reference = scheduled.run("c", data), scheduled.run("reference", data)
    ((name, sums),) = reference.body.items()
    assert sums.dtype == np.int32
    assert len(np.unique(sums)) > 10
    np.testing.assert_array_equal(c.body[name], sums)
    np.testing.assert_array_equal(c.outputs["output"], reference.outputs["output"])


def test_the_weights_file_holds_signs_and_is_small():
    path = SPECS / "digits_binary.safetensors"
    assert path.stat().st_size < 150_000
    weights = hapir.load(BINARY).schedule(recipe="none").weights
    for layer in ("f1", "f2", "f3"):
        assert set(np.unique(weights[f"{layer}.weight"]).tolist()) == {-1, 1}


def test_a_weight_of_a_hidden_layer_takes_one_bit():
    report = hapir.load(BINARY).schedule().report(arrays_of(TEST_DATA), limit=20)
    found = {layer.name: layer.compressed for layer in report.layers if layer.compressed is not None}
    assert (found["f1"].bits_per_weight, found["f2"].bits_per_weight) == (1, 1)
    assert found["f3"].weight_bytes == 96 * 10 / 8 + 4 * 10  # the last layer's scales give its reals


def test_c_keeps_encoded_signs_as_bits(tmp_path: Path):
    """Neither decoded when the program starts nor stored as bytes: a bit in flash, none in RAM."""
    scheduled = hapir.load(BINARY).schedule()
    report = kernel_report(scheduled)
    assert [row.kernel for row in report.rows] == ["direct codes", "direct bits", "direct bits"]
    assert {a.why_not for row in report.rows for a in row.alternatives if a.kernel == "ras"} == {ENCODED}
    scheduled.compile(tmp_path / "out", ["c"])
    memory = json.loads((tmp_path / "out/c/digits_binary_report.json").read_text())
    assert memory["file_bytes"] == 0
    assert memory["context_bytes"] < 1000
    weights = sum(layer["weight_bytes"] for layer in memory["layers"])
    assert 31680 / 8 <= weights < 1.5 * 31680 / 8


def test_without_threshold_floats_stand_among_the_integers(tmp_path: Path):
    """C computes them where they stand; hardware has none, and the diagnostic says what helps."""
    for file in SPECS.glob("*.npz"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = MLP.read_text(encoding="utf-8")
    (tmp_path / "hole.hap").write_text(text.replace("    threshold()\n", ""), encoding="utf-8")
    outcome = run_main("run", tmp_path / "hole.hap", "--on", "c", "--input", NOISE, "--format", "json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["mismatches_vs_reference"] == 0
    with pytest.raises(HapirError) as refused:
        assert hapir.load(tmp_path / "hole.hap").schedule().integer_body
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.code == "HAP0510"
    assert "call threshold() after quantize()" in str(diagnostic.help)


def test_a_machine_that_requantizes_refuses_thresholds(tmp_path: Path):
    for file in SPECS.glob("digits*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = (SPECS / "digits.hap").read_text(encoding="utf-8")
    few = 'activations = u3, granularity = channel, calibration = "digits_calib.npz")\n    threshold()'
    old = 'activations = u8, granularity = channel, calibration = "digits_calib.npz")'
    assert old in text
    text = text.replace(old, few).replace("within = 1 point", "within = 100 point")
    (tmp_path / "few.hap").write_text(text, encoding="utf-8")
    outcome = run_main("estimate", tmp_path / "few.hap")
    assert outcome.code == 1
    assert "HAP0720" in outcome.err
    assert "layer `c1` ends in thresholds" in outcome.err


def test_an_array_of_multipliers_runs_the_binarized_digits():
    """The Verilog agrees with the reference, takes as long as estimated, and judges as the comparisons do."""
    scheduled, data = hapir.load(ON_WS).schedule("on_multipliers"), arrays_of(TEST_DATA)
    reference = scheduled.run("reference", data)
    assert reference.accuracy == 523 / 540
    few = {name: array[:3] for name, array in data.items()}
    rtl = scheduled.run("rtl", few)
    assert rtl.mismatches_vs_reference == 0
    assert rtl.details["cycles"] == scheduled.estimate().total_cycles == 4452
