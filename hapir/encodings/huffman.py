"""`huffman`: symbols, or the distances between those that are kept, in a code of variable length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from hapir.bounds import bounded, check_bounds
from hapir.encodings.bits import Bytes, Unsigned, pack, unpack
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
    takes_zeros,
    within,
)
from hapir.encodings.gaps import gap_histogram
from hapir.encodings.huffman_code import MOST_CODES, Book
from hapir.encodings.levels import Auto, Levels, best_levels, chosen

COUNT_BITS = 32
"""The bits of the number of weights that are kept."""
Histogram = tuple[Unsigned, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Huffman(Encoding):
    """Canonical Huffman code of all symbols, or of the distances between those that are not zero.

    With `source = gaps` a distance is the difference of two flat positions, the first one's position itself; the values
    follow packed, one sign bit for ternary weights. That is the storage format of Reduce-and-Scale: `H2(p) + p` bits
    per weight at density p. Source: Schindler, Heidelberg 2021, section 5.3 (L890-905). A code of the symbols
    themselves is the last stage of Han et al., Deep Compression, ICLR 2016, section 4.

    `source`: what the code is of; `auto` takes what is smaller.
    `codebook`: one code for each tensor, or one for all of them that `encode` takes, which is stored once.
    `levels`: entries of a table of the values, 0 to write them as they are; `auto` takes what is smaller. Of gaps only.

    Example: `encode(encoding = huffman(source = gaps, codebook = model))`
    """

    name: ClassVar[str] = "huffman"
    source: Literal["auto", "symbols", "gaps"] = "auto"
    codebook: Literal["layer", "model"] = "layer"
    levels: int | Auto = field(default="auto", metadata=bounded(at_least=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def part_names(self) -> tuple[str, ...]:
        if self.source == "symbols":
            return ("book", "stream")
        return ("book", "count", "stream", "levels", "values")

    @property
    def leaves_out_zeros(self) -> bool:
        return self.source == "gaps"

    def unfit(self, symbols: Symbols) -> str | None:
        reasons = [self._unfit_source(symbols, source) for source in self._sources]
        return None if None in reasons else reasons[-1]

    @property
    def _sources(self) -> tuple[Literal["symbols", "gaps"], ...]:
        return ("symbols", "gaps") if self.source == "auto" else (self.source,)

    def _unfit_source(self, symbols: Symbols, source: Literal["symbols", "gaps"]) -> str | None:
        if source == "gaps" and symbols.tensor.zero is None:
            return takes_zeros(symbols)
        if source == "gaps" and self.levels != "auto":
            reason = Levels(self.levels, symbols.tensor.bits).unfit(symbols.nonzero_histogram[0])
            if reason is not None:
                return reason
        distinct = len(_histogram(symbols, source)[0])
        return f"there are {distinct} distinct {source}, more than {MOST_CODES}" if distinct > MOST_CODES else None

    def fitted(self, symbols: Symbols) -> Encoding:
        if self.source == "auto":
            fit = [replace(self, source=s) for s in self._sources if self._unfit_source(symbols, s) is None]
            choices = [choice.fitted(symbols) for choice in fit]
            return min(choices, key=lambda choice: sum(choice.part_bits(symbols).values()))
        if self.source == "symbols":
            return replace(self, levels=0)
        return replace(self, levels=best_levels(self.levels, symbols))

    def for_all(self, tensors: Sequence[Symbols]) -> Self:
        """What the code is of, where all tensors have one code: what is smaller in all. Raises ValueError."""
        if self.codebook == "layer":
            return self
        reasons = {source: self._unfit_together(tensors, source) for source in self._sources}
        fit = [replace(self, source=source) for source, reason in reasons.items() if reason is None]
        if not fit:
            raise ValueError(next(reason for reason in reasons.values() if reason is not None))
        return fit[0] if len(fit) == 1 else min(fit, key=lambda encoding: encoding._total(tensors))

    def _unfit_together(self, tensors: Sequence[Symbols], source: Literal["symbols", "gaps"]) -> str | None:
        """Why tensors cannot have one code."""
        for reason in (self._unfit_source(symbols, source) for symbols in tensors):
            if reason is not None:
                return reason
        distinct = len(_together(tensors, source)[0])
        too_many = f"the layers together have {distinct} distinct {source}, more than {MOST_CODES}"
        return too_many if distinct > MOST_CODES else None

    def _total(self, tensors: Sequence[Symbols]) -> int:
        """The bits of all tensors with a shared book, which counts once."""
        shared = self.share(tensors)
        parts = [self.fitted(symbols).part_bits(symbols, shared) for symbols in tensors]
        return shared["book"].bits + sum(sum(bits.values()) - bits["book"] for bits in parts)

    def share(self, tensors: Sequence[Symbols]) -> Shared:
        """The book of all tensors together, where `codebook = model`; the source must be chosen."""
        if self.codebook == "layer":
            return NOTHING_SHARED
        return {"book": Book.of(*_together(tensors, self._source)).written("book")}

    @property
    def _source(self) -> Literal["symbols", "gaps"]:
        assert self.source != "auto", "the encoding is not fitted"
        return self.source

    def _book(self, histogram: Histogram, shared: Shared) -> Book:
        return Book.read(shared["book"].data) if "book" in shared else Book.of(*histogram)

    def _table(self, tensor: Tensor) -> Levels:
        return Levels(chosen(self.levels), tensor.bits)

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        histogram = _histogram(symbols, self._source)
        book = self._book(histogram, shared)
        bits = {"book": book.bits, "stream": book.stream_bits(*histogram)}
        if self._source == "symbols":
            return bits
        table = self._table(symbols.tensor)
        values = {"levels": table.table_bits, "values": symbols.nonzeros * table.width}
        return {"book": bits["book"], "count": COUNT_BITS, "stream": bits["stream"], **values}

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        histogram = _histogram(symbols, self._source)
        book, bits = self._book(histogram, shared), self.part_bits(symbols, shared)
        if self._source == "symbols":
            return book.written("book"), Part("stream", book.stream(symbols.values), bits["stream"])
        table, distinct = self._table(symbols.tensor), symbols.nonzero_histogram[0]
        positions = symbols.nonzero_positions()
        values = pack(table.written(symbols.values[positions], distinct), table.width)
        return (
            book.written("book"),
            Part("count", pack(np.array([len(positions)], np.uint32), COUNT_BITS), COUNT_BITS),
            Part("stream", book.stream(_distances(positions)), bits["stream"]),
            table.table(distinct),
            Part("values", values, bits["values"]),
        )

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        book = Book.read(parts[0])
        if self._source == "symbols":
            return within(book.read_stream(parts[1], tensor.count), tensor)
        count = int(unpack(exactly(parts[1], COUNT_BITS, "count"), COUNT_BITS, 1)[0])
        if count > tensor.count:
            raise DamagedError("there are more values than weights")
        distances = book.read_stream(parts[2], count).astype(np.int64)
        if (distances[1:] == 0).any():
            raise DamagedError("two values are for one weight")
        positions = np.cumsum(distances)
        if count and positions[-1] >= tensor.count:
            raise DamagedError("a value lies past the last weight")
        table = self._table(tensor)
        stored = exactly(parts[4], count * table.width, "values")
        return placed(positions, table.read(unpack(stored, table.width, count), parts[3]), tensor)


def _distances(positions: npt.NDArray[np.int64]) -> Unsigned:
    """The position of the first, then the differences."""
    return np.diff(positions, prepend=0).astype(np.uint32)


def _together(tensors: Sequence[Symbols], source: Literal["symbols", "gaps"]) -> Histogram:
    """The histogram of several tensors."""
    histograms = [_histogram(symbols, source) for symbols in tensors]
    distinct = np.concatenate([np.zeros(0, np.uint32), *(h[0].astype(np.uint32) for h in histograms)])
    union, place = np.unique(distinct, return_inverse=True)
    counts = np.zeros(len(union), np.int64)
    np.add.at(counts, place, np.concatenate([np.zeros(0, np.int64), *(h[1] for h in histograms)]))
    return union, counts


def _histogram(symbols: Symbols, source: Literal["symbols", "gaps"]) -> Histogram:
    """What the code is of, in ascending order, and how often each occurs."""
    if source == "symbols":
        return symbols.histogram
    gaps, counts = gap_histogram(symbols, rows=False)
    if not len(gaps):
        return gaps.astype(np.uint32), counts
    # a distance is one more than the gap, but the first one has nothing in front of it
    first = int(np.argmax(symbols.values != symbols.tensor.zero))
    distinct, place = np.unique(np.append(gaps + 1, first), return_inverse=True)
    found = np.zeros(len(distinct), np.int64)
    np.add.at(found, place, np.append(counts, 1))
    found[np.searchsorted(distinct, first + 1)] -= 1
    return distinct[found > 0].astype(np.uint32), found[found > 0]
