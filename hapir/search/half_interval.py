"""Searches by halving an interval: how far one can go before a network is no longer good enough.

Halving is exact where what is accepted at a point is accepted everywhere below it. Where that does not hold the result
is still a point that was itself accepted, never one in between: that is what lets a search keep its promise with any
evaluator.
"""

from __future__ import annotations

from collections.abc import Callable

FINEST = 2.0**-52
"""Doubles near 1 are no closer: an interval that is halved to less never gets there."""


def half_interval_evaluations(eps: float) -> int:
    """How often `largest_accepted` asks: `ceil(log2(1 / eps))`, without the rounding of a logarithm."""
    count, width = 0, 1.0
    while width > max(eps, FINEST):
        count, width = count + 1, width / 2
    return count


def largest_accepted(accepts: Callable[[float], bool], eps: float) -> float | None:
    """The largest point of (0, 1) that was accepted, to a resolution of `eps`; None where none was.

    `low = 0, high = 1`; the middle becomes `low` where it is accepted and `high` where it is not, until the two are at
    most `eps` apart, or `FINEST` (half-interval search of RAO, resource-aware optimization, CRV 2019). Asks
    `half_interval_evaluations(eps)` times. Raises ValueError where `eps` is not above 0.
    """
    if not eps > 0:
        raise ValueError(f"a resolution of {eps} never ends")
    low, high = 0.0, 1.0
    best: float | None = None
    while high - low > max(eps, FINEST):
        middle = (low + high) / 2
        if accepts(middle):
            low = best = middle
        else:
            high = middle
    return best


def smallest_accepted(accepts: Callable[[int], bool], first: int, last: int) -> int | None:
    """The smallest of `first`..`last` that was accepted; None where none was.

    Asks at most `ceil(log2(last - first + 2))` times: None counts as one more choice.
    """
    best: int | None = None
    while first <= last:
        middle = (first + last) // 2
        if accepts(middle):
            best, last = middle, middle - 1
        else:
            first = middle + 1
    return best


def integer_evaluations(first: int, last: int) -> int:
    """The most questions that `smallest_accepted` asks."""
    return max(0, last - first + 1).bit_length()
