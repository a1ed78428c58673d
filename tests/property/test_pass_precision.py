"""precision: the network is untouched, quantize gives what is asked for, and all results keep their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, FloatAttr, StringAttr, TensorType, f32, f64
from xdsl.dialects.test import TestOp as AnyOp  # pytest collects what is called Test...

from hapir.diagnostics import HapirError
from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, element_type, storage_of, unsigned
from hapir.lowering.compress.annotations import ANNOTATIONS, asked_of, asked_weight_width, storage_named
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.fuse import FusePass
from hapir.lowering.compress.weights.precision import PrecisionPass
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import Compilation, compilation, quantize
from tests.property.strategies import INTEGER_BODY, Sample, networks
from tests.property.test_pass_quantize import Values, assert_within_half_a_step

SAMPLES = networks(allow=INTEGER_BODY)
WEIGHTS = ("i2", "i3", "i4", "i6", "i8")
ACTIVATIONS = ("u1", "u2", "u4", "u8", "i2", "i5", "i8")


def asked(sample: Sample, seed: int) -> tuple[Compilation, dict[str, tuple[str, str]]]:
    """A folded sample, each layer with weights annotated at random; the annotations by layer name."""
    compiled = compilation(sample, sample.inputs(batch=8)).apply(FoldBatchNormPass(standalone="convolution"))
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[str, str]] = {}
    for op in compiled.network.body.block.ops:
        if isinstance(op, nn.ProductOp):
            assert op.layer_name is not None
            weights, activations = str(rng.choice(WEIGHTS)), str(rng.choice(ACTIVATIONS))
            compiled.apply(PrecisionPass(op.layer_name, weights, activations))  # pyright: ignore[reportArgumentType]  # drawn
            found[op.layer_name] = weights, activations
    return compiled, found


@settings(max_examples=40, deadline=None)
@given(SAMPLES, st.integers(0, 999))
def test_quantize_gives_what_is_asked_for(sample: Sample, seed: int) -> None:
    compiled, wanted = asked(sample, seed)
    inputs = sample.inputs(batch=8)
    integers = quantize(compiled)
    values = Values(integers).run(inputs)
    for op in integers.network.walk():
        assert not set(ANNOTATIONS) & set(op.attributes)
        if isinstance(op, num.RequantizeOp) and isinstance(op.acc.owner, nn.ProductOp):
            name = op.acc.owner.layer_name
            assert name is not None
            assert storage_of(element_type(op.acc.owner.w)) == storage_named(wanted[name][0])
            assert storage_of(element_type(op.result)) == storage_named(wanted[name][1])
            assert_within_half_a_step(values, op, values.exact(op.acc.owner))


@settings(max_examples=20, deadline=None)
@given(SAMPLES, st.integers(0, 99))
def test_the_float_network_is_untouched(sample: Sample, seed: int) -> None:
    plain = compilation(sample).apply(FoldBatchNormPass(standalone="convolution"))
    compiled, _ = asked(sample, seed)
    inputs = sample.inputs(batch=2)
    np.testing.assert_array_equal(compiled.run(inputs)["y"], plain.run(inputs)["y"])
    again, _ = asked(sample, seed)
    assert str(again.module) == str(compiled.module)


@settings(max_examples=20, deadline=None)
@given(SAMPLES, st.floats(0.25, 8), st.sampled_from(("u3", "i4", "u8")))
def test_a_fixed_range_is_the_range(sample: Sample, high: float, format: str) -> None:
    low = -high / 2 if format[0] == "i" else 0.0
    compiled = compilation(sample, sample.inputs(batch=8)).apply(FoldBatchNormPass(standalone="convolution"))
    layers = [op.layer_name for op in compiled.network.body.block.ops if isinstance(op, nn.ProductOp)]
    if not layers:
        return
    compiled.apply(PrecisionPass("*", activations=format, low=low, high=high))  # pyright: ignore[reportArgumentType]  # drawn
    storage = storage_named(format)
    steps = 2**storage.width.data - 1
    for op in quantize(compiled).apply(FusePass()).network.walk():
        if isinstance(op, num.RequantizeOp):
            element = element_type(op.result)
            assert isinstance(element, AffineType)
            assert element.storage == storage
            assert element.scale.data == float(np.float32((high - low) / steps))


def test_a_pattern_leaves_the_relu_to_its_layer() -> None:
    """So that a layer may be asked for something else afterwards; named, the relu is meant itself."""
    build = NetworkBuilder(["c2", "c1"], 1)
    image = nn.WeightOp("image", TensorType(f32, (1, 2, 4, 4))).result
    relu = build.append(nn.ReluOp(build.conv2d(image, 2, Window((1, 1))), layer="r1"))
    y = build.conv2d(relu, 2, Window((1, 1)))
    sample = Sample(build.finish("sample", image, [("y", y)]), build.weights, (1, 2, 4, 4))
    compiled = compilation(sample, sample.inputs(batch=4)).apply(PrecisionPass("*", activations="u8"))
    first = quantize(compiled.apply(PrecisionPass("c1", activations="u3"))).network
    assert [storage_of(element_type(op.result)) for op in first.walk() if isinstance(op, nn.ReluOp)] == [unsigned(3)]
    named = compilation(sample, sample.inputs(batch=4)).apply(PrecisionPass("r1", activations="u2"))
    relus = [op for op in quantize(named).network.walk() if isinstance(op, nn.ReluOp)]
    assert [storage_of(element_type(op.result)) for op in relus] == [unsigned(2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "says nothing"),
        ({"high": 3.0, "sigmas": 3.0}, "not both"),
        ({"weights": "i4", "low": -1.0}, "two ends"),
        ({"high": -1.0}, "above 0"),
        ({"low": 1.0, "high": 2.0}, "at most 0"),
    ],
)
def test_contradictions_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrecisionPass("*", **options)  # pyright: ignore[reportArgumentType]  # some options each


def test_annotations_must_mean_something() -> None:
    op = AnyOp()
    for name, wrong in (
        ("activation_format", StringAttr("u99")),
        ("activation_range", ArrayAttr([FloatAttr(1.0, f64)])),
        ("activation_range", ArrayAttr([FloatAttr(1.0, f64), FloatAttr(2.0, f64)])),
        ("activation_range", StringAttr("wide")),
    ):
        op.attributes = {name: wrong}
        with pytest.raises(HapirError, match="HAP0526"):
            asked_of(op)
    op.attributes = {"weight_format": StringAttr("u4")}
    with pytest.raises(HapirError, match="HAP0526"):
        asked_weight_width(op)
