"""Units: what a quantity is worth inside."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from hapir.diagnostics import HapirError
from hapir.spec import load_spec_text
from hapir.spec.units import EXAMPLES, UNITS, Dimension, magnitude


@pytest.mark.parametrize(
    ("value", "unit", "dimension", "worth"),
    [
        (200, "MHz", "frequency", 200_000_000),
        (0.5, "GHz", "frequency", 500_000_000),
        (64, "KiB", "size", 64 * 1024 * 8),
        (64, "KB", "size", 64 * 1000 * 8),
        (1, "MiB", "size", 8 << 20),
        (3, "b", "size", 3),
        (8, "B/cycle", "rate per cycle", 64),
        (12, "b/cycle", "rate per cycle", 12),
        (1, "GB/s", "rate per second", 8 * 10**9),
        (50, "%", "ratio", Fraction(1, 2)),
        (1, "point", "ratio", Fraction(1, 100)),
        (25, "dB", "decibel", 25),
        (1.3, "pJ", "energy", Fraction(13, 10)),
        (2, "nJ", "energy", 2000),
        (4, "fJ", "energy", Fraction(4, 1000)),
        (5, "ns", "time", Fraction(5, 10**9)),
        (0.9, "V", "voltage", Fraction(9, 10)),
        (0.5, "mm2", "area", 500_000),
        (10, "mW", "power", Fraction(1, 100)),
        (16, "word", "words", 16),
        (20, "cycles", "cycles", 20),
        (1e-05, "s", "time", Fraction(1, 100_000)),
    ],
)
def test_magnitude(value: float, unit: str, dimension: Dimension, worth: Fraction | int):
    assert UNITS[unit].dimension == dimension
    assert magnitude(value, unit) == worth


def test_every_dimension_has_an_example_that_is_one():
    assert {unit.dimension for unit in UNITS.values()} == set(EXAMPLES)
    for dimension, example in EXAMPLES.items():
        assert UNITS[example.split(" ")[1]].dimension == dimension


@pytest.mark.parametrize(
    "body",
    [
        "clock = 1e308 GHz",
        "clock = 1 GHz; memory a { size = 1e306 GiB }",
        "clock = 1 GHz; memory a { latency = 1e308 s, read_energy = 1e305 J }",
        "technology = cmos45(dram_access = 1e308 J)",
        "let fast = 1e299 GHz; clock = fast * 10",
    ],
)
def test_a_quantity_beyond_floats_is_refused(body: str):
    """What is small enough as it is written may be too large in hapir's own unit."""
    with pytest.raises(HapirError) as raised:
        load_spec_text(f"hap 1\nmachine m {{ {body} }}\n", "t.hap", Path("nowhere"))
    assert {d.code for d in raised.value.diagnostics} <= {"HAP0105", "HAP0308"}
