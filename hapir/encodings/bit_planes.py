"""`bit_planes`: bit 0 of all symbols, then bit 1 of all, and so on: what bit-serial kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hapir.encodings.bits import Bytes, Unsigned, bytes_for, unsigned_of
from hapir.encodings.encoding import NOTHING_SHARED, Encoding, Part, Shared, Symbols, Tensor, exactly


@dataclass(frozen=True)
class BitPlanes(Encoding):
    """One plane per bit, the lowest first; in a plane the rows (axis 0), each filled with zeros to a whole word.

    Source of the layout: Schindler, Heidelberg 2021, section 4.2 (L596-602): one binary dot product per pair of planes.

    `word`: bits that the length of a row is a multiple of.

    Example: `encode(encoding = bit_planes(word = 64))`
    """

    name: ClassVar[str] = "bit_planes"
    word: Literal[8, 16, 32, 64] = 8

    @property
    def part_names(self) -> tuple[str, ...]:
        return ("planes",)

    def _row_bits(self, tensor: Tensor) -> int:
        return -(-tensor.columns // self.word) * self.word

    def _bits(self, tensor: Tensor) -> int:
        return tensor.bits * tensor.rows * self._row_bits(tensor)

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        return {"planes": self._bits(symbols.tensor)}

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        tensor = symbols.tensor
        rows = symbols.values.reshape(tensor.rows, tensor.columns)
        planes = np.zeros((tensor.bits, tensor.rows, self._row_bits(tensor) // 8), np.uint8)
        for bit, plane in enumerate(planes):
            packed = np.packbits((rows >> bit).astype(np.uint8) & 1, axis=1, bitorder="little")
            plane[:, : packed.shape[1]] = packed
        return (Part("planes", planes.reshape(-1), self._bits(tensor)),)

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        stored = exactly(parts[0], self._bits(tensor), "planes")
        planes = stored.reshape(tensor.bits, tensor.rows, self._row_bits(tensor) // 8)
        symbols = np.zeros((tensor.rows, tensor.columns), unsigned_of(tensor.bits))
        for bit, plane in enumerate(planes):
            # no count of bits: numpy refuses one for rows of no bytes
            used = plane[:, : bytes_for(tensor.columns)]
            ones = np.unpackbits(used, axis=1, bitorder="little")[:, : tensor.columns]
            symbols |= ones.astype(symbols.dtype) << bit
        return symbols.reshape(-1)
