"""addnet: every weight is the scale times a coefficient, as an index or as an integer; options change which."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.lowering.compress.weights.addnet import AddnetPass, Set
from hapir.quantizers.addnet import ScaleRule, best_scale, nearest_coefficients
from hapir.quantizers.codebooks import by_rows
from hapir.quantizers.coded import Codebook, Floats
from hapir.quantizers.rccm import SETS, two_add_sets
from hapir.quantizers.sorted_values import SortedValues
from tests.property.coded_layers import check_coded, dense, meaning
from tests.property.strategies import FEATURES, Sample, networks

W = np.random.default_rng(7).laplace(size=(4, 40))
NAMES: list[Set] = ["two_add", "three_add_laplace", "two_add_gauss"]


@settings(max_examples=20, deadline=None)
@given(
    networks(allow=FEATURES - {"recurrent"}),
    st.sampled_from(NAMES),
    st.sampled_from(["least_squares", "divergence", "maximum"]),
    st.sampled_from(["codebook", "integers"]),
    st.booleans(),
)
def test_weights_are_scaled_coefficients(
    sample: Sample, name: Set, scale: ScaleRule, form: Literal["codebook", "integers"], per_channel: bool
):
    def rule(block: Floats) -> Codebook:
        found = max(np.float32(best_scale(SortedValues(block), SETS[name], scale)), np.finfo(np.float32).tiny)
        return nearest_coefficients(block, SETS[name], float(found))

    pass_ = AddnetPass(name, scale, form, "channel" if per_channel else "tensor")
    check_coded(sample, pass_, lambda w: by_rows(w, len(w) if per_channel else 1, rule))


def test_every_option_changes_the_meaning_but_the_form():
    passes = (
        AddnetPass(),
        AddnetPass("three_add"),
        AddnetPass((0, 1, 2, 8)),
        AddnetPass("two_add_match"),
        AddnetPass(scale="divergence"),
        AddnetPass(scale="maximum"),
        AddnetPass(granularity="channel"),
    )
    found = [meaning(dense(W), pass_) for pass_ in passes]
    assert len({str(values.tolist()) for values in found}) == len(found)
    np.testing.assert_array_equal(meaning(dense(W), AddnetPass(form="integers")), found[0])


def test_a_set_that_matches_is_one_that_two_adders_make():
    magnitudes = np.unique(np.abs(meaning(dense(W), AddnetPass("two_add_match"))))
    shares = magnitudes / magnitudes[-1]
    assert any(
        np.abs(np.subtract.outer(shares, np.array(s) / max(s))).min(1).max() < 1e-6 for s in two_add_sets() if any(s)
    )


def test_options_that_do_not_fit():
    with pytest.raises(ValueError, match="not 0"):
        AddnetPass((0,))
    with pytest.raises(ValueError, match="`coefficients`"):
        AddnetPass((-1, 2))
