"""Options of the test run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` rewrites the expected texts of golden tests instead of comparing with them."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the expected texts of golden tests")
