"""Whole networks whose convolutions run by minimal filtering, and dense-sparse, wherever they can: frames, residual
sums and requantization around them included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr, i64

from hapir.dialects import nn
from hapir.dialects.kernel import ChoiceAttr
from hapir.dialects.nn import NetworkOp
from hapir.lowering.kernel.choose import offers_for, products_of, work_of
from hapir.lowering.kernel.host import DEFAULT
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.program_winograd import Winograd, WinogradLists
from hapir.weights import WeightStore
from tests.property.strategies import INTEGER_BODY, Sample, networks
from tests.property.test_c_machines import drawn
from tests.property.test_c_reference import Job, check, float_jobs, quantized_jobs

FLAGS = ("-std=c11", "-O1", "-march=native", "-Wall", "-Wextra", "-Werror", "-pedantic")


def filtered(network: NetworkOp, weights: WeightStore, rng: np.random.Generator) -> int:
    """Ask for minimal filtering, whole or mixed, of each layer that has it; returns of how many."""
    count = 0
    for name, op in products_of(network):
        offers = [o for o in offers_for(work_of(name, op, weights), DEFAULT) if o.cost is not None]
        own = [o for o in offers if o.algorithm in ("winograd", "dsc")]
        if own and isinstance(op, nn.ConvolutionOp):
            offer = own[int(rng.integers(len(own)))]
            options = {key: IntegerAttr(value, i64) for key, value in offer.options.items()}
            op.attributes["kernel"] = ChoiceAttr.of(offer.algorithm, "", options)
            count += 1
    return count


def one(make: Callable[[Sequence[Sample]], list[Job]]) -> Callable[[Sample], list[Job]]:
    """The jobs of a single sample."""
    return lambda sample: make([sample])


def jobs(count: int, number: int) -> tuple[list[Job], int]:
    """Quantized and float networks that have such layers, so many of each, and how many steps of theirs are ours."""
    rng = np.random.default_rng(number)
    found: list[Job] = []
    steps = 0
    for strategy in (networks(allow=INTEGER_BODY).map(one(quantized_jobs)), networks().map(one(float_jobs))):
        taken = 0
        for drawn_jobs in drawn(strategy, 30 * count, number):
            for network, weights, inputs in drawn_jobs if taken < count else ():
                if filtered(network, weights, rng):
                    found.append((network, weights, inputs))
                    planned = plan_program(network, weights).steps
                    steps += sum(isinstance(step, Winograd | WinogradLists) for step in planned)
                    taken += 1
    return found, steps


def test_networks():
    found, steps = jobs(5, 1)
    assert len(found) >= 10
    assert steps >= len(found)
    check(found, FLAGS)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2, 8))
def test_many_networks(number: int):
    found, steps = jobs(16, number)
    assert steps
    check(found, FLAGS)
