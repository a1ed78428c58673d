"""xnor_net: layers compute on two levels of activations and two of weights; options change what is computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32

from hapir.dialects import nn, num
from hapir.lowering.compress.quantize import QuantizePass
from hapir.lowering.compress.weights.bwn import BwnPass
from hapir.lowering.compress.weights.xnor_net import XnorNetPass
from hapir.quantizers.bwn import bwn
from hapir.quantizers.coded import Floats
from tests.property.coded_layers import convolution, dense, reals, refused, slots
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import CALIBRATION, compilation
from tests.property.strategies import FEATURES, Sample, networks


def arrays(seed: int, outputs: int, inputs: int) -> tuple[Floats, Floats]:
    """Weights and inputs, in multiples of 1/8 that are not 0."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> Floats:
        return rng.integers(1, 16, shape) * rng.choice((-1, 1), shape) / 8

    return some(outputs, inputs), some(7, inputs)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(2, 9), st.sampled_from((None, CALIBRATION)))
def test_a_layer_multiplies_signs(seed: int, outputs: int, inputs: int, file: str | None):
    w, x = arrays(seed, outputs, inputs)
    x[0, 0] = -abs(x[0, 0])  # data shows both signs
    images = x.astype(np.float32)
    compiled = compilation(dense(w), {"image": images}).apply(XnorNetPass(calibration=file))
    factor = np.abs(images).mean() if file else 1
    expected = factor * np.sign(x) @ bwn(w).reals().T
    np.testing.assert_allclose(compiled.run({"image": images})["y"], expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(2, 9))
def test_centred_inputs_are_the_means_of_both_sides(seed: int, outputs: int, inputs: int):
    w, x = arrays(seed, outputs, inputs)
    images = np.abs(x).astype(np.float32)
    images[0, 0] = 3  # not constant
    pass_ = XnorNetPass(calibration=CALIBRATION, center=True, granularity="tensor")
    compiled = compilation(dense(w), {"image": images}).apply(pass_)
    exact = images.astype(np.float64)
    above = exact >= float(np.float32(exact.mean()))
    levels = exact.copy()
    levels[above], levels[~above] = exact[above].mean(), exact[~above].mean()
    expected = levels @ bwn(w, 1).reals().T.astype(np.float64)
    np.testing.assert_allclose(compiled.run({"image": images})["y"], expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(networks(allow=FEATURES - {"relu", "clip"}))
def test_every_product_reads_signs_of_the_right_meaning(sample: Sample):
    before = compilation(sample)
    if not slots(before):
        return
    after = compilation(sample).apply(XnorNetPass())
    products = [op for op in after.network.body.block.ops if isinstance(op, nn.ProductOp | nn.TransposedConv2dOp)]
    assert all(isinstance(op.x.owner, nn.SignOp) for op in products)
    signs = [op for op in after.network.body.block.ops if isinstance(op, nn.SignOp)]
    assert len(signs) == len({op.x for op in signs})
    for w, found in zip(reals(before), reals(after), strict=True):
        np.testing.assert_array_equal(found, bwn(w).reals())
    assert all(np.isfinite(y).all() for y in after.run(sample.inputs(batch=2)).values())
    again = XnorNetPass()  # the weights are coded, and signs need no second one
    refused(Sample(after.network, after.ctx.weights, sample.input_shape), again, "HAP0595")


def test_the_grain_changes_the_scales():
    w = np.array([[1.0, -0.5], [0.25, 0.25]])
    found = [
        reals(compilation(dense(w)).apply(XnorNetPass(granularity=granularity)))[0].tolist()
        for granularity in ("channel", "tensor")
    ]
    assert found == [[[0.75, -0.75], [0.25, 0.25]], [[0.5, -0.5], [0.5, 0.5]]]


def test_samples_change_the_factor():
    w, x = np.array([[1.0, 1.0]]), np.array([[1, -1], [3, -3]], np.float32)
    pass_ = XnorNetPass(calibration=CALIBRATION, samples=1)
    assert reals(compilation(dense(w), {"image": x}).apply(pass_))[0].tolist() == [[1, 1]]
    pass_ = XnorNetPass(calibration=CALIBRATION)
    assert reals(compilation(dense(w), {"image": x}).apply(pass_))[0].tolist() == [[2, 2]]


def test_inputs_without_a_sign_are_refused():
    positive = np.array([[1, 2], [3, 4]], np.float32)
    sample = dense(np.ones((1, 2)))
    for calibration, pass_ in (
        (positive, XnorNetPass(calibration=CALIBRATION)),
        (positive * 0 + 1, XnorNetPass(calibration=CALIBRATION, center=True)),
    ):
        refused(sample, pass_, "HAP0533", {"image": calibration})
    with pytest.raises(ValueError, match="no `calibration`"):
        XnorNetPass(center=True)


@pytest.mark.parametrize(("low", "refuses"), [(0.0, True), (0.5, True), (-1.0, False)])
def test_clipped_inputs_without_a_sign_are_refused(low: float, refuses: bool):
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, 2))).result
    x = build.append(nn.ClipOp(image, low=low, high=6.0, layer="a1"))
    result = build.append(nn.DenseOp(x, build.weight("f1.weight", np.ones((3, 2))), layer="f1"))
    sample = Sample(build.finish("sample", image, [("y", result)]), build.weights, (1, 2))
    if refuses:
        refused(sample, XnorNetPass(), "HAP0533")
    else:
        compilation(sample).apply(XnorNetPass())


def test_pruned_weights_and_padding_are_refused():
    refused(dense(np.array([[0, 1.0, 0.5, -1]])), XnorNetPass(), "HAP0530")
    padded = convolution(np.ones((2, 1, 3, 3)), padding=1)
    pass_ = XnorNetPass(calibration=CALIBRATION, center=True)
    image = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    refused(padded, pass_, "HAP0534", {"image": image})
    found = compilation(convolution(np.ones((2, 1, 3, 3))), {"image": image}).apply(pass_).run({"image": image})["y"]
    np.testing.assert_allclose(found, np.full((1, 2, 1, 1), 36), rtol=1e-6)  # the two means keep the sum


@pytest.mark.parametrize("signs", [True, False])
def test_the_last_sums_of_binary_layers_stay_as_they_are(signs: bool):
    """Signs by signs are counted, and counts read as reals; sums of wider activations become codes."""
    w, image = np.array([[1.0, -0.5, 0.25]]), np.array([[1, -1, 0.5], [-0.5, 1, 1]], np.float32)
    compiled = compilation(dense(w), {"image": image}).apply(XnorNetPass() if signs else BwnPass())
    kinds = {type(op) for op in compiled.apply(QuantizePass(CALIBRATION)).network.body.block.ops}
    assert (num.ViewOp in kinds, num.RequantizeOp in kinds) == (signs, not signs)
