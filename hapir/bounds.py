"""Bounds of options that are numbers: declared once, at the option, then checked and shown from there.

A dataclass of options says `sparsity: float = field(metadata=bounded(at_least=0, below=1))` and calls `check_bounds` in
its `__post_init__`; `hapir help` shows the same bounds.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, cast

_KEY = "bounds"


@dataclass(frozen=True)
class Bounds:
    """What a number may be; None leaves a side open."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        sides = dataclasses.asdict(self).items()
        return " and ".join(f"{side.replace('_', ' ')} {limit:g}" for side, limit in sides if limit is not None)


def bounded(
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> dict[str, Bounds]:
    """The metadata of a dataclass field whose numbers lie within bounds."""
    return {_KEY: Bounds(at_least, above, at_most, below)}


def bounds_of(option: dataclasses.Field[Any]) -> Bounds | None:
    """The bounds that a field declares."""
    return option.metadata.get(_KEY)


def check_bounds(options: Any, what: str) -> None:
    """Raise ValueError for the first option of a dataclass that leaves its bounds; of a tuple, each number must hold.

    `what` is the name of the pass or layer in the message. An option that is None or no number is passed over.
    """
    for option in dataclasses.fields(options):
        bounds = bounds_of(option)
        value: object = getattr(options, option.name)
        if bounds is None:
            continue
        numbers = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        for number in numbers:
            if isinstance(number, int | float) and number not in bounds:
                raise ValueError(f"`{option.name}` of {what} is {number:g}, it must be {bounds}")


def whole_share(share: float, count: int) -> int:
    """The floor of a share of a count, safe against `0.07 * 100 = 7.000000000000001` and `0.29 * 100 = 28.99...96`."""
    exact = share * count
    nearest = round(exact)
    return nearest if abs(exact - nearest) <= max(1e-9, exact * 2**-50) else math.floor(exact)
