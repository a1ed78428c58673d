"""structure_prune shrinks operators exactly as masking does, in exact numbers, and refuses what does not combine."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.lowering.compress.structure.drop_branches import branch_of, removable_branches
from hapir.lowering.compress.structure.structure_prune import NOT_TOGETHER, ORDER, StructurePrunePass
from hapir.lowering.network_edits import weight_of
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import compilation, quantize
from tests.property.pruned_pairs import EXACT, INTEGRAL, cost, exactly, integral, integral_inputs, layers, pruned
from tests.property.strategies import FEATURES, Sample, networks

REFUSALS = ("HAP0512", "HAP0561", "HAP0513", "HAP0562", "HAP0564", "HAP0565", "HAP0566")
SHARES = st.sampled_from((0.0, 0.2, 0.5, 0.75, 0.9))
CRITERIA = st.sampled_from(("magnitude", "l2", "psp", "random"))
SAMPLES = networks(max_layers=8, allow=FEATURES - {"argmax"})


def amounts(draw: st.DataObject) -> dict[str, Any]:
    """A share, or a threshold of criterion psp."""
    if draw.draw(st.booleans()):
        return {"sparsity": draw.draw(SHARES)}
    return {"threshold": draw.draw(st.sampled_from((0.3, 0.9, 1.1)))}


@settings(max_examples=80, deadline=None)
@given(INTEGRAL, st.sampled_from(ORDER), CRITERIA, st.integers(0, 50), st.sampled_from((1, 2)), st.data())
def test_shrunk_equals_masked_exactly(
    sample: Sample, structure: Any, criterion: Any, seed: int, multiple_of: int, data: st.DataObject
) -> None:
    sample = integral(sample, seed)
    assume(layers(compilation(sample)))
    step = StructurePrunePass(structure, criterion=criterion, seed=seed, multiple_of=multiple_of, **amounts(data))
    small, masked = pruned(sample, step, *REFUSALS), compilation(sample).apply(replace(step, shrink=False))
    inputs = integral_inputs(sample)
    np.testing.assert_array_equal(exactly(small, inputs), exactly(masked, inputs))
    before = cost(compilation(sample))
    assert cost(small) <= before == cost(masked)
    event(f"{structure} {'shrunk' if cost(small) < before else 'same'}")


@settings(max_examples=25, deadline=None)
@given(SAMPLES, st.sampled_from(ORDER), SHARES)
def test_shrunk_equals_masked_on_floats(sample: Sample, structure: Any, sparsity: float) -> None:
    assume(layers(compilation(sample)))
    step = StructurePrunePass(structure, sparsity)
    small, masked = pruned(sample, step, *REFUSALS), compilation(sample).apply(replace(step, shrink=False))
    inputs = sample.inputs(batch=3)
    expected, found = masked.run(inputs)["y"], small.run(inputs)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * (1 + float(np.abs(expected).max())))


@settings(max_examples=20, deadline=None)
@given(
    networks(max_layers=4, max_channels=6, max_size=7, allow=EXACT - {"add"}),
    st.sampled_from(("input_channel", "output_channel", "group", "kernel_slice")),
    st.integers(0, 50),
    st.sampled_from((0.3, 0.6)),
)
def test_shrunk_equals_masked_after_quantize(sample: Sample, structure: Any, seed: int, sparsity: float) -> None:
    """Observed ranges are the same, and so is every integer of the result."""
    sample = integral(sample, seed)
    assume(layers(compilation(sample)))
    inputs = integral_inputs(sample, batch=3)
    step = StructurePrunePass(structure, sparsity)
    exactly(pruned(sample, step, *REFUSALS), inputs)
    small, masked = (
        quantize(compilation(sample, inputs).apply(replace(step, shrink=shrink))) for shrink in (True, False)
    )
    np.testing.assert_array_equal(small.run(inputs)["y"], masked.run(inputs)["y"])


@settings(max_examples=20, deadline=None)
@given(INTEGRAL, st.integers(0, 50), SHARES)
def test_columns_are_counted_exactly(sample: Sample, seed: int, sparsity: float) -> None:
    sample = integral(sample, seed)
    before = layers(compilation(sample))
    assume(before)
    after = layers(compilation(sample).apply(StructurePrunePass("column", sparsity)))
    for old, new in zip(before, after, strict=True):
        taps = math.prod(shape_of(old.w)[1:])
        assert math.prod(shape_of(new.w)[1:]) == taps - math.floor(round(sparsity * taps, 9))


@settings(max_examples=20, deadline=None)
@given(INTEGRAL, st.integers(0, 50), SHARES)
def test_gathered_taps_are_gathered_from_their_source(sample: Sample, seed: int, sparsity: float) -> None:
    sample = integral(sample, seed)
    assume(layers(compilation(sample)))
    first, then = (
        StructurePrunePass("column", 0.3, criterion="random", seed=seed),
        StructurePrunePass("column", sparsity),
    )
    inputs = integral_inputs(sample)
    small, masked = (compilation(sample).apply(first, replace(then, shrink=shrink)) for shrink in (True, False))
    np.testing.assert_array_equal(exactly(small, inputs), exactly(masked, inputs))


@settings(max_examples=25, deadline=None)
@given(INTEGRAL, st.sampled_from(ORDER), CRITERIA, st.integers(0, 50))
def test_masks_are_nested(sample: Sample, structure: Any, criterion: Any, seed: int) -> None:
    """What a lower share takes, a higher one takes too; an op keeps its shape."""
    sample = integral(sample, seed, zeros=False)
    assume(layers(compilation(sample)))
    zeros: list[list[Any]] = []
    for sparsity in (0.2, 0.5, 0.8):
        step = StructurePrunePass(structure, sparsity, criterion=criterion, seed=seed, shrink=False)
        compiled = pruned(sample, step, *REFUSALS)
        zeros.append([weight_of(op.w, compiled.ctx.weights) == 0 for op in layers(compiled)])
    for less, more in pairwise(zeros):
        assert all((b | ~a).all() for a, b in zip(less, more, strict=True))


@settings(max_examples=15, deadline=None)
@given(INTEGRAL, st.sampled_from(("kernel_position", "kernel_slice", "column", "weight")), st.integers(0, 50))
def test_masking_with_a_share_twice_is_once(sample: Sample, structure: Any, seed: int) -> None:
    sample = integral(sample, seed)
    assume(layers(compilation(sample)))
    step = StructurePrunePass(structure, 0.5, shrink=False)
    compiled = pruned(sample, step, *REFUSALS)
    once = [weight_of(op.w, compiled.ctx.weights) for op in layers(compiled)]
    twice = [weight_of(op.w, compiled.apply(step).ctx.weights) for op in layers(compiled)]
    assert all((a == b).all() for a, b in zip(once, twice, strict=True))


def test_structures_that_do_not_combine() -> None:
    for pair in NOT_TOGETHER:
        with pytest.raises(HapirError, match="HAP0561"):
            StructurePrunePass(pair, 0.5)
    with pytest.raises(HapirError, match="HAP0561"):
        StructurePrunePass(("group", "output_channel"), 0.5)
    StructurePrunePass(("kernel_slice", "output_channel"), 0.5)
    StructurePrunePass(("kernel_position", "group"), 0.5)
    StructurePrunePass(("layer", "column"), 0.5)
    wrong: tuple[dict[str, Any], ...] = ({}, {"sparsity": 0.5, "threshold": 1.0}, {"sparsity": 0.5, "groups": 2})
    for options in wrong:
        with pytest.raises(ValueError, match=r"how much|groups"):
            StructurePrunePass("column", **options)


def one_convolution(w: npt.NDArray[np.floating], groups: int = 1, window: Window | None = None) -> Sample:
    """A network of one convolution, named c1, with these weights."""
    build = NetworkBuilder(["c1"], 0)
    shape = (1, w.shape[1] * groups, 6, 6)
    image = nn.WeightOp("image", TensorType(f32, shape)).result
    y = build.conv2d(image, len(w), window or Window(w.shape[2:]), groups, bias=False)  # pyright: ignore[reportArgumentType]  # two sizes
    build.weights.put("c1.weight", w.astype(np.float32))
    return Sample(build.finish("n", image, [("y", y)]), build.weights, shape)


def the_convolution(sample: Sample, **options: Any) -> nn.ConvolutionOp:
    """What becomes of it."""
    (op,) = layers(compilation(sample).apply(StructurePrunePass(**options)))
    assert isinstance(op, nn.ConvolutionOp)
    return op


def test_operators_by_hand() -> None:
    w = np.ones((4, 4, 3, 3), dtype=np.float32)
    w[:, :, 0, :] = 0.1
    same = Window((3, 3), padding=(1, 1, 1, 1))
    sliced = the_convolution(one_convolution(w, window=same), structures="kernel_slice", sparsity=0.4)
    assert sliced.window.window == Window((2, 3), padding=(0, 1, 1, 1))
    cut = the_convolution(one_convolution(w), structures="kernel_slice", sparsity=0.4)
    assert isinstance(cut.x.owner, nn.SplitOp)
    dilated = np.ones((4, 4, 3, 3), dtype=np.float32)
    dilated[:, :, 1, :] = dilated[:, :, :, 1] = 0.1
    grid = the_convolution(one_convolution(dilated), structures="kernel_position", sparsity=0.6)
    assert grid.window.window == Window((2, 2), dilation=(2, 2))
    cross = the_convolution(one_convolution(1.1 - dilated), structures="kernel_position", sparsity=0.45)
    assert isinstance(cross.x.owner, nn.GatherTapsOp)
    assert shape_of(cross.w) == (4, 20, 1, 1)
    grouped = the_convolution(one_convolution(w), structures="group", groups=4)
    assert (grouped.filter_groups, shape_of(grouped.w)) == (4, (4, 1, 3, 3))
    assert the_convolution(one_convolution(w), structures="group", sparsity=0.5).filter_groups == 2
    blocks = np.kron(np.eye(2), np.ones((2, 2)))[:, :, None, None] + 0.01
    assert the_convolution(one_convolution(blocks), structures="group", threshold=0.1).filter_groups == 2
    columns = the_convolution(one_convolution(w, window=same), structures="column", sparsity=0.5, multiple_of=8)
    assert shape_of(columns.w) == (4, 24, 1, 1)
    again = compilation(one_convolution(w)).apply(*[StructurePrunePass("column", 0.5)] * 2)
    assert shape_of(layers(again)[0].w) == (4, 9, 1, 1)
    gather = layers(again)[0].x.owner
    assert isinstance(gather, nn.GatherTapsOp)
    assert gather.x is again.network.body.block.args[0]


def test_what_a_layer_has_not_got() -> None:
    point, square = one_convolution(np.ones((3, 4, 1, 1))), one_convolution(np.ones((4, 4, 3, 3)))
    for sample, options, code in (
        (point, {"structures": "kernel_slice", "sparsity": 0.5}, "HAP0566"),
        (point, {"structures": "kernel_position", "sparsity": 0.5, "layers": "c1"}, "HAP0566"),
        (point, {"structures": "group", "groups": 2, "layers": "c1"}, "HAP0564"),
        (point, {"structures": "layer", "sparsity": 0.5}, "HAP0565"),
        (square, {"structures": "output_channel", "sparsity": 0.5}, "HAP0512"),
    ):
        with pytest.raises(HapirError, match=code):
            compilation(sample).apply(StructurePrunePass(**options))  # pyright: ignore[reportArgumentType]  # one dict of options of several types
    for after in ("group", "kernel_slice", "kernel_position"):
        with pytest.raises(HapirError, match="HAP0561"):
            compilation(square).apply(StructurePrunePass("column", 0.5), StructurePrunePass(after, 0.5))


def residual_and_dense() -> Sample:
    """Two residual branches, then two concats as in a dense block."""
    build = NetworkBuilder([], 3)
    image = nn.WeightOp("image", TensorType(f32, (1, 2, 5, 5))).result
    same = Window((3, 3), padding=(1, 1, 1, 1))
    x = build.conv2d(image, 4, same)
    for _ in range(2):
        inner = build.append(nn.ReluOp(build.conv2d(x, 4, same), layer=build.name("relu")))
        x = build.append(nn.AddOp(inner, x, layer=build.name("add")))
    for _ in range(2):
        grown = build.batch_norm(build.conv2d(x, 3, same))
        x = build.append(nn.ConcatOp([x, grown], layer=build.name("concat")))
    y = build.conv2d(x, 2, Window((1, 1)))
    return Sample(build.finish("n", image, [("y", y)]), build.weights, (1, 2, 5, 5))


@pytest.mark.parametrize(("sparsity", "left"), [(0.0, 6), (0.25, 5), (0.5, 4), (0.75, 3)])
def test_branches_leave_in_exact_numbers(sparsity: float, left: int) -> None:
    sample = residual_and_dense()
    step = StructurePrunePass("layer", sparsity)
    small, masked = compilation(sample).apply(step), compilation(sample).apply(replace(step, shrink=False))
    assert len(layers(small)) == left
    inputs = sample.inputs(batch=2)
    np.testing.assert_allclose(small.run(inputs)["y"], masked.run(inputs)["y"], rtol=1e-4, atol=1e-5)
    everything = compilation(sample).apply(StructurePrunePass("layer", threshold=1e9))
    assert len(layers(everything)) == 2


SAME = Window((3, 3), padding=(1, 1, 1, 1))


def two_branches(join: type[nn.AddOp] | type[nn.ConcatOp]) -> Sample:
    """c1, relu and c2 beside c3, both of the input, joined for c4."""
    build = NetworkBuilder(["c4", "c3", "c2", "c1"], 3)
    image = nn.WeightOp("image", TensorType(f32, (1, 2, 5, 5))).result
    inner = build.append(nn.ReluOp(build.conv2d(image, 3, SAME), layer="r1"))
    left, right = build.conv2d(inner, 2, SAME), build.conv2d(image, 2, SAME)
    joined = nn.AddOp(left, right, layer="j1") if join is nn.AddOp else nn.ConcatOp([left, right], layer="j1")
    y = build.conv2d(build.append(joined), 2, Window((1, 1)))
    return Sample(build.finish("n", image, [("y", y)]), build.weights, (1, 2, 5, 5))


@pytest.mark.parametrize("join", [nn.AddOp, nn.ConcatOp])
@pytest.mark.parametrize(("worth", "first"), [((5, 1, 3), "c2"), ((1, 5, 3), "c2"), ((5, 4, 3), "c3")])
def test_a_branch_is_worth_its_least_layer_and_one_stays(
    join: type[nn.AddOp] | type[nn.ConcatOp], worth: tuple[float, ...], first: str
) -> None:
    compiled = compilation(two_branches(join))
    given = dict(zip(layers(compiled), worth, strict=False))  # c4 ends in no join
    ((exit, value),) = removable_branches(compiled.network, given)
    assert (exit.layer_name, value) == (first, min(worth))


def test_what_a_branch_may_go_through() -> None:
    """All that gives 0 of 0."""
    build = NetworkBuilder([], 3)
    image = nn.WeightOp("image", TensorType(f32, (1, 2, 5, 5))).result
    pads, window = ([0, 0, 1, 1], [0, 0, 1, 1]), Window((3, 3))
    ends = [
        nn.PadOp(build.conv2d(image, 2, window), *pads, layer="p1"),
        nn.PadOp(build.conv2d(image, 2, window), *pads, mode=nn.PadMode.edge, layer="p2"),
        nn.ClipOp(build.conv2d(image, 2, SAME), low=-1.0, high=1.0, layer="a1"),
        nn.TanhOp(build.conv2d(image, 2, SAME), layer="a2"),
        nn.PadOp(build.conv2d(image, 2, window), *pads, value=0.5, layer="p3"),
        nn.ClipOp(build.conv2d(image, 2, SAME), low=0.25, high=1.0, layer="a3"),
        nn.SigmoidOp(build.conv2d(image, 2, SAME), layer="a4"),
    ]
    x = image
    for number, end in enumerate(ends):
        x = build.append(nn.AddOp(build.append(end), x, layer=f"j{number}"))
    network = build.finish("n", image, [("y", x)])
    found = [branch_of(op) is not None for op in network.body.block.ops if isinstance(op, nn.ProductOp)]
    assert found == [True] * 4 + [False] * 3


@pytest.mark.parametrize("structure", ["column", "kernel_position", "kernel_slice", "layer"])
def test_thresholds_of_psp_need_no_units(structure: Any) -> None:
    sample = residual_and_dense()
    wide = replace(sample, weights=sample.weights.copy())
    for key in sample.weights:
        if key.startswith("conv"):
            wide.weights.put(key, np.float32(8) * sample.weights[key].astype(np.float32))
    step = StructurePrunePass(structure, threshold=0.95, criterion="psp")
    left = [[shape_of(op.w) for op in layers(compilation(drawn).apply(step))] for drawn in (sample, wide)]
    assert left[0] == left[1] != [shape_of(op.w) for op in layers(compilation(sample))]
