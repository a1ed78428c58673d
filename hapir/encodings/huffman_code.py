"""Huffman codes in canonical form, their books, and streams of them.

A book lists how many codes there are of each length and the symbols in the order of (length, symbol); that alone gives
the codes (Huffman 1952; canonical order as in RFC 1951, section 3.2.2). One symbol alone takes no bits.

The bits of a book: 6 for the width w of a symbol, 6 for the longest code L, 6 for the width c of a count; L counts of c
bits, of lengths 1 to L; the symbols, w bits each. With L = 0 there is one symbol. No symbols at all: no bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

from hapir.encodings.bits import CHUNK, Bytes, Unsigned, bytes_for, unpack, unsigned_of, write_fields
from hapir.encodings.encoding import DamagedError, Part, exactly

Int64 = npt.NDArray[np.int64]

MOST_CODES = 1 << 16
"""A book has at most so many symbols: its codes are built one by one."""
LONGEST_CODE = 56
"""No code of fewer than 2^31 symbols is longer: the n-th Fibonacci number of symbols makes one of n - 1 bits."""
_FIELD = 6
_TABLE_BITS = 16
"""Codes up to this length are looked up when a stream is read."""


def code_lengths(counts: Int64) -> npt.NDArray[np.uint8]:
    """The length of each symbol's code; counts are above 0. Of equal weights leaves come first: that keeps it flat."""
    if len(counts) < 2:
        return np.zeros(len(counts), np.uint8)
    nodes = [(int(count), i) for i, count in enumerate(counts)]
    heapify(nodes)
    parent = np.zeros(2 * len(counts) - 1, np.int64)
    for new in range(len(counts), len(parent)):
        left, right = heappop(nodes), heappop(nodes)
        parent[left[1]] = parent[right[1]] = new
        heappush(nodes, (left[0] + right[0], new))
    depth = [0] * len(parent)
    above = parent.tolist()
    for node in range(len(parent) - 2, -1, -1):
        depth[node] = depth[above[node]] + 1
    return np.array(depth[: len(counts)], np.uint8)


