"""crelu: exact for opposite filters, whatever reads the layer; within the tolerance for others; smaller always."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.lowering.compress.structure.crelu import CreluPass
from hapir.report.summary import summarize
from tests.property.factoring import NOTHING_TO_DO, after, product_layers, single_conv
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import compilation
from tests.property.strategies import Sample, networks

CHAINS = networks(
    max_layers=5,
    max_channels=6,
    names=None,
    allow=("conv2d", "groups", "padding", "bias", "relu", "batch_norm", "max_pool", "add", "flatten", "dense"),
)


def with_opposites(sample: Sample, seed: int) -> Sample:
    """The sample with filters of each convolution made the negative of others, some shorter."""
    rng, weights = np.random.default_rng(seed), sample.weights.copy()
    for op in product_layers(sample.network).values():
        assert isinstance(op.w.owner, nn.WeightOp)
        w = weights[op.w.owner.key.data].astype(np.float64)
        half = len(w) // 2
        order = rng.permutation(len(w))
        w[order[:half]] = -w[order[half : 2 * half]] * rng.choice([0.5, 1.0, 0.25], (half, *[1] * (w.ndim - 1)))
        weights.put(op.w.owner.key.data, w.astype(np.float32))
    return Sample(sample.network, weights, sample.input_shape)


@settings(max_examples=150, deadline=None)
@given(CHAINS, st.integers(0, 99))
def test_opposite_filters_are_shared_exactly(sample: Sample, seed: int):
    sample = with_opposites(sample, seed)
    compiled = compilation(sample)
    try:
        compiled.apply(CreluPass(tolerance=1e-6))
    except HapirError as error:
        code = error.diagnostics[0].code
        event(code)
        if code in NOTHING_TO_DO:
            return
        raise
    inputs = sample.inputs(batch=2)
    expected = compilation(sample).run(inputs)["y"]
    np.testing.assert_allclose(compiled.run(inputs)["y"], expected, atol=1e-4 * (1 + np.abs(expected).max()))
    shared = [name for name in product_layers(compiled.network) if name.endswith(".negated")]
    assert shared
    event(f"{len(shared)} layers shared")


def test_all_that_passes_channels_on_is_followed():
    """Batch norm, ReLU, a depthwise convolution that doubles the channels, a pool, and two readers of it."""
    rng, build = np.random.default_rng(0), NetworkBuilder([], 0)
    half = rng.standard_normal((3, 2, 3, 3))
    image = nn.WeightOp("image", TensorType(f32, (1, 2, 8, 8))).result
    weight = build.weight("c.weight", np.concatenate([half, -0.5 * half[::-1]]))
    x = build.append(nn.Conv2dOp(image, weight, window=Window((3, 3)), layer="c"))
    x = build.append(nn.ReluOp(build.batch_norm(x), layer="r"))
    x = build.conv2d(x, 12, Window((3, 3)), 6, True)
    x = build.append(nn.MaxPoolOp(x, window=Window((2, 2)), layer="p"))
    y = build.append(nn.AddOp(build.conv2d(x, 4, Window((1, 1))), build.conv2d(x, 4, Window((1, 1))), layer="sum"))
    sample = Sample(build.finish("sample", image, [("y", y)]), build.weights, (1, 2, 8, 8))
    compiled = after(sample, CreluPass(layers="c"))
    inputs = sample.inputs(batch=2)
    np.testing.assert_allclose(compiled.run(inputs)["y"], compilation(sample).run(inputs)["y"], atol=1e-4)
    assert shape_of(product_layers(compiled.network)["c.shared"].w)[0] == 3
    assert not any(isinstance(op, nn.SplitOp) for op in compiled.network.body.block.ops), "all filters have partners"


def test_half_of_the_filters_are_computed():
    """What the network CReLU was made for has: all filters in opposite pairs; a dense layer reads them over a map."""
    rng, build = np.random.default_rng(0), NetworkBuilder([], 0)
    half = rng.standard_normal((8, 3, 3, 3))
    image = nn.WeightOp("image", TensorType(f32, (1, 3, 6, 6))).result
    window = Window((3, 3), padding=(1, 1, 1, 1))
    weight = build.weight("c.weight", np.concatenate([half, -half]))
    bias = build.weight("c.bias", rng.standard_normal(16))
    x = build.append(nn.Conv2dOp(image, weight, bias, window=window, layer="c"))
    x = build.append(nn.ReluOp(x, layer="r"))
    y = build.dense(x, 5, True)
    sample = Sample(build.finish("sample", image, [("y", y)]), build.weights, (1, 3, 6, 6))
    compiled = after(sample, CreluPass(layers="c"))
    inputs = sample.inputs(batch=3)
    np.testing.assert_allclose(compiled.run(inputs)["y"], compilation(sample).run(inputs)["y"], atol=1e-4)
    layers = {layer.name: layer for layer in summarize(compiled.network).layers}
    before = {layer.name: layer for layer in summarize(sample.network).layers}
    assert layers["c.shared"].macs * 2 == before["c"].macs
    assert layers["c.shared"].parameters == 8 * 27 + 8
    assert layers["c.negated"].macs == 8 * 36
    assert layers["c"].shape == (1, 16, 6, 6)


def test_the_tolerance_and_the_share_bound_what_is_shared():
    w = np.random.default_rng(1).standard_normal((16, 1, 2, 2))
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, 1, 5, 5))).result
    x = build.append(nn.Conv2dOp(image, build.weight("c.weight", w), window=Window((2, 2)), layer="c"))
    y = build.conv2d(x, 3, Window((1, 1)))
    sample = Sample(build.finish("sample", image, [("y", y)]), build.weights, (1, 1, 5, 5))

    def pairs(**options: float) -> int:
        compiled = after(sample, CreluPass(layers="c", **options))
        return shape_of(product_layers(compiled.network)["c.negated"].w)[0]

    assert pairs(tolerance=0.05) < pairs(tolerance=0.5) < pairs(tolerance=1)
    assert pairs(tolerance=1, share=0.25) == 2


def test_what_cannot_be_shared_is_said():
    w = np.random.default_rng(0).standard_normal((2, 1, 3, 3))
    with pytest.raises(HapirError, match="HAP0574"):  # the result keeps its channels in order
        compilation(single_conv(np.concatenate([w, -w]))).apply(CreluPass())
    with pytest.raises(HapirError, match="HAP0574"):
        compilation(single_conv(np.zeros((4, 1, 3, 3)))).apply(CreluPass(tolerance=1))
