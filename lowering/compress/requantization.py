"""Real scale ratios as integers that hardware multiplies by: plain arithmetic, no IR.

A ratio r becomes `multiplier / 2^shift` (Jacob et al., CVPR 2018, section 2.2), the multiplier an unsigned integer of a
given width. Nearest value, so the relative error is at most `2^-bits` unless the shift's limit is hit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ADD_BITS = 20
"""Width of the larger widening multiplier of an add: two 8-bit operands times 20 bits sum to less than 2^30."""


class RatioError(ValueError):
    """A ratio that no multiplier of the given width holds."""


@dataclass(frozen=True)
class FixedPoint:
    """A non-negative rational `multiplier / 2^shift`."""

    multiplier: int
    shift: int

    @property
    def value(self) -> float:
        """The rational as a float."""
        return math.ldexp(self.multiplier, -self.shift)


def fixed_point(ratio: float, bits: int, max_shift: int) -> FixedPoint:
    """The fixed-point number nearest to a ratio >= 0, with a multiplier below `2^bits` and the largest useful shift.

    Ratios too small for `max_shift` lose precision and may become 0. Raises RatioError for ratios of `2^bits` and more.
    """
    if not (math.isfinite(ratio) and ratio >= 0):
        raise RatioError(f"the ratio {ratio} is not a finite positive number")
    if ratio == 0:
        return FixedPoint(0, 0)
    mantissa, exponent = math.frexp(ratio)
    shift = bits - exponent
    multiplier = round(math.ldexp(mantissa, bits))
    if multiplier == 1 << bits:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < 0:
        raise RatioError(f"the ratio {ratio:g} needs more than {bits} bits")
    if shift > max_shift:
        multiplier, shift = round(math.ldexp(ratio, max_shift)), max_shift
    return FixedPoint(multiplier, shift)


def fixed_points(
    ratios: npt.NDArray[np.float64], bits: int, max_shift: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """Multipliers and shifts for a vector of ratios. Raises RatioError as `fixed_point`."""
    pairs = [fixed_point(float(r), bits, max_shift) for r in ratios]
    return (
        np.array([p.multiplier for p in pairs], dtype=np.uint32),
        np.array([p.shift for p in pairs], dtype=np.uint8),
    )


@dataclass(frozen=True)
class CommonScale:
    """Integer multipliers that bring two scales onto one: `scale * left ~ left scale`, and so for right."""

    scale: float
    left: int
    right: int


def common_scale(left: float, right: float, bits: int = ADD_BITS) -> CommonScale:
    """The finest common scale whose multipliers stay within `2^bits`; equal scales need no multiplication."""
    if left == right:
        return CommonScale(left, 1, 1)
    scale = max(left, right) / ((1 << bits) - 1)
    return CommonScale(scale, round(left / scale), round(right / scale))
