"""Number formats: every code of the narrow ones, ties, saturation, and what they say of themselves."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hapir.diagnostics import HapirError
from hapir.dialects.formats import (
    WIDEST_TABLE,
    Bfloat,
    Bipolar,
    Fixed,
    Float32,
    Integer,
    Minifloat,
    NumberFormat,
    Ternary,
)
from hapir.dialects.formats_levels import Codebook, PowerOfTwo, Rccm
from hapir.registered import FORMAT, spell, value_of
from hapir.registry import HAPIR

NARROW: list[NumberFormat] = [
    *(Integer(width, signed) for width in (1, 2, 3, 4, 8, 11) for signed in (True, False)),
    *(Fixed(i, f) for i, f in ((2, 6), (1, 7), (8, 0), (-2, 6), (10, -3), (0, 1), (4, 8))),
    Fixed(0, 8, signed=False),
    *(Minifloat(e, m) for e, m in ((4, 3), (5, 2), (2, 1), (3, 4), (8, 7), (5, 10), (8, 1))),
    *(Minifloat(e, m, infinities=False) for e, m in ((2, 1), (3, 2), (2, 3), (5, 1))),
    *(Bipolar(width) for width in (1, 2, 3, 8)),
    Ternary(),
    *(Bfloat(mantissa) for mantissa in (1, 4, 7)),
    *(PowerOfTwo(low, high, signed) for low, high in ((-6, 0), (-3, 3), (0, 0), (-7, 7)) for signed in (True, False)),
    Codebook((-0.5, 0, 0.25, 1)),
    Codebook((1.0, -3.0, 7.5)),
    Rccm("two_add"),
    Rccm("three_add"),
    Rccm("four_add"),
]


def finite(format: NumberFormat) -> np.ndarray:
    """All finite reals of a format, in order, each once."""
    reals = format.decode(np.arange(1 << format.bits, dtype=np.uint64))
    return np.unique(reals[np.isfinite(reals)])


def expected(format: NumberFormat, value: float) -> Fraction:
    """The nearest real by exact arithmetic over all of them; a tie goes to the even code, of two to the smaller one."""
    codes = np.arange(1 << format.bits, dtype=np.uint64)
    reals = format.decode(codes)
    held: dict[Fraction, int] = {}
    for code, real in zip(codes.tolist(), reals.tolist(), strict=True):
        if np.isfinite(real):
            held.setdefault(Fraction(real), code)
    least = min(abs(real - Fraction(value)) for real in held)
    nearest = sorted(real for real in held if abs(real - Fraction(value)) == least)
    even = [real for real in nearest if held[real] % 2 == 0]
    return even[0] if len(even) == 1 else min(nearest, key=abs)


@pytest.mark.parametrize("format", NARROW, ids=spell)
def test_every_real_of_a_format_stays_what_it_is(format: NumberFormat):
    reals = finite(format)
    np.testing.assert_array_equal(format.round(reals), reals)
    np.testing.assert_array_equal(format.decode(format.encode(reals)), reals)
    assert format.range == (reals[0], reals[-1])


@pytest.mark.parametrize("format", NARROW, ids=spell)
def test_rounding_is_that_of_the_codes(format: NumberFormat):
    """What a format computes and what follows from the table of its codes: at midpoints, beside them, and anywhere."""
    reals = finite(format)
    middles = (reals[:-1] + reals[1:]) / 2
    draw = np.random.default_rng(0)
    beside = [np.nextafter(middles, -np.inf), np.nextafter(middles, np.inf)]
    far = np.array([-np.inf, np.inf, -1e300, 1e300, 5e-324, 0.0, -0.0])
    values = np.concatenate([middles, *beside, draw.normal(size=500) * reals[-1], draw.normal(size=500), far])
    by_table = NumberFormat.round(format, values)
    np.testing.assert_array_equal(format.round(values), by_table)
    np.testing.assert_array_equal(format.decode(format.encode(values)), by_table)
    np.testing.assert_array_equal(format.decode(NumberFormat.encode(format, values)), by_table)
    assert not np.signbit(by_table[by_table == 0]).any()


@pytest.mark.parametrize("format", [f for f in NARROW if f.bits <= 8], ids=spell)
def test_the_table_rounds_to_the_nearest(format: NumberFormat):
    reals = finite(format)
    values = [*((reals[:-1] + reals[1:]) / 2), *np.random.default_rng(1).normal(size=20), 2 * reals[-1]]
    for value in values:
        assert Fraction(float(NumberFormat.round(format, np.array([value]))[0])) == expected(format, float(value))


def test_minifloats_are_those_of_ieee():
    """numpy's float16 and the upper half of float32 are oracles that know nothing of this code."""
    codes = np.arange(1 << 16, dtype=np.uint64)
    half, brain = Minifloat(5, 10), Minifloat(8, 7)
    np.testing.assert_array_equal(half.decode(codes), codes.astype(np.uint16).view(np.float16).astype(np.float64))
    raised = (codes << np.uint64(16)).astype(np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(brain.decode(codes), raised.astype(np.float64))
    values = np.random.default_rng(2).normal(size=10000) * np.logspace(-9, 4, 10000)
    np.testing.assert_array_equal(half.round(values), values.astype(np.float16).astype(np.float64))


def test_known_values():
    assert Minifloat(4, 3).range == (-240.0, 240.0)
    assert Minifloat(5, 2).range == (-57344.0, 57344.0)
    assert finite(Minifloat(2, 1, infinities=False)).tolist()[-8:] == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert Fixed(2, 6).range == (-2.0, 1.984375)
    assert finite(PowerOfTwo(-2, 0)).tolist() == [-1, -0.5, -0.25, 0, 0.25, 0.5, 1]
    assert [PowerOfTwo(*ends).bits for ends in ((0, 0), (-2, 0), (-6, 0), (-7, 0))] == [2, 3, 4, 5]
    assert Codebook((1.0, -3.0, 7.5)).levels == (-3.0, 1.0, 7.5)
    assert finite(Bipolar(2)).tolist() == [-3, -1, 1, 3]
    # Faraone (Sydney 2021), Table 6.2: 15, 59 and 207 coefficients
    assert finite(Rccm("two_add")).tolist()[7:] == [0, 1, 2, 8, 28, 36, 44, 92]
    assert [len(finite(Rccm(circuit))) for circuit in ("two_add", "three_add", "four_add")] == [15, 59, 207]
    assert Float32().round(np.array([0.1, 1e300])).tolist() == [float(np.float32(0.1)), float(np.finfo(np.float32).max)]
    assert Float32().encode(np.array([1.0])).tolist() == [0x3F800000]


@pytest.mark.parametrize("format", [*NARROW, Float32()], ids=spell)
def test_nan_is_refused(format: NumberFormat):
    for use in (format.round, format.encode):
        with pytest.raises(ValueError, match="NaN"):
            use(np.array([1.0, np.nan]))


@pytest.mark.parametrize("format", [*NARROW, Float32()], ids=spell)
def test_a_format_is_written_as_it_is_read(format: NumberFormat):
    assert value_of(spell(format), FORMAT) == format


def test_spellings():
    assert value_of("i8", FORMAT) == value_of("integer(8)", FORMAT) == value_of("integer", FORMAT) == Integer(8)
    assert value_of("fixed(2,6)", FORMAT) == value_of("fixed(fraction = 6, integer = 2)", FORMAT) == Fixed(2, 6)
    assert spell(Minifloat(4, 3)) == "minifloat(exponent = 4, mantissa = 3)"
    assert spell(Fixed(0, 8, signed=False)) == "fixed(integer = 0, fraction = 8, signed = false)"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("fixd(2, 6)", "HAP0232", "did you mean `fixed`"),
        ("i99", "HAP0305", "1 to 32"),
        ("i0", "HAP0232", "no number format `i0`"),
        ("fixed(2)", "HAP0305", "it needs `fraction`"),
        ("fixed(2, 6, true, 1)", "HAP0305", "4 values are given"),
        ("fixed(2, integer = 2)", "HAP0305", "given twice"),
        ("fixed(2, 6.5)", "HAP0305", "`fraction` cannot be 6.5"),
        ("fixed(2, six = 6)", "HAP0305", "no option `six`"),
        ("fixed(20, 20)", "HAP0305", "1 to 32"),
        ("minifloat(1, 3)", "HAP0305", "2 to 8"),
        ("power_of_two(2, 1)", "HAP0305", "above `highest`"),
        ("codebook([1])", "HAP0305", "2 to 65536 different"),
        ("codebook([1, two])", "HAP0305", "`levels` cannot be"),
        ("rccm(five_add)", "HAP0305", "`circuit` cannot be"),
        ("fixed(", "HAP0304", "does not name"),
        ("", "HAP0304", "does not name"),
        ("fixed(**x)", "HAP0304", "does not name"),
        ("1 + 2", "HAP0304", "does not name"),
    ],
)
def test_what_names_no_format(text: str, code: str, words: str):
    with pytest.raises(HapirError) as raised:
        value_of(text, FORMAT)
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert words in f"{found.message} {found.help}"


def test_a_format_that_cannot_be_tabulated_must_round_itself():
    class Wide(NumberFormat):
        """Too wide for a table."""

        name = "wide"

        @property
        def bits(self) -> int:
            return WIDEST_TABLE + 1

        def decode(self, codes: np.ndarray) -> np.ndarray:
            return codes.astype(np.float64)

    with pytest.raises(ValueError, match="must define `round`"):
        Wide().round(np.zeros(1))


def test_all_registered_formats_are_covered_here():
    assert {f.name for f in (*NARROW, Float32())} == set(HAPIR.formats)
