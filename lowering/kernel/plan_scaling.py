"""How lanes of 32 bits scale integers exactly: the proof from what the integers can be.

`round(v * m / 2^s)` needs products of 64 bits in general. Two cheaper forms give the same bits where the range of v
allows: the product fits 32 bits (`low`), or v and m are scaled by powers of two until the result stands in the upper
half of the product (`high`), where what is below only matters for ties. Both numbers of a channel are scaled together,
so the tables mean the same as before.

Before: m = 40000, s = 22, |v| <= 2^20. After: m = 40960000, s = 32: the result is the upper half of `v * m + 2^31`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapir.dialects.num import Rounding
from hapir.lowering.kernel.stages import Scaling, Steps
from hapir.reference.num import round_real

Int64 = npt.NDArray[np.int64]

LIMIT = 1 << 31


@dataclass(frozen=True, eq=False)
class Scaled:
    """Multipliers and shifts that mean what the given ones mean, and the form that lanes compute them by."""

    multiplier: Int64
    shift: Int64
    form: Scaling


def plan_scaling(
    multiplier: npt.NDArray[np.generic],
    shift: npt.NDArray[np.generic],
    bounds: tuple[int, int],
    rounding: Rounding,
    zero_point: int,
) -> Scaled | None:
    """The cheapest exact form for integers within `bounds`, None where lanes of 32 bits have none.

    `multiplier` (below 2^32) and `shift` (0..62) have one entry, or one per channel.
    """
    m, s = np.broadcast_arrays(multiplier.astype(np.int64).reshape(-1), shift.astype(np.int64).reshape(-1))
    m, s = _reduced(m, s)
    reach = max(abs(bounds[0]), abs(bounds[1]), 1)
    largest = max((reach * int(a) >> int(b) for a, b in zip(m, s, strict=True)), default=0) + 2 + abs(zero_point)
    if largest >= LIMIT:
        return None
    # ties to even and away from 0 look at the bits below the result: there must be two in the upper half, the second
    # of which stands for all that the lower half holds
    ties = rounding in (Rounding.half_even, Rounding.half_away)
    return _low(m, s, reach, zero_point) or _high(m, s, reach, ties=ties)


def _reduced(m: Int64, s: Int64) -> tuple[Int64, Int64]:
    """Odd multipliers, as far as the shifts allow; a multiplier of 0 needs no shift."""
    lowest = np.where(m == 0, 1, m & -m)
    zeros = np.log2(lowest.astype(np.float64)).astype(np.int64)  # exact for powers of two
    drop = np.minimum(zeros, s)
    return m >> drop, np.where(m == 0, 0, s - drop)


def _scaled(m: Int64, s: Int64, shift: Int64, limit: int) -> Int64 | None:
    """The multipliers for other shifts; None where one is past the limit, or a shift is smaller than before."""
    up = np.where(m == 0, 0, shift - s)
    if (up < 0).any():
        return None
    wide = [int(a) << int(b) for a, b in zip(m, up, strict=True)]
    return np.array(wide, np.int64) if max(wide) < limit else None


def _low(m: Int64, s: Int64, reach: int, zero_point: int) -> Scaled | None:
    """Products, and half of 2^shift beside them, within 32 bits; shifts of at least 1, or a common one.

    So is what has one bit more than the result, with twice the zero point and the 1 that rounds.
    """
    for shift in (np.full_like(s, max(int(s.max()), 1)), np.maximum(s, 1)):
        if int(shift.max()) > 30 or (scaled := _scaled(m, s, shift, LIMIT)) is None:
            continue
        products = [(int(a) * reach, int(b)) for a, b in zip(scaled, shift, strict=True)]
        reached = [max(p + (1 << b >> 1), (p >> b - 1) + 2 * abs(zero_point) + 1) for p, b in products]
        if max(reached) < LIMIT:
            return Scaled(scaled, shift, Scaling("low", 0, wide=False))
    return None


def _high(m: Int64, s: Int64, reach: int, *, ties: bool) -> Scaled | None:
    """Shifts of 32 and more behind a lift of v: all channels by 32, or all by more."""
    lifts = [lift for lift in range(31) if reach << lift < LIMIT]
    # a multiplier of 32 bits is one of 31 bits and a sign, and what the sign is short of is v itself, which would
    # spoil the bit that stands for the lower half
    for wide in (False,) if ties else (False, True):
        limit = LIMIT << 1 if wide else LIMIT
        for lift in lifts:
            floor = 32 - lift
            more = floor + (2 if ties else 1)
            shifts = [np.maximum(np.full_like(s, s.max()), more), np.maximum(s, more)]
            for shift in [*([] if ties else [np.full_like(s, floor)]), *shifts]:
                # an upper half below 2^30 leaves room for the half that rounds
                rounds = int(shift.max()) > floor
                if int(shift.max()) - floor > 31 or (wide and rounds and reach << lift >= LIMIT >> 1):
                    continue
                if (scaled := _scaled(m, s, shift, limit)) is not None:
                    return Scaled(scaled, shift, Scaling("high", lift, wide))
    return None


def plan_steps(scale: float, zero_point: int, bounds: tuple[int, int], rounding: Rounding) -> Steps | None:
    """A quantizer as a product, an addition and the nearest integer, in double, where that is the same for all floats.

    Both are rising steps over the floats, so they are the same where they agree on both sides of every step, which are
    looked at one by one, with room for a product that is rounded before the addition or not. Ties that do not go to
    even are moved off the middle between integers. None for codes of more than 16 bits, and where some code is out of
    reach of floats.
    """
    low, high = bounds
    if not 0 < high - low < 1 << 16:
        return None
    codes = np.arange(low + 1, high + 1, dtype=np.float64) - zero_point
    below, above = np.full(len(codes), -_LARGEST), np.full(len(codes), _LARGEST)
    while (above - below > 1).any():
        middle = (below + above) >> 1
        reached = round_real(_float_of(middle) / scale, rounding) >= codes
        below, above = np.where(reached, below, middle), np.where(reached, middle, above)
    if above[-1] >= _LARGEST or below[0] <= -_LARGEST:
        return None
    last, first = _float_of(below), _float_of(above)
    whole = np.floor if rounding == Rounding.floor else np.rint
    for added, relative in _NUDGES:
        factor = 1.0 / scale * (1 + relative)
        after, before = first * factor + added, last * factor + added
        room = (np.abs(after) + 1) * _ROUNDING if added else 0.0
        if (whole(after - room) >= codes).all() and (whole(before + room) < codes).all():
            # what lies beyond the outermost steps stays on them
            return Steps(factor, added, rounding == Rounding.floor, float(last[0]), float(first[-1]))
    return None


_ROUNDING = 2.0**-50
"""More than a product and a sum in double lose, in parts of the result."""
_NUDGES = (
    *((0.0, part) for part in (0.0, 2.0**-52, -(2.0**-53))),
    *((sign * 2.0**-power, 0.0) for power in (30, 36) for sign in (1, -1)),
    *((0.0, sign * 2.0**-40) for sign in (1, -1)),
)
"""What is added, and a part of the factor, to bring ties to the side where they belong."""
_LARGEST = int(np.array(np.finfo(np.float32).max, np.float32).view(np.int32))


def _float_of(place: Int64) -> npt.NDArray[np.float64]:
    """The float at a place counted from 0, in the order of size."""
    magnitude = np.abs(place).astype(np.int32).view(np.float32).astype(np.float64)
    return np.where(place < 0, -magnitude, magnitude)
