"""Quantized operators imported from ONNX against onnxruntime: the same codes, all of them, on reference and C."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from onnx import helper

from hapir.dialects.nn import NetworkOp
from hapir.lowering.cut_integer_body import cut
from hapir.reference import run_network
from hapir.weights import Array, WeightStore
from tests.property.quantized_models import (
    KINDS,
    Model,
    conversions,
    convolutions,
    example,
    model,
    products,
    quantized_network,
)
from tests.property.test_c_reference import QUICK
from tests.property.test_c_reference import check as check_jobs

EXACT = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def check(sample: Model) -> None:
    expected, found = sample.runtime(), sample.reference()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@EXACT
@given(convolutions())
def test_qlinear_conv(sample: Model):
    check(sample)


@EXACT
@given(convolutions("ConvInteger"))
def test_conv_integer(sample: Model):
    check(sample)


@EXACT
@given(products())
def test_qlinear_matmul(sample: Model):
    check(sample)


@EXACT
@given(products("MatMulInteger"))
def test_matmul_integer(sample: Model):
    check(sample)


@settings(EXACT, max_examples=60)
@given(conversions())
def test_conversions(sample: Model):
    check(sample)


STYLES = [(style, channel, kinds) for style in ("QDQ", "QOperator") for channel in (False, True) for kinds in KINDS]


@pytest.mark.parametrize(("style", "per_channel", "kinds"), STYLES)
def test_a_network_by_the_quantizer_of_onnxruntime(style: str, per_channel: bool, kinds: tuple[str, str]):
    """Residual, depthwise and clipped layers: the reals of onnxruntime, optimized or not, to the last bit."""
    sample = quantized_network(style, per_channel, kinds)
    network, weights = sample.network()
    kinds_of_ops = [op.name for op in network.body.block.ops]
    assert kinds_of_ops.count("num.rescale") == 5  # three convolutions, a pool, a dense layer
    assert kinds_of_ops.count("num.view") == 0
    found = run_network(network, weights, sample.inputs)["y"]
    for optimized in (False, True):
        np.testing.assert_array_equal(found, sample.runtime(optimized=optimized)["y"])


def test_c_gives_the_same_codes():
    """Operators, compiled together; whole networks are in `test_import_quantized`."""
    samples = [example(drawn, seed) for drawn in (convolutions(), products(), conversions()) for seed in range(2)]
    samples += [example(convolutions("ConvInteger"), 1), example(products("MatMulInteger"), 2)]
    jobs: list[tuple[NetworkOp, WeightStore, dict[str, Array]]] = []
    for sample in samples:
        network, weights = sample.network()
        parts = cut(network)
        arrays = dict(sample.inputs)
        if parts.prologue is not None:
            arrays |= run_network(parts.prologue, weights, arrays)
        body = {name.data: arrays[name.data] for name in parts.body.input_names}
        jobs.append((parts.body, weights, body))
    check_jobs(jobs, QUICK)


@pytest.mark.parametrize("low", [-3.0, 0.25, -8.0])
def test_a_layer_that_is_quantized_while_it_runs(low: float):
    """The codes, scale and zero point of onnxruntime, for ranges around, above and below 0; then a dense layer."""
    rng = np.random.default_rng(5)
    w = rng.integers(-128, 128, (6, 4)).astype(np.int8)
    node: Any = helper.make_node  # of types that onnx leaves open
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", "z"], ["sums"]),
        node("Cast", ["sums"], ["real"], to=1),
        node("Mul", ["s", "ws"], ["scale"]),
        node("Mul", ["real", "scale"], ["y"]),
    ]
    outputs = {"q": ("uint8", (3, 6)), "s": ("float32", ()), "z": ("uint8", ()), "y": ("float32", (3, 4))}
    x = rng.uniform(low, low + 5, (3, 6)).astype(np.float32)
    check(model(nodes, {"x": x}, outputs, {"w": w, "ws": np.float32(0.02)}))
