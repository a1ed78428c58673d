"""separable: depthwise and 1 x 1 equal the layer of the nearest separable filters, and cost what is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.diagnostics import HapirError
from hapir.dialects.num import shape_of
from hapir.factorizations import separable
from hapir.factorizations.stages import cost_of
from hapir.lowering.compress.structure.factored_layers import target_of
from hapir.lowering.compress.structure.separable import SeparablePass
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

W = np.random.default_rng(0).standard_normal((32, 8, 3, 3))


@settings(max_examples=40, deadline=None)
@given(LAYERS, st.sampled_from((1, 2, 16)))
def test_chains_equal_their_single_layers_and_counts_are_exact(sample: Sample, rank: int):
    compiled = after(sample, SeparablePass(rank=rank, veto="none"))
    check_equals_its_single_layers(sample, compiled)
    for name, op in product_layers(sample.network).items():
        chain, target = chain_of(compiled.network, name), target_of(op, sample.weights)
        k, _, r, s = target.filters
        if op.filter_groups > 1 or r * s == 1:
            assert len(chain) == 1
        else:
            said = cost_of(separable.chain_shape(target.filters, min(rank, k, r * s)), target.maps)
            assert cost_in_ir(chain) == (said.parameters, said.macs)
    if rank == 16:  # more than the kernels of 3 x 3 have
        inputs = sample.inputs(batch=2)
        expected = compilation(sample).run(inputs)["y"]
        np.testing.assert_allclose(compiled.run(inputs)["y"], expected, atol=1e-3 * (1 + np.abs(expected).max()))


def test_the_energy_chooses_the_rank():
    sample = single_conv(W)
    exact = sample.weights["c.weight"].astype(np.float64)
    for energy in (0.2, 0.5, 0.8):
        compiled = after(sample, SeparablePass(energy=energy, veto="none"))
        lost = ((exact - composed(compiled, "c")) ** 2).sum() / (exact**2).sum()
        assert 1 - lost >= energy - 1e-6
        rank = shape_of(chain_of(compiled.network, "c")[0].w)[0] // 8
        if rank > 1:
            less = after(sample, SeparablePass(rank=rank - 1, veto="none"))
            assert 1 - ((exact - composed(less, "c")) ** 2).sum() / (exact**2).sum() < energy


def test_what_gets_no_cheaper_stays():
    with pytest.raises(HapirError, match="HAP0571"):
        compilation(single_conv(W)).apply(SeparablePass(rank=9))
    with pytest.raises(HapirError, match="HAP0571"):
        compilation(single_conv(np.ones((4, 4, 1, 1)))).apply(SeparablePass())
    assert not composed(after(single_conv(np.zeros((8, 8, 3, 3))), SeparablePass()), "c").any()
