"""round_weights: values lie on the format's grid, nearest and for good; nothing else changes; what is lost is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatAttr, ModuleOp, StringAttr, TensorType, f32

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.nn import DenseOp, NetworkOp, ReturnOp, WeightOp
from hapir.dialects.nn_products import ProductOp
from hapir.lowering.compress.round_weights import RoundWeightsPass
from hapir.lowering.network_edits import networks_of
from hapir.registered import FORMAT, value_of
from hapir.weights import WeightStore
from tests.property.strategies import Sample, networks

FORMATS = ("i8", "u4", "fixed(2, 6)", "minifloat(4, 3)", "minifloat(2, 1, false)", "f32", "bipolar(2)", "ternary")


def rounded(sample: Sample, pass_: RoundWeightsPass) -> tuple[NetworkOp, HapirContext]:
    """The sample after the pass."""
    module, context = ModuleOp([sample.network.clone()]), HapirContext(weights=sample.weights.copy())
    pass_.apply(context, module)
    module.verify()
    return networks_of(module)[0], context


def multiplied(network: NetworkOp) -> list[ProductOp]:
    """The layers that the pass is about."""
    return [op for op in network.body.block.ops if isinstance(op, ProductOp)]


def parameter(op: ProductOp, index: int) -> WeightOp:
    """The op behind a parameter."""
    owner = op.operands[index].owner
    assert isinstance(owner, WeightOp)
    return owner


@settings(max_examples=40, deadline=None)
@given(networks(), st.sampled_from(FORMATS), st.booleans())
def test_parameters_are_rounded_to_the_nearest(sample: Sample, text: str, everything: bool):
    if not multiplied(sample.network):
        return
    pass_ = RoundWeightsPass(text, parameters="all" if everything else "weights")
    network, context = rounded(sample, pass_)
    format = value_of(text, FORMAT)
    for before, after in zip(multiplied(sample.network), multiplied(network), strict=True):
        for index in range(1, len(before.operands)):
            exact = sample.weights[parameter(before, index).key.data].astype(np.float64)
            op = parameter(after, index)
            found = np.asarray(context.weights[op.key.data], np.float64)
            if index > 1 and not everything:
                np.testing.assert_array_equal(found, exact)
                continue
            assert context.weights[op.key.data].dtype == np.float32
            np.testing.assert_array_equal(found, format.round(exact))
            error, sqnr = op.attributes["max_error"], op.attributes["sqnr_db"]
            assert isinstance(error, FloatAttr)
            assert isinstance(sqnr, FloatAttr)
            assert error.value.data == np.abs(found - exact).max(initial=0.0)
            assert op.attributes["format"] == StringAttr(pass_.format)
            noise = float(((exact - found) ** 2).sum())
            if noise and exact.any():
                assert sqnr.value.data == pytest.approx(10 * np.log10((exact**2).sum() / noise))


@settings(max_examples=10, deadline=None)
@given(networks(), st.sampled_from(FORMATS))
def test_rounding_twice_changes_nothing(sample: Sample, text: str):
    if not multiplied(sample.network):
        return
    once, context = rounded(sample, RoundWeightsPass(text))
    twice, again = rounded(Sample(once, context.weights, sample.input_shape), RoundWeightsPass(text))
    for first, second in zip(multiplied(once), multiplied(twice), strict=True):
        np.testing.assert_array_equal(
            context.weights[parameter(first, 1).key.data], again.weights[parameter(second, 1).key.data]
        )


def test_a_format_finer_than_f32_is_refused():
    network = NetworkOp("n", [("x", TensorType(f32, [1, 2]))], [("y", TensorType(f32, [1, 1]))])
    w = WeightOp("w", TensorType(f32, [1, 2]))
    layer = DenseOp(network.body.block.args[0], w.result, layer="f1")
    network.body.block.add_ops([w, layer, ReturnOp([layer.result])])
    # as a float64 array it holds what f32 cannot; stores take any dtype, and specs only float32
    sample = Sample(network, WeightStore({"w": np.array([[1.0, 2.0**24 + 1]])}), (1, 2))
    with pytest.raises(HapirError, match="HAP0518"):
        rounded(sample, RoundWeightsPass("i32"))


def test_the_pipeline_text_is_canonical():
    assert str(RoundWeightsPass("fixed(2,6)").pipeline_pass_spec()) == (
        'round_weights{format="fixed(integer = 2, fraction = 6)"}'
    )
    with pytest.raises(HapirError, match="HAP0232"):
        RoundWeightsPass("fixd(2, 6)")
