"""Distances between what is kept: in `width` bits, with entries that only skip where a distance is longer.

The rule, which the theses leave open (Faraone, Sydney 2021, L723-725): a gap is the number of zeros that are skipped.
The largest number of the field, `m = 2^width - 1`, is an entry without a weight that skips m zeros. So a gap of g takes
`g // m` such entries and one of `g % m`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hapir.encodings.bits import Unsigned, unsigned_of
from hapir.encodings.encoding import Symbols

Int64 = npt.NDArray[np.int64]

WIDEST_GAP = 24
"""The most bits of a gap that are tried: no skipping entry is left in tensors of 16 M zeros."""


def row_gaps(symbols: Symbols, rows: bool) -> Int64:
    """The zeros in front of each weight that is not one, counted from the start of its row, or of the tensor."""
    positions = symbols.nonzero_positions()
    columns = max(symbols.tensor.columns, 1)
    first = positions // columns * columns if rows else np.zeros_like(positions)
    previous = np.concatenate([[-1], positions[:-1]])[: len(positions)]
    return positions - np.maximum(previous + 1, first)


def entries_of(gaps: Int64, width: int) -> int:
    """How many entries gaps take, those that only skip among them."""
    return len(gaps) + int((gaps // ((1 << width) - 1)).sum())


def best_width(gaps: Int64, value_width: int) -> int:
    """The width with which entries of a gap and a value take the fewest bits in all; the smallest of equals."""
    distinct, counts = np.unique(gaps, return_counts=True)

    def bits(width: int) -> int:
        skips = int((counts * (distinct // ((1 << width) - 1))).sum())
        return (len(gaps) + skips) * (width + value_width)

    return min(range(1, WIDEST_GAP + 1), key=bits)


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
