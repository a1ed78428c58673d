"""A depthwise layer without zeros is computed by the depthwise kernel: no list of its weights is cheaper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.dialects import nn
from hapir.dialects.kernel import ChoiceAttr
from hapir.lowering.kernel.host import GENERIC

SPEC = """hap 1
network n(x: f32[1, CHANNELS, 24, 24]) -> f32[1, CHANNELS, ROWS, ROWS] {
    y = conv2d(x, channels = CHANNELS, kernel = 3, padding = 1, stride = STRIDE, groups = CHANNELS)
    return y
}
recipe q { STEPS }
schedule s of n with q { weights = random(seed = 1) }
"""
QUANTIZE = 'quantize(calibration = "calibration.npz")'


@pytest.mark.parametrize("steps", ["fold_batch_norm()", QUANTIZE], ids=["f32", "int8"])
@pytest.mark.parametrize("channels", [8, 32, 256])
@pytest.mark.parametrize("stride", [1, 2])
def test_weights_without_zeros(channels: int, stride: int, steps: str, tmp_path: Path):
    text = SPEC.replace("CHANNELS", str(channels)).replace("STRIDE", str(stride)).replace("STEPS", steps)
    spec = tmp_path / "n.hap"
    spec.write_text(text.replace("ROWS", str(24 // stride)), encoding="utf-8")
    x = np.random.default_rng(0).standard_normal((1, channels, 24, 24), dtype=np.float32)
    np.savez(tmp_path / "calibration.npz", allow_pickle=False, x=x)
    network = hapir.load(spec).schedule().on_host(GENERIC).network
    choices = [op.attributes["kernel"] for op in network.body.walk() if isinstance(op, nn.Conv2dOp)]
    assert len(choices) == 1
    assert isinstance(choices[0], ChoiceAttr)
    assert choices[0].algorithm.data == "direct"
