"""quantize: every layer is its float layer up to half a step, the whole is close, and it is deterministic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, PerChannelType, element_type, is_float, shape_of
from hapir.lowering.compress.calibration import sqnr_db
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.fuse import FusePass
from hapir.lowering.compress.sqnr import sqnr_per_layer
from hapir.lowering.compress.weights.k_means import KMeansPass
from hapir.reference import nn as meaning
from hapir.reference.interpret import run_network
from hapir.weights import Array
from tests.property.pipelines import Compilation, compilation, quantize, quantized
from tests.property.strategies import INTEGER_BODY, Sample, networks

SAMPLES = networks(allow=INTEGER_BODY)
FORMATS = st.fixed_dictionaries(
    {
        "activations": st.sampled_from(("u8", "i8", "u6")),
        "weights": st.sampled_from(("i8", "i5")),
        "granularity": st.sampled_from(("channel", "tensor")),
        "rounding": st.sampled_from(("half_even", "half_up", "half_away")),
        "multiplier_bits": st.sampled_from((16, 24, 31)),
        "max_shift": st.sampled_from((47, 62)),
        "requantize": st.sampled_from(("integer", "float")),
    }
)
Floats = npt.NDArray[np.float32]
SLACK = 0.02
"""Steps beyond one half that the multiplier (2^-16 of at most 511 steps) and f32 sums may cost."""


@dataclass
class Values:
    """All values of one run of a quantized network, and what they mean as reals."""

    compiled: Compilation
    of: dict[SSAValue, npt.NDArray[Any]] = field(default_factory=dict[SSAValue, npt.NDArray[Any]])

    def run(self, inputs: Mapping[str, Array]) -> Values:
        def observe(op: Operation, results: tuple[Array, ...]) -> None:
            self.of.update(zip(op.results, results, strict=True))

        run_network(self.compiled.network, self.compiled.ctx.weights, inputs, observe=observe)
        return self

    def real(self, value: SSAValue) -> Floats:
        """An affine or per-channel value dequantized."""
        integers, element = self.of[value].astype(np.float64), element_type(value)
        if isinstance(element, AffineType):
            return (element.scale.data * (integers - element.zero_point.data)).astype(np.float32)
        assert isinstance(element, PerChannelType)
        scales = self.compiled.ctx.weights[element.scales.data].astype(np.float64)
        return (integers * scales.reshape(-1, *[1] * (integers.ndim - 1))).astype(np.float32)

    def bias(self, op: nn.ProductOp) -> Floats | None:
        """The bias in units of input scale times weight scale."""
        if op.bias is None:
            return None
        x, w = element_type(op.x), element_type(op.w)
        assert isinstance(x, AffineType)
        if isinstance(w, PerChannelType):
            scales: Any = self.compiled.ctx.weights[w.scales.data].astype(np.float64)
        else:
            assert isinstance(w, AffineType)
            scales = w.scale.data
        return (self.of[op.bias] * x.scale.data * scales).astype(np.float32)

    def exact(self, op: Operation) -> Floats:
        """What the float op behind an accumulation gives on dequantized operands."""
        match op:
            case nn.Conv2dOp():
                x, w = self.real(op.x), self.real(op.w)
                return meaning.conv2d(x, w, self.bias(op), op.window.window, op.groups.value.data)
            case nn.Conv1dOp():
                x, w = self.real(op.x), self.real(op.w)
                return meaning.conv1d(x, w, self.bias(op), op.window.window, op.filter_groups)
            case nn.DenseOp():
                return meaning.dense(self.real(op.x), self.real(op.w), self.bias(op))
            case nn.AddOp():
                left, right = (v.owner for v in op.operands)
                assert isinstance(left, num.WidenOp)
                assert isinstance(right, num.WidenOp)
                return self.real(left.q) + self.real(right.q)
            case nn.SumPoolOp():
                return self.real(op.x)
            case num.WidenOp():
                return self.real(op.q)
            case _:
                raise AssertionError(f"{op.name} gives no accumulators")


def assert_within_half_a_step(values: Values, op: num.RequantizeOp | num.RescaleOp, exact: Floats) -> None:
    element = element_type(op.result)
    assert isinstance(element, AffineType)
    steps = np.clip(exact / element.scale.data + element.zero_point.data, op.low.value.data, op.high.value.data)
    assert float(np.abs(values.of[op.result] - steps).max()) <= 0.5 + SLACK


@settings(max_examples=60, deadline=None)
@given(SAMPLES, FORMATS)
def test_each_layer_is_exact_up_to_half_a_step(sample: Sample, options: dict[str, Any]) -> None:
    inputs = sample.inputs(batch=8)
    values = Values(quantized(sample, inputs, **options)).run(inputs)
    for op in values.compiled.network.walk():
        if isinstance(op, num.RequantizeOp | num.RescaleOp):
            main = op.acc.owner
            assert isinstance(main, Operation)
            event(main.name)
            if not isinstance(main, nn.SumPoolOp):
                assert_within_half_a_step(values, op, values.exact(main))


@settings(max_examples=60, deadline=None)
@given(networks(max_layers=2, allow={"avg_pool", "global_avg_pool", "stride", "padding", "relu"}))
def test_averages_are_exact_up_to_half_a_step(sample: Sample) -> None:
    inputs = sample.inputs(batch=8)
    compiled = quantized(sample, inputs)
    values, before = Values(compiled).run(inputs), compilation(sample).network
    pools = [op for op in before.walk() if isinstance(op, nn.AvgPoolOp | nn.GlobalAvgPoolOp)]
    sums = [op for op in compiled.network.walk() if isinstance(op, nn.SumPoolOp)]
    for pool, total in zip(pools, sums, strict=True):
        requantize = next(iter(total.result.uses)).operation
        assert isinstance(requantize, num.RequantizeOp | num.RescaleOp)
        x = values.real(total.x)
        if isinstance(pool, nn.AvgPoolOp):
            exact = meaning.avg_pool(x, pool.window.window, bool(pool.count_include_pad.value.data))
        else:
            exact = meaning.global_avg_pool(x)
        assert_within_half_a_step(values, requantize, exact)


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.sampled_from(("min_max", "percentile", "sqnr")))
def test_the_whole_network_stays_close(sample: Sample, method: str) -> None:
    """Errors add up over at most six layers; a tenth of the largest result is far beyond what they reach."""
    inputs = sample.inputs(batch=20)
    before = compilation(sample).run(inputs)["y"]
    after = quantized(sample, inputs, method=method).run(inputs)["y"]
    if before.dtype == np.float32 and np.abs(before).max() > 0:
        error = float(np.sqrt(np.mean((after.astype(np.float64) - before.astype(np.float64)) ** 2)))
        assert error <= 0.1 * float(np.abs(before).max())


@settings(max_examples=30, deadline=None)
@given(SAMPLES)
def test_the_form_is_the_contract(sample: Sample) -> None:
    """Integers from the quantized inputs to the dequantized results, unsigned ReLU outputs from zero point 0."""
    compiled = quantized(sample, sample.inputs(batch=4))
    for op in compiled.network.body.block.ops:
        if isinstance(op, num.QuantizeOp):
            assert op.x in compiled.network.body.block.args
        if isinstance(op, num.DequantizeOp):
            assert all(isinstance(use.operation, nn.ReturnOp) for use in op.result.uses)
        if isinstance(op, nn.LayerOp):
            assert not is_float(op.results[0])
        if (
            isinstance(op, nn.ReluOp)
            and isinstance(op.x.owner, num.RequantizeOp | num.RescaleOp)
            and op.x.has_one_use()
        ):
            element = element_type(op.x)
            assert isinstance(element, AffineType)
            assert element.zero_point.data == 0
        if isinstance(op, num.RequantizeOp):
            assert shape_of(op.multiplier) == shape_of(op.shift)
            assert int(compiled.ctx.weights[weight_key(op.shift)].max()) <= 47


def weight_key(value: SSAValue) -> str:
    assert isinstance(value.owner, nn.WeightOp)
    return value.owner.key.data


@settings(max_examples=20, deadline=None)
@given(SAMPLES, st.integers(1, 3))
def test_shared_values_stay_shared(sample: Sample, bits: int) -> None:
    if not any(isinstance(op, nn.ProductOp) for op in sample.network.walk()):
        return
    coded = compilation(sample, sample.inputs(batch=4)).apply(FoldBatchNormPass(), KMeansPass(bits))
    compiled = quantize(coded, granularity="channel")
    for op in compiled.network.walk():
        if isinstance(op, nn.ProductOp):
            numbers = np.unique(compiled.ctx.weights[weight_key(op.w)])
            assert len(numbers) <= (1 << bits) + 1  # and a 0 beside the centroids


@settings(max_examples=20, deadline=None)
@given(SAMPLES)
def test_quantization_is_deterministic(sample: Sample) -> None:
    first, second = (quantized(sample, sample.inputs(batch=4)) for _ in range(2))
    assert str(first.module) == str(second.module)
    assert first.ctx.weights.digest() == second.ctx.weights.digest()


@settings(max_examples=20, deadline=None)
@given(SAMPLES)
def test_the_last_layers_ratio_is_that_of_the_result(sample: Sample) -> None:
    inputs = sample.inputs(batch=8)
    before = compilation(sample, inputs).apply(FoldBatchNormPass(standalone="convolution"))
    after = quantize(Compilation(before.module.clone(), before.ctx))
    exact, approximate = (c.run(inputs)["y"].astype(np.float64) for c in (before, after))
    found = sqnr_per_layer(before.network, after.network, after.ctx.weights, inputs)
    assert found.keys() <= {op.layer_name for op in before.network.walk() if isinstance(op, nn.LayerOp)}
    last = before.network.return_op.values[0].owner
    assert isinstance(last, nn.LayerOp)
    assert last.layer_name is not None
    # f32 has no more than 144 dB: above that, the ratio is of how the two ways of computing it round
    ratios = (min(ratio, 130.0) for ratio in (found[last.layer_name], sqnr_db(exact, approximate)))
    assert next(ratios) == pytest.approx(next(ratios), abs=0.1)
    after.apply(FusePass())
    behind_fusion = sqnr_per_layer(before.network, after.network, after.ctx.weights, inputs)
    assert behind_fusion == {name: found[name] for name in behind_fusion}
