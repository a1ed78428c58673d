"""prune sets exactly the stated number to zero, and removing channels is masking them."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from hapir.diagnostics import HapirError
from hapir.dialects.nn import ProductOp
from hapir.dialects.num import shape_of
from hapir.lowering.compress.channel_groups import channel_groups
from hapir.lowering.compress.prune import PrunePass
from hapir.lowering.network_edits import weight_of
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import FEATURES, Sample, networks

SAMPLES = networks(max_layers=8, allow=FEATURES - {"argmax"})
CHAINS = networks(max_layers=4, max_channels=8, allow={"conv2d", "padding", "relu", "batch_norm", "max_pool"})
SPARSITIES = st.sampled_from((0.0, 0.1, 0.25, 0.5, 0.75, 0.9))


def layers(compiled: Compilation) -> list[ProductOp]:
    return [op for op in compiled.network.body.block.ops if isinstance(op, ProductOp)]


def zero_groups(compiled: Compilation, *, kernels: bool) -> list[tuple[int, int]]:
    """Per layer, the number of zero weights (or kernels), and of all."""
    found: list[tuple[int, int]] = []
    for op in layers(compiled):
        w = weight_of(op.w, compiled.ctx.weights)
        if kernels:
            w = np.abs(w).reshape(w.shape[0] * w.shape[1], -1).sum(axis=1)
        found.append((int((w == 0).sum()), w.size))
    return found


@settings(max_examples=50, deadline=None)
@given(SAMPLES, SPARSITIES, st.sampled_from(("weight", "kernel")))
def test_zeros_per_layer_are_exact(sample: Sample, sparsity: float, grain: Literal["weight", "kernel"]) -> None:
    compiled = compilation(sample)
    if layers(compiled):
        compiled.apply(PrunePass(sparsity, grain=grain))
        for zeros, size in zero_groups(compiled, kernels=grain == "kernel"):
            assert zeros == math.floor(round(sparsity * size, 9))


@settings(max_examples=30, deadline=None)
@given(SAMPLES, SPARSITIES, st.sampled_from(("weight", "kernel")))
def test_zeros_over_all_layers_are_exact(sample: Sample, sparsity: float, grain: Literal["weight", "kernel"]) -> None:
    compiled = compilation(sample)
    if layers(compiled):
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
