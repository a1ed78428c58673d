"""Coded weights of the digits, followed by quantize: codes that can stay do, and the witnesses agree to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.dialects.num import RequantizeOp, ThresholdOp
from hapir.driver import Witness
from tests.end_to_end.digits import SPECS, TEST_DATA, layer_weights

KEPT = {
    'bwn(layers = "f1")': ({-1, 1}, 0.97),
    "dorefa(bits = 4)": (set(range(-15, 16, 2)), 0.94),
    "twn(granularity = channel)": ({-1, 0, 1}, 0.9),
    "ttq(threshold = 0.2, symmetric = true)": ({-1, 0, 1}, 0.7),
    "syq(granularity = channel, threshold = 0.1)": ({-1, 0, 1}, 0.9),
}
"""Steps whose codes integer layers keep: which codes, and the accuracy that is left at least."""

SHARED = {
    "k_means(bits = 4)": 17,
    "n_ary(kind = quinary)": 5,
    "log2(bits = 4)": 15,
    "addnet(coefficients = three_add)": 59,
    "ttq(threshold = 0.2)": 3,
}
"""Steps whose levels a layer shares, and how many there are at most: quantize rounds the levels to 8 bits."""

ROUNDED = ("syq(granularity = pixel, threshold = 0.1)", "abc_net(bases = 5, granularity = channel)", "lq_net(bits = 3)")
"""Steps with more tables than a layer of integers takes, or other ones: quantize rounds what they mean."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits, for specs that import them."""
    return Path(shutil.copytree(SPECS, tmp_path_factory.mktemp("binary") / "digits"))


def scheduled(folder: Path, step: str, last: str = "") -> hapir.Scheduled:
    """The digits with one step between folding and quantization, on the machine or, with last steps, on none."""
    recipe = f'recipe r {{ fold_batch_norm(), {step}, quantize(calibration = "digits_calib.npz"){last} }}'
    machine = "{}" if last else "on tiny_ws { dataflow = weight_stationary }"
    schedule = f"schedule s of digits with r {machine}"
    spec = folder / "binary.hap"
    spec.write_text(f'hap 1\nimport "digits.hap"\n{recipe}\n{schedule}\n', encoding="utf-8")
    return hapir.load(spec).schedule("s")


@pytest.mark.parametrize("step", KEPT)
def test_integer_layers_keep_the_codes(folder: Path, step: str):
    codes, accuracy = KEPT[step]
    design = scheduled(folder, step)
    coded = layer_weights(design)
    for name in ("f1",) if "f1" in step else coded:
        assert set(np.unique(coded[name]).tolist()) <= codes, name
        assert coded[name].min() < 0 < coded[name].max()
    found = design.run(on="reference", inputs=TEST_DATA).accuracy
    assert found is not None
    assert found >= accuracy


@pytest.mark.parametrize("step", SHARED)
def test_integer_layers_have_no_more_numbers_than_levels(folder: Path, step: str):
    for name, weights in layer_weights(scheduled(folder, step)).items():
        assert 1 < len(np.unique(weights)) <= SHARED[step], name


CASES = [(step, on) for on in ("c", "rtl") for step in (*KEPT, *SHARED, *ROUNDED)]
QUICK = {("twn(granularity = channel)", "rtl"), ("dorefa(bits = 4)", "c"), ("k_means(bits = 4)", "c")}
"""What each run of the tests looks at; the others are marked slow."""


@pytest.mark.parametrize(
    ("step", "on"), [case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow) for case in CASES]
)
def test_the_witnesses_agree(folder: Path, step: str, on: Witness):
    """All 540 images in C; one in the simulated circuit, whose cycles the estimate gives."""
    design = scheduled(folder, step)
    result = design.run(on=on, inputs=TEST_DATA, limit=1 if on == "rtl" else None)
    assert result.mismatches_vs_reference == 0
    if on == "rtl":
        assert result.details["cycles"] == design.estimate().total_cycles


def test_signs_of_activations_become_comparisons(folder: Path):
    """The last layer on signs of what the pool gives, split at its mean: 1 bit by 1 bit, and no float between."""
    xnor = 'xnor_net(layers = "f1", calibration = "digits_calib.npz", center = true)'
    design = scheduled(folder, xnor, ", threshold()")
    assert set(np.unique(layer_weights(design)["f1"]).tolist()) == {-1, 1}
    assert [op.layer.data for op in design.module.walk() if isinstance(op, ThresholdOp) and op.layer] == ["f1.sign"]
    result = design.run(on="c", inputs=TEST_DATA)
    assert result.mismatches_vs_reference == 0
    assert result.accuracy is not None
    assert result.accuracy > 0.89


def test_dorefa_activations_have_the_bits_that_are_asked(folder: Path):
    """u4 on 0..6 for the convolutions; the last layer's u8 is that of quantize."""
    design = scheduled(folder, 'dorefa(bits = 8, layers = "c*", activation_bits = 4, high = 6)')
    highs = [op.high.value.data for op in design.module.walk() if isinstance(op, RequantizeOp)]
    assert highs == [15, 15, 15, 255]
    accuracy = design.run(on="c", inputs=TEST_DATA).accuracy
    assert accuracy is not None
    assert accuracy > 0.9
