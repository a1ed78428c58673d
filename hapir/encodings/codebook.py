"""`codebook`: the distinct symbols once, and a packed index per weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from hapir.bounds import bounded, check_bounds
from hapir.encodings.bits import Bytes, Unsigned, pack, unpack
from hapir.encodings.encoding import NOTHING_SHARED, Encoding, Part, Shared, Symbols, Tensor, exactly
from hapir.encodings.levels import Auto, Levels, chosen


@dataclass(frozen=True)
class Codebook(Encoding):
    """A table of the symbols that occur, in ascending order, and indices of as few bits as that takes.

    Source: weight sharing of Han et al., Deep Compression, ICLR 2016, section 3. It suits floats and integers that have
    few distinct values; a tensor with one value takes no bits but the table's.

    `levels`: entries of the table; `auto` counts them.

    Example: `encode(encoding = codebook)`
    """

    name: ClassVar[str] = "codebook"
    levels: int | Auto = field(default="auto", metadata=bounded(at_least=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def part_names(self) -> tuple[str, ...]:
        return ("levels", "indices")

    def unfit(self, symbols: Symbols) -> str | None:
        count = len(symbols.histogram[0])
        wrong = self.levels not in ("auto", count)
        return f"there are {count} distinct symbols, not {self.levels}" if wrong else None

    def fitted(self, symbols: Symbols) -> Encoding:
        return replace(self, levels=len(symbols.histogram[0]))

    def _table(self, tensor: Tensor) -> Levels:
        return Levels(chosen(self.levels), tensor.bits)

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        table, tensor = self._table(symbols.tensor), symbols.tensor
        return {"levels": table.table_bits, "indices": tensor.count * table.width}

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        table, distinct = self._table(symbols.tensor), symbols.histogram[0]
        indices = pack(table.written(symbols.values, distinct), table.width)
        return table.table(distinct), Part("indices", indices, self.part_bits(symbols)["indices"])

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        table = self._table(tensor)
        stored = exactly(parts[1], tensor.count * table.width, "indices")
        return table.read(unpack(stored, table.width, tensor.count), parts[0])
