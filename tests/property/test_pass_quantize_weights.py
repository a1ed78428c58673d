"""quantize_weights: codes are the nearest, scales belong to their blocks, and quantize keeps both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatAttr, TensorType, f32

from hapir.diagnostics import HapirError
from hapir.dialects import nn, num
from hapir.dialects.formats import Bipolar, Integer, Ternary
from hapir.dialects.num import AffineType, PerChannelType, element_type
from hapir.lowering.compress.annotations import WEIGHT_FORMAT
from hapir.lowering.compress.coded_weights import insert_coded, scaled_of, source_of
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.weight_blocks import Granularity, largest_divisor, scale_blocks
from hapir.lowering.compress.weight_slots import WeightSlot, slots_of
from hapir.lowering.compress.weights.precision import PrecisionPass
from hapir.lowering.compress.weights.quantize_weights import QuantizeWeightsPass
from hapir.lowering.network_edits import decoded_weight_of, layer_name, real_weight_of, weight_op_of
from hapir.quantizers.coded import Scaled, spread
from hapir.weights import WeightStore
from tests.property.pipelines import Compilation, compilation, quantize
from tests.property.strategies import INTEGER_BODY, Sample, networks

SAMPLES = networks(allow=INTEGER_BODY)
WIDTHS = st.sampled_from(("i2", "i4", "i8"))
GRANULARITIES: st.SearchStrategy[Granularity] = st.sampled_from(("tensor", "channel", "group", "input_group"))
METHODS = st.sampled_from(("min_max", "percentile", "sqnr", "mse"))


def slots(compiled: Compilation) -> list[WeightSlot]:
    return [slot for op in compiled.network.body.block.ops for slot in slots_of(op)]


def folded(sample: Sample) -> Compilation:
    return compilation(sample, sample.inputs(batch=8)).apply(FoldBatchNormPass(standalone="convolution"))


@settings(max_examples=40, deadline=None)
@given(networks(), WIDTHS, GRANULARITIES, METHODS, st.integers(1, 5))
def test_codes_are_the_nearest(sample: Sample, width: str, granularity: Granularity, method: str, group: int) -> None:
    before, after = compilation(sample), compilation(sample)
    if not slots(before):
        return
    pass_ = QuantizeWeightsPass(weights=width, granularity=granularity, group=group, method=method)  # pyright: ignore[reportArgumentType]  # drawn
    after.apply(pass_)
    largest = 2 ** (int(width[1:]) - 1) - 1
    for old, new in zip(slots(before), slots(after), strict=True):
        exact = real_weight_of(old.value, before.ctx.weights)
        coded = scaled_of(new.value, after.ctx.weights)
        assert coded is not None
        assert coded.format == Integer(int(width[1:]))
        assert coded.scales.shape == scale_blocks(old, granularity, group)
        assert np.abs(coded.codes.astype(int)).max(initial=0) <= largest
        steps = exact / spread(coded.scales.astype(np.float64), exact.shape)
        assert (np.abs(np.clip(steps, -largest, largest) - coded.codes) <= 0.5 + 1e-9).all()
        if method == "min_max":
            assert (np.abs(steps) <= largest * (1 + 1e-6)).all()
        source = source_of(new.value, after.ctx.weights)
        assert source is not None
        np.testing.assert_array_equal(source, exact)


@settings(max_examples=30, deadline=None)
@given(SAMPLES, WIDTHS, st.sampled_from(("tensor", "channel", "group")))
def test_quantize_keeps_codes_and_scales(sample: Sample, width: str, granularity: Granularity) -> None:
    coded = folded(sample)
    if not slots(coded):
        return
    coded.apply(QuantizeWeightsPass(weights=width, granularity=granularity, method="mse"))  # pyright: ignore[reportArgumentType]  # drawn
    kept = {layer_name(slot.op): scaled_of(slot.value, coded.ctx.weights) for slot in slots(coded)}
    integers = quantize(coded, weights="i8")
    for op in integers.network.walk():
        if isinstance(op, nn.ProductOp) and not num.is_float(op.w):
            expected = kept[op.layer_name]
            assert expected is not None
            assert isinstance(op.w.owner, nn.WeightOp)
            np.testing.assert_array_equal(integers.ctx.weights[op.w.owner.key.data], expected.codes)
            found = scales_of(integers, op)
            alive = np.abs(expected.codes).reshape(len(expected.codes), -1).max(axis=1, initial=0) > 0
            scales = np.broadcast_to(spread(expected.scales, expected.codes.shape), expected.codes.shape)
            wide = scales.reshape(len(expected.codes), -1)[:, 0]
            np.testing.assert_array_equal(found[alive], wide[alive])
            assert num.code_bits(element_type(op.w)) == int(width[1:])


def scales_of(compiled: Compilation, op: nn.ProductOp) -> np.ndarray:
    """The scale of each output channel."""
    element, channels = element_type(op.w), num.shape_of(op.w)[0]
    if isinstance(element, AffineType):
        return np.full(channels, element.scale.data, np.float32)
    assert isinstance(element, PerChannelType)
    return compiled.ctx.weights[element.scales.data]


FORMATS = st.sampled_from((Bipolar(1), Bipolar(3), Ternary(), Integer(3, False), Integer(8, False), Integer(12)))


@settings(max_examples=30, deadline=None)
@given(SAMPLES, FORMATS, st.booleans(), st.integers(0, 99))
def test_codes_of_every_set_become_integers(
    sample: Sample, format: Bipolar | Ternary | Integer, per_channel: bool, seed: int
) -> None:
    """What fits signed 8 bits is kept with the set that it is from; the rest is rounded again."""
    compiled, rng = folded(sample), np.random.default_rng(seed)
    low, high = (int(end) for end in format.range)
    step = 2 if isinstance(format, Bipolar) else 1
    for slot in slots(compiled):
        exact = real_weight_of(slot.value, compiled.ctx.weights)
        codes = rng.integers(0, (high - low) // step + 1, exact.shape) * step + low
        shape = (len(exact), *[1] * (exact.ndim - 1)) if per_channel else (1,) * exact.ndim
        scales = rng.uniform(0.5, 1, shape).astype(np.float32)
        slot.op.operands[slot.index] = insert_coded(
            slot, Scaled(codes, format, scales), exact, compiled.ctx.weights, "x"
        )
    reals = {layer_name(slot.op): decoded_weight_of(slot.value, compiled.ctx.weights) for slot in slots(compiled)}
    fits = low >= -128 and high <= 127
    # signs may cancel to a result of next to nothing, which takes a large factor
    integers = quantize(compiled, weights="i8", multiplier_bits=31)
    for op in integers.network.walk():
        if isinstance(op, nn.ProductOp) and not num.is_float(op.w):
            assert isinstance(op.w.owner, nn.WeightOp)
            stored = integers.ctx.weights[op.w.owner.key.data]
            scales = scales_of(integers, op).astype(np.float64).reshape(-1, *[1] * (stored.ndim - 1))
            found = stored.astype(np.float64) * scales
            assert stored.dtype == np.int8
            first, last = num.code_range(element_type(op.w))
            assert first <= stored.min() <= stored.max() <= last
            exact = reals[op.layer_name]
            tolerance = 1e-6 if fits else 0.5 / 127
            assert np.abs(found - exact).max() <= tolerance * max(float(np.abs(exact).max()), 1e-30) * (1 + 1e-6)
            if isinstance(format, Bipolar | Ternary):
                assert num.code_bits(element_type(op.w)) == format.bits


def test_annotations_go_before_the_option() -> None:
    compiled = compilation(LAPLACE).apply(PrecisionPass("*", weights="i3"), QuantizeWeightsPass(weights="i8"))
    ((slot,), network) = slots(compiled), compiled.network
    coded = scaled_of(slot.value, compiled.ctx.weights)
    assert coded is not None
    assert coded.format == Integer(3)
    assert not any(WEIGHT_FORMAT in op.attributes for op in network.walk())


def test_better_methods_say_less_loss() -> None:
    """A non-default option changes the result, and in the right direction."""

    def ratio(**options: str) -> float:
        build = {"weights": "i3", **options}
        compiled = compilation(LAPLACE).apply(QuantizeWeightsPass(**build))  # pyright: ignore[reportArgumentType]  # one option each
        (slot,) = slots(compiled)
        assert isinstance(slot.value.owner, num.DequantizeOp)
        found = weight_op_of(slot.value.owner.q).attributes["sqnr_db"]
        assert isinstance(found, FloatAttr)
        return float(found.value.data)

    assert ratio() + 1 < ratio(method="sqnr") <= ratio(method="mse")
    assert ratio(granularity="tensor") < ratio(granularity="group") < ratio() < ratio(granularity="input_group")


def laplace() -> Sample:
    """A dense layer with Laplace weights of different ranges."""
    rng = np.random.default_rng(3)
    w = rng.laplace(size=(8, 64)) * np.exp(rng.standard_normal((8, 1)))
    network = nn.NetworkOp("n", [("image", TensorType(f32, [1, 64]))], [("y", TensorType(f32, [1, 8]))])
    weight = nn.WeightOp("f1.weight", TensorType(f32, w.shape))
    layer = nn.DenseOp(network.body.block.args[0], weight.result, layer="f1")
    network.body.block.add_ops([weight, layer, nn.ReturnOp([layer.result])])
    return Sample(network, WeightStore({"f1.weight": w.astype(np.float32)}), (1, 64))


LAPLACE = laplace()


def test_weights_that_are_not_numbers_are_refused() -> None:
    compiled = compilation(LAPLACE)
    compiled.ctx.weights.put("f1.weight", np.full((8, 64), np.nan, np.float32))
    with pytest.raises(HapirError, match="HAP0404"):
        compiled.apply(QuantizeWeightsPass())


def test_groups_divide_their_channels() -> None:
    assert [largest_divisor(10, n) for n in (1, 3, 4, 5, 12)] == [1, 2, 2, 5, 10]