@dataclass(frozen=True, eq=False)
class Book:
    """Symbols in canonical order and the lengths of their codes."""

    symbols: Unsigned
    lengths: npt.NDArray[np.uint8]

    @staticmethod
    def of(distinct: Unsigned, counts: Int64) -> Book:
        """The best code for symbols that occur so often; `distinct` ascends."""
        lengths = code_lengths(counts)
        order = np.argsort(lengths, kind="stable")
        return Book(distinct[order], lengths[order])

    @property
    def longest(self) -> int:
        """The length of the longest code."""
        return int(self.lengths[-1]) if len(self.lengths) else 0

    @property
    def widths(self) -> tuple[int, int]:
        """The bits of a symbol and of a count, as they are written."""
        counts = self._counts
        return int(self.symbols.max(initial=0)).bit_length(), int(counts.max(initial=0)).bit_length()

    @property
    def _counts(self) -> Int64:
        return np.bincount(self.lengths, minlength=self.longest + 1)[1:]

    @property
    def bits(self) -> int:
        """The bits of the book."""
        symbol, count = self.widths
        return 3 * _FIELD + self.longest * count + len(self.symbols) * symbol if len(self.symbols) else 0

    def written(self, name: str) -> Part:
        """The book as a part."""
        if not len(self.symbols):
            return Part(name, np.zeros(0, np.uint8), 0)
        symbol, count = self.widths
        head = np.array([symbol, self.longest, count], np.uint64)
        fields = np.concatenate([head, self._counts.astype(np.uint64), self.symbols.astype(np.uint64)])
        widths = np.repeat([_FIELD, count, symbol], [3, self.longest, len(self.symbols)]).astype(np.uint8)
        return Part(name, write_fields(fields, widths), self.bits)

    @staticmethod
    def read(part: Bytes) -> Book:
        """The book behind a part. Raises DamagedError."""
        if not len(part):
            return Book(np.zeros(0, np.uint8), np.zeros(0, np.uint8))
        if len(part) < bytes_for(3 * _FIELD):
            raise DamagedError("a book is shorter than its head")
        symbol, longest, count = (int(v) for v in unpack(part, _FIELD, 3))
        if symbol > 32 or longest > LONGEST_CODE or count > 32:
            raise DamagedError("a book has widths that no encoder writes")
        bits = np.unpackbits(part, bitorder="little")
        head = 3 * _FIELD
        if len(bits) < head + longest * count:
            raise DamagedError("a book is shorter than its counts")
        counts = _fields(bits, head, count, longest) if longest else np.array([], np.int64)
        total = int(counts.sum()) if longest else 1
        # a complete code: every stream of bits is one of codes
        kraft = sum(int(c) << (longest - i - 1) for i, c in enumerate(counts)) if longest else 1
        if total > MOST_CODES or kraft != 1 << longest:
            raise DamagedError("the lengths of a book do not make a code")
        exactly(part, head + longest * count + total * symbol, "book")
        symbols = _fields(bits, head + longest * count, symbol, total).astype(unsigned_of(symbol))
        return Book(symbols, np.repeat(np.arange(1, longest + 1), counts).astype(np.uint8) if longest else _ONE)

    @cached_property
    def codes(self) -> npt.NDArray[np.uint64]:
        """Each symbol's code, its first bit lowest: as it lies in a stream."""
        code, previous, codes = 0, 0, list[int]()
        for length in self.lengths.tolist():
            code <<= length - previous
            codes.append(int(f"{code:0{length}b}"[::-1], 2) if length else 0)
            code, previous = code + 1, length
        return np.array(codes, np.uint64)

    def stream_bits(self, distinct: Unsigned, counts: Int64) -> int:
        """The bits of a stream in which symbols occur so often. Raises ValueError for one that the book lacks."""
        return int((self.lengths[self._places(distinct)].astype(np.int64) * counts).sum())

    def _places(self, distinct: Unsigned) -> Int64:
        order = np.argsort(self.symbols, kind="stable")
        places = np.searchsorted(self.symbols[order], distinct)
        if len(distinct) and (places.max() >= len(order) or (self.symbols[order][places] != distinct).any()):
            raise ValueError("the book lacks a symbol")
        return order[places]

    def stream(self, values: Unsigned) -> Bytes:
        """The codes of values, one after the other. Raises ValueError for a value that is not in the book."""
        distinct, inverse = _ranked(values)
        places = self._places(distinct)
        return write_fields(self.codes[places][inverse], self.lengths[places][inverse])

    def read_stream(self, data: Bytes, count: int) -> Unsigned:
        """The first `count` values of a stream that holds exactly those. Raises DamagedError."""
        if count and not len(self.symbols):
            raise DamagedError("there are values and no book")
        if self.longest == 0:
            exactly(data, 0, "stream")
            return np.repeat(self.symbols, count) if count else np.zeros(0, np.uint8)
        values = np.empty(count, self.symbols.dtype)
        done, at = 0, 0
        table = _Table.of(self)
        padded = np.concatenate([data, np.zeros(_PAST_THE_END, np.uint8)])
        while done < count:
            if at >= 8 * len(data):
                raise DamagedError("a stream ends before its last value")
            places, ends = table.follow(padded, at)
            taken = min(count - done, len(places))
            values[done : done + taken] = self.symbols[places[:taken]]
            done, at = done + taken, int(ends[taken - 1])
        if at > 8 * len(data):
            raise DamagedError("a stream ends in the middle of a code")
        exactly(data, at, "stream")
        return values


_ONE = np.zeros(1, np.uint8)
_CHUNK_BYTES = CHUNK // 8
_PAST_THE_END = 16
"""Bytes of zeros behind a stream: what is looked up at its last bits may reach into them."""
_JUMPS = 4
"""Starts of codes are found 2^4 at a time."""


def _fields(bits: npt.NDArray[np.uint8], start: int, width: int, count: int) -> Int64:
    fields = bits[start : start + width * count].reshape(count, width).astype(np.int64)
    return (fields << np.arange(width)).sum(axis=1)


