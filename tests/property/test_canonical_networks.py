"""The pipeline `canonical` keeps the function of tangled networks, and comes to an end."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr, TensorType, f32
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.importers.onnx.read import make_canonical
from hapir.lowering.network_edits import networks_of
from hapir.reference.interpret import run_network
from hapir.weights import WeightStore
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


def test_what_is_read_twice_is_computed_once() -> None:
    """A bias, a scale or a number behind a layer that is a result as well stays behind it."""
    tangle = Tangle(0)
    network = nn.NetworkOp("net", [("x", TensorType(f32, (1, 2, 4, 4)))], [])
    tangle.network, tangle.weights, x = network, WeightStore(), network.body.block.args[0]
    convolved = tangle.add(nn.Conv2dOp(x, tangle.constant(3, 2, 2, 2), window=Window((2, 2))))
    normed = tangle.add(nn.LayerNormOp(convolved, tangle.constant(3), tangle.constant(3), axis=3))
    summed = tangle.add(nn.AddOp(x, tangle.number(1.0)))
    results = [
        tangle.add(nn.AddOp(convolved, tangle.constant(3, 1, 1))),
        tangle.add(nn.MulOp(normed, tangle.constant(3))),
        tangle.add(nn.AddOp(summed, tangle.number(2.0))),
        *(convolved, normed, summed),
    ]
    network.body.block.add_op(nn.ReturnOp(results))
    network.result_names = ArrayAttr([StringAttr(f"y{i}") for i in range(6)])
    network.set_result_types()
    before = Counter(type(op) for op in network.body.block.ops if isinstance(op, nn.LayerOp))
    module = ModuleOp([network])
    make_canonical(module, tangle.weights)
    after = networks_of(module)[0].body.block
    assert Counter(type(op) for op in after.ops if isinstance(op, nn.LayerOp)) == before
    last = after.last_op
    assert last is not None
    outer = last.operands[2].owner
    assert isinstance(outer, Operation)
    assert outer.operands[0] is last.operands[5]
