"""lq_net: every weight is a sum of signed bases; options change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.lowering.compress.weights.lq_net import LqNetPass
from hapir.quantizers.lq_net import lq_net
from tests.property.coded_layers import check_coded, dense, meaning
from tests.property.strategies import FEATURES, Sample, networks

W = np.array([[1.0, -0.5, 0.26, 0.0, 0.37, 1.45], [0.125, 0.13, -0.25, 3.2, -0.7, 0.05]])


@settings(max_examples=25, deadline=None)
@given(networks(allow=FEATURES - {"recurrent"}), st.integers(1, 3), st.booleans())
def test_weights_are_sums_of_bases(sample: Sample, bits: int, per_channel: bool):
    pass_ = LqNetPass(bits, granularity="channel" if per_channel else "tensor")
    check_coded(sample, pass_, lambda w: lq_net(w, bits, len(w) if per_channel else 1))


def test_every_option_changes_the_meaning():
    passes = (LqNetPass(), LqNetPass(3), LqNetPass(iterations=0), LqNetPass(granularity="channel"))
    found = {str(meaning(dense(W), pass_).tolist()) for pass_ in passes}
    assert len(found) == len(passes)


def test_options_that_do_not_fit():
    with pytest.raises(ValueError, match="`bits`"):
        LqNetPass(0)
