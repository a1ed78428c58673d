"""ttq: every weight is -Wn, 0 or Wp; zeros stay; options change what is meant."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.lowering.compress.weights.ttq import TtqPass
from hapir.quantizers.ttq import ttq
from tests.property.coded_layers import check_coded, dense, meaning
from tests.property.strategies import Sample, networks

W = np.array([[1.0, -0.5, 0.5, 0.125], [0.0, 0.25, -0.25, -0.75]])


@settings(max_examples=25, deadline=None)
@given(networks(), st.sampled_from((0.0, 0.05, 0.3, 1.0)), st.booleans())
def test_weights_are_three_levels(sample: Sample, threshold: float, symmetric: bool):
    check_coded(sample, TtqPass(threshold, symmetric=symmetric), lambda w: ttq(w, threshold, symmetric=symmetric))


def test_every_option_changes_the_meaning():
    assert meaning(dense(W), TtqPass(0.5)).tolist() == [[1, 0, 0, 0], [0, 0, 0, -0.75]]
    assert meaning(dense(W), TtqPass(0.5, tie="nonzero")).tolist() == [[0.75, -0.625, 0.75, 0], [0, 0, 0, -0.625]]
    assert meaning(dense(W), TtqPass(0.5, symmetric=True)).tolist() == [[0.875, 0, 0, 0], [0, 0, 0, -0.875]]
    assert (meaning(dense(W), TtqPass(0)) == 0).sum() == 1
    assert not meaning(dense(W), TtqPass(1)).any()
    assert not meaning(dense(np.zeros((1, 2))), TtqPass()).any()