def _ranked(values: Unsigned) -> tuple[Unsigned, Int64]:
    """The distinct values, and for each value which of them it is."""
    if len(values) and int(values.max()) < 1 << 20:
        present = np.bincount(values) > 0
        return np.flatnonzero(present).astype(values.dtype), (np.cumsum(present) - 1)[values]
    distinct, inverse = np.unique(values, return_inverse=True)
    return distinct, inverse.astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Table:
    """The place in the book and the length of the code that starts with each pattern of bits; 0 where it is longer.

    `firsts`, `counts`, `befores` of each length: its lowest code, how many it has, and how many are shorter.
    """

    places: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.uint8]
    width: int
    firsts: list[int]
    counts: list[int]
    befores: list[int]

    @staticmethod
    def of(book: Book) -> _Table:
        width = min(book.longest, _TABLE_BITS)
        places, lengths = np.zeros(1 << width, np.int32), np.zeros(1 << width, np.uint8)
        for place, (code, length) in enumerate(zip(book.codes.tolist(), book.lengths.tolist(), strict=True)):
            if length > width:
                break
            places[code :: 1 << length], lengths[code :: 1 << length] = place, length
        counts = np.bincount(book.lengths, minlength=book.longest + 1).tolist()
        firsts, befores, code, before = list[int](), list[int](), 0, 0
        for count in counts:
            firsts.append(code)
            befores.append(before)
            code, before = (code + count) << 1, before + count
        return _Table(places, lengths, width, firsts, counts, befores)

    def follow(self, padded: Bytes, at: int) -> tuple[npt.NDArray[np.int32], Int64]:
        """The codes that start within a chunk of a padded stream, the first one at bit `at`: their places in the book,
        and where each one ends.

        The length of the code at every bit is looked up, then the starts are found by following them; in jumps of 16
        codes, because that is the one step that numpy cannot take for many codes at once.
        """
        first = at >> 3
        size = min(_CHUNK_BYTES, len(padded) - _PAST_THE_END - first)
        bits = 8 * size
        wide = padded[first : first + size + 2].astype(np.uint32)
        wide = wide[:-2] | wide[1:-1] << 8 | wide[2:] << 16
        pattern = ((wide[:, None] >> np.arange(8, dtype=np.uint32)) & ((1 << self.width) - 1)).reshape(-1)
        places, lengths = self.places[pattern], self.lengths[pattern]
        self._finish_long(padded, 8 * first, pattern, places, lengths)
        stay = 64  # from here on a place leads to itself
        following = np.arange(bits + stay, dtype=np.int32)
        following[:bits] += lengths
        jump = following
        for _ in range(_JUMPS):
            jump = jump[jump]
        heads, here, step = list[int](), at & 7, jump.data
        while here < bits:
            heads.append(here)
            here = step[here]
        starts = np.empty((len(heads), 1 << _JUMPS), np.int32)
        starts[:, 0] = heads
        for i in range(1, 1 << _JUMPS):
            starts[:, i] = following[starts[:, i - 1]]
        flat = starts.reshape(-1)
        flat = flat[flat < bits]
        return places[flat], 8 * first + following[flat].astype(np.int64)

    def _finish_long(
        self,
        padded: Bytes,
        origin: int,
        pattern: npt.NDArray[np.integer],
        places: npt.NDArray[np.int32],
        lengths: npt.NDArray[np.uint8],
    ) -> None:
        """Fill in the codes that are longer than the table's patterns: from there on bit by bit."""
        open_ = np.flatnonzero(lengths == 0)
        code = np.zeros(len(open_), np.int64)
        for bit in range(self.width):
            code = code << 1 | pattern[open_] >> bit & 1
        for length in range(self.width + 1, len(self.counts)):
            at = origin + open_ + length - 1
            code = code << 1 | padded[at >> 3] >> (at & 7) & 1
            found = code - self.firsts[length] < self.counts[length]
            hit = open_[found]
            places[hit], lengths[hit] = self.befores[length] + code[found] - self.firsts[length], length
            open_, code = open_[~found], code[~found]
