"""The table of all quantizers and grains on the digits, as one command prints it.

Codes and encodings are exact, but sums of floats are added in an order that differs from processor to processor, so
that a rare image may change sides: accuracies may differ by two of the 540 images and sizes by half a per cent.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import hapir
from tests.end_to_end.digits import SPECS, TEST_DATA
from tests.projects import run_main

SPEC = SPECS / "digits_compression.hap"
GOLDEN = Path(__file__).with_name("digits_compression.txt")
SAMPLE = 6
ACCURACY, BYTES = 100 * 2.01 / 540, 0.005


def rows(text: str) -> dict[str, tuple[float, int]]:
    """Accuracy in per cent and bytes on disk of each schedule of a table."""
    header, _, *lines = text.splitlines()
    starts = [header.index(name) for name in ("schedule", "accuracy %", "disk bytes", "RAM bytes")]
    found: dict[str, tuple[float, int]] = {}
    for line in lines:
        name, accuracy = line[: starts[1]].strip(), line[starts[1] :].split()[0]
        # numbers stand to the right, under the end of their heading
        end = starts[2] + len("disk bytes")
        size = line[:end].rstrip().rpartition("  ")[2]
        found[name] = float(accuracy), int(size.replace(" ", ""))
    return found


def assert_close(found: dict[str, tuple[float, int]], expected: dict[str, tuple[float, int]]) -> None:
    """Each row is the golden one, within the tolerances above."""
    for name, (accuracy, size) in found.items():
        assert accuracy == pytest.approx(expected[name][0], abs=ACCURACY), name
        assert size == pytest.approx(expected[name][1], rel=BYTES), name


def test_the_golden_table_has_a_row_per_schedule() -> None:
    assert list(rows(GOLDEN.read_text(encoding="utf-8"))) == list(hapir.load(SPEC).spec.default_schedules)


def test_a_sample_of_the_table() -> None:
    """A few rows, others for each version of the table; the slow test takes all."""
    golden = GOLDEN.read_text(encoding="utf-8")
    names = sorted(random.Random(golden).sample(list(rows(golden)), SAMPLE))
    table = hapir.load(SPEC).report(TEST_DATA, names).to_text()
    found = rows(table)
    assert sorted(found) == names
    assert_close(found, rows(golden))


@pytest.mark.slow
def test_the_whole_table(request: pytest.FixtureRequest) -> None:
    outcome = run_main("report", SPEC, "--all", "--input", TEST_DATA)
    assert outcome.code == 0, outcome.err
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(outcome.out, encoding="utf-8")
    found = rows(outcome.out)
    assert_close(found, rows(GOLDEN.read_text(encoding="utf-8")))
    assert len(found) > 100
