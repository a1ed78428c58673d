"""The format of the plug-in: every code against a decoder that reads the bits as text."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hapir_posit import Posit

from hapir.dialects.formats import NumberFormat

FORMATS = [Posit(width, es) for width in (3, 4, 6, 8, 10) for es in (0, 1, 2, 3)] + [Posit(16, 1)]


def by_the_book(code: int, width: int, es: int) -> Fraction | None:
    """The value of a posit, field by field; None for not-a-real."""
    text = f"{code:0{width}b}"
    if "1" not in text:
        return Fraction(0)
    if "1" not in text[1:]:
        return None
    sign = 1
    if text[0] == "1":
        sign, text = -1, f"{(1 << width) - code:0{width}b}"
    regime = text[1:]
    run = len(regime) - len(regime.lstrip(regime[0]))
    k = run - 1 if regime[0] == "1" else -run
    rest = regime[run + 1 :]
    exponent = int(rest[:es].ljust(es, "0") or "0", 2)
    fraction = rest[es:]
    power = Fraction(2) ** (k * 2**es + exponent)
    return sign * power * (1 + Fraction(int(fraction or "0", 2), 1 << len(fraction)))


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_every_code(format: Posit):
    codes = np.arange(1 << format.width, dtype=np.uint64)
    reals = format.decode(codes)
    for code, real in zip(codes.tolist(), reals.tolist(), strict=True):
        expected = by_the_book(code, format.width, format.es)
        assert np.isnan(real) if expected is None else Fraction(real) == expected, f"{code:b}"


def test_known_values():
    assert Posit(8, 2).range == (-(2.0**24), 2.0**24)
    assert Posit(16, 1).range[1] == 2.0**28
    assert Posit(8, 0).round(np.array([1.0, 0.1, 100.0, -1e-9])).tolist() == [1.0, 0.09375, 64.0, 0.0]


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_values_stay_and_others_go_to_the_nearest(format: NumberFormat):
    reals = format.decode(np.arange(1 << format.bits, dtype=np.uint64))
    reals = np.unique(reals[np.isfinite(reals)])
    np.testing.assert_array_equal(format.round(reals), reals)
    np.testing.assert_array_equal(format.decode(format.encode(reals)), reals)
    values = np.random.default_rng(0).normal(size=200) * 4
    distance = np.abs(reals[None, :] - values[:, None]).min(axis=1)
    np.testing.assert_array_equal(np.abs(format.round(values) - values), distance)


@pytest.mark.parametrize(("width", "es"), [(2, 0), (17, 1), (8, 4), (8, -1)])
def test_options(width: int, es: int):
    with pytest.raises(ValueError, match="it must be"):
        Posit(width, es)
