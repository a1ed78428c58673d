"""The pipeline `canonical` keeps the function of tangled networks, and comes to an end."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from hapir.importers.onnx.read import make_canonical
from hapir.lowering.network_edits import networks_of
from hapir.reference.interpret import run_network
from tests.property.tangled_networks import Tangle

TOLERANCE = 2e-4
"""Of the largest value of a result: sums run in other orders, and norms in pieces lose digits."""


def check(seed: int) -> None:
    tangle = Tangle(seed)
    module, inputs = ModuleOp([tangle.network]), tangle.inputs()
    before = run_network(tangle.network, tangle.weights, inputs)
    weights = make_canonical(module, tangle.weights)
    module.verify()
    after = run_network(networks_of(module)[0], weights, inputs)
    for name, array in before.items():
        assert after[name].shape == array.shape
        limit = TOLERANCE * max(1.0, float(np.abs(array).max(initial=0)))
        assert np.abs(after[name] - array).max(initial=0) <= limit, f"seed {seed}, {name}"


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_the_function_stays(first: int) -> None:
    for seed in range(first, first + 50):
        check(seed)


@pytest.mark.slow
def test_the_function_stays_sweep() -> None:
    for seed in range(200, 4000):
        check(seed)
