"""Quantities of a machine as whole numbers: bits, words, bits per cycle, cycles and hertz.

A port moves no part of a bit and a wait ends with a cycle: rates per second are rounded down to bits per cycle, times
are rounded up to cycles. Energies stay real numbers, in picojoules.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar, cast

from hapir.spec.options import Measure
from hapir.spec.units import Dimension

S = TypeVar("S")
RATE: tuple[Dimension, ...] = ("rate per cycle", "rate per second")
"""What a bandwidth is measured in."""
WAIT: tuple[Dimension, ...] = ("cycles", "time")
"""What a latency is measured in."""
_UNITS: dict[Dimension, tuple[str, int]] = {
    "frequency": ("hertz", 1),
    "size": ("bits", 1),
    "words": ("words", 1),
    "rate per cycle": ("bits", 1),
    "cycles": ("cycles", 0),
}
"""hapir's own unit of a dimension whose quantities are whole, and the least that makes sense."""
_MOST = 1 << 62


@dataclass(frozen=True)
class Unsettled:
    """A setting that is no whole number of hapir's unit, or that needs a clock."""

    setting: str
    message: str
    help: str | None = None


def settled(settings: S, clock_hz: int | None) -> tuple[S, list[Unsettled]]:
    """The same settings with rates and times counted in cycles and all of them whole, and what could not be made so.

    A setting that could not gets the least value of its unit, so that a checker can go on.
    """
    changed: dict[str, Measure] = {}
    problems: list[Unsettled] = []
    for option in dataclasses.fields(cast(Any, settings)):
        value = getattr(settings, option.name)
        if isinstance(value, Measure):
            changed[option.name] = _settle(option.name, value, clock_hz, problems)
    return dataclasses.replace(cast(Any, settings), **changed), problems


def _settle(name: str, measure: Measure, clock_hz: int | None, problems: list[Unsettled]) -> Measure:
    if measure.dimension in ("rate per second", "time"):
        if clock_hz is None:
            message = f"`{name}` is counted in cycles, and there is no clock to count them by"
            problems.append(Unsettled(name, message, "write `clock = 200 MHz`, or give it per cycle"))
            clock_hz = 1
        measure = _in_cycles(measure, clock_hz)
    if measure.dimension not in _UNITS:
        return measure
    unit, least = _UNITS[measure.dimension]
    if measure.value.denominator == 1 and least <= measure.value < _MOST:
        return measure
    message = f"`{name}` must be a whole number of {unit}, at least {least}; this is {float(measure.value):g}"
    problems.append(Unsettled(name, message))
    return Measure(Fraction(least), measure.dimension)


def _in_cycles(measure: Measure, clock_hz: int) -> Measure:
    if measure.dimension == "time":
        return Measure(Fraction(math.ceil(measure.value * clock_hz)), "cycles")
    return Measure(Fraction(math.floor(measure.value / clock_hz)), "rate per cycle")


def whole(measure: Measure | None) -> int | None:
    """The integer of a settled quantity; None for what is not said."""
    return None if measure is None else int(measure.value)


def real(measure: Measure | None) -> float | None:
    """The number of a quantity in hapir's own unit; None for what is not said."""
    return None if measure is None else float(measure.value)
