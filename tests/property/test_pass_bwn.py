"""bwn: every weight is a sign times a mean; pruned weights are refused; options change what is meant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32

from hapir.dialects import nn
from hapir.lowering.compress.weight_slots import Granularity
from hapir.lowering.compress.weights.abc_net import AbcNetPass
from hapir.lowering.compress.weights.bwn import BwnPass
from hapir.lowering.compress.weights.twn import TwnPass
from hapir.lowering.compress.weights.xnor_net import XnorNetPass
from hapir.quantizers.bwn import bwn
from tests.property.coded_layers import check_coded, dense, meaning, refused
from tests.property.network_builder import NetworkBuilder
from tests.property.strategies import FEATURES, Sample, networks

PRUNED = np.array([[0.5, -0.25, 0, 0.75], [0, 0, -0.5, 1]])


@settings(max_examples=25, deadline=None)
@given(networks(allow=FEATURES - {"recurrent"}), st.sampled_from(("tensor", "channel")))
def test_weights_are_scaled_signs(sample: Sample, granularity: Granularity):
    check_coded(sample, BwnPass(granularity=granularity), lambda w: bwn(w, len(w) if granularity == "channel" else 1))


def test_a_scale_per_layer_differs_from_one_per_filter():
    w = np.array([[1.0, -0.5], [0.25, 0.25]])
    assert meaning(dense(w), BwnPass()).tolist() == [[0.75, -0.75], [0.25, 0.25]]
    assert meaning(dense(w), BwnPass(granularity="tensor")).tolist() == [[0.5, -0.5], [0.5, 0.5]]


def test_the_gates_of_a_recurrent_layer_have_scales_of_their_own():
    """Granularity tensor is one table per gate in all passes that have it."""
    for pass_ in (BwnPass(granularity="tensor"), XnorNetPass(granularity="tensor"), TwnPass(), AbcNetPass(1)):
        gates = np.abs(meaning(recurrent(), pass_)).reshape(4, -1)
        assert [len(np.unique(gate[gate > 0])) for gate in gates] == [1] * 4, pass_
        assert len(np.unique(gates[gates > 0])) == 4, pass_


def recurrent() -> Sample:
    """An LSTM of two units."""
    build = NetworkBuilder(["l1"], 3)
    image = nn.WeightOp("image", TensorType(f32, (1, 3, 2))).result
    result = build.recurrent(nn.LstmOp, image, 2, bias=True, reverse=False).results[0]
    return Sample(build.finish("sample", image, [("y", result)]), build.weights, (1, 3, 2))


def test_pruned_weights_are_refused_or_become_positive():
    assert "38% of `f1.weight` is 0" in refused(dense(PRUNED), BwnPass(), "HAP0530")
    found = meaning(dense(PRUNED), BwnPass(zeros="positive"))
    assert found.tolist() == [[0.375, -0.375, 0.375, 0.375], [0.375, 0.375, -0.375, 0.375]]


def test_a_zero_in_twenty_is_an_accident():
    w = np.full((1, 20), 0.5)
    w[0, 3] = 0
    assert (meaning(dense(w), BwnPass()) > 0).all()


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_zeros_alone_have_no_scale(granularity: Granularity):
    """A dead filter among others, and a layer of zeros."""
    refused(dense(np.zeros((2, 3))), BwnPass(granularity=granularity), "HAP0531")
    half_dead = np.array([[0.5, 1], [0, 0]])
    if granularity == "channel":
        message = refused(dense(half_dead), BwnPass(granularity=granularity, zeros="positive"), "HAP0531")
        assert message.startswith("the weights of scale 1 of `f1.weight` are all 0")
    else:
        assert (meaning(dense(half_dead), BwnPass(granularity=granularity, zeros="positive")) != 0).all()


def test_weights_that_are_not_finite_are_refused():
    refused(dense(np.array([[np.nan, 1.0]])), BwnPass(), "HAP0404")
