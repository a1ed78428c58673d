"""Hypothesis strategies for the symbols that encodings hold, and one of each encoding with different options."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from hapir.encodings.bit_planes import BitPlanes
from hapir.encodings.bitmap import Bitmap
from hapir.encodings.bits import unsigned_of
from hapir.encodings.codebook import Codebook
from hapir.encodings.crs import Crs
from hapir.encodings.dense import Dense
from hapir.encodings.encoding import Encoding, Symbols, Tensor
from hapir.encodings.huffman import Huffman
from hapir.encodings.ras import Ras
from hapir.encodings.rle import Rle
from hapir.encodings.smallest import Smallest
from hapir.encodings.trits import Trits

ENCODINGS: tuple[Encoding, ...] = (
    Dense(),
    Dense(width=32),
    BitPlanes(),
    BitPlanes(word=64),
    Codebook(),
    Trits(),
    Bitmap(),
    Bitmap(levels=0),
    Crs(),
    Crs(columns="relative"),
    Crs(columns="relative", index_bits=2),
    Rle(),
    Rle(gap_bits=2),
    Rle(gap_bits=3, levels=0),
    Ras(index_bits=8),
    Ras(index_bits=16),
    Huffman(),
    Huffman(source="symbols"),
    Huffman(source="gaps"),
    Huffman(source="gaps", codebook="model"),
    Smallest(),
)


def symbols_from(values: npt.ArrayLike, bits: int, zero: int | None = 0, shape: tuple[int, ...] = ()) -> Symbols:
    """Symbols of some bits; of one axis where no shape is given."""
    flat = np.array(values, unsigned_of(bits))
    return Symbols(flat, Tensor(shape or (len(flat),), bits, zero))


@st.composite
def symbols(draw: st.DrawFn, zero: bool = True) -> Symbols:
    """Symbols of any width and shape (empty ones too), few or many distinct ones, any share of zeros."""
    bits = draw(st.integers(1, 32))
    shape = tuple(draw(st.lists(st.integers(0, 9), max_size=4)))
    if draw(st.booleans()):
        shape = (draw(st.integers(1, 3)), draw(st.integers(1, 700)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = rng.integers(0, 2**bits, size=draw(st.sampled_from([1, 2, 3, 7, 300])), dtype=np.uint64)
    nothing = int(levels[0]) if draw(st.booleans()) else 0
    count = int(np.prod(shape, dtype=np.int64))
    values = rng.choice(levels, count).astype(unsigned_of(bits))
    values[rng.random(count) < draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99, 1.0]))] = nothing
    return Symbols(values, Tensor(shape, bits, nothing if zero else None))
