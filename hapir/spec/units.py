"""The closed list of units, and what a quantity is worth in hapir's own units.

Internally sizes are bits, rates bits per cycle or bits per second, clocks hertz, times seconds, energies picojoules,
areas square micrometres, and ratios plain numbers (`50 %` is 0.5, `1 point` of accuracy is 0.01). K, M and G before B
and b are decimal; Ki, Mi and Gi are binary (IEC 80000-13).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

Dimension: TypeAlias = Literal[
    "frequency", "size", "words", "time", "cycles", "rate per cycle", "rate per second", "ratio", "decibel", "energy",
    "voltage", "area", "power",
]  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """What a unit measures, and how much one of it is in hapir's own unit of that dimension."""

    dimension: Dimension
    factor: Fraction


_PREFIXES = {"": 0, "k": 3, "M": 6, "G": 9}
_SMALL = {"": 0, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15}
_SIZES = {
    f"{prefix}{base}": Fraction(factor * bits)
    for base, bits in (("b", 1), ("B", 8))
    for prefix, factor in (
        ("", 1), ("K", 10**3), ("M", 10**6), ("G", 10**9), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30),
    )
}  # fmt: skip


def _powers(base: str, prefixes: dict[str, int], dimension: Dimension, offset: int = 0) -> dict[str, Unit]:
    return {f"{p}{base}": Unit(dimension, Fraction(10) ** (e + offset)) for p, e in prefixes.items()}


UNITS: dict[str, Unit] = {
    **_powers("Hz", _PREFIXES, "frequency"),
    **{name: Unit("size", bits) for name, bits in _SIZES.items()},
    **{f"{name}/cycle": Unit("rate per cycle", bits) for name, bits in _SIZES.items()},
    **{f"{name}/s": Unit("rate per second", bits) for name, bits in _SIZES.items()},
    "word": Unit("words", Fraction(1)),
    "words": Unit("words", Fraction(1)),
    "cycle": Unit("cycles", Fraction(1)),
    "cycles": Unit("cycles", Fraction(1)),
    **_powers("s", {k: v for k, v in _SMALL.items() if k != "f"}, "time"),
    "%": Unit("ratio", Fraction(1, 100)),
    "point": Unit("ratio", Fraction(1, 100)),
    "points": Unit("ratio", Fraction(1, 100)),
    "dB": Unit("decibel", Fraction(1)),
    **_powers("J", _SMALL, "energy", 12),
    **_powers("W", {k: v for k, v in _SMALL.items() if k in ("", "m", "u")}, "power"),
    **_powers("V", {"": 0, "m": -3}, "voltage"),
    "um2": Unit("area", Fraction(1)),
    "mm2": Unit("area", Fraction(10**6)),
}

EXAMPLES: dict[Dimension, str] = {
    "frequency": "200 MHz",
    "size": "64 KiB",
    "words": "16 word",
    "time": "5 ns",
    "cycles": "20 cycle",
    "rate per cycle": "8 B/cycle",
    "rate per second": "1 GB/s",
    "ratio": "50 %",
    "decibel": "25 dB",
    "energy": "1.3 pJ",
    "voltage": "0.9 V",
    "area": "0.5 mm2",
    "power": "10 mW",
}
"""One quantity per dimension, for help texts."""


MAXIMUM_MAGNITUDE = Fraction(sys.float_info.max)
"""What numbers, and quantities in hapir's own units, may reach: the largest 64-bit float."""


def magnitude(value: int | float, unit: str) -> Fraction:
    """A quantity in hapir's own unit of its dimension, exactly. Decimal fractions are taken as they are written."""
    return Fraction(str(value)) * UNITS[unit].factor
