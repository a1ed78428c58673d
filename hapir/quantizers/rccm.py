"""Reconfigurable constant-coefficient multipliers: circuits of adders, and the coefficients that they can multiply by.

A stage A adds to B1 one of three shifted inputs, or nothing, or subtracts one: `A1 + B1`, `A2 + B1`, `A3 + B1` and a
fourth operation. The last stage, B, gives `-A1 + B1`, `-A2 + B1`, `A1 - B1`, `A2 - B1`, so every set is symmetric. Two
select bits choose the operation of a stage; a weight is stored as its select word, stage A_I in the lowest bits. After
Faraone, "Simplification of Deep Neural Networks for Efficient Inference" (Sydney 2021, sections 6.2-6.3, Tables 6.2 and
6.3). The table prints `A2 + B1` for the second operation of stage B; only `-A2 + B1` gives its own Table 6.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement, product

import numpy as np
import numpy.typing as npt

LARGEST_SHIFT = 3
"""Inputs of a stage are shifted left by 0 to 3."""

FULL = 0.9
"""The share of select words that must have a coefficient of their own for a set to be full."""

Magnitudes = tuple[int, ...]
"""The coefficients of a symmetric set that are not negative, ascending."""


@dataclass(frozen=True)
class Stage:
    """One adder of kind A: its sources (0 is x, i the result of stage i), shifts of A1, A2, A3, B1, and the fourth op.

    `fourth` is 0 for `B1` alone, or k for `-Ak + B1`.
    """

    sources: tuple[int, int]
    shifts: tuple[int, int, int, int]
    fourth: int = 0

    def results(self, a: int, b: int) -> tuple[int, int, int, int]:
        """What the four operations make of multiples a and b of x."""
        first, second, third = (a << shift for shift in self.shifts[:3])
        rest = b << self.shifts[3]
        return first + rest, second + rest, third + rest, rest - (0, first, second, third)[self.fourth]


@dataclass(frozen=True)
class Circuit:
    """Stages A in order, then stage B: its sources and the shifts of A1, A2, B1."""

    stages: tuple[Stage, ...]
    sources: tuple[int, int]
    shifts: tuple[int, int, int]

    @property
    def select_bits(self) -> int:
        """Bits of a select word: two per adder."""
        return 2 * len(self.stages) + 2

    def coefficients(self) -> tuple[int, ...]:
        """The coefficient of each select word."""
        return tuple(self._coefficient(select) for select in range(1 << self.select_bits))

    def magnitudes(self) -> Magnitudes:
        """The distinct coefficients from 0 up."""
        return tuple(sorted({abs(c) for c in self.coefficients()}))

    def _coefficient(self, select: int) -> int:
        multiples = [1]
        for i, stage in enumerate(self.stages):
            a, b = (multiples[source] for source in stage.sources)
            multiples.append(stage.results(a, b)[select >> 2 * i & 3])
        a, b = (multiples[source] for source in self.sources)
        first, second, rest = a << self.shifts[0], a << self.shifts[1], b << self.shifts[2]
        return (rest - first, rest - second, first - rest, second - rest)[select >> 2 * len(self.stages) & 3]


CIRCUITS = {
    "two_add": Circuit((Stage((0, 0), (0, 1, 3, 2)),), (1, 0), (0, 3, 2)),
    "three_add": Circuit((Stage((0, 0), (0, 2, 3, 3), 2), Stage((0, 0), (0, 1, 3, 0), 1)), (1, 2), (0, 3, 0)),
    "four_add": Circuit(
        (
            Stage((0, 0), (0, 1, 3, 0), 3),
            Stage((0, 0), (0, 1, 3, 1), 2),
            Stage((1, 2), (0, 1, 3, 3), 1),
        ),
        (3, 0),
        (0, 3, 1),
    ),
    "three_add_worst": Circuit((Stage((0, 0), (0, 2, 3, 1), 1), Stage((0, 0), (0, 2, 3, 1), 3)), (1, 2), (0, 2, 3)),
    "three_add_gauss": Circuit((Stage((0, 0), (2, 1, 0, 2), 2), Stage((0, 0), (2, 1, 0, 1), 3)), (1, 2), (2, 1, 0)),
    "three_add_laplace": Circuit((Stage((0, 0), (3, 2, 0, 1), 1), Stage((0, 0), (3, 2, 0, 2), 3)), (1, 2), (3, 0, 2)),
}
"""Circuits by the name of their set. The first three are the thesis' own (Table 6.3); `three_add_worst` matches weights
badly (L1667); `gauss` and `laplace` have the best signal-to-noise ratio on such weights, of all sets with 0."""

_BEST_2_ADD: dict[str, Magnitudes] = {
    "two_add_gauss": (0, 2, 3, 4, 6, 8, 10, 14),
    "two_add_laplace": (0, 1, 2, 4, 6, 10, 14, 22),
}

SETS: dict[str, Magnitudes] = {
    **{name: circuit.magnitudes() for name, circuit in CIRCUITS.items()},
    **_BEST_2_ADD,
}
"""The coefficients of every set that has a name."""


@cache
def stage_results() -> tuple[frozenset[int], ...]:
    """Every set of multiples that one stage A with both inputs x can give: 165 of them."""
    found = {
        frozenset(Stage((0, 0), (a1, a2, a3, b), fourth).results(1, 1))
        for a1, a2, a3, b in product(range(LARGEST_SHIFT + 1), repeat=4)
        for fourth in range(4)
    }
    return tuple(sorted(found, key=sorted))


@cache
def two_add_sets() -> tuple[Magnitudes, ...]:
    """Every set of a 2-Add circuit: one stage A on x, then stage B on its result and x."""
    found = {
        tuple(sorted({abs((u << shift) - (1 << rest)) for u in results for shift in (first, second)}))
        for results in stage_results()
        for first, second in combinations_with_replacement(range(LARGEST_SHIFT + 1), 2)
        for rest in range(LARGEST_SHIFT + 1)
    }
    return tuple(sorted(found))


@cache
def three_add_sets() -> npt.NDArray[np.bool_]:
    """Every set of a 3-Add circuit, a row each: whether 0, 1, 2, ... is among its magnitudes.

    Two stages A on x, then stage B on their results. A second of work: 1.1 million circuits, 408 039 sets.
    """
    results = [np.array(sorted(r)) for r in stage_results()]
    widest = max(len(r) for r in results)
    table = np.stack([np.pad(r, (0, widest - len(r)), mode="edge") for r in results])
    largest = int(np.abs(table).max()) << LARGEST_SHIFT
    rows: list[npt.NDArray[np.uint8]] = []
    for first, second in combinations_with_replacement(range(LARGEST_SHIFT + 1), 2):
        for rest in range(LARGEST_SHIFT + 1):
            a = np.concatenate([table << first, table << second], axis=1)
            # stages I x II, then the values of I x those of II
            found = np.abs(a[:, np.newaxis, :, np.newaxis] - (table << rest)[np.newaxis, :, np.newaxis, :])
            found = found.reshape(len(table) ** 2, -1)
            held = np.zeros((len(found), 2 * largest + 1), np.bool_)
            np.put_along_axis(held, found, True, axis=1)
            rows.append(np.packbits(held, axis=1))
    packed = np.unique(np.concatenate(rows), axis=0)
    return np.unpackbits(packed, axis=1, count=2 * largest + 1).astype(np.bool_)


@cache
def full_three_add_sets() -> tuple[Magnitudes, ...]:
    """Those of a 3-Add circuit that hold 0 and have coefficients for 90 % of the select words.

    The divergence alone would choose sets of a dozen coefficients (L1613-1669).
    """
    sets = three_add_sets()
    wanted = math.ceil(FULL * (1 << CIRCUITS["three_add"].select_bits))
    rows = sets[sets[:, 0] & (2 * sets.sum(axis=1) - 1 >= wanted)]
    return tuple(tuple(np.flatnonzero(row).tolist()) for row in rows)
