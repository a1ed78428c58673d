"""prune sets exactly the stated number to zero, and removing channels is masking them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn import ProductOp
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.lowering.compress.channel_groups import channel_groups
from hapir.lowering.compress.prune import PrunePass
from hapir.lowering.compress.weight_slots import WeightSlot, slots_of
from hapir.lowering.network_edits import weight_of
from hapir.quantizers.n_ary import NAry, n_ary
from hapir.weights import Array
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import FEATURES, Sample, networks

SAMPLES = networks(max_layers=8, allow=FEATURES - {"argmax"})
CHAINS = networks(max_layers=4, max_channels=8, allow={"conv2d", "padding", "relu", "batch_norm", "max_pool"})
SPARSITIES = st.sampled_from((0.0, 0.1, 0.25, 0.5, 0.75, 0.9))


def layers(compiled: Compilation) -> list[ProductOp]:
    return [op for op in compiled.network.body.block.ops if isinstance(op, ProductOp)]


def slots(compiled: Compilation) -> list[WeightSlot]:
    """Every weight of every layer, those of recurrent layers too."""
    return [slot for op in compiled.network.body.block.ops for slot in slots_of(op)]


def zero_groups(compiled: Compilation, *, kernels: bool) -> list[tuple[int, int]]:
    """Per layer, the number of zero weights (or kernels), and of all."""
    found: list[tuple[int, int]] = []
    for slot in slots(compiled):
        w = weight_of(slot.value, compiled.ctx.weights)
        if kernels:
            w = np.abs(w).reshape(w.shape[0] * w.shape[1], -1).sum(axis=1)
        found.append((int((w == 0).sum()), w.size))
    return found


@settings(max_examples=50, deadline=None)
@given(SAMPLES, SPARSITIES, st.sampled_from(("weight", "kernel")))
def test_zeros_per_layer_are_exact(sample: Sample, sparsity: float, grain: Literal["weight", "kernel"]) -> None:
    compiled = compilation(sample)
    if slots(compiled):
        compiled.apply(PrunePass(sparsity, grain=grain))
        for zeros, size in zero_groups(compiled, kernels=grain == "kernel"):
            assert zeros == math.floor(round(sparsity * size, 9))


@settings(max_examples=30, deadline=None)
@given(SAMPLES, SPARSITIES, st.sampled_from(("weight", "kernel")))
def test_zeros_over_all_layers_are_exact(sample: Sample, sparsity: float, grain: Literal["weight", "kernel"]) -> None:
    compiled = compilation(sample)
    if slots(compiled):
        compiled.apply(PrunePass(sparsity, grain=grain, scope="global"))
        found = zero_groups(compiled, kernels=grain == "kernel")
        assert sum(zeros for zeros, _ in found) == math.floor(round(sparsity * sum(size for _, size in found), 9))


@settings(max_examples=80, deadline=None)
@given(SAMPLES, SPARSITIES, st.sampled_from(("filter", "channel")), st.sampled_from(("layer", "global")))
def test_shrunk_equals_masked(
    sample: Sample, sparsity: float, grain: Literal["filter", "channel"], scope: Literal["layer", "global"]
) -> None:
    masked, shrunk = compilation(sample), compilation(sample)
    if not layers(masked):
        return
    try:
        masked.apply(PrunePass(sparsity, grain=grain, scope=scope, shrink=False))
    except HapirError as error:
        event(error.diagnostics[0].code)
        if error.diagnostics[0].code in ("HAP0512", "HAP0513"):  # no channel may leave
            return
        raise
    shrunk.apply(PrunePass(sparsity, grain=grain, scope=scope))
    inputs = sample.inputs(batch=3)
    expected, found = masked.run(inputs)["y"], shrunk.run(inputs)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * (1 + float(np.abs(expected).max())))
    event("shrunk" if shrunk.ctx.weights.keys() != sample.weights.keys() else "nothing removed")


@settings(max_examples=50, deadline=None)
@given(CHAINS, SPARSITIES)
def test_filters_removed_from_a_chain_are_exact(sample: Sample, sparsity: float) -> None:
    """In a chain nothing is coupled: each convolution but the last one loses its exact share."""
    before, compiled = compilation(sample), compilation(sample)
    groups = channel_groups(before.network)
    expected = [len(groups.free(op.result)) for op in layers(before)]
    if any(expected):
        compiled.apply(PrunePass(sparsity, grain="filter"))
        for free, old, new in zip(expected, layers(before), layers(compiled), strict=True):
            lost = shape_of(old.w)[0] - shape_of(new.w)[0]
            assert lost == math.floor(round(sparsity * free, 9))


def weights_of(compiled: Compilation) -> list[Array]:
    """Every layer's weights, in order."""
    return [weight_of(slot.value, compiled.ctx.weights) for slot in slots(compiled)]


GRAINS = st.sampled_from(("weight", "kernel", "block"))
CRITERIA = st.sampled_from(("magnitude", "l2", "random"))


