"""Powers of two: a multiplication by such a weight is a shift.

Levels are 0 and +-2^e for 2^(bits - 1) - 1 exponents e. After Miyashita, Lee, Murmann, "Convolutional Neural Networks
using Logarithmic Data Representation" (2016, section 3) for rounding the logarithm, and Zhou et al., "Incremental
Network Quantization" (ICLR 2017, section 2.1) for the nearest power and the highest exponent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hapir.dialects.formats import Integer
from hapir.quantizers.codebooks import codebook
from hapir.quantizers.coded import Codebook, Scaled
from hapir.quantizers.sorted_values import Floats, outwards

LOWEST_EXPONENT = -126
"""That of the smallest normal f32."""
HIGHEST_EXPONENT = 127


@dataclass(frozen=True)
class PowerOfTwo:
    """How weights become powers of two.

    `bits`: of a code; 2 gives one exponent (a ternary code), 4 seven.
    `rounding`: `linear`: to the nearest of the levels; `log`: to the nearest exponent. Half-way goes outwards.
    `small`: what weights below the lowest power become: `zero` where that is nearer (by `log`, half an exponent below
    it), or always the `lowest` power.
    `highest`: the highest exponent; None takes the one that max|w| rounds to.
    """

    bits: int = 4
    rounding: Literal["linear", "log"] = "linear"
    small: Literal["zero", "lowest"] = "zero"
    highest: int | None = None

    @property
    def exponents(self) -> int:
        """How many exponents there are."""
        return (1 << self.bits - 1) - 1

    @property
    def integer_width(self) -> int:
        """Bits of signed integers that hold all levels in steps of the lowest."""
        return self.exponents + 1

    def lowest(self, largest: float) -> int:
        """The lowest exponent where max|w| is `largest`, kept within those of f32."""
        highest = self.highest
        if highest is None:
            if not largest:
                highest = 0
            elif self.rounding == "linear":
                highest = math.floor(math.log2(largest / 1.5)) + 1  # half-way between 2^e and 2^(e+1) is 1.5 * 2^e
            else:
                highest = math.floor(math.log2(largest) + 0.5)
        lowest = min(highest, HIGHEST_EXPONENT) - self.exponents + 1
        return max(lowest, LOWEST_EXPONENT)

    def thresholds(self, lowest: int) -> Floats:
        """The ascending magnitudes from which on a weight takes each power."""
        powers = np.ldexp(1.0, lowest + np.arange(self.exponents))
        if self.rounding == "linear":
            found = np.concatenate([[powers[0] / 2], 0.75 * powers[1:]])
        else:
            found = powers * math.sqrt(0.5)
        if self.small == "lowest":
            found[0] = math.nextafter(0.0, math.inf)
        return found


def power_of_two(w: Floats, rule: PowerOfTwo) -> Codebook:
    """The weights as indices of 2^bits - 1 levels, those of all exponents, used or not."""
    lowest = rule.lowest(_largest(w))
    powers = np.ldexp(1.0, lowest + np.arange(rule.exponents))
    levels = np.concatenate([-powers[::-1], [0.0], powers])
    found = rule.thresholds(lowest)
    return codebook(w, outwards(np.concatenate([-found[::-1], found])), levels, np.ones(len(levels), np.bool_))


def shifts(w: Floats, rule: PowerOfTwo) -> Scaled:
    """The same numbers as integers +-2^i in steps of the lowest power. Raises ValueError where 32 bits are too few."""
    if rule.integer_width > 32:
        raise ValueError(f"{rule.exponents} exponents need integers of {rule.integer_width} bits")
    coded = power_of_two(w, rule)
    scale = np.ldexp(1.0, rule.lowest(_largest(w)))
    width = np.int8 if rule.integer_width <= 8 else np.int16 if rule.integer_width <= 16 else np.int32
    integers = (coded.levels / scale).astype(width)
    scales = np.full((1,) * w.ndim, scale, np.float32)
    return Scaled(integers[coded.codes], Integer(rule.integer_width), scales)


def _largest(w: Floats) -> float:
    return float(np.abs(w).max(initial=0.0))
