"""Quantized models through the front door: imported, written, read again, run as C, on hardware's terms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.dialects import num
from tests.projects import run_main
from tests.property.quantized_models import KINDS, Model, quantized_network
from tests.property.test_onnx_qonnx import trained_network

FPGA = """
recipe fpga {
    integer_products()
    threshold()
}

schedule on_integers of net with fpga {
}
"""


def imported(model: Model, folder: Path) -> Path:
    """The `.hap` file of a model."""
    (folder / "net.onnx").write_bytes(model.proto.SerializeToString())
    outcome = run_main("import", folder / "net.onnx", "-o", folder / "net.hap")
    assert outcome.code == 0, outcome.err
    return folder / "net.hap"


@pytest.mark.parametrize("style", ["QDQ", "QOperator"])
def test_a_quantized_network_gives_what_onnxruntime_gives(style: str, tmp_path: Path):
    model = quantized_network(style, True, KINDS[0])
    text = imported(model, tmp_path).read_text(encoding="utf-8")
    assert "c1 = conv2d(x_q, channels = 8, kernel = 3, padding = 1, weights = i8)" in text
    assert "c1_q = rescale(c1, type = u8, scale = " in text
    scheduled = hapir.load(tmp_path / "net.hap").schedule()
    expected = model.runtime()["y"]
    for witness in ("reference", "c"):
        np.testing.assert_array_equal(scheduled.run(witness, model.inputs).outputs["y"], expected)


def test_a_trained_network_runs_on_bits_and_thresholds(tmp_path: Path):
    model = trained_network(np.random.default_rng(11))
    path = imported(model, tmp_path)
    real = hapir.load(path).schedule().run("reference", model.inputs).outputs["y"]
    path.write_text(path.read_text(encoding="utf-8") + FPGA, encoding="utf-8")
    scheduled = hapir.load(path).schedule()
    body = scheduled.integer_body
    assert not any(num.is_float(result) for op in body.body.block.ops for result in op.results)
    found = scheduled.run("c", model.inputs)
    reference = scheduled.run("reference", model.inputs)
    np.testing.assert_array_equal(found.outputs["y"], reference.outputs["y"])
    assert np.mean(np.abs(found.outputs["y"] - real) > 1e-4) < 0.02
