"""Data that move along any axis of tensors of any rank: the C target does what the reference does.

Each example holds several networks, compiled by one call of the compiler with warnings as errors.
"""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.property.moving_networks import Moving, moving_networks
from tests.property.test_c_reference import DEFAULT, QUICK, SWEEP, check, several


@DEFAULT
@given(several(moving_networks(), 12))
def test_moves(jobs: list[Moving]):
    check(jobs, QUICK)


@pytest.mark.slow
@SWEEP
@given(several(moving_networks(), 30))
def test_moves_sweep(jobs: list[Moving]):
    check(jobs, QUICK)
