"""`hapir run --on c --profile`: a row per layer as text and JSON, and who has no profile."""

from __future__ import annotations

import pytest

from tests.end_to_end.digits import DIGITS, TEST_DATA
from tests.projects import run_main


def test_a_row_for_each_layer():
    outcome = run_main(
        *("run", DIGITS, "--on", "c", "--input", TEST_DATA, "--limit", "20", "--profile", "--format", "json")
    )
    assert outcome.code == 0, outcome.err
    profile = outcome.json["profile"]
    rows = profile["layers"]
    assert [row["layers"].split("+")[0] for row in rows] == ["c1", "c2", "c3", "f1"]
    assert rows[1]["layers"] == "c2+p2"
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert profile["layers_seconds"] == pytest.approx(sum(row["seconds"] for row in rows))
    assert profile["seconds"] > 0
    assert profile["peaks"]["u8_i8"] > 0
    assert {row["bound"] for row in rows} <= {"compute", "memory"}
    assert outcome.json["mismatches_vs_reference"] == 0


def test_the_profile_as_text():
    outcome = run_main("run", DIGITS, "--on", "c", "--input", TEST_DATA, "--limit", "20", "--profile")
    assert outcome.code == 0, outcome.err
    assert "c2+p2" in outcome.out
    assert "the layers add up to" in outcome.out


@pytest.mark.parametrize("on", ["reference", "rtl"])
def test_only_the_c_has_a_profile(on: str):
    outcome = run_main("run", DIGITS, "--on", on, "--input", TEST_DATA, "--limit", "1", "--profile")
    assert (outcome.code, "HAP0805" in outcome.err) == (1, True)
