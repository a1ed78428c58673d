"""Few distinct symbols: a table of them in ascending order, and indices into it in place of the symbols.

Encodings share this for the values of what they keep. They hold the number of `levels` as an option, 0 where the
symbols themselves are written; so the width of an index is known before a byte is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hapir.encodings.bits import Bytes, Unsigned, index_width, pack, unpack, unsigned_of
from hapir.encodings.encoding import DamagedError, Part, Symbols, Tensor, exactly

Auto = Literal["auto"]
"""An option that `fitted` chooses."""


def chosen(option: int | Auto) -> int:
    """An option of a fitted encoding. Raises AssertionError for `auto`."""
    assert not isinstance(option, str), "the encoding is not fitted"
    return option


@dataclass(frozen=True)
class Levels:
    """A way to write symbols of `bits` bits: by index into a table of `count`, or as they are where `count` is 0."""

    count: int
    bits: int

    @property
    def width(self) -> int:
        """The bits of what stands for a symbol."""
        return index_width(self.count) if self.count else self.bits

    @property
    def table_bits(self) -> int:
        """The bits of the table."""
        return self.count * self.bits

    def unfit(self, distinct: Unsigned) -> str | None:
        """Why symbols cannot be written like this."""
        if self.count and self.count != len(distinct):
            return f"there are {len(distinct)} distinct symbols, not {self.count}"
        return None

    def table(self, distinct: Unsigned) -> Part:
        """The table; `distinct` are the symbols that occur, in ascending order."""
        return Part("levels", pack(distinct[: self.count], self.bits), self.table_bits)

    def written(self, values: Unsigned, distinct: Unsigned) -> Unsigned:
        """What stands for each symbol."""
        return np.searchsorted(distinct, values).astype(np.uint32) if self.count else values

    def read(self, fields: Unsigned, table: Bytes) -> Unsigned:
        """The symbols behind fields. Raises DamagedError for an index past the table."""
        levels = unpack(exactly(table, self.table_bits, "levels"), self.bits, self.count)
        if not self.count:
            return fields.astype(unsigned_of(self.bits), copy=False)
        if len(fields) and int(fields.max()) >= self.count:
            raise DamagedError("an index is past the table of levels")
        return levels[fields]


def level_choices(option: int | Auto, tensor: Tensor, distinct: Unsigned) -> tuple[Levels, ...]:
    """The ways to write values that an option leaves open: as they are, or by table."""
    counts = (0, len(distinct)) if option == "auto" else (option,)
    return tuple(Levels(count, tensor.bits) for count in counts)


def best_levels(option: int | Auto, symbols: Symbols) -> int:
    """The option, or where it is `auto` what writes the symbols that do not mean zero in fewer bits."""
    choices = level_choices(option, symbols.tensor, symbols.nonzero_histogram[0])
    return min(choices, key=lambda table: symbols.nonzeros * table.width + table.table_bits).count
