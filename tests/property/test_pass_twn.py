"""twn: every weight is -1, 0 or 1 times a scale; zeros stay; options change what is meant."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.lowering.compress.weight_slots import Granularity
from hapir.lowering.compress.weights.twn import TwnPass
from hapir.quantizers.twn import TwnThreshold, twn
from tests.property.coded_layers import check_coded, dense, meaning
from tests.property.strategies import FEATURES, Sample, networks

W = np.array([[1.0, -0.5, 0.25, 0.0], [0.125, 0.125, -0.25, 0.25]])


@settings(max_examples=25, deadline=None)
@given(
    networks(allow=FEATURES - {"recurrent"}),
    st.sampled_from(("tensor", "channel")),
    st.sampled_from(("mean", "optimal")),
)
def test_weights_are_scaled_ternary(sample: Sample, granularity: Granularity, threshold: TwnThreshold):
    check_coded(
        sample,
        TwnPass(granularity=granularity, threshold=threshold),
        lambda w: twn(w, len(w) if granularity == "channel" else 1, threshold),
    )


def test_every_option_changes_the_meaning():
    """The mean magnitude is 5/16: the threshold of factor 0.8 is 1/4."""
    kept = {
        TwnPass(): [[1, 1, 1, 0], [0, 0, 1, 1]],
        TwnPass(granularity="channel"): [[1, 1, 0, 0], [0, 0, 1, 1]],
        TwnPass(threshold="optimal"): [[1, 1, 0, 0], [0, 0, 0, 0]],
        TwnPass(factor=0.3): [[1, 1, 1, 0], [1, 1, 1, 1]],
        TwnPass(factor=0.8): [[1, 1, 0, 0], [0, 0, 0, 0]],
        TwnPass(factor=0.8, tie="nonzero"): [[1, 1, 1, 0], [0, 0, 1, 1]],
    }
    for pass_, mask in kept.items():
        assert (meaning(dense(W), pass_) != 0).astype(int).tolist() == mask, pass_
    assert len(np.unique(np.abs(meaning(dense(W), TwnPass(granularity="channel"))))) == 3


def test_pruned_weights_stay_pruned_and_zeros_alone_are_zeros():
    w = np.array([[0.0, 0.5, 0, 0], [0, 0, 0, 0]])
    for pass_ in (TwnPass(), TwnPass(granularity="channel", threshold="optimal")):
        np.testing.assert_array_equal(meaning(dense(w), pass_), w)
        assert not meaning(dense(np.zeros((2, 3))), pass_).any()
