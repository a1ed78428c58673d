"""Integer networks give the reference's bits on every machine that generated C can be compiled for and run on here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from hapir.dialects.nn import NetworkOp
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore
from tests.c_machines import EACH_TIME, MACHINES, Job, Machine, run_on, skip_unless_here
from tests.property.integer_networks import integer_networks
from tests.property.test_c_reference import FLOAT_TOLERANCE, QUIET, grouped

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


Sample = tuple[NetworkOp, WeightStore, dict[str, Array]]
"""A network, its weights, and what it is run on."""


@dataclass(frozen=True, eq=False)
class Ready:
    """Networks as C with their inputs, and what the reference makes of these."""

    jobs: list[Job]
    expected: list[dict[str, Array]]

    @staticmethod
    def of(samples: Sequence[Sample]) -> Ready:
        """Emit and interpret every network."""
        ready = Ready([], [])
        for network, weights, inputs in samples:
            ready.jobs.append((emit_c(network, weights, f"net{len(ready.jobs)}"), inputs))
            ready.expected.append(dict(run_network(network, weights, inputs)))
        return ready

    def check(self, machine: Machine, optimize: str) -> None:
        """Every network's results on a machine are those of the reference, floats within a tolerance."""
        skip_unless_here(machine)
        for wanted, found in zip(self.expected, run_on(machine, self.jobs, optimize), strict=True):
            assert list(wanted) == list(found)
            for name, array in wanted.items():
                if array.dtype.kind == "f":
                    limit = FLOAT_TOLERANCE * max(float(np.abs(array).max(initial=0)), 1e-3)
                    assert np.abs(found[name].astype(np.float64) - array.astype(np.float64)).max(initial=0) <= limit
                else:
                    np.testing.assert_array_equal(found[name], array)


@cache
def networks(count: int) -> Ready:
    """Random networks on integers."""
    samples = drawn(integer_networks(max_layers=4), count, 1)
    return Ready.of([(grouped(s.network, s.weights), s.weights, s.inputs(IMAGES)) for s in samples])


@pytest.mark.parametrize("machine", EACH_TIME, ids=str)
def test_the_same_bits_everywhere(machine: Machine):
    networks(10).check(machine, "-O1")


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_the_same_bits_everywhere_sweep(machine: Machine):
    networks(100).check(machine, "-O3")
