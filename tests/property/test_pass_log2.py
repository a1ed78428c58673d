"""log2: every weight is 0 or a power of two, as an index or as an integer; options change which."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.lowering.compress.weights.log2 import Log2Pass
from hapir.quantizers.codebooks import by_rows
from hapir.quantizers.coded import Coded, Floats
from hapir.quantizers.power_of_two import PowerOfTwo, power_of_two, shifts
from tests.property.coded_layers import check_coded, dense, meaning
from tests.property.strategies import FEATURES, Sample, networks

W = np.array([[1.0, -0.5, 0.26, 0.0, 0.37, 1.45], [0.125, 0.13, -0.25, 3.2, -0.7, 0.05]])


@settings(max_examples=25, deadline=None)
@given(
    networks(allow=FEATURES - {"recurrent"}),
    st.integers(2, 5),
    st.sampled_from(["linear", "log"]),
    st.sampled_from(["codebook", "integers"]),
    st.booleans(),
)
def test_weights_are_powers_of_two(
    sample: Sample,
    bits: int,
    rounding: Literal["linear", "log"],
    form: Literal["codebook", "integers"],
    per_channel: bool,
):
    rule = PowerOfTwo(bits, rounding)
    pass_ = Log2Pass(bits, rounding, form=form, granularity="channel" if per_channel else "tensor")

    def code(w: Floats) -> Coded:
        groups = len(w) if per_channel else 1
        if form == "codebook":
            return by_rows(w, groups, lambda block: power_of_two(block, rule))
        return by_rows(w, groups, lambda block: shifts(block, rule))

    check_coded(sample, pass_, code)


def test_every_option_changes_the_meaning_but_the_form():
    found = [
        meaning(dense(W), pass_).tolist()
        for pass_ in (
            Log2Pass(3),
            Log2Pass(4),
            Log2Pass(3, "log"),
            Log2Pass(3, small="lowest"),
            Log2Pass(3, highest=-1),
            Log2Pass(3, granularity="channel"),
        )
    ]
    assert len({str(values) for values in found}) == len(found)
    np.testing.assert_array_equal(meaning(dense(W), Log2Pass(3, form="integers")), found[0])


def test_options_that_do_not_fit():
    with pytest.raises(ValueError, match="`bits`"):
        Log2Pass(1)
    with pytest.raises(ValueError, match="64 bits"):
        Log2Pass(7, form="integers")
    with pytest.raises(ValueError, match="`highest`"):
        Log2Pass(highest=128)
