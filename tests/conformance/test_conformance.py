"""onnx's own backend cases on hapir: a case that passed passes still, and the shares of the issue hold.

What newly passes is a warning: take it into the table with `pytest tests/conformance --update-table`.
"""

from __future__ import annotations

import unittest
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.backend.test import BackendTest

from hapir.backend import REFERENCE, C, HapirBackend
from tests.conformance.cases import WHOLE, Array, cases
from tests.conformance.outcomes import DEVICES, FAIL, NOT_RUN, PASS, UNSUPPORTED, difference, run_cases
from tests.conformance.scope import excluded, subject
from tests.conformance.table import COUNTS, OPS, counts_text, read_table, share, table_version, updated, write_table

TABLE = read_table()


def _groups(device: str) -> list[Any]:
    """Each subject's cases that count, and its others, which C runs in the slow tests only; so do whole networks."""
    found = sorted({(row.subject, row.counts == COUNTS) for row in TABLE.values()})
    return [
        pytest.param(
            *(device, about, counts),
            id=f"{device}-{about}{'' if counts else '-others'}",
            marks=pytest.mark.slow if about == WHOLE or (device == C and not counts) else (),
        )
        for about, counts in found
    ]


@pytest.mark.parametrize(("device", "about", "counts"), [group for device in DEVICES for group in _groups(device)])
def test_no_pass_is_lost(device: str, about: str, counts: bool, request: pytest.FixtureRequest):
    chosen = [case for case in cases() if subject(case) == about and (excluded(case) is None) == counts]
    outcomes = dict(run_cases(chosen, device))
    if request.config.getoption("--update-table"):
        write_table(updated(read_table(), {device: outcomes}))
        return
    known = {case: TABLE[case.key].status(device) for case in outcomes if case.key in TABLE}
    lost = {case.key: outcomes[case].text for case, status in known.items() if status == PASS != outcomes[case].status}
    assert lost == {}
    gained = [case.key for case, status in known.items() if status != PASS == outcomes[case].status]
    if gained:
        warnings.warn(f"now pass on {device}, run with --update-table: {', '.join(gained)}", stacklevel=1)


@pytest.mark.skipif(table_version() != onnx.__version__, reason="the table is of another version of onnx")
def test_every_case_stands_in_the_table():
    assert {case.key: excluded(case) or COUNTS for case in cases()} == {row.case: row.counts for row in TABLE.values()}


@pytest.mark.parametrize(("device", "least"), [(REFERENCE, 0.95), (C, 0.90)])
def test_enough_of_the_cases_that_count_pass(device: str, least: float):
    assert share(TABLE, device) >= least


def test_what_does_not_pass_says_why():
    silent = [row.case for row in TABLE.values() for text in row.outcomes.values() if text in (UNSUPPORTED, FAIL)]
    assert silent == []
    statuses = {row.status(device) for row in TABLE.values() for device in DEVICES}
    assert statuses <= {PASS, UNSUPPORTED, FAIL, NOT_RUN}


def test_the_counts_are_those_of_the_cases():
    assert OPS.read_text(encoding="utf-8") == counts_text(TABLE.values())


ONE = np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (ONE, None),
        (ONE + 9e-4, None),
        (ONE + 2e-3, "other values"),
        (np.array([1, 1, np.nan], np.float32), "other values"),
        (ONE[:2], "another shape"),
        (ONE.astype(np.float64), "another type"),
    ],
)
def test_differences_are_found(found: Array, wrong: str | None):
    assert (difference(found, ONE, 1e-3, 1e-7) or (None,))[0] == wrong


@pytest.mark.slow
def test_the_runner_of_onnx_takes_the_backend():
    """Its cases are unit tests; those of other devices are skipped."""
    runner = BackendTest(HapirBackend, "onnx_cases").include("^test_relu_").exclude("_expanded")
    result = unittest.TestResult()
    runner.test_suite.run(result)
    assert (result.failures, result.errors) == ([], [])
    assert result.testsRun - len(result.skipped) == 1
