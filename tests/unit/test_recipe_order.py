"""Steps in an order that cannot work: the step is the place of the error, the layer that it met explains it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.diagnostics import HapirError

SPEC = """hap 1
network n(x: f32[1, 1, 4, 4]) -> f32[1, 2] {{
    c1 = conv2d(x, channels = 2, kernel = 3)
    n1 = batch_norm(c1)
    return dense(flatten(n1), units = 2)
}}
recipe r {{
    {first}
    {second}
}}
schedule s of n with r {{ weights = random() }}
"""
QUANTIZE = 'quantize(calibration = "d.npz")'


@pytest.mark.parametrize(
    ("first", "second", "code", "layer_line"),
    [
        ("fold_batch_norm(); encode()", QUANTIZE, "HAP0554", 3),
        ("fold_batch_norm(); encode()", "prune(sparsity = 50 %)", "HAP0554", 3),
        ("fold_batch_norm(); twn(); encode()", "twn()", "HAP0554", 3),
        ("fold_batch_norm(); encode()", "encode()", "HAP0553", 3),
        ("fold_batch_norm(); twn()", "twn()", "HAP0595", 3),
        (f"fold_batch_norm(); {QUANTIZE}", QUANTIZE, "HAP0506", 3),
        ("", QUANTIZE, "HAP0507", 4),
    ],
)
def test_the_step_is_the_place(tmp_path: Path, first: str, second: str, code: str, layer_line: int):
    text = SPEC.format(first=first, second=second)
    (tmp_path / "n.hap").write_text(text)
    np.savez(tmp_path / "d.npz", allow_pickle=False, x=np.linspace(-1, 1, 64, dtype=np.float32).reshape(4, 1, 4, 4))
    with pytest.raises(HapirError) as caught:
        hapir.load(tmp_path / "n.hap").schedule("s").compiled  # noqa: B018  # computed when asked for
    found = caught.value.diagnostics[0]
    assert found.code == code
    assert found.span is not None
    assert found.span.line == 9
    assert [(label.span.line, label.message) for label in found.labels] == [(layer_line, "here")]
    if code == "HAP0554":
        assert found.help == "put encode last"
