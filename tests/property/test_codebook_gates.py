"""A recurrent layer has a table for each gate: what the codebook passes make of it is what they make of its gates."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType, f32
from xdsl.passes import ModulePass

from hapir.dialects import nn
from hapir.lowering.compress.weights.addnet import AddnetPass
from hapir.lowering.compress.weights.k_means import KMeansPass
from hapir.lowering.compress.weights.log2 import Log2Pass
from hapir.lowering.compress.weights.lq_net import LqNetPass
from hapir.lowering.compress.weights.n_ary import NAryPass
from tests.property.coded_layers import dense, meaning, reals
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import compilation
from tests.property.strategies import Sample

PASSES = [
    NAryPass("quinary"),
    NAryPass(granularity="channel"),
    KMeansPass(2),
    Log2Pass(3),
    Log2Pass(3, form="integers"),
    LqNetPass(),
    AddnetPass("two_add_gauss"),
    AddnetPass(form="integers"),
]


def recurrent(layer: type[nn.RecurrentOp], units: int) -> Sample:
    """A recurrent layer of 3 inputs, each gate's weights larger than those of the one before."""
    build, draw = NetworkBuilder(["l1"], 0), np.random.default_rng(5)
    x = nn.WeightOp("image", TensorType(f32, (1, 4, 3))).result
    grow = np.repeat(2.0 ** np.arange(layer.GATES), units)[:, np.newaxis]
    w_input, w_hidden = (
        build.weight(f"l1.{name}", draw.normal(size=(layer.GATES * units, columns)) * grow)
        for name, columns in (("weight_input", 3), ("weight_hidden", units))
    )
    result = build.append(layer(x, w_input, w_hidden, layer=build.name("l")))
    return Sample(build.finish("sample", x, [("y", result)]), build.weights, (1, 4, 3))


@pytest.mark.parametrize("layer", [nn.LstmOp, nn.GruOp])
@pytest.mark.parametrize("pass_", PASSES, ids=str)
def test_every_gate_has_a_table_of_its_own(layer: type[nn.RecurrentOp], pass_: ModulePass):
    sample = recurrent(layer, 5)
    exact = reals(compilation(sample))
    after = compilation(sample).apply(pass_)
    assert len(exact) == 2
    for w, found in zip(exact, reals(after), strict=True):
        gates = [meaning(dense(gate), pass_) for gate in np.split(w, layer.GATES)]
        np.testing.assert_array_equal(found, np.concatenate(gates))
    outputs = after.run(sample.inputs())
    assert all(np.isfinite(array).all() for array in outputs.values())
