"""filter_prune removes whole filters in the order of their criterion, in exact numbers, as zeroing them would."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.lowering.compress.channel_groups import channel_groups
from hapir.lowering.compress.structure.filter_prune import Constraint, FilterPrunePass, layer_cost
from hapir.lowering.network_edits import weight_of
from hapir.pruners.filters import filter_worth
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import compilation, quantize
from tests.property.pruned_pairs import EXACT, INTEGRAL, cost, exactly, integral, integral_inputs, layers, pruned
from tests.property.strategies import Sample, networks

QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]
"""Networks of one layer have no filter to lose."""
REFUSALS = ("HAP0512", "HAP0513", "HAP0562")
METRICS = st.sampled_from(("msqe", "magnitude", "random"))
SHARES = st.sampled_from((0.0, 0.2, 0.5, 0.8))
ROUNDINGS = st.sampled_from(("up", "down", "nearest"))
CHAINS = networks(max_layers=4, max_channels=9, allow={"conv2d", "padding", "relu", "bias"})


def kept_filters(filters: int, sparsity: float, multiple_of: int, rounding: str) -> int:
    """`N - floor(sparsity * N)`, rounded to a multiple that N holds (Sydney thesis, section 4.3.2, L930)."""
    exact = filters - math.floor(round(sparsity * filters, 9))
    multiples = range(multiple_of, filters + 1, multiple_of)
    by_rounding = {
        "up": [m for m in multiples if m >= exact] or [multiples[-1]],
        "down": [m for m in multiples if m <= exact][::-1] or [multiples[0]],
        "nearest": sorted(multiples, key=lambda m: (abs(m - exact), -m)),
    }
    return by_rounding[rounding][0]


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(INTEGRAL, METRICS, SHARES, st.sampled_from((1, 2, 3)), ROUNDINGS, st.integers(0, 50))
def test_shrunk_equals_masked_exactly(
    sample: Sample, criterion: Any, sparsity: float, multiple_of: int, rounding: Any, seed: int
) -> None:
    sample = integral(sample, seed)
    assume(layers(compilation(sample)))
    step = FilterPrunePass(sparsity, criterion=criterion, multiple_of=multiple_of, rounding=rounding, seed=seed)
    small, masked = pruned(sample, step, *REFUSALS), compilation(sample).apply(replace(step, shrink=False))
    inputs = integral_inputs(sample)
    np.testing.assert_array_equal(exactly(small, inputs), exactly(masked, inputs))
    before = compilation(sample)
    assert cost(small) <= cost(before)
    groups = channel_groups(before.network)
    for old, new in zip(layers(before), layers(small), strict=True):
        if groups.free(old.result):
            assert shape_of(new.w)[0] % multiple_of == 0
    event("shrunk" if cost(small) < cost(before) else "same")


@settings(max_examples=20, deadline=None, suppress_health_check=QUIET)
@given(networks(max_layers=4, max_size=7, allow=EXACT - {"add"}), METRICS, SHARES, st.integers(0, 50))
def test_shrunk_equals_masked_after_quantize(sample: Sample, criterion: Any, sparsity: float, seed: int) -> None:
    sample = integral(sample, seed)
    assume(layers(compilation(sample)))
    inputs, step = integral_inputs(sample, batch=3), FilterPrunePass(sparsity, criterion=criterion)
    exactly(pruned(sample, step, *REFUSALS), inputs)
    small, masked = (
        quantize(compilation(sample, inputs).apply(replace(step, shrink=shrink))) for shrink in (True, False)
    )
    np.testing.assert_array_equal(small.run(inputs)["y"], masked.run(inputs)["y"])


@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
@given(CHAINS, METRICS, SHARES, st.sampled_from((1, 2, 3)), ROUNDINGS, st.integers(0, 20))
def test_a_chain_loses_the_first_of_the_ranking(
    sample: Sample, criterion: Any, sparsity: float, multiple_of: int, rounding: Any, seed: int
) -> None:
    """Counts are those of `kept_filters`, and who goes is who ranks first."""
    before = compilation(sample)
    assume(len(layers(before)) > 1)
    step = FilterPrunePass(sparsity, criterion=criterion, multiple_of=multiple_of, rounding=rounding, seed=seed)
    after = pruned(sample, step, *REFUSALS)
    for number, (old, new) in enumerate(pairwise(zip(layers(before), layers(after), strict=True))):
        (op, small), _ = old, new
        w = weight_of(op.w, sample.weights).astype(np.float64)
        kept = kept_filters(len(w), sparsity, multiple_of, rounding)
        assert shape_of(small.w)[0] == kept
        if number == 0 and criterion != "random":
            order = np.argsort(filter_worth(w, criterion, 1, np.random.default_rng(0)), kind="stable")
            first = np.sort(order[len(w) - kept :])
            np.testing.assert_array_equal(weight_of(small.w, after.ctx.weights), w[first].astype(np.float32))


def chain(*channels: int) -> Sample:
    """1x1 convolutions c1, c2, ... with so many filters, on 4 x 4 maps of one channel."""
    build = NetworkBuilder([f"c{i}" for i in range(len(channels), 0, -1)], 5)
    image = nn.WeightOp("image", TensorType(f32, (1, 1, 4, 4))).result
    x = image
    for count in channels:
        x = build.conv2d(x, count, Window((1, 1)))
    return Sample(build.finish("n", image, [("y", x)]), build.weights, (1, 1, 4, 4))


def filters(sample: Sample, **options: Any) -> list[int]:
    """How many filters each layer keeps."""
    return [shape_of(op.w)[0] for op in layers(compilation(sample).apply(FilterPrunePass(**options)))]


def test_the_processing_elements_of_alexnet() -> None:
    """96 filters pruned by 30 and 40 % keep 68 and 60 (Sydney thesis, table 4.3, L1097)."""
    sample = chain(96, 4)
    assert filters(sample, sparsity=0.3, multiple_of=4) == [68, 4]
    assert filters(sample, sparsity=0.4, multiple_of=4) == [60, 4]
    assert filters(sample, sparsity=0.4, multiple_of=4, rounding="down") == [56, 4]
    assert filters(sample, sparsity=0.0, multiple_of=60) == [60, 4]
    with pytest.raises(HapirError, match="HAP0562"):
        filters(sample, sparsity=0.4, multiple_of=97)


def test_the_layer_that_costs_most_is_pruned_first() -> None:
    """c2 owns the multiplications; the bits of memory are mostly maps, and the widest layer owns those."""
    sample = chain(8, 20, 6, 2)
    macs = filters(sample, budget=0.8)
    assert macs[3] == 2
    assert macs[1] < 20
    assert macs[2] == 6
    assert filters(sample, budget=1.0) == [8, 20, 6, 2]
    memory = filters(sample, budget=0.7, constraint="memory", step=0.25)
    assert memory[1] < macs[1]
    multiples = filters(sample, budget=0.5, multiple_of=2)
    assert all(count % 2 == 0 for count in multiples)
    with pytest.raises(HapirError, match="HAP0563"):
        filters(sample, budget=0.01)


@pytest.mark.parametrize(
    ("constraint", "cost"), [("macs", 96 * 9 * 16), ("parameters", 96 * 9), ("memory", 96 * 9 * 2 + 96 * 16 * 5)]
)
def test_costs_by_hand(constraint: Constraint, cost: int) -> None:
    """96 filters of 9 weights of 2 bits, and 4 x 4 results of 5 bits for each."""
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, 1, 4, 4))).result
    op = build.conv2d(image, 96, Window((3, 3), padding=(1, 1, 1, 1))).owner
    assert isinstance(op, nn.ProductOp)
    assert layer_cost(op, constraint, 2, 5) == cost


@settings(max_examples=20, deadline=None, suppress_health_check=QUIET)
@given(CHAINS, st.sampled_from((0.5, 0.8)), st.sampled_from(("macs", "parameters")))
def test_budgets_are_kept(sample: Sample, budget: float, constraint: Any) -> None:
    before = compilation(sample)
    assume(layers(before))
    after = pruned(sample, FilterPrunePass(budget=budget, constraint=constraint), "HAP0512", "HAP0563")
    if constraint == "macs":
        assert cost(after) <= budget * cost(before)
    else:
        sizes = [sum(int(np.prod(shape_of(op.w))) for op in layers(c)) for c in (after, before)]
        assert sizes[0] <= budget * sizes[1]


@pytest.mark.parametrize(("multiple_of", "kept"), [(1, [4, 8, 2]), (8, None)])
def test_filters_that_leave_together_leave_under_a_budget(multiple_of: int, kept: list[int] | None) -> None:
    """A convolution of 4 groups reads 8 filters: only 4 can go at once, which is more than a step."""
    build = NetworkBuilder(["c3", "c2", "c1"], 5)
    image = nn.WeightOp("image", TensorType(f32, (1, 3, 4, 4))).result
    x = build.conv2d(build.conv2d(image, 8, Window((3, 3))), 8, Window((1, 1)), 4)
    y = build.conv2d(x, 2, Window((1, 1)))
    sample = Sample(build.finish("n", image, [("y", y)]), build.weights, (1, 3, 4, 4))
    if kept is None:
        with pytest.raises(HapirError, match="HAP0563"):
            filters(sample, budget=0.9, multiple_of=multiple_of)
    else:
        assert filters(sample, budget=0.7, multiple_of=multiple_of) == kept


def test_options_that_do_not_go_together() -> None:
    for options in (
        {},
        {"sparsity": 0.5, "budget": 0.5},
        {"budget": 0.5, "shrink": False},
        {"sparsity": 1.0},
        {"within": 0.1},
        {"within": 0.1, "sparsity": 0.5, "data": "d.npz"},
        {"sparsity": 0.5, "data": "d.npz"},
        {"within": 2.0, "data": "d.npz"},
    ):
        with pytest.raises(ValueError, match=r"how much|budget|sparsity|go together|`within`"):
            FilterPrunePass(**options)  # pyright: ignore[reportArgumentType]  # one dict of options of several types


def test_the_metric_changes_what_goes() -> None:
    """A filter far from its signs and one of small weights."""
    sample = chain(3, 1)
    sample.weights.put("c1.weight", np.array([1.0, 9.0, 0.9], dtype=np.float32).reshape(3, 1, 1, 1))
    left: list[list[float]] = []
    for criterion in ("msqe", "magnitude"):
        compiled = compilation(sample).apply(FilterPrunePass(0.4, criterion=criterion))
        left.append(weight_of(layers(compiled)[0].w, compiled.ctx.weights).ravel().tolist())
    assert left == [[1.0, pytest.approx(0.9)], [1.0, 9.0]]
