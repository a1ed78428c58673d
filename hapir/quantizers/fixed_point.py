"""Where the binary point of a tensor lies: plain numpy, no IR.

A signed fixed-point number <S, IB, FB> has `Q = 1 + IB + FB` bits, steps of `eps = 2^-FB` and the range `-2^IB` to
`2^IB - eps`; an unsigned one has no sign bit and starts at 0. IB may be negative: small weights leave out the first
bits behind the point. Two rules choose IB for Q bits:

- `max_abs`: `IB = ceil(log2(max|x| + tiny))`, the least one with `max|x| < 2^IB`; what lies within a step of that end
  saturates, so no error exceeds eps.
- `sqnr`: the IB with the best signal-to-quantization-noise ratio, from one above that rule down; of equal ones the
  largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from hapir.dialects.formats import Fixed

Floats = npt.NDArray[np.float64]
PointMethod = Literal["max_abs", "sqnr"]
RoundTo = Callable[[Floats], Floats]
"""Reals to whole reals."""

LARGEST = float(np.finfo(np.float32).max)

SMALLEST_POINT = -48
"""Values below `2^-48` count as zero: with 16 bits the steps stay within what a format can say."""


def integer_bits(largest: float) -> int:
    """IB of the rule `max_abs`; 0 where all values are 0."""
    return max(math.frexp(largest)[1], SMALLEST_POINT) if largest > 0 else 0


def format_for(integer_bits: int, bits: int, *, signed: bool) -> Fixed:
    """The format of `bits` bits with so many integer bits, the sign not counted."""
    integer = integer_bits + signed
    return Fixed(integer, bits - integer, signed)


def fixed_codes(values: Floats, format: Fixed, round_to: RoundTo) -> Floats:
    """The codes of values as whole reals, saturating; those that mean more than the largest f32 are left out."""
    low, high = np.clip(format.range, -LARGEST, LARGEST)
    scale = 2.0**format.fraction
    return np.clip(round_to(values * scale), np.ceil(low * scale), np.floor(high * scale)) + 0.0


def choose_fixed(
    values: Floats,
    counts: npt.NDArray[np.integer] | None,
    bits: int,
    method: PointMethod,
    round_to: RoundTo,
    *,
    signed: bool = True,
) -> Fixed:
    """The format of `bits` bits for values, each of which counts as often as `counts` says (once where it is None)."""
    magnitudes = np.abs(values)
    best = integer_bits(float(magnitudes.max(initial=0.0)))
    if method == "max_abs":
        return format_for(best, bits, signed=signed)

    def energy(errors: Floats) -> float:
        return float((errors * errors if counts is None else counts * errors * errors).sum())

    least = math.inf
    for point in range(best + 1, SMALLEST_POINT - 1, -1):
        # what a point leaves out of its range only grows further down
        if energy(np.maximum(magnitudes - 2.0**point, 0)) >= least:
            break
        format = format_for(point, bits, signed=signed)
        noise = energy(fixed_codes(values, format, round_to) * 2.0**-format.fraction - values)
        if noise < least:
            best, least = point, noise
    return format_for(best, bits, signed=signed)
