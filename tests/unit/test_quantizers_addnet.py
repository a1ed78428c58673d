"""Coefficient sets of adder circuits and the scales that weights take on them; numbers of Faraone's thesis (2021)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hapir.quantizers import addnet
from hapir.quantizers.addnet import best_scale, edges_of, matching_set, ranked, symmetric
from hapir.quantizers.rccm import CIRCUITS, SETS, Magnitudes, stage_results, three_add_sets, two_add_sets
from hapir.quantizers.sorted_values import SortedValues, Values, squared_error
from tests.unit.densities import GAUSS, LAPLACE, Density

WEIGHTS = arrays(np.float64, array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-8, 8, width=32))
POWERS: Magnitudes = (0, 1, 2, 4, 8, 16, 32, 64)


def uniform(bits: int) -> Magnitudes:
    """The coefficients of symmetric integers."""
    return tuple(range(1 << bits - 1))


def db(values: Values, magnitudes: Magnitudes, scale: float) -> float:
    """The signal-to-quantization-noise ratio at a scale."""
    c = symmetric(magnitudes)
    return 10 * math.log10(values.energy / squared_error(values, edges_of(c, scale), scale * c))


@pytest.mark.parametrize(
    ("name", "digest", "total", "distinct"),
    [
        ("two_add", "b2227d85eac985a1", 422, 15),
        ("three_add", "e8fffc86d9942e6e", 2748, 59),
        ("four_add", "3f5a12a85288454b", 49116, 207),
    ],
)
def test_the_circuits_of_the_thesis(name: str, digest: str, total: int, distinct: int):
    # Sydney thesis, Tables 6.2 and 6.3 (L1634-1659), as corrected; the digest is of the comma-joined table
    table = CIRCUITS[name].coefficients()
    assert hashlib.sha256(",".join(map(str, table)).encode()).hexdigest()[:16] == digest
    assert (sum(map(abs, table)), len(set(table))) == (total, distinct)


def test_select_words():
    # Sydney thesis, Table 6.2 (L1634); toggling the high select bit of the last stage negates
    table = CIRCUITS["two_add"].coefficients()
    assert table == (-1, -2, -8, 0, -36, -44, -92, -28, 1, 2, 8, 0, 36, 44, 92, 28)
    for circuit in CIRCUITS.values():
        words = circuit.coefficients()
        assert all(words[s ^ len(words) // 2] == -c for s, c in enumerate(words))


def test_sets_by_name():
    # Sydney thesis, Table 6.2 and L1667 (worst); the best sets are the seed rows `G` and `L`
    assert SETS["two_add"] == (0, 1, 2, 8, 28, 36, 44, 92)
    assert SETS["three_add_worst"][-6:] == (72, 74, 76, 77, 79, 88)
    assert SETS["three_add_gauss"] == (*range(22), 23, 26, 28, 29, 31)
    assert {name: 2 * len(s) - 1 for name, s in SETS.items()} == {
        "two_add": 15,
        "three_add": 59,
        "four_add": 207,
        "three_add_worst": 63,
        "three_add_gauss": 53,
        "three_add_laplace": 55,
        "two_add_gauss": 15,
        "two_add_laplace": 15,
    }


def normalized(magnitudes: Magnitudes) -> Magnitudes:
    """Without the common factor."""
    factor = math.gcd(*magnitudes) or 1
    return tuple(m // factor for m in magnitudes)


def test_all_sets_of_two_adders():
    # seed row: 165 stage results; 4337 sets, 2224 without the common factor, 779 with 0, 388 both
    sets = two_add_sets()
    assert len(stage_results()) == 165
    assert (len(sets), len(set(map(normalized, sets)))) == (4337, 2224)
    with_zero = [s for s in sets if 0 in s]
    assert (len(with_zero), len(set(map(normalized, with_zero)))) == (779, 388)
    assert {SETS["two_add"], SETS["two_add_gauss"], SETS["two_add_laplace"]} <= set(map(normalized, with_zero))


@pytest.mark.slow
def test_all_sets_of_three_adders():
    # seed row: 408 039 sets, 95 610 with 0 and without the common factor
    rows = [tuple(np.flatnonzero(row).tolist()) for row in three_add_sets()]
    assert len(rows) == 408_039
    assert len({normalized(s) for s in rows if s[0] == 0}) == 95_610
    assert {SETS[f"three_add{which}"] for which in ("", "_worst", "_gauss", "_laplace")} <= set(map(normalized, rows))


@pytest.mark.parametrize(
    ("magnitudes", "gauss", "laplace"),
    [
        ((1,), 4.40, 3.01),
        ((0, 1), 7.21, 5.78),
        (uniform(3), 13.29, 10.80),
        (uniform(4), 18.90, 15.62),
        (uniform(5), 24.33, 20.42),
        (uniform(6), 29.71, 25.26),
        (uniform(8), 40.54, 35.18),
        (POWERS, 14.23, 14.17),
        (SETS["two_add"], 13.87, 13.08),
        (SETS["two_add_gauss"], 18.98, 16.04),
        (SETS["two_add_laplace"], 17.86, 16.97),
        (SETS["three_add"], 23.87, 22.45),
        (SETS["three_add_worst"], 23.24, 19.45),
        (SETS["three_add_gauss"], 29.30, 25.16),
        (SETS["three_add_laplace"], 29.19, 26.90),
        (SETS["four_add"], 34.78, 33.91),
    ],
    ids=str,
)
def test_the_best_scale_on_known_densities(magnitudes: Magnitudes, gauss: float, laplace: float):
    # seed table: SQNR in dB of unit variance at the scale of least error
    for density, expected in ((GAUSS, gauss), (LAPLACE, laplace)):
        assert db(density, magnitudes, best_scale(density, magnitudes)) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("magnitudes", "expected"),
    [
        (uniform(4), (15.7, 12.1, 9.6, 7.7, 4.2, 2.2)),
        (SETS["two_add"], (13.4, 10.9, 9.3, 8.8, 9.5, 9.7)),
        (SETS["two_add_laplace"], (17.4, 16.3, 15.4, 14.5, 12.6, 11.1)),
        (uniform(6), (28.6, 25.1, 22.6, 20.6, 17.1, 14.6)),
        (SETS["three_add_worst"], (20.9, 17.8, 15.4, 13.1, 8.6, 5.7)),
        (SETS["three_add"], (16.6, 16.7, 19.1, 21.4, 23.1, 23.9)),
        (SETS["three_add_laplace"], (29.2, 27.7, 25.9, 24.4, 21.2, 18.6)),
        (uniform(8), (40.5, 37.3, 34.8, 32.9, 29.3, 26.8)),
        (SETS["four_add"], (29.1, 32.1, 33.8, 34.7, 34.0, 33.3)),
    ],
    ids=str,
)
def test_the_range_of_the_weights_as_scale(magnitudes: Magnitudes, expected: tuple[float, ...]):
    # seed table: Gaussian weights, the largest coefficient at r deviations
    for r, ratio in zip((4, 6, 8, 10, 15, 20), expected, strict=True):
        reaching = replace(GAUSS, range=(-float(r), float(r)))
        scale = best_scale(reaching, magnitudes, "maximum")
        assert scale == r / max(magnitudes)
        assert db(GAUSS, magnitudes, scale) == pytest.approx(ratio, abs=0.06)


@pytest.mark.parametrize("deviation", [0.018, 0.02, 0.025, 0.03])
def test_the_set_of_the_thesis_matches_outlying_weights(deviation: float):
    # seed row: deviation / range in 0.018..0.030, the thesis set has rank 3 or 4 of 779
    weights: Density = replace(GAUSS, range=(-1 / deviation, 1 / deviation))
    for smoothing in (1e-10, 1e-3):
        order = [s for _, s in ranked(weights, two_add_sets(), smoothing)]
        assert len(order) == 779
        assert order.index(SETS["two_add"]) + 1 in (3, 4)
    assert len(matching_set(weights, two_add_sets())) == len(SETS["two_add"])


@given(WEIGHTS, st.sampled_from(sorted(SETS)), st.sampled_from(["least_squares", "divergence", "maximum"]))
def test_each_weight_takes_the_nearest_coefficient(w: np.ndarray, name: str, rule: addnet.ScaleRule):
    scale = float(np.float32(best_scale(SortedValues(w), SETS[name], rule)))
    coded = addnet.nearest_coefficients(w, SETS[name], scale)
    nearest = np.abs(w[..., np.newaxis] - scale * symmetric(SETS[name])).min(axis=-1)
    np.testing.assert_allclose(np.abs(w - coded.reals()), nearest, atol=1e-5)
    integers = addnet.integer_coefficients(w, SETS[name], scale)
    np.testing.assert_array_equal(integers.reals(), coded.reals())
    assert set(np.unique(np.abs(integers.codes)).tolist()) <= set(SETS[name])
    low, high = integers.format.range
    assert low <= -max(SETS[name]) < max(SETS[name]) <= high


@given(WEIGHTS, st.sampled_from(sorted(SETS)))
def test_the_scale_of_least_error_is_the_best_of_the_three(w: np.ndarray, name: str):
    values = SortedValues(w)
    c = symmetric(SETS[name])
    errors = [
        squared_error(values, edges_of(c, s), s * c)
        for s in (best_scale(values, SETS[name], rule) for rule in ("least_squares", "divergence", "maximum"))
    ]
    assert errors[0] <= min(errors) + 1e-9 * values.energy


def test_degenerate_layers():
    for rule in ("least_squares", "divergence", "maximum"):
        assert best_scale(SortedValues(np.zeros(4)), SETS["two_add"], rule) == 1.0
        one = best_scale(SortedValues(np.array([-0.5])), SETS["two_add"], rule)
        assert np.isfinite(one)
        assert one > 0
    with pytest.raises(ValueError, match="holds 0"):
        matching_set(GAUSS, [(1, 2)])
