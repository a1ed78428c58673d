"""fold_batch_norm is exact up to float rounding, and leaves no batch norm that it can remove."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from hapir.dialects.nn import BatchNormOp, ProductOp, TransposedConv2dOp
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import FEATURES, Sample, networks

SAMPLES = networks(allow=FEATURES - {"argmax"})


def norms(compiled: Compilation) -> list[BatchNormOp]:
    return [op for op in compiled.network.walk() if isinstance(op, BatchNormOp)]


def assert_same_function(sample: Sample, compiled: Compilation) -> None:
    inputs = sample.inputs(batch=3)
    before, after = compilation(sample).run(inputs)["y"], compiled.run(inputs)["y"]
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4 * (1 + float(np.abs(before).max())))


@settings(max_examples=50, deadline=None)
@given(SAMPLES)
def test_folding_keeps_the_function(sample: Sample) -> None:
    compiled = compilation(sample).apply(FoldBatchNormPass())
    assert_same_function(sample, compiled)
    for norm in norms(compiled):
        assert not (isinstance(norm.x.owner, ProductOp | TransposedConv2dOp) and norm.x.has_one_use())


@settings(max_examples=50, deadline=None)
@given(SAMPLES)
def test_standalone_norms_become_convolutions(sample: Sample) -> None:
    compiled = compilation(sample).apply(FoldBatchNormPass(standalone="convolution"))
    assert_same_function(sample, compiled)
    assert norms(compiled) == []