@settings(max_examples=40, deadline=None)
@given(SAMPLES, GRAINS, CRITERIA, st.sampled_from(("layer", "global")), st.integers(0, 3))
def test_masks_are_nested_and_once_is_enough(sample: Sample, grain: Any, criterion: Any, scope: Any, seed: int) -> None:
    if not slots(compilation(sample)):
        return
    gone: list[list[np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]] = []
    for sparsity in (0.1, 0.4, 0.8):
        step = PrunePass(sparsity, grain=grain, criterion=criterion, scope=scope, seed=seed, block=(2, 3))
        compiled = compilation(sample).apply(step)
        once = weights_of(compiled)
        gone.append([w == 0 for w in once])
        twice = weights_of(compiled.apply(step))
        assert all((a == b).all() for a, b in zip(once, twice, strict=True))
    for less, more in pairwise(gone):
        assert all((b | ~a).all() for a, b in zip(less, more, strict=True))


@settings(max_examples=40, deadline=None)
@given(SAMPLES, st.integers(1, 4), st.integers(0, 3))
def test_n_of_m_channels_stay(sample: Sample, n: int, more: int) -> None:
    if not slots(compilation(sample)):
        return
    compiled = compilation(sample).apply(PrunePass(grain="n_of_m", n=n, m=n + more))
    for slot in slots(compiled):
        w = weight_of(slot.value, compiled.ctx.weights)
        w = w.swapaxes(0, 1) if isinstance(slot.op, nn.TransposedConv2dOp) else w  # filters first
        filled = np.pad(w.reshape(*w.shape[:2], -1), ((0, 0), (0, -w.shape[1] % (n + more)), (0, 0)))
        left = (filled.reshape(len(w), -1, n + more, filled.shape[2]) != 0).sum(axis=2)
        assert left.max(initial=0) <= n


@settings(max_examples=30, deadline=None)
@given(SAMPLES, st.floats(0.25, 3))
def test_the_zero_band_is_between_its_thresholds(sample: Sample, threshold: float) -> None:
    if not slots(compilation(sample)):
        return
    before, after = compilation(sample), compilation(sample).apply(PrunePass(threshold=threshold))
    for old, new in zip(weights_of(before), weights_of(after), strict=True):
        exact = old.astype(np.float64)
        assert ((new == 0) == (n_ary(exact, NAry(t=threshold)).reals() == 0)).all()
        upper = threshold * exact[exact > 0].mean() if (exact > 0).any() else 0
        left = new.astype(np.float64)
        assert not ((left > 0) & (left < upper * (1 - 1e-6))).any()
        assert (new[new != 0] == old[new != 0]).all()


def test_the_criterion_changes_what_goes() -> None:
    """Kernels of one large weight and of many small ones: the l1 and l2 norms order them the other way round."""
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, 2, 4, 4))).result
    y = build.conv2d(image, 1, Window((2, 2)), bias=False)
    build.weights.put("conv0.weight", np.array([[[[3, 0], [0, 0]], [[1, 1], [1, 1]]]], dtype=np.float32))
    sample = Sample(build.finish("n", image, [("y", y)]), build.weights, (1, 2, 4, 4))
    cases: tuple[tuple[Literal["magnitude", "l2"], int], ...] = (("magnitude", 0), ("l2", 1))
    for criterion, first in cases:
        (w,) = weights_of(compilation(sample).apply(PrunePass(0.5, grain="kernel", criterion=criterion)))
        assert not w[0, first].any()
        assert w[0, 1 - first].any()


def test_the_filters_of_a_transposed_convolution_lie_along_its_second_axis() -> None:
    """2 of 3 input channels stay for each filter."""
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, 3, 2, 2))).result
    w = build.weight("t1.weight", np.array([[1, 6], [2, 5], [3, 4]]).reshape(3, 2, 1, 1))
    y = build.append(nn.TransposedConv2dOp(image, w, window=Window((1, 1)), layer="t1"))
    sample = Sample(build.finish("n", image, [("y", y)]), build.weights, (1, 3, 2, 2))
    (left,) = weights_of(compilation(sample).apply(PrunePass(grain="n_of_m", n=2, m=3)))
    assert left.reshape(3, 2).tolist() == [[0, 6], [2, 5], [3, 0]]


def test_no_layer_is_emptied() -> None:
    """Of 2 + 2 filters at most 2 can go, and 1 of each layer stays."""
    build = NetworkBuilder(["c3", "c2", "c1"], 5)
    image = nn.WeightOp("image", TensorType(f32, (1, 1, 4, 4))).result
    x = image
    for _ in range(3):
        x = build.conv2d(x, 2, Window((1, 1)))
    sample = Sample(build.finish("n", image, [("y", x)]), build.weights, (1, 1, 4, 4))
    kept = [
        shape_of(op.w)[0] for op in layers(compilation(sample).apply(PrunePass(0.5, grain="filter", scope="global")))
    ]
    assert kept == [1, 1, 2]
    with pytest.raises(HapirError, match="HAP0513"):
        compilation(sample).apply(PrunePass(0.75, grain="filter", scope="global"))


def test_options_that_do_not_go_together() -> None:
    for options in (
        {},
        {"sparsity": 0.5, "threshold": 1.0},
        {"threshold": 1.0, "grain": "filter"},
        {"sparsity": 0.5, "grain": "n_of_m"},
        {"grain": "n_of_m", "n": 5, "m": 4},
        {"sparsity": 0.5, "block": (0, 1)},
    ):
        with pytest.raises(ValueError, match=r"sparsity|threshold|n_of_m|at most m|block"):
            PrunePass(**options)  # pyright: ignore[reportArgumentType]  # one dict of options of several types
