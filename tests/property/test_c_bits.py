"""Layers of few bits compute what the reference does, bit for bit, on every path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hapir.lowering.kernel.contraction_bits import Bits, Lookup
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.program import Convolution
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import emit_c
from tests.c_machines import EACH_TIME, GCC, Machine, run_on, skip_unless_here
from tests.property.bit_layers import FAMILIES, random_layer
from tests.property.sparse_layers import SparseLayer, together


def samples(family: str, count: int, seed: int) -> list[SparseLayer]:
    """So many random layers of a family."""
    rng = np.random.default_rng(seed)
    return [random_layer(rng, family) for _ in range(count)]


def check(layers: Sequence[SparseLayer], machine: Machine) -> None:
    """Every layer's C gives what the reference gives."""
    joined = together(layers)
    (found,) = run_on(machine, [(emit_c(joined.network, joined.weights), joined.inputs)])
    for i, sample in enumerate(layers):
        expected = run_network(sample.network, sample.weights, sample.inputs)["y"]
        np.testing.assert_array_equal(found[f"y{i}"], expected, err_msg=sample.words)


@pytest.mark.parametrize("machine", EACH_TIME, ids=str)
def test_random_layers(machine: Machine):
    skip_unless_here(machine)
    check([layer for family in FAMILIES for layer in samples(family, 4, 7)], machine)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("family", FAMILIES)
def test_random_layers_sweep(family: str, seed: int):
    for machine in GCC:
        skip_unless_here(machine)
        check(samples(family, 16, 1000 + seed), machine)


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_have_the_arithmetic_that_they_ask_for(family: str):
    wanted = Lookup if family == "codes" else Bits
    for sample in samples(family, 20, 3):
        step = next(s for s in plan_program(sample.network, sample.weights).steps if isinstance(s, Convolution))
        assert isinstance(step.contraction, wanted), sample.words
