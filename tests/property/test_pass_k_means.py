"""k_means: every weight is its centroid, zeros stay and cost nothing, options change the clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.diagnostics import HapirError
from hapir.lowering.compress.weights.k_means import KMeansPass
from hapir.quantizers.codebooks import by_rows
from hapir.quantizers.k_means import KMeans, Start, k_means
from hapir.registered import FORMAT, value_of
from tests.property.coded_layers import check_coded, dense, meaning
from tests.property.strategies import FEATURES, Sample, networks

W = np.array([[1.0, -0.5, 0.25, 0.0, 0.3, 0.1], [0.125, 0.13, -0.25, 3.0, -0.7, 0.9]])


@settings(max_examples=25, deadline=None)
@given(
    networks(allow=FEATURES - {"recurrent"}),
    st.integers(1, 4),
    st.sampled_from(["linear", "density", "random"]),
    st.booleans(),
    st.booleans(),
)
def test_weights_are_their_centroids(sample: Sample, bits: int, start: Start, keep: bool, per_channel: bool):
    rule = KMeans(bits, start, 3, keep)
    pass_ = KMeansPass(bits, start, 3, keep, granularity="channel" if per_channel else "tensor")
    check_coded(sample, pass_, lambda w: by_rows(w, len(w) if per_channel else 1, lambda block: k_means(block, rule)))


def test_every_option_changes_the_meaning():
    found = [
        meaning(dense(W), pass_).tolist()
        for pass_ in (
            KMeansPass(2),
            KMeansPass(3),
            KMeansPass(2, iterations=0),
            KMeansPass(2, "density", iterations=0),
            KMeansPass(2, "random", iterations=0),
            KMeansPass(2, "random", seed=1, iterations=0),
            KMeansPass(2, keep_zeros=False),
            KMeansPass(2, centroids="fixed(2, 2)"),
            KMeansPass(2, granularity="channel"),
        )
    ]
    assert len({str(values) for values in found}) == len(found)


def test_pruned_weights_stay_pruned():
    w = np.where(np.abs(W) < 0.2, 0.0, W)
    np.testing.assert_array_equal(meaning(dense(w), KMeansPass(1)) == 0, w == 0)
    assert (meaning(dense(w), KMeansPass(1, keep_zeros=False)) != 0).any(axis=1).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.sampled_from(["fixed(2, 2)", "i4", "minifloat(3, 2)"]))
def test_centroids_are_numbers_of_a_format(bits: int, text: str):
    found = meaning(dense(W), KMeansPass(bits, centroids=text))
    np.testing.assert_array_equal(value_of(text, FORMAT).round(found), found)


def test_options_that_do_not_fit():
    with pytest.raises(ValueError, match="`bits`"):
        KMeansPass(9)
    with pytest.raises(HapirError, match="HAP0232"):
        KMeansPass(centroids="fixd(2, 2)")
