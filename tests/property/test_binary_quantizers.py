"""Laws of binary and ternary quantizers, on weights of any shape: on the grid, least error, idempotent, equivariant."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hapir.quantizers.abc_net import abc_net
from hapir.quantizers.bwn import bwn
from hapir.quantizers.coded import Codebook, Coded, Floats, Planes, Scaled
from hapir.quantizers.dorefa import dorefa
from hapir.quantizers.syq import syq
from hapir.quantizers.ttq import ttq
from hapir.quantizers.twn import twn

Rule = Callable[[Floats], Coded]

IDEMPOTENT: dict[str, Rule] = {
    "bwn": bwn,
    "bwn tensor": lambda w: bwn(w, 1),
    "twn": twn,
    "twn channel": lambda w: twn(w, len(w)),
    "twn optimal": lambda w: twn(w, threshold="optimal"),
    "ttq": ttq,
    "ttq 0.5": lambda w: ttq(w, 0.5),
    "ttq symmetric": lambda w: ttq(w, 0.3, symmetric=True),
    "syq pixel": syq,
    "syq row binary": lambda w: syq(w, "row", "binary"),
    "syq asymmetric": lambda w: syq(w, "asymmetric"),
}
EQUIVARIANT: dict[str, Rule] = {
    **IDEMPOTENT,
    "syq mean": lambda w: syq(w, "row", scale="mean"),
    "abc_net": lambda w: abc_net(w, 3),
    "abc_net channel": lambda w: abc_net(w, 2, len(w)),
}
ALL: dict[str, Rule] = {
    **EQUIVARIANT,
    "dorefa 2": lambda w: dorefa(w, 2),
    "dorefa 4": lambda w: dorefa(w, 4, "maximum"),
    "dorefa 8": lambda w: dorefa(w, 8, "unit"),
}


@st.composite
def arrays(draw: st.DrawFn, *, zeros: bool = False) -> Floats:
    """Weights of a layer in multiples of 1/64 (so that sums are exact), without a zero among them unless asked for."""
    shape = draw(st.sampled_from(((1, 1), (3, 5), (4, 2, 3), (4, 1, 3, 3), (2, 3, 1, 2), (5, 4, 2, 3))))
    size = int(np.prod(shape))
    steps = st.integers(0 if zeros else 1, 64)
    values = draw(st.lists(st.tuples(steps, st.sampled_from((-1, 1))), min_size=size, max_size=size))
    return np.array([step * sign / 64 for step, sign in values]).reshape(shape)


def error(w: Floats, coded: Coded) -> float:
    return float(((w - coded.reals().astype(np.float64)) ** 2).sum())


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=25, deadline=None)
@given(w=arrays())
def test_codes_lie_in_their_set(name: str, w: Floats):
    coded = ALL[name](w)
    assert coded.codes.shape == w.shape
    match coded:
        case Scaled():
            codes = np.arange(1 << coded.format.bits, dtype=np.uint64)
            assert set(coded.codes.ravel().tolist()) <= set(coded.format.decode(codes).tolist())
            assert (coded.scales > 0).all()
            assert all(n % g == 0 for n, g in zip(w.shape, coded.scales.shape, strict=True))
        case Codebook():
            assert (np.diff(coded.levels) > 0).all()
            assert coded.codes.max() < len(coded.levels) <= 1 << coded.bits
        case Planes():
            assert (coded.bases >= 0).all()
            assert coded.codes.max() < 1 << coded.bits
    assert coded.reals().dtype == np.float32
    assert np.isfinite(coded.reals()).all()


@pytest.mark.parametrize("name", IDEMPOTENT)
@settings(max_examples=25, deadline=None)
@given(w=arrays(zeros=True))
def test_quantizing_twice_changes_nothing(name: str, w: Floats):
    rule = IDEMPOTENT[name]
    if name.startswith("bwn") or name.endswith("binary"):
        w = np.where(w == 0, 0.5, w)
    once = rule(w).reals()
    np.testing.assert_array_equal(rule(once.astype(np.float64)).reals(), once)


@pytest.mark.parametrize("name", EQUIVARIANT)
@settings(max_examples=25, deadline=None)
@given(w=arrays(), power=st.integers(-20, 20))
def test_a_scaled_layer_has_scaled_values(name: str, w: Floats, power: int):
    rule, factor = EQUIVARIANT[name], 2.0**power
    np.testing.assert_array_equal(rule(w * factor).reals(), rule(w).reals() * np.float32(factor))


@settings(max_examples=40, deadline=None)
@given(arrays(), st.sampled_from((0.5, 0.9, 1.1, 2.0)))
def test_the_mean_magnitude_is_the_best_scale_of_signs(w: Floats, factor: float):
    for groups in (len(w), 1):
        coded = bwn(w, groups)
        assert coded.reals().size == w.size
        np.testing.assert_allclose(
            coded.scales.ravel(), np.abs(w).reshape(coded.scales.shape[0], -1).mean(axis=1), rtol=1e-6
        )
        other = Scaled(coded.codes, coded.format, (coded.scales * factor).astype(np.float32))
        assert error(w, coded) <= error(w, other)


@settings(max_examples=60, deadline=None)
@given(arrays(zeros=True), st.sampled_from(("binary", "ternary")))
def test_finer_sub_groups_have_less_error(w: Floats, codes: str):
    """The Sydney seed, section 2.1: a finer partition cannot be worse; f32 scales round in the last place."""
    assume(w.any())
    kind = "binary" if codes == "binary" else "ternary"
    slack = 1e-6 * float((w**2).sum())
    pixel, row, tensor, channel = (error(w, syq(w, grain, kind)) for grain in ("pixel", "row", "tensor", "channel"))
    assert pixel <= row + slack
    assert row <= tensor + slack
    assert channel <= tensor + slack
    assert error(w, syq(w, "asymmetric", kind)) <= tensor + slack
    if len(w) % 4 == 0:
        assert error(w, syq(w, "group", kind)) <= pixel + slack


@settings(max_examples=60, deadline=None)
@given(arrays(zeros=True), st.floats(0, 2), st.booleans())
def test_the_optimal_threshold_beats_every_other(w: Floats, factor: float, per_channel: bool):
    groups = len(w) if per_channel else 1
    slack = 1e-6 * float((w**2).sum())
    best = error(w, twn(w, groups, "optimal"))
    assert best <= error(w, twn(w, groups, factor=factor)) + slack
    # brute force over every threshold that the weights have
    rows = w.reshape(groups, -1)
    least = 0.0
    for row in rows:
        candidates = [np.abs(row) >= m for m in np.unique(np.abs(row))]
        least += min(float(((np.abs(row) - kept * np.abs(row)[kept].mean()) ** 2).sum()) for kept in candidates)
    assert best == pytest.approx(least, abs=slack + 1e-12)


@settings(max_examples=40, deadline=None)
@given(arrays(zeros=True), st.floats(0, 1.2), st.floats(0, 1.2), st.booleans())
def test_ternary_thresholds(w: Floats, low: float, high: float, symmetric: bool):
    """Heidelberg thesis, L777-793: t = 0 keeps all but zeros, t >= 1 nothing, and sparsity grows with t."""
    low, high = min(low, high), max(low, high)
    zeros = [int((ttq(w, t, symmetric=symmetric).reals() == 0).sum()) for t in (0, low, high, 1)]
    assert zeros == sorted(zeros)
    assert zeros[0] == (w == 0).sum()
    assert zeros[-1] == w.size
    delta = low * np.abs(w).max()
    assert zeros[1] == (np.abs(w) <= delta).sum()


@pytest.mark.parametrize("name", [n for n in ALL if n.startswith(("twn", "ttq", "syq pixel", "syq asymmetric"))])
@settings(max_examples=20, deadline=None)
@given(w=arrays(zeros=True))
def test_zeros_stay_zero(name: str, w: Floats):
    assert not ALL[name](w).reals()[w == 0].any()


@settings(max_examples=40, deadline=None)
@given(arrays(zeros=True), st.booleans())
def test_more_bases_fit_better_where_they_contain_the_fewer(w: Floats, per_channel: bool):
    groups = len(w) if per_channel else 1
    slack = 1e-6 * float((w**2).sum()) + 1e-12
    for chain in ((1, 3, 5), (2, 3)):
        errors = [error(w, abc_net(w, bases, groups)) for bases in chain]
        assert all(more <= fewer + slack for fewer, more in pairwise(errors))


@settings(max_examples=40, deadline=None)
@given(arrays(zeros=True), st.integers(1, 4), st.booleans())
def test_bases_are_a_least_squares_fit(w: Floats, bases: int, per_channel: bool):
    """Against numpy's solver on the bases themselves."""
    groups = len(w) if per_channel else 1
    u = np.linspace(-1, 1, bases) if bases > 1 else np.zeros(1)
    expected = 0.0
    for row in w.reshape(groups, -1):
        centred = row - row.mean()
        signs = np.where(centred[:, np.newaxis] + u * centred.std() >= 0, 1.0, -1.0)
        factors = np.linalg.lstsq(signs, row, rcond=1e-9)[0]
        expected += float(((signs @ factors - row) ** 2).sum())
    assert error(w, abc_net(w, bases, groups)) == pytest.approx(expected, abs=1e-6 * float((w**2).sum()) + 1e-12)


@settings(max_examples=25, deadline=None)
@given(arrays(), st.booleans())
def test_one_base_of_weights_around_zero_is_a_binary_weight_network(w: Floats, per_channel: bool):
    """The HAPPi notes, A10 and A11: M = 1 gives what XNOR-Net has, where the mean of the weights is 0."""
    groups = len(w) if per_channel else 1
    balanced = np.concatenate([w, -w], axis=1)
    np.testing.assert_allclose(abc_net(balanced, 1, groups).reals(), bwn(balanced, groups).reals(), rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(arrays(), st.integers(2, 8))
def test_dorefa_keeps_order_and_signs(w: Floats, bits: int):
    coded = dorefa(w, bits)
    order = np.argsort(w.ravel())
    assert (np.diff(coded.codes.ravel()[order].astype(int)) >= 0).all()
    assert np.abs(coded.codes).max() == (1 << bits) - 1
    assert (np.sign(coded.codes) == np.sign(w)).all()
