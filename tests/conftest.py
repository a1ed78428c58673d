"""Options of the test run."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

# a run says something of the change in it, not of the day's luck; `--hypothesis-profile explore` draws anew each time
settings.register_profile("seeded", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile("seeded")

# a shell starts what it runs in the background with SIGINT ignored, and the commands that tests interrupt inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# the products of tests are small: threads of BLAS that wait for each other only slow down the tests beside them
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` rewrites the expected texts of golden tests, `--update-table` what onnx's cases give."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the expected texts of golden tests")
    parser.addoption("--update-table", action="store_true", help="rewrite the tables of tests/conformance, without -n")
