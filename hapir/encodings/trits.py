"""`trits`: five symbols of three values in a byte, 3^5 = 243 of its 256 values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from hapir.bounds import bounded, check_bounds
from hapir.encodings.bits import Bytes, Unsigned
from hapir.encodings.encoding import NOTHING_SHARED, DamagedError, Encoding, Part, Shared, Symbols, Tensor, exactly
from hapir.encodings.levels import Auto, Levels, chosen

TRITS = 5
"""Trits of a byte."""
_PLACES = (3 ** np.arange(TRITS)).astype(np.uint8)


@dataclass(frozen=True)
class Trits(Encoding):
    """1.6 bits per ternary weight: `byte = sum of trit i * 3^i`; a trit is an index into the symbols that occur.

    At most three symbols may. A tensor's last byte is filled with trits 0.

    `levels`: how many of them occur; `auto` counts them.

    Example: `twn(), encode(encoding = trits)`
    """

    name: ClassVar[str] = "trits"
    levels: int | Auto = field(default="auto", metadata=bounded(at_least=0, at_most=3))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def part_names(self) -> tuple[str, ...]:
        return ("levels", "trits")

    def unfit(self, symbols: Symbols) -> str | None:
        count = len(symbols.histogram[0])
        if count > 3:
            return f"there are {count} distinct symbols, a trit has three"
        return None if self.levels in ("auto", count) else f"there are {count} distinct symbols, not {self.levels}"

    def fitted(self, symbols: Symbols) -> Encoding:
        return replace(self, levels=len(symbols.histogram[0]))

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        tensor = symbols.tensor
        return {"levels": chosen(self.levels) * tensor.bits, "trits": 8 * -(-tensor.count // TRITS)}

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        table, distinct = Levels(chosen(self.levels), symbols.tensor.bits), symbols.histogram[0]
        trits = np.zeros((-(-symbols.tensor.count // TRITS), TRITS), np.uint8)
        trits.reshape(-1)[: symbols.tensor.count] = table.written(symbols.values, distinct)
        data = (trits * _PLACES).sum(axis=1, dtype=np.uint8)
        return table.table(distinct), Part("trits", data, 8 * len(data))

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        data = exactly(parts[1], 8 * -(-tensor.count // TRITS), "trits")
        if (data >= 3**TRITS).any():
            raise DamagedError("a byte of trits is above 242")
        trits = (data[:, None] // _PLACES % 3).reshape(-1)[: tensor.count]
        return Levels(chosen(self.levels), tensor.bits).read(trits, parts[0])
