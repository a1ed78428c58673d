"""Activations of few levels as comparisons of integer accumulators with thresholds, exactly. Plain numbers, no IR.

An activation is a chain: an accumulator becomes a real along a `Line` (its scale, a batch norm), and the real a code
that never falls as the real grows. The code is at least v where the real passes a `Bound`, so, in integers,

    code = low + step * n,  n = #{i : t[i] <= acc}  where the line rises, L - #{i : t[i] <= acc} where it falls

(FINN, Umuroglu et al., FPGA 2017, section 4.2.2; with several thresholds Blott et al., FINN-R, TRETS 2018). A level
line (gamma = 0) meets each of its bounds always or never. Everything is computed in exact fractions: the square root
of a batch norm is never taken, its square is compared, so ties fall where real arithmetic puts them. What f32 would
round on the way (a batch norm whose result is within an ulp of a bound) is the only difference to a network of floats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class TwoRootsError(ValueError):
    """Two batch norms in a row whose deviations are both irrational: no square decides where they cross a bound."""


@dataclass(frozen=True)
class Line:
    """A real for each accumulator: `(slope * acc + offset) / sqrt(square) + shift`, with `square` > 0."""

    slope: Fraction
    offset: Fraction = Fraction(0)
    square: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)

    def normalized(self, gamma: float, beta: float, mean: float, variance: float | Fraction) -> Line:
        """The line behind a batch norm `gamma * (x - mean) / sqrt(variance) + beta`; variance holds its epsilon.

        Raises TwoRootsError where this line and the batch norm both have an irrational deviation.
        """
        factor, new_shift, new_square = Fraction(gamma), Fraction(beta), Fraction(variance)
        inner = self.shift - Fraction(mean)
        root = _rational_root(self.square)
        if root is not None:
            slope, offset = self.slope / root, self.offset / root + inner
            return Line(factor * slope, factor * offset, new_square, new_shift)
        root = _rational_root(new_square)
        if root is None:
            raise TwoRootsError("the deviations of two batch norms in a row are irrational")
        factor /= root
        return Line(factor * self.slope, factor * self.offset, self.square, factor * inner + new_shift)

    def crossing(self, bound: Bound, first: int, last: int) -> int:
        """The t where a line passes a bound: for all acc >= t where it rises, for all acc < t where it falls; for a
        level line `first` where it always does, `last + 1` where it never does.

        `(slope * acc + offset) / sqrt(square) + shift >= value` is `acc >= (d * sqrt(square) - offset) / slope` with
        `d = value - shift`, turned round for a falling line; over one denominator the right side is
        `(+-sqrt(a) - b) / c` in integers, whose floor needs an integer square root only.
        """
        distance = bound.value - self.shift
        sign = (distance > 0) - (distance < 0)
        square = distance * distance * self.square
        if self.slope == 0:
            order = _compare(self.offset, sign, square)
            return first if order > 0 or (order == 0 and bound.closed) else last + 1
        rising = self.slope > 0
        if not rising:
            sign = -sign
        offset = self.offset if rising else -self.offset
        slope = abs(self.slope)
        # sqrt(n / m) = sqrt(n * m) / m
        m = square.denominator
        denominator = m * offset.denominator * slope.numerator
        factor = offset.denominator * slope.denominator
        a = square.numerator * m * factor * factor
        b = offset.numerator * m * slope.denominator
        if bound.closed == rising:  # the lowest integer that is not below: acc >= z where it rises, acc < z where not
            return -((_floor_root(-sign, a) + b) // denominator)
        return (_floor_root(sign, a) - b) // denominator + 1


@dataclass(frozen=True)
class Bound:
    """What a real must pass: `real >= value` where closed, else `real > value`."""

    value: Fraction
    closed: bool = True


@dataclass(frozen=True)
class Thresholds:
    """Per channel the ascending thresholds, int64 C x L, and whether the count is turned round (bool, C)."""

    levels: Ints
    flips: npt.NDArray[np.bool_]


def thresholds_of(lines: Sequence[Line], bounds: Sequence[Bound], first: int, last: int) -> Thresholds:
    """The thresholds of channels along `lines` for accumulators first..last; `bounds` ascend, one per level.

    All thresholds lie in first..last + 1: `first` is met always, `last + 1` never. Most are certain in doubles; the
    others, near an integer or of a level line, are computed in fractions.
    """
    levels, certain = _rounded_crossings(lines, bounds, first, last)
    for row, column in np.argwhere(~certain).tolist():
        levels[row, column] = min(max(lines[row].crossing(bounds[column], first, last), first), last + 1)
    flips = np.array([line.slope < 0 for line in lines], np.bool_)
    return Thresholds(np.where(flips[:, np.newaxis], levels[:, ::-1], levels), flips)


def _rounded_crossings(
    lines: Sequence[Line], bounds: Sequence[Bound], first: int, last: int
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Crossings (lines x bounds) by doubles, clipped to first..last + 1, and which of them no rounding can change."""
    slope, offset, square, shift = (
        np.array([[_double(getattr(line, name))] for line in lines]) for name in ("slope", "offset", "square", "shift")
    )
    values = np.array([_double(bound.value) for bound in bounds])
    with np.errstate(all="ignore"):  # what is not finite is not certain
        root = np.sqrt(square)
        z = ((values - shift) * root - offset) / slope
        # each of the few roundings costs half an ulp of the largest term at most
        error = 2.0**-48 * (((np.abs(values) + np.abs(shift)) * root + np.abs(offset)) / np.abs(slope) + 1)
        certain = np.abs(z - np.rint(z)) > error
        found = np.clip(np.where(certain, np.ceil(z), 0), first, last + 1)
    return found.astype(np.int64), certain


def _double(value: Fraction) -> float:
    """The nearest double; NaN where there is none, or where it loses digits."""
    try:
        double = float(value)
    except OverflowError:
        return math.nan
    return double if double == 0 == value or abs(double) >= np.finfo(np.float64).tiny else math.nan


def rounding_bounds(codes: Iterable[int], scale: Fraction, zero_point: int, rounding: str) -> list[Bound]:
    """For each code the bound from which `round(real / scale) + zero_point` is at least that code.

    `rounding` is `half_even`, `half_up`, `half_away` or `floor` (see `num.Rounding`).
    """
    bounds: list[Bound] = []
    for code in codes:
        steps = code - zero_point
        if rounding == "floor":
            bounds.append(Bound(scale * steps))
            continue
        # the tie below `steps` rounds up to it, or down
        ties_up = {"half_up": True, "half_even": steps % 2 == 0, "half_away": steps > 0}[rounding]
        bounds.append(Bound(scale * (steps - Fraction(1, 2)), ties_up))
    return bounds


def narrowest_width(first: int, last: int) -> int:
    """The width of the narrowest signed integer that holds all thresholds of accumulators first..last."""
    return 1 + max((-first - 1).bit_length(), (last + 1).bit_length())


def _compare(value: Fraction, sign: int, square: Fraction) -> int:
    """The sign of `value - sign * sqrt(square)`."""
    own = (value > 0) - (value < 0)
    if own != sign:
        return own - sign
    return own * ((value * value > square) - (value * value < square))


def _floor_root(sign: int, a: int) -> int:
    """`floor(sign * sqrt(a))`, exact."""
    root = math.isqrt(a)
    return sign * root if sign >= 0 or root * root == a else -root - 1


def _rational_root(square: Fraction) -> Fraction | None:
    """The square root of a positive fraction, where it is one."""
    n, m = math.isqrt(square.numerator), math.isqrt(square.denominator)
    root = Fraction(n, m)
    return root if root * root == square else None
