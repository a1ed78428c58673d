"""`crs`: compressed row storage, the columns and values of what is kept, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from hapir.bounds import bounded, check_bounds
from hapir.encodings.bits import Bytes, Unsigned, index_width, pack, unpack
from hapir.encodings.encoding import (
    NOTHING_SHARED,
    DamagedError,
    Encoding,
    Part,
    Shared,
    Symbols,
    Tensor,
    exactly,
    placed,
)
from hapir.encodings.gaps import best_entries, entries_of, gap_histogram, positions_of, row_gaps, with_skips
from hapir.encodings.levels import Auto, Levels, best_levels, chosen, level_choices


@dataclass(frozen=True)
class Crs(Encoding):
    """Rows (axis 0): a pointer to each one's first entry and one past the last, a column and a value per entry.

    `nnz * (index + value) + (rows + 1) * pointer` bits; a pointer is as wide as the number of weights asks for.
    Relative columns are the zeros skipped since the entry before, with entries that only skip where a gap is too long
    (see `hapir.encodings.gaps`; the padding zeros of Han et al., Deep Compression, ICLR 2016, section 2).

    `columns`: column numbers, or gaps between them.
    `index_bits`: bits of a column or gap; `auto` takes the smallest that is enough, or of gaps the one that saves most.
    `levels`: entries of a table of the values, 0 to write them as they are; `auto` takes what is smaller.

    Example: `encode(encoding = crs(columns = relative, index_bits = 4))`
    """

    name: ClassVar[str] = "crs"
    columns: Literal["absolute", "relative"] = "absolute"
    index_bits: int | Auto = field(default="auto", metadata=bounded(at_least=0, at_most=32))
    levels: int | Auto = field(default="auto", metadata=bounded(at_least=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if self.columns == "relative" and self.index_bits == 0:
            raise ValueError("`index_bits` of relative columns is 0, it must be at least 1")

    @property
    def part_names(self) -> tuple[str, ...]:
        return ("pointers", "indices", "levels", "values")

    @property
    def leaves_out_zeros(self) -> bool:
        return True

    def unfit(self, symbols: Symbols) -> str | None:
        zeros = super().unfit(symbols)
        if zeros is not None:
            return zeros
        needed = index_width(symbols.tensor.columns)
        if self.columns == "absolute" and self.index_bits != "auto" and self.index_bits < needed:
            return f"columns need {needed} bits, not {self.index_bits}"
        if self.levels == "auto":
            return None
        return Levels(self.levels, symbols.tensor.bits).unfit(symbols.nonzero_histogram[0])

    def fitted(self, symbols: Symbols) -> Encoding:
        if self.columns == "absolute":
            index_bits = index_width(symbols.tensor.columns) if self.index_bits == "auto" else self.index_bits
            return replace(self, index_bits=index_bits, levels=best_levels(self.levels, symbols))
        tables = level_choices(self.levels, symbols.tensor, symbols.nonzero_histogram[0])
        index_bits, table = best_entries(gap_histogram(symbols, rows=True), self.index_bits, tables)
        return replace(self, index_bits=index_bits, levels=table.count)

    def _table(self, tensor: Tensor) -> Levels:
        return Levels(chosen(self.levels), tensor.bits)

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        table, tensor, index_bits = self._table(symbols.tensor), symbols.tensor, chosen(self.index_bits)
        absolute = self.columns == "absolute"
        entries = symbols.nonzeros if absolute else entries_of(gap_histogram(symbols, rows=True), index_bits)
        return {
            "pointers": (tensor.rows + 1) * pointer_width(tensor),
            "indices": entries * index_bits,
            "levels": table.table_bits,
            "values": entries * table.width,
        }

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        tensor, table, index_bits = symbols.tensor, self._table(symbols.tensor), chosen(self.index_bits)
        distinct = symbols.nonzero_histogram[0]
        positions = symbols.nonzero_positions()
        values = table.written(symbols.values[positions], distinct)
        own = np.arange(len(positions))
        fields: Unsigned = (positions % max(tensor.columns, 1)).astype(np.uint32)
        if self.columns == "relative":
            fields, values, own = with_skips(row_gaps(symbols, rows=True), values, index_bits)
        # a row starts behind the last weight of those before; its own skips lie in front of its first weight
        before = np.searchsorted(positions, np.arange(tensor.rows + 1) * tensor.columns)
        pointers = np.concatenate([[0], own + 1])[before].astype(np.uint32)
        bits = self.part_bits(symbols)
        return (
            Part("pointers", pack(pointers, pointer_width(tensor)), bits["pointers"]),
            Part("indices", pack(fields, index_bits), bits["indices"]),
            table.table(distinct),
            Part("values", pack(values, table.width), bits["values"]),
        )

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        table, index_bits = self._table(tensor), chosen(self.index_bits)
        pointers = read_pointers(parts[0], tensor.rows, pointer_width(tensor))
        entries = int(pointers[-1])
        fields = unpack(exactly(parts[1], entries * index_bits, "indices"), index_bits, entries)
        values = unpack(exactly(parts[3], entries * table.width, "values"), table.width, entries)
        row = np.repeat(np.arange(tensor.rows), np.diff(pointers))
        if self.columns == "relative":
            columns, kept = positions_of(fields, index_bits)
            # gaps start anew in each row
            reached = np.concatenate([[0], columns + kept])[pointers[:-1]]
            columns = columns - reached[row]
        else:
            columns, kept = fields.astype(np.int64), np.ones(entries, np.bool_)
        if (columns[kept] >= tensor.columns).any():
            raise DamagedError("a column lies past the last one")
        positions = (row * tensor.columns + columns)[kept]
        if (np.diff(positions) <= 0).any():
            raise DamagedError("columns do not ascend")
        return placed(positions, table.read(values[kept], parts[2]), tensor)


def pointer_width(tensor: Tensor) -> int:
    """The bits of a pointer to an entry: a tensor has no more entries than weights."""
    return index_width(tensor.count + 1)


def read_pointers(part: Bytes, lists: int, width: int) -> npt.NDArray[np.int64]:
    """The starts of lists and the end of the last one. Raises DamagedError where they do not ascend from 0."""
    pointers = unpack(exactly(part, (lists + 1) * width, "pointers"), width, lists + 1).astype(np.int64)
    if pointers[0] != 0 or (np.diff(pointers) < 0).any():
        raise DamagedError("pointers do not ascend from 0")
    return pointers
