"""`rle`: for each weight that is kept the zeros in front of it and its value, in one word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from hapir.bounds import bounded, check_bounds
from hapir.encodings.bits import Bytes, Unsigned, pack, unpack
from hapir.encodings.encoding import (
    NOTHING_SHARED,
    DamagedError,
    Encoding,
    Part,
    Shared,
    Symbols,
    Tensor,
    placed,
)
from hapir.encodings.gaps import WIDEST_GAP, best_entries, entries_of, gap_histogram, positions_of, row_gaps, with_skips
from hapir.encodings.levels import Auto, Levels, chosen, level_choices


@dataclass(frozen=True)
class Rle(Encoding):
    """Run lengths of zeros: words of a gap (low bits) and a value; zeros at the end of the flat tensor cost nothing.

    A ternary weight takes `gap_bits + 1` bits: the sign is the value. Gaps that are too long are split by words that
    only skip (see `hapir.encodings.gaps`); the last byte is filled with ones, which is such a word or part of one.
    Source: Faraone, Sydney 2021, section 3 (L723-725, L807-809).

    `gap_bits`: bits of a gap; `auto` takes the width that is smallest here.
    `levels`: entries of a table of the values, 0 to write them as they are; `auto` takes what is smaller.

    Example: `encode(encoding = rle(gap_bits = 5))`
    """

    name: ClassVar[str] = "rle"
    gap_bits: int | Auto = field(default="auto", metadata=bounded(at_least=1, at_most=WIDEST_GAP))
    levels: int | Auto = field(default="auto", metadata=bounded(at_least=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def part_names(self) -> tuple[str, ...]:
        return ("levels", "words")

    @property
    def leaves_out_zeros(self) -> bool:
        return True

    def unfit(self, symbols: Symbols) -> str | None:
        zeros = super().unfit(symbols)
        if zeros is not None or self.levels == "auto":
            return zeros
        return Levels(self.levels, symbols.tensor.bits).unfit(symbols.nonzero_histogram[0])

    def fitted(self, symbols: Symbols) -> Encoding:
        tables = level_choices(self.levels, symbols.tensor, symbols.nonzero_histogram[0])
        gap_bits, table = best_entries(gap_histogram(symbols, rows=False), self.gap_bits, tables)
        return replace(self, gap_bits=gap_bits, levels=table.count)

    def _table(self, tensor: Tensor) -> Levels:
        return Levels(chosen(self.levels), tensor.bits)

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        table, gap_bits = self._table(symbols.tensor), chosen(self.gap_bits)
        words = entries_of(gap_histogram(symbols, rows=False), gap_bits)
        return {"levels": table.table_bits, "words": words * (gap_bits + table.width)}

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        table, distinct, gap_bits = self._table(symbols.tensor), symbols.nonzero_histogram[0], chosen(self.gap_bits)
        values = table.written(symbols.values[symbols.nonzero_positions()], distinct)
        fields, spread, _ = with_skips(row_gaps(symbols, rows=False), values, gap_bits)
        width = gap_bits + table.width
        data = pack(fields.astype(np.uint64) | spread.astype(np.uint64) << np.uint64(gap_bits), width)
        bits = len(fields) * width
        if bits % 8:
            data[-1] |= 0xFF & (0xFF << bits % 8)
        return table.table(distinct), Part("words", data, bits)

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        table, gap_bits = self._table(tensor), chosen(self.gap_bits)
        width = gap_bits + table.width
        words = unpack(parts[1], width, 8 * len(parts[1]) // width)
        positions, weighs = positions_of(words & words.dtype.type((1 << gap_bits) - 1), gap_bits)
        positions = positions[weighs]
        if len(positions) and positions[-1] >= tensor.count:
            raise DamagedError("a word lies past the last weight")
        return placed(positions, table.read(words[weighs] >> words.dtype.type(gap_bits), parts[0]), tensor)
