"""Quantizers that quantize carries out, from the digits spec to integers: all witnesses compute the same ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.dialects import nn, num
from hapir.dialects.num import element_type
from tests.end_to_end.digits import SPECS, TEST_DATA, Array, arrays_of
from tests.projects import run_main

MIXED = SPECS / "digits_mixed.hap"
CALIBRATION = 'calibration = "digits_calib.npz"'


@pytest.fixture(scope="module")
def data() -> dict[str, Array]:
    return arrays_of(TEST_DATA)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, to write further specs beside them."""
    return Path(shutil.copytree(SPECS, tmp_path_factory.mktemp("quantized") / "digits"))


def scheduled(folder: Path, *steps: str) -> hapir.Scheduled:
    """The digits under a recipe of these steps after fold_batch_norm, on the machine of the example."""
    recipe = "\n".join(("fold_batch_norm()", *steps))
    spec = folder / "spec.hap"
    spec.write_text(
        f'hap 1\nimport "digits.hap"\nrecipe r {{\n{recipe}\n}}\n'
        "schedule s of digits with r on tiny_ws { dataflow = weight_stationary }\n"
    )
    return hapir.load(spec).schedule("s")


def code_bits(design: hapir.Scheduled) -> dict[str, tuple[int, int]]:
    """Bits of the weights and of the result of each layer with weights, by name."""
    found: dict[str, tuple[int, int]] = {}
    for op in design.module.walk():
        if isinstance(op, num.RequantizeOp) and isinstance(op.acc.owner, nn.ProductOp):
            layer = op.acc.owner
            bits = num.code_bits(element_type(layer.w)), num.code_bits(element_type(op.result))
            found[layer.layer_name or ""] = bits
    return found


def test_each_layer_has_its_formats(data: dict[str, Array]):
    design = hapir.load(MIXED).schedule()
    assert code_bits(design) == {"c1": (8, 4), "c2": (4, 6), "c3": (3, 5), "f1": (4, 8)}
    assert (design.run("reference", data).accuracy or 0) >= 0.97


def test_c_is_bit_exact_on_every_image():
    outcome = run_main("run", MIXED, "--on", "c", "--input", TEST_DATA, "--format", "json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["images"] == 540
    assert outcome.json["mismatches_vs_reference"] == 0


def test_rtl_is_bit_exact_and_the_estimate_agrees():
    outcome = run_main("run", MIXED, "--on", "rtl", "--input", TEST_DATA, "--limit", 20, "--format", "json")
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert report["images"] == 20
    assert report["mismatches_vs_reference"] == 0
    estimated = run_main("estimate", MIXED, "--format", "json").json
    assert report["cycles"] == estimated["total_cycles"]


QUANTIZERS = {
    "two bits by extremes": f"quantize(weights = i2, activations = u2, {CALIBRATION})",
    "two bits by least squares": "quantize(weights = i2, activations = u2, weight_method = mse, method = mse, "
    f"{CALIBRATION})",
    "one bit of activations": f"quantize(activations = u1, method = gamma, {CALIBRATION})",
    "groups of filters": f"quantize(weights = i4, granularity = group, group = 4, weight_method = sqnr, {CALIBRATION})",
    "percentile": f"quantize(weights = i3, weight_method = percentile, percentile = 97, {CALIBRATION})",
    "signs": f"bwn(), bias_correction({CALIBRATION}), quantize({CALIBRATION})",
    "ternary": f"twn(), quantize(activations = u4, {CALIBRATION})",
    "fixed point": (
        f"fixed_point(bits = 5, activation_bits = 6, {CALIBRATION}), quantize(activations = u6, {CALIBRATION})"
    ),
}


@pytest.mark.parametrize("steps", QUANTIZERS.values(), ids=QUANTIZERS.keys())
def test_every_quantizer_is_bit_exact_in_c(folder: Path, data: dict[str, Array], steps: str):
    design = scheduled(folder, steps)
    few = {name: array[:60] for name, array in data.items()}
    c, reference = design.run("c", few), design.run("reference", few)
    assert set(c.body) == set(reference.body) != set()
    for name, integers in reference.body.items():
        assert len(np.unique(integers)) > 1
        np.testing.assert_array_equal(c.body[name], integers)


def test_narrow_activations_are_bit_exact_in_rtl(folder: Path, data: dict[str, Array]):
    """An array of u8 holds u3; the zero point of signed results differs from 0."""
    design = scheduled(folder, f"quantize(weights = i3, activations = u3, weight_method = mse, {CALIBRATION})")
    few = {name: array[:10] for name, array in data.items()}
    rtl, reference = design.run("rtl", few), design.run("reference", few)
    for name, integers in reference.body.items():
        np.testing.assert_array_equal(rtl.body[name], integers)


def test_losses_that_do_not_add_up_do_not_mislead_the_search(folder: Path, data: dict[str, Array]):
    """At 2.7 bits on average the sum of single losses alone chooses a plan of 77 %."""
    design = scheduled(
        folder, 'mixed_precision(data = "digits_calib.npz", average_bits = 2.7)', f"quantize({CALIBRATION})"
    )
    bits = {name: weights for name, (weights, _) in code_bits(design).items()}
    sizes = {"c1": 144, "c2": 4608, "c3": 9216, "f1": 1280}
    assert sum(sizes[name] * bits[name] for name in sizes) <= 2.7 * sum(sizes.values())
    assert (design.run("reference", data).accuracy or 0) >= 0.87


def test_what_helps_helps(folder: Path, data: dict[str, Array]):
    """Per tensor at three bits: clipping, equalization and corrected biases each gain over min-max."""

    def accuracy(*steps: str) -> float:
        return scheduled(folder, *steps).run("reference", data).accuracy or 0

    tensor = "weights = i3, granularity = tensor"
    extremes = accuracy(f"quantize({tensor}, {CALIBRATION})")
    clipped = accuracy(f"quantize({tensor}, weight_method = mse, {CALIBRATION})")
    equalized = accuracy("equalize()", f"quantize({tensor}, weight_method = mse, {CALIBRATION})")
    coded = f"quantize_weights({tensor}, method = mse)"
    corrected = accuracy(coded, f"bias_correction({CALIBRATION})", f"quantize({CALIBRATION})")
    assert accuracy(coded, f"quantize({CALIBRATION})") == clipped
    assert extremes + 0.02 < clipped
    assert clipped < equalized
    assert clipped < corrected
