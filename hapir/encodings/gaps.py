"""Distances between what is kept: in `width` bits, with entries that only skip where a distance is longer.

The rule, which the theses leave open (Faraone, Sydney 2021, L723-725): a gap is the number of zeros that are skipped.
The largest number of the field, `m = 2^width - 1`, is an entry without a weight that skips m zeros. So a gap of g takes
`g // m` such entries and one of `g % m`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from hapir.encodings.bits import Unsigned, unsigned_of
from hapir.encodings.encoding import Symbols
from hapir.encodings.levels import Auto, Levels

Int64 = npt.NDArray[np.int64]

WIDEST_GAP = 24
"""The most bits of a gap that are tried: no skipping entry is left in tensors of 16 M zeros."""


Histogram = tuple[Int64, Int64]
"""Distinct gaps in ascending order, and how often each occurs."""
_AT_ONCE = 1 << 20
"""Symbols that are looked at together, so that sizes of large tensors need little memory."""
_COMMON = 1 << 12
"""Gaps below this are counted in an array."""


def row_gaps(symbols: Symbols, rows: bool) -> Int64:
    """The zeros in front of each weight that is not one, counted from the start of its row, or of the tensor."""
    return _gaps(symbols.nonzero_positions(), -1, symbols.tensor.columns if rows else None)


def _gaps(positions: Int64, before: int, columns: int | None) -> Int64:
    """The gaps of positions, the weight in front of the first being at `before`."""
    gaps = np.diff(positions, prepend=before) - 1
    return gaps if columns is None else np.minimum(gaps, positions % columns)


def gap_histogram(symbols: Symbols, rows: bool) -> Histogram:
    """The histogram of `row_gaps`."""
    common = np.zeros(_COMMON, np.int64)
    rare: list[Int64] = []
    before = -1
    for first in range(0, symbols.tensor.count, _AT_ONCE):
        positions = np.flatnonzero(symbols.values[first : first + _AT_ONCE] != symbols.tensor.zero) + first
        if not len(positions):
            continue
        gaps = _gaps(positions, before, symbols.tensor.columns if rows else None)
        before = int(positions[-1])
        common += np.bincount(gaps[gaps < _COMMON], minlength=_COMMON)
        rare.append(gaps[gaps >= _COMMON])
    large, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *rare]), return_counts=True)
    small = np.flatnonzero(common)
    return np.concatenate([small, large]), np.concatenate([common[small], counts])


def entries_of(gaps: Histogram, width: int) -> int:
    """How many entries gaps take, those that only skip among them."""
    distinct, counts = gaps
    return int((counts * (distinct // ((1 << width) - 1) + 1)).sum())


def best_entries(gaps: Histogram, width: int | Auto, tables: Sequence[Levels]) -> tuple[int, Levels]:
    """The width of a gap and the way to write values that take the fewest bits in all; the smallest of equals."""
    widths = range(1, WIDEST_GAP + 1) if width == "auto" else (width,)

    def bits(choice: tuple[int, Levels]) -> int:
        return entries_of(gaps, choice[0]) * (choice[0] + choice[1].width) + choice[1].table_bits

    return min(product(widths, tables), key=bits)


def with_skips(gaps: Int64, values: Unsigned, width: int) -> tuple[Unsigned, Unsigned, Int64]:
    """Fields, values (0 where an entry only skips), and where each weight's own entry lies."""
    largest = (1 << width) - 1
    own = np.cumsum(gaps // largest + 1) - 1
    count = int(own[-1]) + 1 if len(own) else 0
    fields = np.full(count, largest, unsigned_of(width))
    fields[own] = gaps % largest
    spread = np.zeros(count, values.dtype)
    spread[own] = values
    return fields, spread, own


def positions_of(fields: Unsigned, width: int) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """Where entries put their weights, counted from the start, and which of them have one."""
    weighs = fields != (1 << width) - 1
    return np.cumsum(fields.astype(np.int64) + weighs) - weighs, weighs
