"""Exported networks on onnxruntime against the reference: random networks of floats and of integers, in every style.

Floats agree within 1e-4 of the largest result. The style `integer` gives the reference's integers. In `qdq` a
requantization gives the reference's code or a neighbour: of the codes in the order in which they are computed, the
first tensor that differs does so by 1 (what follows computes on other numbers).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import Operation

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.num import AffineType, element_type
from hapir.exporters.onnx.export import ExportOptions, export_network
from hapir.exporters.onnx.styles import Style
from hapir.reference.interpret import run_network
from hapir.weights import WeightStore
from tests.onnx_sessions import Array, check, run_model
from tests.property.integer_networks import IntegerSample, integer_networks
from tests.property.qonnx_runner import run_qonnx
from tests.property.strategies import Sample, networks

OPSETS = (17, 18, 20, 21, 24)
UNHURRIED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=UNHURRIED)
SWEEP = settings(EXAMPLES, max_examples=300)


def _assert_close(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert list(found) == list(expected)
    for name, reals in expected.items():
        assert found[name].dtype == reals.dtype
        assert found[name].shape == reals.shape
        error = np.abs(found[name].astype(np.float64) - reals).max()
        assert error <= 1e-4 * max(1.0, float(np.abs(reals).max()))


def _refused(op: Operation) -> bool:
    """Whether ONNX defines an op that onnxruntime does not compute: norms over an even number of channels, and linear
    sampling that leaves out what is beyond the edge.
    """
    match op:
        case nn.LocalResponseNormOp():
            return op.size.value.data % 2 == 0
        case nn.ResampleOp():
            return op.sampling.inside and op.sampling.mode == nn.SampleMode.linear
        case _:
            return False


def _model(network: nn.NetworkOp, weights: WeightStore, opset: int, any_batch: bool) -> Any:
    """The model; an op that this opset does not have names the one that has it."""
    try:
        return export_network(network, weights, ExportOptions(None, opset, any_batch))
    except HapirError as error:
        wanted = [int(re.findall(r"opset (\d+)", d.message)[0]) for d in error.diagnostics]
        assert min(wanted) > opset
        return export_network(network, weights, ExportOptions(None, max(wanted), any_batch))


def _floats(sample: Sample, opset: int, any_batch: bool) -> None:
    model = _model(sample.network, sample.weights, opset, any_batch)
    check(model)
    if not any(map(_refused, sample.network.walk())):
        inputs = sample.inputs(3 if any_batch else 1)
        _assert_close(run_model(model, inputs), run_network(sample.network, sample.weights, inputs))


@EXAMPLES
@given(networks(), st.sampled_from(OPSETS), st.booleans())
def test_networks_of_floats(sample: Sample, opset: int, any_batch: bool) -> None:
    _floats(sample, opset, any_batch)


@pytest.mark.slow
@SWEEP
@given(networks(), st.sampled_from(OPSETS), st.booleans())
def test_many_networks_of_floats(sample: Sample, opset: int, any_batch: bool) -> None:
    _floats(sample, opset, any_batch)


def _with_all_codes(network: nn.NetworkOp) -> nn.NetworkOp:
    """A copy that returns every tensor of codes, in the order in which they are computed."""
    opened = network.clone()
    block = opened.body.block
    values = [v for op in block.ops for v in op.results if isinstance(element_type(v), AffineType)]
    values = [v for v in values if not isinstance(v.owner, nn.WeightOp)]
    names = [f"codes{i}" for i in range(len(values))]
    block.erase_op(opened.return_op)
    block.add_op(nn.ReturnOp(values))
    opened.result_names = ArrayAttr(map(StringAttr, names))
    opened.set_result_types()
    return opened


def _exact(sample: IntegerSample, opset: int, any_batch: bool) -> None:
    network = _with_all_codes(sample.network)
    model = export_network(network, sample.weights, ExportOptions(Style.INTEGER, opset, any_batch))
    check(model)
    inputs = sample.inputs(3 if any_batch else 1)
    found, expected = run_model(model, inputs), run_network(network, sample.weights, inputs)
    for name, codes in expected.items():
        assert found[name].dtype == codes.dtype
        np.testing.assert_array_equal(found[name], codes)


@EXAMPLES
@given(integer_networks(), st.sampled_from(OPSETS), st.booleans())
def test_integers_bit_for_bit(sample: IntegerSample, opset: int, any_batch: bool) -> None:
    _exact(sample, opset, any_batch)


@pytest.mark.slow
@SWEEP
@given(integer_networks(), st.sampled_from(OPSETS), st.booleans())
def test_many_integers_bit_for_bit(sample: IntegerSample, opset: int, any_batch: bool) -> None:
    _exact(sample, opset, any_batch)


def _assert_first_difference_is_small(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    for name, codes in expected.items():
        assert found[name].shape == codes.shape
        difference = np.abs(found[name].astype(np.int64) - codes.astype(np.int64)).max()
        assert difference <= 1
        if difference:
            return  # what follows computes on other numbers


def _neighbours(sample: IntegerSample, style: Style, optimized: bool) -> None:
    network = _with_all_codes(sample.network)
    model = export_network(network, sample.weights, ExportOptions(style, 21, True))
    check(model)
    inputs = sample.inputs(2)
    expected = run_network(network, sample.weights, inputs)
    qdq = style == Style.QDQ
    found = run_model(model, inputs, optimized=optimized) if qdq else run_qonnx(model, inputs)
    _assert_first_difference_is_small(found, expected)


@EXAMPLES
@given(integer_networks(), st.booleans())
def test_qdq_within_one_step(sample: IntegerSample, optimized: bool) -> None:
    _neighbours(sample, Style.QDQ, optimized)


@pytest.mark.slow
@SWEEP
@given(integer_networks(), st.booleans())
def test_many_qdq_within_one_step(sample: IntegerSample, optimized: bool) -> None:
    _neighbours(sample, Style.QDQ, optimized)


@EXAMPLES
@given(integer_networks())
def test_qonnx_within_one_step(sample: IntegerSample) -> None:
    _neighbours(sample, Style.QONNX, True)


@pytest.mark.slow
@SWEEP
@given(integer_networks())
def test_many_qonnx_within_one_step(sample: IntegerSample) -> None:
    _neighbours(sample, Style.QONNX, True)


@pytest.mark.parametrize("shape", ["chain", "transposed", "recurrent", "sequence", "weightless", "tiny", "bare"])
@pytest.mark.parametrize("oddity", [None, "zeros", "subnormal", "grid", "pruned", "outlier"])
def test_odd_networks(shape: str, oddity: str | None) -> None:
    from tests.property.odd_networks import odd_sample

    sample = odd_sample(shape, oddity)
    _floats(sample, 17, True)
