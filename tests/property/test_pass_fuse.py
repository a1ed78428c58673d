"""fuse and the cut are exact bit for bit; text IR of what they make reads back as it was written."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr, TensorType, UnknownLoc, f32
from xdsl.parser import Parser

from hapir.dialects import dataflow, nn, num
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import element_type
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.fuse import MAIN, FusePass
from hapir.lowering.compress.prune import PrunePass
from hapir.lowering.cut_integer_body import cut
from hapir.lowering.infer_nn_shapes import InferNnShapesPass
from hapir.lowering.network_edits import layer_name
from hapir.reference.interpret import run_network
from hapir.registry import make_context
from hapir.targets.c.build import build_c
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore
from tests.property.pipelines import Compilation, compilation, fused, quantize, quantized
from tests.property.strategies import FLOAT_ENDS, NASTY_NAMES, Sample, networks

SAMPLES = networks(max_layers=7)
WITH_INTEGER_BODY = networks(max_layers=7, allow=FLOAT_ENDS)


def assert_equal(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.sampled_from(("u8", "i8")))
def test_fusing_integers_is_exact(sample: Sample, activations: str) -> None:
    inputs = sample.inputs(batch=6)
    compiled = quantized(sample, inputs, activations=activations)
    # twice the calibrated range: the clamps are reached on both sides
    wide = {name: 2 * array for name, array in inputs.items()}
    expected = compiled.run(wide)
    assert_equal(compiled.apply(FusePass()).run(wide), expected)


@settings(max_examples=60, deadline=None)
@given(SAMPLES)
def test_fusing_floats_is_exact(sample: Sample) -> None:
    inputs = sample.inputs(batch=2)
    compiled = compilation(sample)
    expected = compiled.run(inputs)
    assert_equal(compiled.apply(FusePass()).run(inputs), expected)


@settings(max_examples=60, deadline=None)
@given(SAMPLES)
def test_layers_hold_their_ops(sample: Sample) -> None:
    """Main ops live in layers, one each; no ReLU stays behind a requantization that only it reads."""
    compiled = fused(sample, sample.inputs(batch=4))
    names: list[str] = []
    for op in compiled.network.body.block.ops:
        assert not isinstance(op, MAIN)
        if isinstance(op, dataflow.LayerOp):
            names.append(op.layer_name)
            mains = [inner for inner in op.body.block.ops if isinstance(inner, MAIN)]
            assert [layer_name(inner) for inner in mains] == [op.layer_name]
        if isinstance(op, nn.ReluOp | nn.ClipOp):
            assert not isinstance(op.x.owner, num.RequantizeOp)
    assert len(names) == len(set(names))


@settings(max_examples=60, deadline=None)
@given(WITH_INTEGER_BODY)
def test_parts_of_the_cut_are_the_whole(sample: Sample) -> None:
    inputs = sample.inputs(batch=4)
    compiled = fused(sample, inputs)
    parts = cut(compiled.network)

    def run(part: NetworkOp, values: Mapping[str, Array]) -> dict[str, Array]:
        part.verify()
        return run_network(part, compiled.ctx.weights, values)

    assert_equal(parts.run(inputs, run), compiled.run(inputs))
    for value in (*parts.body.body.block.args, *parts.body.return_op.values):
        assert num.storage_of(element_type(value)) is not None


@settings(max_examples=40, deadline=None)
@given(networks(max_layers=7, names=[name for name in NASTY_NAMES if name.isascii()]))
def test_text_reads_back_after_quantize_and_fuse(sample: Sample) -> None:
    """xDSL 0.74 writes other than ASCII strings as bytes that it does not read as strings: those names are left out."""
    compiled = quantized(sample, sample.inputs(batch=4))
    for step in ((), (FusePass(),)):
        compiled.apply(*step)
        text = str(compiled.module)
        parsed = Parser(make_context(), text).parse_module()
        parsed.verify()
        assert parsed.is_structurally_equivalent(compiled.module)
        assert str(parsed) == text


def assert_all_located(compiled: Compilation, *networks: NetworkOp) -> None:
    for network in (compiled.network, *networks):
        for op in network.walk():
            assert not isinstance(op.location, UnknownLoc), op.name


@settings(max_examples=40, deadline=None)
@given(WITH_INTEGER_BODY)
def test_every_op_keeps_a_location(sample: Sample) -> None:
    compiled = compilation(sample, sample.inputs(batch=4))
    compiled.apply(FoldBatchNormPass())
    assert_all_located(compiled)
    if any(isinstance(op, nn.ProductOp) for op in compiled.network.walk()):
        assert_all_located(compiled.apply(PrunePass(0.5, grain="weight")))
    assert_all_located(quantize(compiled))
    assert_all_located(compiled.apply(FusePass()), *cut(compiled.network).parts)


@settings(max_examples=40, deadline=None)
@given(SAMPLES)
def test_inferring_types_changes_nothing_that_is_right(sample: Sample) -> None:
    compiled = fused(sample, sample.inputs(batch=4))
    before = str(compiled.module)
    assert str(compiled.apply(InferNnShapesPass()).module) == before


def test_a_number_goes_with_the_layer_that_reads_it() -> None:
    """A layer on `x + 0.5` takes x alone: the targets know numbers where they stand."""
    network = nn.NetworkOp("n", [("x", TensorType(f32, [2, 3]))], [])
    half = nn.FillOp(0.5, f32)
    total = nn.AddOp(network.body.block.args[0], half.result, layer="sum")
    network.body.block.add_ops([half, total, nn.ReturnOp([total.result])])
    network.result_names = ArrayAttr([StringAttr("y")])
    network.set_result_types()
    module = ModuleOp([network])
    FusePass().apply(make_context(), module)
    module.verify()
    (layer,) = (op for op in network.walk() if isinstance(op, dataflow.LayerOp))
    assert len(layer.inputs) == 1
    assert sum(isinstance(op, nn.FillOp) for op in network.walk()) == 1
    x = np.ones((2, 3), np.float32)
    expected = run_network(network, {}, {"x": x})
    np.testing.assert_array_equal(expected["y"], x + np.float32(0.5))
    assert_equal(build_c(emit_c(network, WeightStore())).run({"x": x}), expected)
