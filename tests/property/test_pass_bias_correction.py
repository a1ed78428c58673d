"""bias_correction: means of output channels are those of the real weights, and real weights change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.ir import Operation

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.lowering.compress.coded_weights import source_of
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.weights.bias_correction import BiasCorrectionPass
from hapir.lowering.compress.weights.quantize_weights import QuantizeWeightsPass
from hapir.lowering.network_edits import real_weight_of, weight_op_of
from hapir.reference.interpret import run_network
from tests.property.pipelines import CALIBRATION, Compilation, compilation, quantize
from tests.property.strategies import INTEGER_BODY, Sample, networks
from tests.property.test_pass_quantize_weights import LAPLACE

SAMPLES = networks(allow=INTEGER_BODY)
Means = dict[str, npt.NDArray[np.float64]]


def coded(sample: Sample, width: str) -> Compilation:
    """A sample folded, its weights coded."""
    compiled = compilation(sample, sample.inputs(batch=12)).apply(FoldBatchNormPass(standalone="convolution"))
    return compiled.apply(QuantizeWeightsPass(weights=width)) if products(compiled) else compiled  # pyright: ignore[reportArgumentType]  # drawn


def products(compiled: Compilation) -> list[nn.ProductOp]:
    return [op for op in compiled.network.body.block.ops if isinstance(op, nn.ProductOp)]


def means(compiled: Compilation, sample: Sample) -> Means:
    """The mean of each output channel of each layer with weights."""
    found: Means = {}

    def observe(op: Operation, results: tuple[npt.NDArray[Any], ...]) -> None:
        if isinstance(op, nn.ProductOp):
            assert op.layer_name is not None
            y = results[0].astype(np.float64)
            found[op.layer_name] = y.mean(axis=(0, *range(2, y.ndim)))

    run_network(compiled.network, compiled.ctx.weights, sample.inputs(batch=12), observe=observe)
    return found


@settings(max_examples=40, deadline=None)
@given(SAMPLES, st.sampled_from(("i2", "i3", "i5")))
def test_means_are_those_of_the_real_weights(sample: Sample, width: str) -> None:
    compiled = coded(sample, width)
    if not products(compiled):
        return
    plain = compilation(sample).apply(FoldBatchNormPass(standalone="convolution"))
    expected = means(plain, sample)
    found = means(compiled.apply(BiasCorrectionPass(CALIBRATION)), sample)
    for name, mean in expected.items():
        np.testing.assert_allclose(found[name], mean, atol=2e-5 * max(1.0, float(np.abs(mean).max())))


@settings(max_examples=20, deadline=None)
@given(SAMPLES)
def test_more_times_change_nothing(sample: Sample) -> None:
    compiled = coded(sample, "i3")
    if not products(compiled):
        return
    compiled.apply(BiasCorrectionPass(CALIBRATION))
    first = [real_weight_of(op.bias, compiled.ctx.weights) for op in products(compiled) if op.bias is not None]
    compiled.apply(BiasCorrectionPass(CALIBRATION), BiasCorrectionPass(CALIBRATION))
    second = [real_weight_of(op.bias, compiled.ctx.weights) for op in products(compiled) if op.bias is not None]
    if len(first) == len(second):  # a rounding error may give a bias to a layer that had none
        for once, twice in zip(first, second, strict=True):
            np.testing.assert_allclose(twice, once, atol=2e-5 * max(1.0, float(np.abs(once).max(initial=0))))


@settings(max_examples=15, deadline=None)
@given(SAMPLES)
def test_real_weights_shift_nothing(sample: Sample) -> None:
    compiled = compilation(sample, sample.inputs(batch=4)).apply(FoldBatchNormPass(standalone="convolution"))
    if not products(compiled):
        return
    text = str(compiled.module)
    assert str(compiled.apply(BiasCorrectionPass(CALIBRATION)).module) == text


@settings(max_examples=15, deadline=None)
@given(SAMPLES)
def test_only_selected_layers_are_corrected(sample: Sample) -> None:
    compiled = coded(sample, "i2")
    layers = products(compiled)
    if not layers:
        return
    keys = [None if op.bias is None else weight_op_of(op.bias).key.data for op in layers]
    assert layers[-1].layer_name is not None
    compiled.apply(BiasCorrectionPass(CALIBRATION, layers[-1].layer_name))
    after = [None if op.bias is None else weight_op_of(op.bias).key.data for op in products(compiled)]
    assert after[:-1] == keys[:-1]


@settings(max_examples=15, deadline=None)
@given(SAMPLES)
def test_the_integer_network_takes_the_corrected_biases(sample: Sample) -> None:
    compiled = coded(sample, "i3")
    if not products(compiled):
        return
    compiled.apply(BiasCorrectionPass(CALIBRATION))
    expected = compiled.run(sample.inputs(batch=12))["y"].astype(np.float64)
    found = quantize(compiled).run(sample.inputs(batch=12))["y"].astype(np.float64)
    assert np.sqrt(((found - expected) ** 2).mean()) <= 0.1 * max(float(np.abs(expected).max()), 1e-9)


def test_lost_weights_are_told() -> None:

    sample = LAPLACE
    compiled = compilation(sample, sample.inputs(batch=2)).apply(QuantizeWeightsPass())
    (layer,) = products(compiled)
    assert source_of(layer.w, compiled.ctx.weights) is not None
    compiled.ctx.weights.retain(key for key in compiled.ctx.weights if "codes" in key)
    with pytest.raises(HapirError, match="HAP0402"):
        compiled.apply(BiasCorrectionPass(CALIBRATION))
