"""Quantized operators imported from ONNX against onnxruntime: the same codes, all of them, on reference and C."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

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
    products,
    quantized_network,
)
from tests.property.test_c_reference import FAST
from tests.property.test_c_reference import check as check_jobs

EXACT = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def check(model: Model) -> None:
    expected, found = model.runtime(), model.reference()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@EXACT
@given(convolutions())
def test_qlinear_conv(model: Model):
    check(model)


@EXACT
@given(convolutions("ConvInteger"))
def test_conv_integer(model: Model):
    check(model)


@EXACT
@given(products())
def test_qlinear_matmul(model: Model):
    check(model)


@EXACT
@given(products("MatMulInteger"))
def test_matmul_integer(model: Model):
    check(model)


@settings(EXACT, max_examples=60)
@given(conversions())
def test_conversions(model: Model):
    check(model)


STYLES = [(style, channel, kinds) for style in ("QDQ", "QOperator") for channel in (False, True) for kinds in KINDS]


@pytest.mark.parametrize(("style", "per_channel", "kinds"), STYLES)
def test_a_network_by_the_quantizer_of_onnxruntime(style: str, per_channel: bool, kinds: tuple[str, str]):
    """Residual, depthwise and clipped layers: the reals of onnxruntime, optimized or not, to the last bit."""
    model = quantized_network(style, per_channel, kinds)
    network, weights = model.network()
    kinds_of_ops = [op.name for op in network.body.block.ops]
    assert kinds_of_ops.count("num.rescale") == 5  # three convolutions, a pool, a dense layer
    assert kinds_of_ops.count("num.view") == 0
    found = run_network(network, weights, model.inputs)["y"]
    for optimized in (False, True):
        np.testing.assert_array_equal(found, model.runtime(optimized=optimized)["y"])


def test_c_gives_the_same_codes():
    """Operators and whole networks, compiled together."""
    models = [quantized_network("QDQ", True, KINDS[0]), quantized_network("QOperator", False, KINDS[1])]
    models += [example(strategy, seed) for strategy in (convolutions(), products(), conversions()) for seed in range(4)]
    models += [example(convolutions("ConvInteger"), 1), example(products("MatMulInteger"), 2)]
    jobs: list[tuple[NetworkOp, WeightStore, dict[str, Array]]] = []
    for model in models:
        network, weights = model.network()
        parts = cut(network)
        arrays = dict(model.inputs)
        if parts.prologue is not None:
            arrays |= run_network(parts.prologue, weights, arrays)
        body = {name.data: arrays[name.data] for name in parts.body.input_names}
        jobs.append((parts.body, weights, body))
    check_jobs(jobs, FAST)
