"""A modelled multiplier means the same along a sequence as on a map of one row, in the reference and in C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.weights import WeightStore

SPEC = """\
hap 1
network n(x: f32[1, 4, {size}]) -> f32[1, 6, {out}] {{
    weights from "w.safetensors"
    c1 = {layer}(x, channels = 6, kernel = {kernel}, stride = {stride}, padding = {padding}, groups = 2)
    return relu(c1)
}}
recipe approximate {{
    quantize(calibration = "calib.npz", activations = {activations})
    use_multiplier(multiplier = truncated(bits = 3))
}}
schedule s of n with approximate {{ }}
"""


@pytest.mark.parametrize("activations", ["u8", "i8"])
def test_a_sequence_is_a_map_of_one_row(tmp_path: Path, activations: str):
    random = np.random.default_rng(7)
    w = random.normal(size=(6, 2, 3)).astype(np.float32)
    bias = random.normal(size=6).astype(np.float32)
    x = random.normal(size=(20, 4, 16)).astype(np.float32)
    found: dict[str, np.ndarray] = {}
    for layer, one_row, numbers in (
        ("conv1d", (), {"size": "16", "out": "8", "kernel": "3", "stride": "2", "padding": "1"}),
        ("conv2d", (1,), {"size": "1, 16", "out": "1, 8", "kernel": "[1, 3]", "stride": "[1, 2]", "padding": "[0, 1]"}),
    ):
        folder = tmp_path / layer
        folder.mkdir()
        (folder / "n.hap").write_text(SPEC.format(layer=layer, activations=activations, **numbers), encoding="utf-8")
        shaped = {"c1.weight": w.reshape(6, 2, *one_row, 3), "c1.bias": bias}
        WeightStore(shaped).save(folder / "w.safetensors")
        data = x.reshape(20, 4, *one_row, 16)
        np.savez(folder / "calib.npz", x=data)
        scheduled = hapir.load(folder / "n.hap").schedule()
        assert "truncated" in str(scheduled.module)
        result = scheduled.run("c", {"x": data})
        assert result.mismatches_vs_reference == 0
        found[layer] = result.outputs["output"].reshape(20, 6, 8)
    assert np.array_equal(found["conv1d"], found["conv2d"])
