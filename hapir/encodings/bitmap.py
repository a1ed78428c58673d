"""`bitmap`: one bit per weight says whether it is kept, and the values of those that are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from hapir.bounds import bounded, check_bounds
from hapir.encodings.bits import Bytes, Unsigned, pack, unpack
from hapir.encodings.encoding import NOTHING_SHARED, Encoding, Part, Shared, Symbols, Tensor, exactly, placed
from hapir.encodings.levels import Auto, Levels, best_levels, chosen


@dataclass(frozen=True)
class Bitmap(Encoding):
    """A bit per weight, set where it is not zero, then the values that are not, packed.

    `levels`: entries of a table of their values, 0 to write them as they are; `auto` takes what is smaller.

    Example: `encode(encoding = bitmap)`
    """

    name: ClassVar[str] = "bitmap"
    levels: int | Auto = field(default="auto", metadata=bounded(at_least=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def part_names(self) -> tuple[str, ...]:
        return ("bitmap", "levels", "values")

    @property
    def leaves_out_zeros(self) -> bool:
        return True

    def unfit(self, symbols: Symbols) -> str | None:
        zeros = super().unfit(symbols)
        if zeros is not None or self.levels == "auto":
            return zeros
        return Levels(self.levels, symbols.tensor.bits).unfit(symbols.nonzero_histogram[0])

    def fitted(self, symbols: Symbols) -> Encoding:
        return replace(self, levels=best_levels(self.levels, symbols))

    def _table(self, tensor: Tensor) -> Levels:
        return Levels(chosen(self.levels), tensor.bits)

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        table = self._table(symbols.tensor)
        values = symbols.nonzeros * table.width
        return {"bitmap": symbols.tensor.count, "levels": table.table_bits, "values": values}

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        table, distinct = self._table(symbols.tensor), symbols.nonzero_histogram[0]
        kept = symbols.values != symbols.tensor.zero
        values = pack(table.written(symbols.values[kept], distinct), table.width)
        bits = self.part_bits(symbols)
        bitmap = Part("bitmap", np.packbits(kept, bitorder="little"), bits["bitmap"])
        return bitmap, table.table(distinct), Part("values", values, bits["values"])

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        kept = np.flatnonzero(unpack(exactly(parts[0], tensor.count, "bitmap"), 1, tensor.count))
        table = self._table(tensor)
        stored = exactly(parts[2], len(kept) * table.width, "values")
        return placed(kept, table.read(unpack(stored, table.width, len(kept)), parts[1]), tensor)
