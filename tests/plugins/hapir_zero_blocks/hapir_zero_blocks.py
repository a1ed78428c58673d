"""An encoding that leaves out blocks of zeros, as pruning whole kernels or filters makes them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from hapir.bounds import bounded, check_bounds
from hapir.encodings.bits import Bytes, Unsigned, pack, unpack
from hapir.encodings.encoding import NOTHING_SHARED, Encoding, Part, Shared, Symbols, Tensor, exactly, within
from hapir.universe import HapirUniverse


@dataclass(frozen=True)
class ZeroBlocks(Encoding):
    """A bit per block of the flat tensor, set where not all of it is zero; then those blocks, packed.

    `size`: weights of a block, such as 9 for kernels of 3 x 3; `auto` takes the power of two up to 1024, or the row,
        that is smallest.

    Example: `encode(encoding = zero_blocks(size = 9))`
    """

    name: ClassVar[str] = "zero_blocks"
    size: int | Literal["auto"] = field(default="auto", metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def part_names(self) -> tuple[str, ...]:
        return ("mask", "blocks")

    @property
    def leaves_out_zeros(self) -> bool:
        return True

    def fitted(self, symbols: Symbols) -> Encoding:
        if self.size != "auto":
            return self
        sizes = (*(1 << i for i in range(11)), max(1, symbols.tensor.columns))
        candidates = [replace(self, size=size) for size in sizes]
        return min(candidates, key=lambda encoding: sum(encoding.part_bits(symbols).values()))

    def _blocks(self, tensor: Tensor) -> tuple[int, int]:
        """How many blocks there are, the last one filled up, and how long they are."""
        assert self.size != "auto", "the encoding is not fitted"
        return -(-tensor.count // self.size), self.size

    def _kept(self, symbols: Symbols) -> npt.NDArray[np.bool_]:
        """Which blocks have something in them."""
        count, size = self._blocks(symbols.tensor)
        kept = np.zeros(count, np.bool_)
        kept[symbols.nonzero_positions() // size] = True
        return kept

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        kept = self._kept(symbols)
        _, size = self._blocks(symbols.tensor)
        return {"mask": len(kept), "blocks": int(kept.sum()) * size * symbols.tensor.bits}

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        tensor, kept, bits = symbols.tensor, self._kept(symbols), self.part_bits(symbols)
        count, size = self._blocks(tensor)
        values = np.full(count * size, tensor.zero, symbols.values.dtype)
        values[: tensor.count] = symbols.values
        blocks = pack(values.reshape(count, size)[kept].reshape(-1), tensor.bits)
        return Part("mask", pack(kept.astype(np.uint8), 1), bits["mask"]), Part("blocks", blocks, bits["blocks"])

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        count, size = self._blocks(tensor)
        kept = unpack(exactly(parts[0], count, "mask"), 1, count) == 1
        stored = int(kept.sum()) * size
        found = unpack(exactly(parts[1], stored * tensor.bits, "blocks"), tensor.bits, stored)
        values = np.full((count, size), tensor.zero, found.dtype)
        values[kept] = found.reshape(-1, size)
        return within(values.reshape(-1)[: tensor.count], tensor)


UNIVERSE = HapirUniverse(encodings={"zero_blocks": lambda: ZeroBlocks})
