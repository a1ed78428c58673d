"""The digits specs as C: bit for bit the reference on the whole test split, through the command and the Python API."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hapir
from tests.end_to_end.digits import DIGITS, PRUNED, TALL, TEST_DATA, arrays_of
from tests.projects import run_main


@pytest.mark.parametrize("spec", [DIGITS, PRUNED, TALL], ids=lambda spec: spec.stem)
def test_c_equals_the_reference_on_every_test_image(spec: Path):
    outcome = run_main("run", spec, "--on", "c", "--input", TEST_DATA, "--format", "json")
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert report["images"] == 540
    assert report["mismatches_vs_reference"] == 0
    assert report["accuracy"] >= 0.96


def test_the_logits_of_c_and_reference_are_equal_arrays():
    """Compares the arrays here, so that the counting of mismatches is itself under test."""
    scheduled = hapir.load(DIGITS).schedule("on_tiny")
    data = arrays_of(TEST_DATA)
    c, reference = scheduled.run("c", data), scheduled.run("reference", data)
    assert set(c.body) == set(reference.body) != set()
    for name, logits in reference.body.items():
        assert logits.dtype.kind in "iu"
        assert len(np.unique(logits)) > 50
        np.testing.assert_array_equal(c.body[name], logits)
    np.testing.assert_array_equal(c.outputs["output"], reference.outputs["output"])


def test_float_c_stays_close_to_the_reference():
    outcome = run_main(
        "run", DIGITS, "--recipe", "none", "--on", "c", "--input", TEST_DATA, "--limit", "100", "--format", "json"
    )
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert report["images"] == 100
    assert report["mismatches_vs_reference"] is None
    assert report["max_abs_error"] <= 1e-5  # on probabilities
    assert report["accuracy"] >= 0.97


def test_a_limit_takes_the_first_images():
    outcome = run_main("run", DIGITS, "--on", "c", "--input", TEST_DATA, "--limit", "7", "--format", "json")
    assert outcome.json["images"] == 7
    assert outcome.json["outputs"]["output"]["shape"] == [7, 10]
