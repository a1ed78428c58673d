"""Integer networks give the reference's bits on every machine that generated C can be compiled for and run on here."""

from __future__ import annotations

from functools import cache
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from hapir.reference.interpret import run_network
from hapir.targets.c.emit import emit_c
from hapir.weights import Array
from tests.c_machines import EACH_TIME, MACHINES, Job, Machine, run_on, skip_unless_here
from tests.property.integer_networks import integer_networks
from tests.property.test_c_reference import QUIET, grouped

IMAGES = 2
Drawn = TypeVar("Drawn")


def drawn(strategy: st.SearchStrategy[Drawn], count: int, number: int) -> list[Drawn]:
    """So many examples, the same every time."""
    samples: list[Drawn] = []

    @seed(number)
    @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=QUIET)
    @given(strategy)
    def collect(sample: Drawn) -> None:
        samples.append(sample)

    collect()
    return samples


@cache
def jobs(count: int) -> tuple[list[Job], list[dict[str, Array]]]:
    """Random networks as C with their inputs, and what the reference makes of these."""
    ready: list[Job] = []
    expected: list[dict[str, Array]] = []
    for sample in drawn(integer_networks(max_layers=4), count, 1):
        network, inputs = grouped(sample.network, sample.weights), sample.inputs(IMAGES)
        ready.append((emit_c(network, sample.weights, f"net{len(ready)}"), inputs))
        expected.append(dict(run_network(network, sample.weights, inputs)))
    return ready, expected


def check(machine: Machine, count: int, optimize: str) -> None:
    """Every network's results on a machine are those of the reference."""
    skip_unless_here(machine)
    ready, expected = jobs(count)
    for wanted, found in zip(expected, run_on(machine, ready, optimize), strict=True):
        assert list(wanted) == list(found)
        for name, array in wanted.items():
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("machine", EACH_TIME, ids=str)
def test_the_same_bits_everywhere(machine: Machine):
    check(machine, 12, "-O1")


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_the_same_bits_everywhere_sweep(machine: Machine):
    check(machine, 100, "-O3")
