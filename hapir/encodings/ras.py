"""`ras`: the index lists of Reduce-and-Scale, one per level and row: which activations are added up.

`c = sum over levels of alpha * sum of a[i] for i in the level's list`: the kernel adds activations and multiplies once
per level. Source: Schindler, Heidelberg 2021, section 5.2 (L870-888, equations 5.12 to 5.14).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from hapir.bounds import bounded, check_bounds
from hapir.encodings.bits import Bytes, Unsigned, pack, unpack
from hapir.encodings.crs import pointer_width, read_pointers
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
from hapir.encodings.levels import Auto, Levels, chosen

MOST_LEVELS = 256
"""Each level has a list per row and an accumulator; more are no reduction any more."""


@dataclass(frozen=True)
class Ras(Encoding):
    """Lists of ascending column numbers, level by level and row by row (axis 0); pointers say where each starts.

    Where an index is too narrow for the columns, a row is cut into blocks of `2^index_bits` columns with a list each,
    and the kernel moves its base from block to block. `16 * nnz` bits and the pointers for 16-bit indices (L880).

    `index_bits`: bits of a column number in its block; `auto` takes what is smaller.
    `levels`: how many values other than zero occur; `auto` counts them.

    Example: `encode(encoding = ras(index_bits = 16))`
    """

    name: ClassVar[str] = "ras"
    index_bits: Literal[8, 16, "auto"] = "auto"
    levels: int | Auto = field(default="auto", metadata=bounded(at_least=0, at_most=MOST_LEVELS))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def part_names(self) -> tuple[str, ...]:
        return ("levels", "pointers", "indices")

    @property
    def leaves_out_zeros(self) -> bool:
        return True

    def unfit(self, symbols: Symbols) -> str | None:
        if symbols.tensor.zero is None:
            return super().unfit(symbols)
        count = len(symbols.nonzero_histogram[0])
        if count > MOST_LEVELS:
            return f"there are {count} levels, more than {MOST_LEVELS}"
        return None if self.levels in ("auto", count) else f"there are {count} levels, not {self.levels}"

    def fitted(self, symbols: Symbols) -> Encoding:
        counted = replace(self, levels=len(symbols.nonzero_histogram[0]))
        if self.index_bits != "auto":
            return counted
        choices = (replace(counted, index_bits=8), replace(counted, index_bits=16))
        return min(choices, key=lambda choice: sum(choice.part_bits(symbols).values()))

    @property
    def _width(self) -> int:
        assert self.index_bits != "auto", "the encoding is not fitted"
        return self.index_bits

    def _blocks(self, tensor: Tensor) -> int:
        """The lists of a row and a level."""
        return -(-tensor.columns >> self._width)

    def _lists(self, tensor: Tensor) -> int:
        return chosen(self.levels) * tensor.rows * self._blocks(tensor)

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        tensor = symbols.tensor
        return {
            "levels": chosen(self.levels) * tensor.bits,
            "pointers": (self._lists(tensor) + 1) * pointer_width(tensor),
            "indices": symbols.nonzeros * self._width,
        }

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        tensor, distinct = symbols.tensor, symbols.nonzero_histogram[0]
        table = Levels(chosen(self.levels), tensor.bits)
        positions = symbols.nonzero_positions()
        level = table.written(symbols.values[positions], distinct).astype(np.int64)
        row, column = np.divmod(positions, max(tensor.columns, 1))
        block = column >> self._width
        of_list = (level * tensor.rows + row) * self._blocks(tensor) + block
        order = np.argsort(of_list, kind="stable")
        counts = np.bincount(of_list, minlength=self._lists(tensor)) if len(of_list) else np.zeros(0, np.int64)
        pointers = np.zeros(self._lists(tensor) + 1, np.uint32)
        pointers[1:] = np.cumsum(counts) if len(counts) else 0
        indices = (column[order] & ((1 << self._width) - 1)).astype(np.uint32)
        bits = self.part_bits(symbols)
        return (
            table.table(distinct),
            Part("pointers", pack(pointers, pointer_width(tensor)), bits["pointers"]),
            Part("indices", pack(indices, self._width), bits["indices"]),
        )

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        table = Levels(chosen(self.levels), tensor.bits)
        pointers = read_pointers(parts[1], self._lists(tensor), pointer_width(tensor))
        entries = int(pointers[-1])
        indices = unpack(exactly(parts[2], entries * self._width, "indices"), self._width, entries).astype(np.int64)
        of_list = np.repeat(np.arange(self._lists(tensor)), np.diff(pointers))
        blocks = max(self._blocks(tensor), 1)
        level, row = np.divmod(of_list // blocks, max(tensor.rows, 1))
        columns = (of_list % blocks << self._width) + indices
        if (columns >= tensor.columns).any():
            raise DamagedError("a column lies past the last one")
        positions = row * tensor.columns + columns
        if ((np.diff(indices) <= 0) & (np.diff(of_list) == 0)).any():
            raise DamagedError("a list does not ascend")
        return placed(positions, table.read(level.astype(np.uint32), parts[0]), tensor)


def flush_interval(activation_bits: int, accumulator_bits: int, *, signed: bool) -> int:
    """How many unsigned activations an accumulator adds up before it may overflow.

    `floor(limit / (2^k - 1))` with the largest number of the accumulator: 257 for 8-bit activations in unsigned 16
    bits. Kernels that add up longer lists empty it into a wide one at that interval.
    """
    return ((1 << accumulator_bits - signed) - 1) // ((1 << activation_bits) - 1)
