"""n_ary: every weight is 0 or the mean of its cluster; options change the clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.lowering.compress.weights.n_ary import LEVELS, Kind, NAryPass
from hapir.quantizers.codebooks import by_rows
from hapir.quantizers.n_ary import NAry, n_ary
from tests.property.coded_layers import check_coded, dense, meaning, refused
from tests.property.pipelines import compilation
from tests.property.strategies import FEATURES, Sample, networks

W = np.random.default_rng(7).laplace(size=(4, 40))


@settings(max_examples=25, deadline=None)
@given(networks(allow=FEATURES - {"recurrent"}), st.sampled_from(sorted(LEVELS)), st.floats(0.5, 2), st.booleans())
def test_weights_are_means_of_their_clusters(sample: Sample, kind: Kind, t: float, per_channel: bool):
    rule = NAry(*LEVELS[kind], t=t)
    pass_ = NAryPass(kind, t, granularity="channel" if per_channel else "tensor")
    check_coded(sample, pass_, lambda w: by_rows(w, len(w) if per_channel else 1, lambda block: n_ary(block, rule)))


def test_every_option_changes_the_meaning():
    found = [
        meaning(dense(W), pass_).tolist()
        for pass_ in (
            NAryPass(),
            NAryPass("binary"),
            NAryPass("quaternary_plus"),
            NAryPass("custom", positive=3, negative=2),
            NAryPass(t=0.1),
            NAryPass(thresholds="max"),
            NAryPass(thresholds="max", t=0.5),
            NAryPass(thresholds="quantile", shares=(0.4, 0.3, 0.3)),
            NAryPass(thresholds="quantile", shares=(0.2, 0.4, 0.4)),
            NAryPass(granularity="channel"),
        )
    ]
    assert len({str(values) for values in found}) == len(found)


def test_coded_weights_are_refused():
    sample = dense(W)
    once = compilation(sample).apply(NAryPass())
    again = Sample(once.network, once.ctx.weights, sample.input_shape)
    assert "coded already" in refused(again, NAryPass(), "HAP0595")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t": 0.0}, "`t`"),
        ({"positive": 2}, "custom"),
        ({"kind": "custom", "positive": 0, "negative": 0}, "levels"),
        ({"kind": "binary", "t": 1.5}, "one threshold"),
        ({"thresholds": "quantile"}, "`shares`"),
        ({"thresholds": "quantile", "shares": (0.3, 0.3, 0.4), "t": 1.5}, "`t`"),
        ({"shares": (0.3, 0.3, 0.4)}, "`shares`"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        NAryPass(**options)  # pyright: ignore[reportArgumentType]  # wrong on purpose
