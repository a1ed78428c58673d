"""Passes over networks from outside: views that vanish, factors that become integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects import num
from hapir.dialects.num import zero_point_of
from hapir.lowering.canonical.integer_scales import IntegerScalesPass
from hapir.lowering.canonical.read_codes import ReadCodesPass
from hapir.lowering.network_edits import networks_of
from hapir.reference import run_network
from hapir.registry import make_context
from hapir.weights import WeightStore
from tests.property.quantized_models import Model, convolutions

VIEWS = """nn.network @n (%x: tensor<1x4x2x4xui8>) -> (tensor<1x16xf32>, tensor<1x4x4x1xui8>)
    inputs ["x"] results ["y", "z"] {
  %q = num.view %x : tensor<1x4x2x4xui8> -> tensor<1x4x2x4x!num.affine<ui8, 0.5 : 3>>
  %a = nn.relu %q : tensor<1x4x2x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x2x4x!num.affine<ui8, 0.5 : 3>>
  %b = num.view %a : tensor<1x4x2x4x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x2x4xui8>
  %p = nn.max_pool %b window <2x2, stride 2x2, pad 0 1 0 1> : tensor<1x4x2x4xui8> -> tensor<1x4x1x3xui8>
  %t = nn.transpose %p axes [0, 3, 1, 2] : tensor<1x4x1x3xui8> -> tensor<1x3x4x1xui8>
  %s, %u = nn.split %t axis 1 into [2, 1] : (tensor<1x3x4x1xui8>) -> (tensor<1x2x4x1xui8>, tensor<1x1x4x1xui8>)
  %f = nn.flatten %s : tensor<1x2x4x1xui8> -> tensor<1x8xui8>
  %j = nn.concat %f, %f axis 1 : (tensor<1x8xui8>, tensor<1x8xui8>) -> tensor<1x16xui8>
  %c = num.view %j : tensor<1x16xui8> -> tensor<1x16x!num.affine<ui8, 0.5 : 3>>
  %y = num.dequantize %c : tensor<1x16x!num.affine<ui8, 0.5 : 3>> -> tensor<1x16xf32>
  %v = nn.concat %t, %u axis 1 : (tensor<1x3x4x1xui8>, tensor<1x1x4x1xui8>) -> tensor<1x4x4x1xui8>
  nn.return %y, %v : tensor<1x16xf32>, tensor<1x4x4x1xui8>
}"""


def test_views_vanish_and_nothing_changes():
    module = Parser(make_context(), VIEWS).parse_module()
    module.verify()
    (network,) = networks_of(module)
    x = {"x": np.random.default_rng(0).integers(0, 256, (5, 4, 2, 4)).astype(np.uint8)}
    before = run_network(network, WeightStore(), x)
    ReadCodesPass().apply(HapirContext(), module)
    module.verify()
    views = [op for op in network.walk() if isinstance(op, num.ViewOp)]
    assert len(views) == 2  # of the input, and of the result that is bytes
    after = run_network(network, WeightStore(), x)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(convolutions(), st.sampled_from(["half_even", "half_up"]))
def test_integer_scales_are_next_to_real_ones(model: Model, rounding: str):
    network, weights = model.network()
    context, module = HapirContext(weights=weights), network.parent_op()
    assert isinstance(module, ModuleOp)
    before = run_network(network, weights, model.inputs)["y"]
    IntegerScalesPass(rounding=rounding).apply(context, module)  # pyright: ignore[reportArgumentType]  # drawn
    module.verify()
    assert [op.name for op in network.walk() if op.name in ("num.rescale", "num.requantize")] == ["num.requantize"]
    after = run_network(network, context.weights, model.inputs)["y"]
    steps = np.abs(after.astype(int) - before.astype(int))
    assert steps.max(initial=0) <= 1


def test_a_factor_without_an_integer_form():
    text = """nn.network @n (%x: tensor<1x2xsi32>) -> (tensor<1x2x!num.affine<ui8, 0.5 : 3>>)
    inputs ["x"] results ["y"] {
  %s = nn.weight "s" : tensor<1xf32>
  %y = num.rescale %x, %s half_even bounds 0, 255 : tensor<1x2xsi32>, tensor<1xf32>
    -> tensor<1x2x!num.affine<ui8, 0.5 : 3>>
  nn.return %y : tensor<1x2x!num.affine<ui8, 0.5 : 3>>
}"""
    module = Parser(make_context(), text).parse_module()
    (network,) = networks_of(module)
    assert zero_point_of(num.element_type(network.return_op.values[0])) == 3
    with pytest.raises(HapirError) as refused:
        IntegerScalesPass().apply(HapirContext(weights=WeightStore({"s": np.array([1e6], np.float32)})), module)
    assert refused.value.diagnostics[0].code == "HAP0955"
