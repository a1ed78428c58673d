"""Densities that know their integrals: what the quantizers do to infinitely many weights of unit variance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hapir.quantizers.sorted_values import Floats


@dataclass(frozen=True)
class Density:
    """`mass(x)` of what lies below x, and `moment(x)`, the integral of w times the density up to x."""

    mass: Callable[[float], float]
    moment: Callable[[float], float]
    count: float = 1.0
    energy: float = 1.0
    range: tuple[float, float] = (-40.0, 40.0)

    def intervals(self, edges: Floats) -> tuple[Floats, Floats]:
        """See `Values.intervals`."""
        counts = np.diff(np.array([0.0, *map(self.mass, edges), 1.0]))
        sums = np.diff(np.array([0.0, *map(self.moment, edges), 0.0]))
        return counts, np.divide(sums, counts, out=np.zeros_like(counts), where=counts > 0)


def _laplace_mass(x: float) -> float:
    tail = 0.5 * math.exp(-math.sqrt(2) * abs(x))
    return tail if x < 0 else 1 - tail


GAUSS = Density(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)), lambda x: -math.exp(-x * x / 2) / math.sqrt(2 * math.pi))
LAPLACE = Density(_laplace_mass, lambda x: -0.5 * (abs(x) + math.sqrt(0.5)) * math.exp(-math.sqrt(2) * abs(x)))
"""Mean 0, variance 1: mean magnitude sqrt(1/2)."""
