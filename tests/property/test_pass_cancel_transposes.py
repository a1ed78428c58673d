"""cancel_transposes is exact, and gives networks with channels last the form that they have with channels first."""

from __future__ import annotations

from itertools import product
from random import Random

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType, f32
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.lowering.canonical.cancel_transposes import CancelTransposesPass
from hapir.lowering.canonical.simplify_shapes import SimplifyShapesPass, moves_nothing
from hapir.weights import WeightStore
from tests.property.layouts import LAST, channels_last
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import FEATURES, Sample, networks

SAMPLES = networks(allow=FEATURES - {"argmax"})
UNTURNED = networks(allow=FEATURES - {"argmax", "transpose", "reshape", "matmul", "recurrent", "sequence"})
"""Networks without transposes of their own."""


def forms(compiled: Compilation) -> list[str]:
    """All layers of a network as text, without names of layers and parameters."""
    found: list[str] = []
    for op in compiled.network.body.block.ops:
        if isinstance(op, nn.LayerOp):
            said = {name: str(value) for name, value in op.properties.items() if name != "layer"}
            found.append(f"{op.name} {said} {[str(v.type) for v in op.results]}")
    return found


def assert_equal(sample: Sample, other: Compilation, tolerance: float = 1e-5) -> None:
    inputs = sample.inputs(batch=sample.input_shape[0])
    before, after = compilation(sample).run(inputs), other.run(inputs)
    for name, array in before.items():
        limit = tolerance * (1 + float(np.abs(array).max(initial=0)))
        assert np.abs(after[name] - array).max(initial=0) <= limit


def is_ambiguous(op: Operation) -> bool:
    """Whether an op takes or gives a map that is the same with channels first and last, other than a pooled one."""
    maps = [v for v in (*op.operands, *op.results) if not isinstance(v.owner, nn.WeightOp) and len(shape_of(v)) == 4]
    return any(shape_of(v)[2:] != (1, 1) and moves_nothing(shape_of(v), LAST) for v in maps)


@settings(max_examples=40, deadline=None)
@given(UNTURNED)
def test_channels_last_and_first_are_one(sample: Sample) -> None:
    assume(not any(map(is_ambiguous, sample.network.body.block.ops)))
    turned = channels_last(sample)
    compiled = compilation(turned).apply(CancelTransposesPass(), SimplifyShapesPass())
    assert_equal(turned, compiled, 1e-4)  # the order of sums in dense layers is another
    plain = compilation(sample).apply(CancelTransposesPass(), SimplifyShapesPass())
    assert_equal(sample, plain)
    assert sorted(forms(compiled)) == sorted(forms(plain))


@settings(max_examples=40, deadline=None)
@given(SAMPLES, st.randoms(use_true_random=False))
def test_transposes_anywhere(sample: Sample, random: Random) -> None:
    """Pairs of transposes that undo each other go wherever they stand."""
    compiled = compilation(sample)
    count = turns(compiled)
    compiled.apply(CancelTransposesPass(), SimplifyShapesPass())
    assert turns(compiled) <= count
    count = len(forms(compiled))
    network = compiled.network
    for op in list(network.body.block.ops):
        value = op.results[0] if isinstance(op, nn.LayerOp) else None
        if value is None or random.random() < 0.5:
            continue
        rank = len(shape_of(value))
        axes = list(range(rank))
        random.shuffle(axes)
        there = nn.TransposeOp(value, axes)
        back = nn.TransposeOp(there.result, [axes.index(i) for i in range(rank)])
        network.body.block.insert_ops_after([there, back], op)
        value.replace_uses_with_if(back.result, lambda use, there=there: use.operation is not there)
    network.verify()
    compiled.apply(CancelTransposesPass(), SimplifyShapesPass())
    assert len(forms(compiled)) <= count
    assert_equal(sample, compiled)


def turns(compiled: Compilation) -> int:
    """How many transposes a network has."""
    return sum(isinstance(op, nn.TransposeOp) for op in compiled.network.body.block.ops)


def one_region(shape: tuple[int, ...], axes: tuple[int, ...], after: tuple[int, ...], results: int) -> Sample:
    """A transpose, an op, and behind it a transpose again; the op's value is a result as well, or is reduced twice."""
    network = nn.NetworkOp("sample", [("image", TensorType(f32, shape))], [])
    x = network.body.block.args[0]
    turned = nn.TransposeOp(x, axes, layer="turned")
    act = nn.SigmoidOp(turned.result, layer="act")
    back = nn.TransposeOp(act.result, after, layer="back")
    rest = [nn.ReduceOp("max", act.result, [i], layer=f"max{i}") for i in (1, 2)] if results > 2 else []
    values = [back.result, act.result, *(op.result for op in rest)]
    network.body.block.add_ops([turned, act, back, *rest, nn.ReturnOp(values)])
    network.result_names = ArrayAttr([StringAttr(f"y{i}") for i in range(len(values))])
    network.set_result_types()
    return Sample(network, WeightStore(), shape)


def test_regions_are_not_turned_for_ever() -> None:
    """What a region's border costs is counted in one way before and after, where axes of size 1 alone move too."""
    orders = [(0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1), (0, 2, 1, 3), (3, 2, 1, 0)]
    for shape in ((1, 1, 1, 1), (1, 4, 1, 1), (2, 1, 3, 1), (2, 3, 4, 5)):
        for axes, after, results in product(orders, orders, (2, 4)):
            sample = one_region(shape, axes, after, results)
            compiled = compilation(sample)
            count = turns(compiled)
            compiled.apply(CancelTransposesPass(), SimplifyShapesPass())
            assert turns(compiled) <= count
            assert_equal(sample, compiled)


def test_a_transpose_inside_a_region() -> None:
    """From an op of the region to another: it turns at both ends."""
    orders = [(0, 1, 3, 2), (3, 2, 1, 0), (0, 2, 3, 1), (1, 0, 2, 3)]
    for shape, axes, after in product(((3, 3, 3, 3), (1, 3, 1, 3)), orders, orders):
        network = nn.NetworkOp("sample", [("image", TensorType(f32, shape))], [])
        first = nn.SigmoidOp(network.body.block.args[0], layer="first")
        turned = nn.TransposeOp(first.result, axes, layer="turned")
        joined = nn.PointwiseOp("maximum", [first.result, turned.result], layer="joined") if shape[0] == 3 else turned
        last = nn.TransposeOp(joined.result, after, layer="last")
        beside = nn.TransposeOp(first.result, after, layer="beside")
        values = [last.result, beside.result, first.result]
        ops = [first, turned, joined] if joined is not turned else [first, turned]
        network.body.block.add_ops([*ops, last, beside, nn.ReturnOp(values)])
        network.result_names = ArrayAttr([StringAttr(name) for name in "abc"])
        network.set_result_types()
        sample = Sample(network, WeightStore(), shape)
        assert_equal(sample, compilation(sample).apply(CancelTransposesPass(), SimplifyShapesPass()))
