"""low_rank: chains equal the layers with truncated weights, cost what is said, and are exact at full rank."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32
from xdsl.passes import ModulePass

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.factorizations import svd
from hapir.factorizations.stages import cost_of
from hapir.factorizations.svd import Split, Svd
from hapir.lowering.compress.structure.alf_deploy import AlfDeployPass
from hapir.lowering.compress.structure.crelu import CreluPass
from hapir.lowering.compress.structure.factored_layers import target_of
from hapir.lowering.compress.structure.low_rank import LowRankPass
from hapir.lowering.compress.structure.separable import SeparablePass
from hapir.lowering.compress.structure.tucker import TuckerPass
from tests.property.factoring import (
    LAYERS,
    after,
    chain_of,
    check_equals_its_single_layers,
    composed,
    cost_in_ir,
    product_layers,
    single_conv,
)
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import compilation
from tests.property.strategies import Sample

SPLITS: tuple[Split, ...] = ("output", "input", "spatial")
W = np.random.default_rng(0).standard_normal((12, 8, 3, 3))


@settings(max_examples=40, deadline=None)
@given(LAYERS, st.sampled_from(SPLITS), st.sampled_from((0.3, 0.7, 1.0)))
def test_chains_equal_the_truncated_layers(sample: Sample, split: Split, energy: float):
    compiled = after(sample, LowRankPass(split=split, energy=energy, veto="none"))
    check_equals_its_single_layers(sample, compiled)
    if energy == 1.0:
        inputs = sample.inputs(batch=2)
        expected = compilation(sample).run(inputs)["y"]
        np.testing.assert_allclose(compiled.run(inputs)["y"], expected, atol=1e-3 * (1 + np.abs(expected).max()))


@settings(max_examples=30, deadline=None)
@given(LAYERS, st.sampled_from(SPLITS), st.integers(1, 4))
def test_counts_are_exact(sample: Sample, split: Split, rank: int):
    compiled = after(sample, LowRankPass(split=split, rank=rank, veto="none"))
    for name, op in product_layers(sample.network).items():
        if op.filter_groups == 1:
            target = target_of(op, sample.weights)
            full = len(Svd.of(svd.matrix_of(target.w, split)).values)
            said = cost_of(svd.chain_shape(target.filters, split, min(rank, full)), target.maps)
            assert cost_in_ir(chain_of(compiled.network, name)) == (said.parameters, said.macs)
        else:
            assert len(chain_of(compiled.network, name)) == 1


@settings(max_examples=30, deadline=None)
@given(LAYERS, st.sampled_from(SPLITS), st.sampled_from(("macs", "parameters")))
def test_nothing_costs_more_than_before(sample: Sample, split: Split, veto: str):
    compiled = after(sample, LowRankPass(split=split, energy=0.5, veto="macs" if veto == "macs" else "parameters"))
    index = 1 if veto == "macs" else 0
    for name, op in product_layers(sample.network).items():
        chain = chain_of(compiled.network, name)
        assert len(chain) == 1 or cost_in_ir(chain)[index] < cost_in_ir([op])[index]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("budget", [0.2, 0.5, 0.9])
def test_a_budget_is_used_and_kept(split: Split, budget: float):
    sample = single_conv(W)
    compiled = after(sample, LowRankPass(split=split, budget=budget))
    chain = chain_of(compiled.network, "c")
    before, now = cost_in_ir(list(product_layers(sample.network).values())), cost_in_ir(chain)
    assert now[1] <= budget * before[1]
    rank = shape_of(chain[0].w)[0]
    assert now[1] * (rank + 1) / rank > budget * before[1]


def test_a_budget_is_exact_to_the_rank_and_leaves_one() -> None:
    """0.29 of 100 ranks is 29, whatever 0.29 * 100 is in binary; a budget below that of rank 1 gives rank 1."""
    for budget, rank in ((0.29, 29), (0.57, 57), (0.001, 1)):
        # a rank costs 200 of the 10 000 products of each place
        sample = single_conv(np.random.default_rng(0).standard_normal((100, 100, 1, 1)), size=1)
        wide = after(sample, LowRankPass(budget=2 * budget, veto="none"))
        assert shape_of(chain_of(wide.network, "c")[0].w)[0] == rank


def test_splits_differ_and_the_error_is_the_bound():
    sample = single_conv(W)
    errors: list[float] = []
    for split in SPLITS:
        found = composed(after(sample, LowRankPass(split=split, rank=5)), "c")
        exact = sample.weights["c.weight"].astype(np.float64)
        errors.append(float(((exact - found) ** 2).sum()))
        assert errors[-1] == pytest.approx(Svd.of(svd.matrix_of(exact, split)).lost(5), rel=1e-5)
    assert len({round(error, 3) for error in errors}) == 3


def test_what_cannot_be_done_is_said():
    with pytest.raises(HapirError, match="HAP0571"):
        compilation(single_conv(np.ones((1, 1, 1, 1)))).apply(LowRankPass(rank=1))
    with pytest.raises(ValueError, match="not both"):
        LowRankPass(rank=1, budget=0.5)
    with pytest.raises(HapirError, match="HAP0404"):
        compilation(single_conv(np.full((4, 4, 3, 3), np.inf))).apply(LowRankPass())


@pytest.mark.parametrize(
    "step", [LowRankPass, TuckerPass, SeparablePass, AlfDeployPass, CreluPass], ids=lambda step: step.name
)
def test_groups_are_refused_by_name_and_passed_over_by_pattern(step: Callable[..., ModulePass]):
    build = NetworkBuilder(["plain", "grouped"], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, 4, 6, 6))).result
    x = build.conv2d(image, 8, Window((3, 3)), groups=2)
    y = build.conv2d(x, 8, Window((3, 3)))
    sample = Sample(build.finish("sample", image, [("y", y)]), build.weights, (1, 4, 6, 6))
    with pytest.raises(HapirError, match="HAP0570: `grouped` has 2 groups of filters"):
        compilation(sample).apply(step(layers=("plain", "grouped")))
    with pytest.raises(HapirError, match=r"HAP057[14]"):
        compilation(sample).apply(step(layers="group*"))


def test_a_layer_of_zeros_becomes_zeros_of_rank_one():
    compiled = after(single_conv(np.zeros((8, 8, 3, 3))), LowRankPass())
    assert [shape_of(op.w)[0] for op in chain_of(compiled.network, "c")] == [1, 8]
    assert not composed(compiled, "c").any()
