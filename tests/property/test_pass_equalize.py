"""equalize: the network computes what it did, and the channels between two layers have equal ranges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from xdsl.dialects.builtin import TensorType, f32

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.selected_layers import selected_layers
from hapir.lowering.compress.weights.equalize import EqualizePass, pairs_among
from hapir.lowering.compress.weights.quantize_weights import QuantizeWeightsPass
from hapir.lowering.network_edits import real_weight_of
from hapir.quantizers.coded import Floats
from hapir.quantizers.equalization import made_ranges, read_ranges
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import INTEGER_BODY, SEQUENTIAL, Sample, networks, sequential_cnn

CHAINS = sequential_cnn(allow=(SEQUENTIAL & INTEGER_BODY) - {"clip", "softmax", "argmax"})


def folded(sample: Sample) -> Compilation:
    return compilation(sample).apply(FoldBatchNormPass())


def ranges(compiled: Compilation) -> list[tuple[Floats, Floats]]:
    """What makes and what reads each channel between two layers."""
    weights = compiled.ctx.weights
    return [
        (
            made_ranges(real_weight_of(pair.first.w, weights)),
            read_ranges(real_weight_of(pair.second.w, weights), pair.second.filter_groups, pair.block),
        )
        for pair in pairs_among(selected_layers(compiled.network, "*"))
    ]


def has_layers(sample: Sample) -> bool:
    return any(op.name in ("nn.conv2d", "nn.conv1d", "nn.dense") for op in sample.network.walk())


@settings(max_examples=40, deadline=None)
@given(CHAINS)
def test_the_function_stays_and_ranges_become_equal(sample: Sample) -> None:
    if not has_layers(sample):
        return
    before, after = folded(sample), folded(sample).apply(EqualizePass(iterations=200))
    inputs = sample.inputs(batch=3)
    exact, found = before.run(inputs)["y"], after.run(inputs)["y"]
    np.testing.assert_allclose(found, exact, atol=1e-4 * max(1.0, float(np.abs(exact).max())))
    event(f"{len(ranges(after))} pairs")
    for made, read in ranges(after):
        alive = (made > 0) & (read > 0)
        np.testing.assert_allclose(made[alive], read[alive], rtol=1e-2)


@settings(max_examples=30, deadline=None)
@given(networks(allow=INTEGER_BODY))
def test_powers_of_two_change_no_digit(sample: Sample) -> None:
    if not has_layers(sample):
        return
    before, after = folded(sample), folded(sample).apply(EqualizePass(factors="powers_of_two"))
    inputs = sample.inputs(batch=3)
    np.testing.assert_array_equal(after.run(inputs)["y"], before.run(inputs)["y"])


@settings(max_examples=15, deadline=None)
@given(CHAINS)
def test_a_second_time_changes_little(sample: Sample) -> None:
    if not has_layers(sample):
        return
    once = folded(sample).apply(EqualizePass(iterations=200))
    first = ranges(once)
    for (made, read), (again, read_again) in zip(first, ranges(once.apply(EqualizePass())), strict=True):
        np.testing.assert_allclose(again, made, rtol=1e-2)
        np.testing.assert_allclose(read_again, read, rtol=1e-2)


def test_scales_per_tensor_lose_less_afterwards() -> None:
    """The example of the paper: channels of very different ranges and one scale for all of them."""
    build = NetworkBuilder([], 5)
    image = nn.WeightOp("image", TensorType(f32, (1, 3, 8, 8))).result
    x = build.conv2d(image, 6, Window((3, 3)), 1, True)
    x = build.append(nn.ReluOp(x, layer="r1"))
    x = build.conv2d(x, 6, Window((3, 3)), 6, True)  # depthwise
    x = build.append(nn.ReluOp(x, layer="r2"))
    x = build.conv2d(x, 4, Window((1, 1)), 1, True)
    sample = Sample(build.finish("sample", image, [("y", x)]), build.weights, (1, 3, 8, 8))
    wide = np.array([1, 30, 0.02, 5, 0.3, 100])
    for key, factors in (("conv0.weight", wide), ("conv0.bias", wide), ("conv1.weight", 1 / wide)):
        array = sample.weights[key].astype(np.float64)
        scaled = array * factors.reshape(-1, *[1] * (array.ndim - 1))
        sample.weights.put(key, scaled.astype(np.float32))
    inputs = sample.inputs(batch=4)

    def error(*passes: EqualizePass) -> float:
        exact = compilation(sample).apply(*passes)
        coded = compilation(sample).apply(*passes, QuantizeWeightsPass(weights="i6", granularity="tensor"))
        y = exact.run(inputs)["y"]
        return float(((coded.run(inputs)["y"] - y) ** 2).mean() / (y**2).mean())

    assert error(EqualizePass()) < 0.3 * error()
    assert error(EqualizePass(iterations=1)) != error(EqualizePass())


@pytest.mark.parametrize(("before", "pairs"), [([0, 0, 1, 1], 1), ([0, 1, 0, 0], 0)])
def test_pads_may_add_places_and_no_channels(before: list[int], pairs: int) -> None:
    build = NetworkBuilder([], 5)
    image = nn.WeightOp("image", TensorType(f32, (1, 2, 6, 6))).result
    x = build.conv2d(image, 2, Window((3, 3)))
    x = build.append(nn.PadOp(x, before, [0, 0, 0, 0], layer="p1"))
    network = build.finish("sample", image, [("y", build.conv2d(x, 3, Window((3, 3))))])
    assert len(pairs_among(selected_layers(network, "*"))) == pairs


def test_rounds_are_bounded() -> None:
    with pytest.raises(ValueError, match="iterations"):
        EqualizePass(iterations=0)
