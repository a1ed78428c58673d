"""An array that hardly works is a warning, and the bound that tells it is never below what the estimate finds."""

from __future__ import annotations

from pathlib import Path

import pytest

import hapir
from hapir.dialects.nn import NetworkOp
from hapir.driver import load
from hapir.lowering.schedule.utilization import best_utilization
from hapir.lowering.schedule.ws_machine import ws_machine

ROOT = Path(__file__).resolve().parents[2]
SPEC = """\
hap 1
import "machines/ws.hap"
network n(x: f32[1, {channels}, 4, 4]) -> f32[1, {filters}, 4, 4] {{
    return relu(conv2d(x, channels = {filters}, kernel = 1))
}}
recipe int8 {{ quantize(calibration = "calib.npz") }}
schedule s of n with int8 on ws(rows = {rows}, columns = {cols}) {{ }}
"""


@pytest.mark.parametrize(
    ("channels", "filters", "rows", "cols", "found"),
    [
        (8, 8, 8, 8, []),
        (1, 8, 8, 8, []),
        (1, 2, 8, 8, ["at most 3.1% of the 8 x 8 array `pe` can work on the network `n`"]),
        (9, 1, 8, 8, ["at most 7.0% of the 8 x 8 array `pe` can work on the network `n`"]),
    ],
)
def test_low_utilization_is_a_warning(
    channels: int, filters: int, rows: int, cols: int, found: list[str], tmp_path: Path
):
    path = tmp_path / "n.hap"
    path.write_text(SPEC.format(channels=channels, filters=filters, rows=rows, cols=cols), encoding="utf-8")
    warnings = [d for d in hapir.load(path).check().warnings if d.code == "HAP0612"]
    assert [d.message for d in warnings] == found
    for warning in warnings:
        assert warning.span is not None
        assert (warning.span.file, warning.span.line) == ("n.hap", 7)
        assert [label.message for label in warning.labels] == ["this array"]


def test_a_comment_silences_it(tmp_path: Path):
    path = tmp_path / "n.hap"
    text = SPEC.format(channels=1, filters=2, rows=8, cols=8)
    path.write_text(text.replace("schedule s", "// hapir: allow HAP0612\nschedule s"), encoding="utf-8")
    assert hapir.load(path).check().warnings == ()


@pytest.mark.parametrize("name", ["digits.hap", "digits_16x4.hap"])
def test_the_bound_is_above_the_estimate(name: str):
    scheduled = load(ROOT / "spec_examples" / name).schedule()
    report = scheduled.estimate()
    assert scheduled.machine is not None
    machine = ws_machine(scheduled.machine)
    useful = sum(layer.macs_useful for layer in report.layers)
    reached = useful / (report.total_cycles * machine.rows * machine.cols)
    (network,) = [op for op in scheduled.float_module.walk() if isinstance(op, NetworkOp)]
    assert reached <= best_utilization(network, machine) <= 1
