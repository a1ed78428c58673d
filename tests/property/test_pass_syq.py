"""syq: every weight is a code times the scale of its sub-group; options change what is meant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.lowering.compress.weights.syq import SyqPass
from hapir.quantizers.coded import Coded, Floats
from hapir.quantizers.syq import SyqGranularity, syq
from tests.property.coded_layers import check_coded, convolution, dense, meaning, refused
from tests.property.strategies import Sample, networks

W = np.random.default_rng(4).normal(size=(4, 3, 3, 2))


@settings(max_examples=30, deadline=None)
@given(
    networks(),
    st.sampled_from(("tensor", "row", "pixel", "channel", "asymmetric")),
    st.sampled_from(("binary", "ternary")),
)
def test_weights_are_codes_times_the_scale_of_their_group(sample: Sample, granularity: SyqGranularity, codes: str):
    kind = "binary" if codes == "binary" else "ternary"

    def rule(w: Floats) -> Coded:
        return syq(w, granularity, kind)

    check_coded(sample, SyqPass(granularity, kind), rule)


@pytest.mark.parametrize("codes", ["binary", "ternary"])
def test_every_granularity_changes_the_meaning(codes: str):
    kind = "binary" if codes == "binary" else "ternary"
    granularities: tuple[SyqGranularity, ...] = ("tensor", "row", "pixel", "channel", "group", "asymmetric")
    found = {granularity: meaning(convolution(W), SyqPass(granularity, kind)) for granularity in granularities}
    # four filters are one group
    np.testing.assert_array_equal(found.pop("group"), found["pixel"])
    assert len({w.tobytes() for w in found.values()}) == 5


def test_every_option_changes_the_meaning():
    w = np.array([[1.0, -0.5, 0.25, 0.125]])
    assert meaning(dense(w), SyqPass(threshold=0.5)).tolist() == [[0.75, -0.75, 0, 0]]
    assert meaning(dense(w), SyqPass(threshold=0.5, tie="zero")).tolist() == [[1, 0, 0, 0]]
    assert meaning(dense(w), SyqPass(threshold=0.5, scale="mean")).tolist() == [[0.46875, -0.46875, 0, 0]]


def test_zeros_of_signs_and_groups_of_four():
    w = np.array([[0, 0.5, 0, 0.5]])
    assert meaning(dense(w), SyqPass()).tolist() == w.tolist()
    refused(dense(w), SyqPass(kind="binary"), "HAP0530")
    assert (meaning(dense(w), SyqPass(kind="binary", zeros="positive")) == 0.25).all()
    dead_row = np.ones((2, 2, 3, 3))
    dead_row[:, :, 1] = 0
    assert "scale 1" in refused(convolution(dead_row), SyqPass("row", "binary", zeros="positive"), "HAP0531")
    assert "has 6 filters" in refused(dense(np.ones((6, 2))), SyqPass("group"), "HAP0532")
