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
from hapir.dialects import nn, num
from hapir.dialects.num import SI32, element_type, zero_point_of
from hapir.lowering.canonical.integer_products import IntegerProductsPass
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


def test_codes_of_two_scales_are_joined_as_integers():
    """A view of the joined bytes is no join of the codes."""
    kinds = ["!num.affine<ui8, 0.5 : 3>", "!num.affine<ui8, 0.25 : 0>"]
    text = f"""nn.network @n (%x: tensor<1x2xf32>) -> (tensor<1x4xui8>) inputs ["x"] results ["y"] {{
  %q = num.quantize %x half_even : tensor<1x2xf32> -> tensor<1x2x{kinds[0]}>
  %r = num.quantize %x half_even : tensor<1x2xf32> -> tensor<1x2x{kinds[1]}>
  %a = num.view %q : tensor<1x2x{kinds[0]}> -> tensor<1x2xui8>
  %b = num.view %r : tensor<1x2x{kinds[1]}> -> tensor<1x2xui8>
  %y = nn.concat %a, %b axis 1 : (tensor<1x2xui8>, tensor<1x2xui8>) -> tensor<1x4xui8>
  nn.return %y : tensor<1x4xui8>
}}"""
    module = Parser(make_context(), text).parse_module()
    (network,) = networks_of(module)
    x = {"x": np.array([[1.0, 7.5], [0.0, 3.0]], np.float32)}
    before = run_network(network, WeightStore(), x)["y"]
    ReadCodesPass().apply(HapirContext(), module)
    module.verify()
    np.testing.assert_array_equal(run_network(network, WeightStore(), x)["y"], before)


@pytest.mark.parametrize(
    ("element", "width", "integers"),
    [("!num.affine<si8, 0.25 : 0>", 2, True), ("!num.affine<si8, 0.25 : 3>", 2, False), ("si16", 1 << 10, False)],
)
def test_products_of_codes_keep_the_function(element: str, width: int, integers: bool):
    """They are integers where 0 stands for 0 and no sum can leave si32; else they stay reals."""
    codes = "!num.affine<si16, 0.001 : 0>" if element == "si16" else element
    text = f"""nn.network @n (%x: tensor<1x{width}xf32>) -> (tensor<1x1xf32>) inputs ["x"] results ["y"] {{
  %q = num.quantize %x half_even : tensor<1x{width}xf32> -> tensor<1x{width}x!num.affine<ui16, 0.5 : 3>>
  %r = num.dequantize %q : tensor<1x{width}x!num.affine<ui16, 0.5 : 3>> -> tensor<1x{width}xf32>
  %c = nn.weight "w" : tensor<1x{width}x{codes}>
  %w = num.dequantize %c : tensor<1x{width}x{codes}> -> tensor<1x{width}xf32>
  %y = nn.dense %r, %w layer "d" : (tensor<1x{width}xf32>, tensor<1x{width}xf32>) -> tensor<1x1xf32>
  nn.return %y : tensor<1x1xf32>
}}"""
    rng = np.random.default_rng(0)
    stored = rng.integers(-120, 120, (1, width)).astype(np.int8)
    weights = WeightStore(
        {"w": stored if element != "si16" else rng.integers(20000, 32000, (1, width)).astype(np.int16)}
    )
    module = Parser(make_context(), text).parse_module()
    module.verify()
    (network,) = networks_of(module)
    x = {"x": rng.uniform(0, 30000, (3, width)).astype(np.float32)}
    before = run_network(network, weights, x)["y"]
    IntegerProductsPass().apply(HapirContext(weights=weights), module)
    module.verify()
    after = run_network(network, weights, x)["y"]
    np.testing.assert_allclose(after, before, rtol=1e-5)
    assert any(element_type(op.result) == SI32 for op in network.walk() if isinstance(op, nn.DenseOp)) == integers
