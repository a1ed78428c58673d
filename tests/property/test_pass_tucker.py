"""tucker: chains equal their single layers, cost what is said, are exact at full ranks, and get better in turns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.diagnostics import HapirError
from hapir.dialects.num import shape_of
from hapir.factorizations import tucker
from hapir.factorizations.stages import cost_of
from hapir.lowering.compress.structure.factored_layers import target_of
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
from tests.property.pipelines import compilation
from tests.property.strategies import Sample

W = np.random.default_rng(0).standard_normal((12, 8, 3, 3))


@settings(max_examples=40, deadline=None)
@given(LAYERS, st.sampled_from(("tucker2", "cp")), st.sampled_from((0.3, 0.7, 1.0)))
def test_chains_equal_their_single_layers(sample: Sample, method: str, energy: float):
    step = TuckerPass(method="cp" if method == "cp" else "tucker2", energy=energy, veto="none")
    compiled = after(sample, step)
    check_equals_its_single_layers(sample, compiled)
    if energy == 1.0 and method == "tucker2":
        inputs = sample.inputs(batch=2)
        expected = compilation(sample).run(inputs)["y"]
        np.testing.assert_allclose(compiled.run(inputs)["y"], expected, atol=1e-3 * (1 + np.abs(expected).max()))


@settings(max_examples=30, deadline=None)
@given(LAYERS, st.integers(1, 4), st.integers(1, 4))
def test_counts_are_exact(sample: Sample, output_rank: int, input_rank: int):
    compiled = after(sample, TuckerPass(output_rank=output_rank, input_rank=input_rank, veto="none"))
    for name, op in product_layers(sample.network).items():
        chain, target = chain_of(compiled.network, name), target_of(op, sample.weights)
        k, c, r, s = target.filters
        if op.filter_groups > 1 or r * s == 1:
            assert len(chain) == 1
        else:
            ranks = min(output_rank, k), min(input_rank, c)
            said = cost_of(tucker.chain_shape(target.filters, ranks), target.maps)
            assert cost_in_ir(chain) == (said.parameters, said.macs)


def test_rounds_and_methods_change_the_result():
    sample = single_conv(W)
    exact = sample.weights["c.weight"].astype(np.float64)

    def error(**options: object) -> float:
        compiled = after(sample, TuckerPass(output_rank=5, veto="none", **options))  # pyright: ignore[reportArgumentType]  # options by name
        return float(((exact - composed(compiled, "c")) ** 2).sum())

    assert error(input_rank=4, iterations=10) < error(input_rank=4, iterations=0)
    assert error(method="cp", iterations=40) < error(method="cp", iterations=1)
    assert error(input_rank=6) < error(input_rank=2)


def test_only_one_rank_given():
    chain = chain_of(after(single_conv(W), TuckerPass(input_rank=3, energy=0.4)).network, "c")
    assert shape_of(chain[0].w)[0] == 3
    assert len(chain) == 3


def test_what_cannot_be_done_is_said():
    with pytest.raises(ValueError, match="one rank"):
        TuckerPass(method="cp", input_rank=2)
    with pytest.raises(HapirError, match="HAP0571"):  # nothing to take apart in a 1 x 1 convolution
        compilation(single_conv(np.ones((4, 4, 1, 1)))).apply(TuckerPass())


def test_a_layer_of_zeros_stays_zero():
    for method in ("tucker2", "cp"):
        step = TuckerPass(method="cp" if method == "cp" else "tucker2")
        assert not composed(after(single_conv(np.zeros((8, 8, 3, 3))), step), "c").any()
