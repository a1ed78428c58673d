"""dorefa: every weight is an odd number times a scale; options change what is meant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.dialects.num import unsigned
from hapir.lowering.compress.annotations import asked_of
from hapir.lowering.compress.weights.dorefa import DorefaPass
from hapir.quantizers.dorefa import DorefaScale, dorefa
from tests.property.coded_layers import check_coded, dense, meaning, refused, slots
from tests.property.pipelines import compilation
from tests.property.strategies import Sample, networks

W = np.array([[0.5, -0.25, 0.125, 0.75]])


@settings(max_examples=25, deadline=None)
@given(networks(), st.integers(1, 8), st.sampled_from(("least_squares", "maximum", "unit")))
def test_weights_are_odd_numbers_times_a_scale(sample: Sample, bits: int, scale: DorefaScale):
    check_coded(sample, DorefaPass(bits, scale=scale), lambda w: dorefa(w, bits, scale))


def test_bits_and_scales_change_the_meaning():
    found = [meaning(dense(W), pass_) for pass_ in (DorefaPass(1), DorefaPass(2), DorefaPass(2, scale="maximum"))]
    assert len({tuple(w.ravel()) for w in found}) == 3
    assert np.abs(meaning(dense(W), DorefaPass(4, scale="unit"))).max() == 1
    with pytest.raises(ValueError, match="it must be 1 to 8"):
        DorefaPass(9)


def test_activations_are_asked_for_and_nothing_else_changes():
    asked = compilation(dense(W)).apply(DorefaPass(2, activation_bits=3, high=2.5))
    request = asked_of(slots(asked)[0].op)
    assert (request.storage, request.range) == (unsigned(3), (0.0, 2.5))
    inputs = {"image": np.ones((1, 4), np.float32)}
    np.testing.assert_array_equal(asked.run(inputs)["y"], compilation(dense(W)).apply(DorefaPass(2)).run(inputs)["y"])


def test_pruned_weights_are_refused_or_become_positive():
    w = np.array([[0, 0, -0.5, 1]])
    refused(dense(w), DorefaPass(4), "HAP0530")
    assert (meaning(dense(w), DorefaPass(4, zeros="positive"))[w == 0] > 0).all()
    refused(dense(np.zeros((2, 2))), DorefaPass(4), "HAP0531")
