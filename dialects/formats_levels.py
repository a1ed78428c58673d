"""Number formats whose reals are not evenly spaced: powers of two, a list of levels, coefficients of adder circuits.

Their steps grow or follow a table, so that a multiplier is a shift, a look-up, or a few adders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from hapir.bounds import bounded, check_bounds
from hapir.dialects.formats import Codes, NumberFormat, Reals
from hapir.quantizers.rccm import CIRCUITS

LARGEST_LEVELS = 1 << 16
"""How many levels a codebook may have: what 16-bit indices reach."""


@dataclass(frozen=True)
class PowerOfTwo(NumberFormat):
    """0 and `2^e` for the exponents `lowest` to `highest`, with a sign: a product with it is a shift.

    Code 0 is zero, code i is `2^(lowest + i - 1)`; the highest bit of a signed code is the sign, and codes past the
    highest exponent stand for nothing. Ties, which lie half-way between two reals, go to the even code. (Miyashita,
    Lee, Murmann, "Convolutional Neural Networks using Logarithmic Data Representation", 2016.)

    `lowest`: the lowest exponent.
    `highest`: the highest exponent.
    `signed`: whether there are negative ones.

    Example: `round_weights(format = power_of_two(lowest = -6, highest = 0))`
    """

    name: ClassVar[str] = "power_of_two"
    lowest: int = field(metadata=bounded(at_least=-126, at_most=127))
    highest: int = field(metadata=bounded(at_least=-126, at_most=127))
    signed: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if self.lowest > self.highest:
            raise ValueError(f"`lowest` is {self.lowest}, above `highest`, {self.highest}")

    @property
    def _magnitude_bits(self) -> int:
        return (self.highest - self.lowest + 1).bit_length()

    @property
    def bits(self) -> int:
        return self._magnitude_bits + self.signed

    def decode(self, codes: Codes) -> Reals:
        index = (codes & np.uint64((1 << self._magnitude_bits) - 1)).astype(np.int64)
        reals = np.where(index == 0, 0.0, np.ldexp(1.0, index - 1 + self.lowest))
        reals = np.where(index > self.highest - self.lowest + 1, np.nan, reals)
        return np.where(codes >> np.uint64(self._magnitude_bits) == 1, -reals, reals)


@dataclass(frozen=True)
class Codebook(NumberFormat):
    """The reals of a list: code i stands for the i-th of them in ascending order. Ties go to the even code.

    `levels`: the reals, at least two different ones.

    Example: `round_weights(format = codebook([-0.5, 0, 0.25, 1]))`
    """

    name: ClassVar[str] = "codebook"
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.levels)):
            raise ValueError("`levels` must be finite numbers")
        object.__setattr__(self, "levels", tuple(sorted({float(level) for level in self.levels})))
        if not 2 <= len(self.levels) <= LARGEST_LEVELS:
            raise ValueError(f"`levels` must hold 2 to {LARGEST_LEVELS} different numbers, has {len(self.levels)}")

    @property
    def bits(self) -> int:
        return (len(self.levels) - 1).bit_length()

    def decode(self, codes: Codes) -> Reals:
        missing = (1 << self.bits) - len(self.levels)
        return np.array([*self.levels, *[np.nan] * missing])[codes.astype(np.intp)]


@dataclass(frozen=True)
class Rccm(NumberFormat):
    """The coefficients that a circuit of adders multiplies by; a code is the select word of the circuit.

    Reconfigurable constant-coefficient multipliers: see Faraone (Sydney 2021), chapter 6. Several select words may give
    one coefficient; a rounded value gets the lowest of them. Ties go to the even code.

    `circuit`: two, three or four adders of the thesis, or of three those with the best signal-to-noise ratio on
        Gaussian or Laplace weights, or its bad example.

    Example: `round_weights(format = rccm(two_add))`
    """

    name: ClassVar[str] = "rccm"
    circuit: Literal["two_add", "three_add", "four_add", "three_add_gauss", "three_add_laplace", "three_add_worst"]

    @property
    def bits(self) -> int:
        return CIRCUITS[self.circuit].select_bits

    def decode(self, codes: Codes) -> Reals:
        return np.array(CIRCUITS[self.circuit].coefficients(), np.float64)[codes.astype(np.intp)]
