"""The digits specs as C on every machine that can be compiled for and run on here: the reference's bits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest

import hapir
from hapir.dialects.nn import NetworkOp
from hapir.reference.interpret import run_network
from hapir.weights import Array
from hapir.witnesses import c_artefact
from tests.c_machines import FEW, Job, Machine, run_on, skip_unless_here
from tests.end_to_end.digits import SPECS, TEST_DATA, arrays_of

IMAGES = 12
SPEC_NAMES = ("digits", "digits_pruned", "digits_16x4", "digits_mixed", "digits_binary", "digits_encoded")
FLOAT_TOLERANCE = 1e-5
"""Of a logit; only the last spec computes on floats."""


def body_of(spec: str) -> tuple[Job, Mapping[str, Array]]:
    """The body of a spec's only schedule as C, with what its prologue gives, and the reference's results."""
    scheduled = hapir.load(SPECS / f"{spec}.hap").schedule()
    inputs: dict[str, Array] = {}
    results: dict[str, Array] = {}

    def run_part(part: NetworkOp, values: Mapping[str, Array]) -> Mapping[str, Array]:
        found = run_network(part, scheduled.decoded.weights, values)
        if part is scheduled.cut.body:
            inputs.update(values)
            results.update(found)
        return found

    images = {name: array[:IMAGES] for name, array in arrays_of(TEST_DATA).items() if name != "label"}
    scheduled.cut.run(images, run_part)
    return (c_artefact(scheduled, spec), inputs), results


@cache
def bodies() -> tuple[list[Job], list[Mapping[str, Array]]]:
    """All bodies, each under its spec's name."""
    found = [body_of(spec) for spec in SPEC_NAMES]
    return [job for job, _ in found], [results for _, results in found]


@pytest.mark.parametrize("machine", FEW, ids=str)
def test_digits_give_the_same_bits_everywhere(machine: Machine):
    skip_unless_here(machine)
    jobs, expected = bodies()
    for wanted, found in zip(expected, run_on(machine, jobs), strict=True):
        for name, array in wanted.items():
            if array.dtype.kind == "f":
                assert np.abs(found[name].astype(np.float64) - array.astype(np.float64)).max() <= FLOAT_TOLERANCE
            else:
                assert len(np.unique(array)) > 20
                np.testing.assert_array_equal(found[name], array)
