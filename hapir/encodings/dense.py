"""`dense`: every symbol in a field of its own, no gap between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from hapir.bounds import bounded, check_bounds
from hapir.encodings.bits import Bytes, Unsigned, pack, unpack
from hapir.encodings.encoding import NOTHING_SHARED, Encoding, Part, Shared, Symbols, Tensor, exactly, within
from hapir.encodings.levels import Auto, chosen


@dataclass(frozen=True)
class Dense(Encoding):
    """Packed fields, the first one in the lowest bits: two 4-bit codes in a byte.

    `width`: bits of a field; `auto` is the width of the symbols, 4 puts 3-bit codes into nibbles.

    Example: `encode(encoding = dense)`, or `dense(width = 4)`
    """

    name: ClassVar[str] = "dense"
    width: int | Auto = field(default="auto", metadata=bounded(at_least=1, at_most=32))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def part_names(self) -> tuple[str, ...]:
        return ("codes",)

    def unfit(self, symbols: Symbols) -> str | None:
        narrow = self.width != "auto" and self.width < symbols.tensor.bits
        return f"symbols of {symbols.tensor.bits} bits do not fit fields of {self.width}" if narrow else None

    def fitted(self, symbols: Symbols) -> Encoding:
        return replace(self, width=symbols.tensor.bits) if self.width == "auto" else self

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        return {"codes": symbols.tensor.count * chosen(self.width)}

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        return (Part("codes", pack(symbols.values, chosen(self.width)), *self.part_bits(symbols).values()),)

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        width = chosen(self.width)
        return within(unpack(exactly(parts[0], tensor.count * width, "codes"), width, tensor.count), tensor)
