"""What the digits specs claim: the data is fit to judge by, and each recipe keeps the accuracy it should."""

from __future__ import annotations

import numpy as np
import pytest

import hapir
from tests.end_to_end.digits import DIGITS, PRUNED, SPECS, TALL, TEST_DATA, Array, arrays_of, layer_weights


@pytest.fixture(scope="module")
def data() -> dict[str, Array]:
    return arrays_of(TEST_DATA)


def accuracy(scheduled: hapir.Scheduled, data: dict[str, Array]) -> float:
    """The accuracy on the reference, counted here from the outputs rather than taken from the report."""
    result = scheduled.run("reference", data)
    counted = float((result.outputs["output"].argmax(axis=1) == data["label"]).mean())
    assert result.accuracy == counted
    assert result.images == len(data["label"])
    return counted


def test_the_test_split_is_large_and_balanced(data: dict[str, Array]):
    assert data["image"].shape == (540, 1, 8, 8)
    assert data["image"].dtype == np.float32
    assert data["image"].min() == 0
    assert data["image"].max() == 1
    assert data["label"].dtype == np.int64
    counts = np.bincount(data["label"], minlength=10)
    assert counts.min() >= 40
    assert counts.max() <= 70


def test_no_test_image_is_a_calibration_image(data: dict[str, Array]):
    calibration = arrays_of(SPECS / "digits_calib.npz")["image"]
    assert len(calibration) == 128
    seen = {image.tobytes() for image in calibration}
    assert not any(image.tobytes() in seen for image in data["image"])


def test_the_weight_file_is_small():
    assert (SPECS / "digits.safetensors").stat().st_size < 300_000


def test_float_accuracy(data: dict[str, Array]):
    assert accuracy(hapir.load(DIGITS).schedule(recipe="none"), data) >= 0.97


def test_int8_loses_at_most_one_point(data: dict[str, Array]):
    design = hapir.load(DIGITS)
    quantized = design.schedule()
    assert {weight.dtype for weight in layer_weights(quantized).values()} == {np.dtype(np.int8)}
    assert accuracy(quantized, data) >= accuracy(design.schedule(recipe="none"), data) - 0.01


def test_half_of_the_convolution_weights_pruned(data: dict[str, Array]):
    pruned = hapir.load(PRUNED).schedule()
    weights = layer_weights(pruned)
    for name in ("c1", "c2", "c3"):
        assert weights[name].dtype == np.int8
        # what was pruned stays zero; rounding to int8 may add a few zeros
        zeros = float((weights[name] == 0).mean())
        assert 0.5 <= zeros < 0.6
    assert float((weights["f1"] == 0).mean()) < 0.2
    assert accuracy(pruned, data) >= 0.97


def test_a_quarter_of_the_filters_leaves_the_network(data: dict[str, Array]):
    narrow = hapir.load(TALL).schedule()
    shapes = {name: weight.shape for name, weight in layer_weights(narrow).items()}
    assert shapes == {"c1": (12, 1, 3, 3), "c2": (24, 12, 3, 3), "c3": (24, 24, 3, 3), "f1": (10, 96)}
    assert accuracy(narrow, data) >= 0.96
