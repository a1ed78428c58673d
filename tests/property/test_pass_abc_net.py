"""abc_net: every weight is a sum of signed bases; options change what is meant."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.lowering.compress.weight_slots import Granularity
from hapir.lowering.compress.weights.abc_net import AbcNetPass
from hapir.quantizers.abc_net import abc_net
from tests.property.coded_layers import check_coded, dense, meaning, refused
from tests.property.strategies import FEATURES, Sample, networks

W = np.array([[1.0, -0.5, 0.5, 0.125], [-0.125, 0.25, -0.25, -0.75]])


@settings(max_examples=25, deadline=None)
@given(networks(allow=FEATURES - {"recurrent"}), st.integers(1, 5), st.sampled_from(("tensor", "channel")))
def test_weights_are_sums_of_bases(sample: Sample, bases: int, granularity: Granularity):
    check_coded(
        sample,
        AbcNetPass(bases, granularity=granularity),
        lambda w: abc_net(w, bases, len(w) if granularity == "channel" else 1),
    )


def test_bases_and_grain_change_the_meaning():
    found = [meaning(dense(W), pass_) for pass_ in (AbcNetPass(1), AbcNetPass(3), AbcNetPass(3, granularity="channel"))]
    errors = [float(((w - W) ** 2).sum()) for w in found]
    assert errors[0] > errors[1]
    assert errors[2] != errors[1]  # another mean and deviation for each filter: not always a better fit


def test_pruned_weights_are_refused_or_fitted():
    w = np.array([[0, 0, -0.5, 1]])
    refused(dense(w), AbcNetPass(), "HAP0530")
    assert np.isfinite(meaning(dense(w), AbcNetPass(zeros="fit"))).all()
    assert not meaning(dense(np.zeros((2, 2))), AbcNetPass()).any()
