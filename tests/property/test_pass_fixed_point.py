"""fixed_point: weights lie on the grid of a power of two, quantize keeps it, and requantization becomes a shift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import StringAttr, TensorType, f32

from hapir.dialects import nn, num
from hapir.dialects.formats import Fixed
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, PerChannelType, element_type, signed, storage_of, unsigned
from hapir.lowering.compress.annotations import asked_of
from hapir.lowering.compress.coded_weights import scaled_of
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.weight_slots import WeightSlot, slots_of
from hapir.lowering.compress.weights.fixed_point import FixedPointPass
from hapir.lowering.compress.weights.precision import PrecisionPass
from hapir.lowering.network_edits import real_weight_of, weight_op_of
from hapir.registered import FORMAT, value_of
from hapir.weights import WeightStore
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import CALIBRATION, Compilation, compilation, quantize
from tests.property.strategies import INTEGER_BODY, Sample, networks
from tests.property.test_pass_quantize import Values, assert_within_half_a_step

SAMPLES = networks(allow=INTEGER_BODY)
METHODS = st.sampled_from(("max_abs", "sqnr"))
ROUNDINGS = st.sampled_from(("half_even", "half_up", "half_away", "floor"))


def slots(compiled: Compilation) -> list[WeightSlot]:
    return [slot for op in compiled.network.body.block.ops for slot in slots_of(op)]


@settings(max_examples=40, deadline=None)
@given(networks(), st.integers(2, 16), METHODS, ROUNDINGS)
def test_weights_are_on_the_grid(sample: Sample, bits: int, method: str, rounding: str) -> None:
    before, after = compilation(sample), compilation(sample)
    if not slots(before):
        return
    after.apply(FixedPointPass(bits, method=method, rounding=rounding))  # pyright: ignore[reportArgumentType]  # drawn
    for old, new in zip(slots(before), slots(after), strict=True):
        exact = real_weight_of(old.value, before.ctx.weights)
        coded = scaled_of(new.value, after.ctx.weights)
        assert coded is not None
        assert isinstance(new.value.owner, num.DequantizeOp)
        written = weight_op_of(new.value.owner.q).attributes["format"]
        assert isinstance(written, StringAttr)
        format = value_of(written.data, FORMAT)
        assert isinstance(format, Fixed)
        assert format.bits == bits
        assert coded.scales.tolist() == np.full([1] * exact.ndim, 2.0**-format.fraction).tolist()
        found = coded.reals().astype(np.float64)
        if rounding == "half_even":
            np.testing.assert_array_equal(found, format.round(exact))
        if method == "max_abs":
            assert (np.abs(found - exact) <= 2.0**-format.fraction).all()


@settings(max_examples=30, deadline=None)
@given(SAMPLES, st.integers(2, 8), METHODS)
def test_integers_have_scales_that_are_powers_of_two(sample: Sample, bits: int, method: str) -> None:
    inputs = sample.inputs(batch=8)
    compiled = compilation(sample, inputs).apply(FoldBatchNormPass(standalone="convolution"))
    if not slots(compiled):
        return
    pass_ = FixedPointPass(bits, method=method, activation_bits=bits, calibration=CALIBRATION)  # pyright: ignore[reportArgumentType]  # drawn
    integers = quantize(compiled.apply(pass_))
    values = Values(integers).run(inputs)
    for op in integers.network.walk():
        for result in op.results:
            element = element_type(result) if not isinstance(op, nn.WeightOp) else None
            if isinstance(element, AffineType):
                assert np.frexp(element.scale.data)[0] == 0.5
                assert element.zero_point.data == 0
        if isinstance(op, num.RequantizeOp) and isinstance(op.acc.owner, nn.ProductOp):
            weight = element_type(op.acc.owner.w)
            assert isinstance(weight, AffineType | PerChannelType)
            assert weight.storage.width.data == bits
            multipliers = integers.ctx.weights[weight_op_of(op.multiplier).key.data].astype(np.int64)
            assert not (multipliers & (multipliers - 1)).any()
            assert_within_half_a_step(values, op, values.exact(op.acc.owner))


def test_results_need_data_and_data_need_results() -> None:
    for options in ({"activation_bits": 8}, {"calibration": "d.npz"}):
        with pytest.raises(ValueError, match="need each other"):
            FixedPointPass(**options)  # pyright: ignore[reportArgumentType]  # one option each


def conv_and_relu() -> Sample:
    build = NetworkBuilder(["c1"], 1)
    image = nn.WeightOp("image", TensorType(f32, (1, 2, 4, 4))).result
    y = build.append(nn.ReluOp(build.conv2d(image, 2, Window((3, 3))), layer="r1"))
    return Sample(build.finish("sample", image, [("y", y)]), build.weights, (1, 2, 4, 4))


def test_formats_that_are_asked_for_already_stay() -> None:
    sample = conv_and_relu()
    asked = compilation(sample, sample.inputs(batch=4)).apply(PrecisionPass("c1", activations="u3"))
    asked.apply(FixedPointPass(8, activation_bits=6, calibration=CALIBRATION))
    relus = [op for op in quantize(asked).network.walk() if isinstance(op, nn.ReluOp)]
    assert [storage_of(element_type(op.result)) for op in relus] == [unsigned(3)]


def test_one_bit_has_no_sign() -> None:
    sample = conv_and_relu()
    compiled = compilation(sample, sample.inputs(batch=4))
    integers = quantize(compiled.apply(FixedPointPass(4, activation_bits=1, calibration=CALIBRATION))).network
    types = [storage_of(element_type(op.result)) for op in integers.walk() if isinstance(op, num.QuantizeOp)]
    assert types == [unsigned(1)]  # though the inputs are of both signs


def test_inputs_share_the_format_that_holds_them_all() -> None:
    """Between -0.4 and 0.4, and up to 100."""
    shape = TensorType(f32, (1, 3))
    network = nn.NetworkOp("n", [("small", shape), ("large", shape)], [("y", TensorType(f32, (1, 2)))])
    join = nn.ConcatOp(list(network.body.block.args), axis=1, layer="j1")
    w = nn.WeightOp("w", TensorType(f32, (2, 6)))
    dense = nn.DenseOp(join.result, w.result, layer="f1")
    network.body.block.add_ops([join, w, dense, nn.ReturnOp([dense.result])])
    network.set_result_types()
    data = {"small": np.array([[-0.4, 0.1, 0.4]], np.float32), "large": np.array([[0, 5, 100]], np.float32)}
    compiled = compilation(Sample(network, WeightStore({"w": np.ones((2, 6), np.float32)}), (1, 3)), data)
    compiled.apply(FixedPointPass(8, activation_bits=8, calibration=CALIBRATION))
    request = asked_of(compiled.network)
    assert request.storage == signed(8)
    assert request.range is not None
    assert request.range[0] <= -100
    assert request.range[1] >= 100
