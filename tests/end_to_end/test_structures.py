"""`digits_structures.hap`: operators that pruning made smaller agree on all witnesses and cost less."""

from __future__ import annotations

from pathlib import Path

import pytest

import hapir
from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.report.summary import macs
from tests.end_to_end.digits import DIGITS, SPECS, TEST_DATA

SPEC = SPECS / "digits_structures.hap"


@pytest.mark.parametrize(("schedule", "accuracy"), [("thin", 0.98), ("narrow", 0.93), ("gathered", 0.96)])
@pytest.mark.parametrize("on", ["reference", "c"])
def test_reference_and_c_agree(schedule: str, accuracy: float, on: str):
    result = hapir.load(SPEC).schedule(schedule).run(on=on, inputs=TEST_DATA)  # pyright: ignore[reportArgumentType]  # a Witness
    assert result.mismatches_vs_reference == 0
    assert result.accuracy is not None
    assert result.accuracy >= accuracy


@pytest.mark.parametrize("schedule", ["thin", "narrow"])
def test_the_array_runs_smaller_convolutions(schedule: str):
    scheduled = hapir.load(SPEC).schedule(schedule)
    result = scheduled.run(on="rtl", inputs=TEST_DATA, limit=2)
    assert result.mismatches_vs_reference == 0
    assert result.details["cycles"] == scheduled.estimate().total_cycles
    assert scheduled.estimate().total_cycles < hapir.load(DIGITS).schedule().estimate().total_cycles


def test_operators_are_smaller():
    shapes = {
        schedule: {
            op.layer_name: shape_of(op.w)
            for op in hapir.load(SPEC).schedule(schedule).module.walk()
            if isinstance(op, nn.ProductOp)
        }
        for schedule in ("thin", "narrow", "gathered")
    }
    assert [shapes["thin"][name] for name in ("c2", "c3", "f1")] == [(24, 16, 3, 3), (24, 24, 3, 3), (10, 96)]
    assert sorted(shapes["narrow"]["c3"][2:]) == [2, 3]
    assert [shapes["gathered"][name] for name in ("c2", "c3")] == [(32, 101, 1, 1), (32, 202, 1, 1)]


GROUPED = """hap 1
import "digits.hap"
recipe groups {{
    fold_batch_norm()
    structure_prune(layers = "c3", {options})
    quantize(calibration = "digits_calib.npz")
}}
schedule grouped of digits with groups {{ }}
"""


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ("structures = group, groups = 4", 1 / 4),
        ("structures = [group, kernel_slice], groups = 2, sparsity = 40 %", 1 / 3),
        ("structures = kernel_position, sparsity = 45 %, criterion = random, seed = 1", 5 / 9),
    ],
)
def test_groups_and_positions_in_c(tmp_path: Path, options: str, share: float):
    for file in SPECS.glob("digits*"):
        if file.suffix != ".py":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    spec = tmp_path / "grouped.hap"
    spec.write_text(GROUPED.format(options=options), encoding="utf-8")
    scheduled = hapir.load(spec).schedule("grouped")
    assert scheduled.run(on="c", inputs=TEST_DATA, limit=50).mismatches_vs_reference == 0
    (c3,) = (op for op in scheduled.module.walk() if isinstance(op, nn.Conv2dOp) and op.layer_name == "c3")
    assert macs(c3) == share * 32 * 32 * 9 * 16
