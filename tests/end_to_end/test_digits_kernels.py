"""`digits_kernels.hap`: each layer has the kernel that its schedule asks for, and all give the reference's bits."""

from __future__ import annotations

import pytest

import hapir
from hapir.report.kernels import kernel_report
from tests.end_to_end.digits import DIGITS, SPECS, TEST_DATA

SPEC = SPECS / "digits_kernels.hap"


@pytest.mark.parametrize(
    ("schedule", "kernels", "accuracy"),
    [
        ("filtered", {"c2": "winograd(tile = 2)", "c3": "direct"}, 0.9944),
        ("zeros", {"c2": "sparse", "c3": "dsc(tau = 6, tile = 2)"}, 0.9944),
        ("levels", {"c2": "ras", "c3": "ras"}, 0.9907),
    ],
)
def test_every_kernel_gives_the_bits_of_the_reference(schedule: str, kernels: dict[str, str], accuracy: float):
    scheduled = hapir.load(SPEC).schedule(schedule)
    rows = {row.layer: row for row in kernel_report(scheduled).rows}
    assert {name: rows[name].kernel for name in kernels} == kernels
    assert rows["c1"].kernel == "direct"
    result = scheduled.run("c", TEST_DATA)
    assert result.mismatches_vs_reference == 0
    assert result.accuracy == pytest.approx(accuracy, abs=1e-4)


def test_the_kernels_of_a_schedule_do_not_change_its_results():
    asked, chosen = hapir.load(SPEC).schedule("filtered"), hapir.load(DIGITS).schedule()
    (logits,), (others,) = (scheduled.run("c", TEST_DATA).body.values() for scheduled in (asked, chosen))
    assert (logits == others).all()
    blocks = {row.layer: row.block for row in kernel_report(asked).rows}
    assert blocks["c3"] == "4 x 32"
