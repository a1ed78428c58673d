"""Bit streams: fields one after the other, the lowest bit of a field first, from the lowest bit of each byte up.

That is the order of DEFLATE (RFC 1951, section 3.1.1). The last byte is filled with zeros unless said otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Unsigned = npt.NDArray[np.unsignedinteger[Any]]

CHUNK = 1 << 19
"""Fields that are worked on at once: the intermediate arrays stay in the caches."""


def bytes_for(bits: int) -> int:
    """The bytes that hold so many bits."""
    return -(-bits // 8)


def index_width(count: int) -> int:
    """The bits of an index into `count` things; 0 where there is nothing to choose."""
    return max(count - 1, 0).bit_length()


def unsigned_of(width: int) -> np.dtype[Any]:
    """The smallest numpy type that holds fields of 0 to 64 bits."""
    return np.dtype(f"uint{next(bits for bits in (8, 16, 32, 64) if width <= bits)}")


def pack(values: Unsigned, width: int) -> Bytes:
    """Fields of one width of 0 to 64 bits; values must fit it."""
    if width == 0:
        return np.zeros(0, np.uint8)
    if width in (8, 16, 32, 64):
        return values.astype(f"<u{width // 8}").view(np.uint8)
    if width in (1, 2, 4):
        return _pack_within_bytes(values, width)
    return write_fields(values, np.full(len(values), width, np.uint8))


def _pack_within_bytes(values: Unsigned, width: int) -> Bytes:
    per_byte = 8 // width
    padded = np.zeros(-(-len(values) // per_byte) * per_byte, np.uint8)
    padded[: len(values)] = values
    packed = padded[::per_byte].copy()
    for i in range(1, per_byte):
        packed |= padded[i::per_byte] << (i * width)
    return packed


def write_fields(values: Unsigned, widths: npt.NDArray[np.uint8]) -> Bytes:
    """Fields of a width each, 0 to 63 bits; values must fit theirs."""
    total = int(widths.sum(dtype=np.int64))
    words = np.zeros(total // 64 + 2, np.uint64)
    start = 0
    for first in range(0, len(values), CHUNK):
        fields = values[first : first + CHUNK].astype(np.uint64)
        ends = start + np.cumsum(widths[first : first + CHUNK], dtype=np.int64)
        begins = np.concatenate([[start], ends[:-1]])
        start = int(ends[-1])
        word, offset = begins >> 6, (begins & 63).astype(np.uint64)
        heads = np.flatnonzero(np.diff(word, prepend=-1))
        # fields do not overlap, so their sum is their union
        words[word[heads]] += np.add.reduceat(fields << offset, heads)
        words[word[heads] + 1] += np.add.reduceat((fields >> np.uint64(1)) >> (np.uint64(63) - offset), heads)
    return words.astype("<u8").view(np.uint8)[: bytes_for(total)].copy()


def unpack(data: Bytes, width: int, count: int) -> Unsigned:
    """The first `count` fields of one width, in the smallest type that holds them; `data` must hold so many."""
    if width == 0:
        return np.zeros(count, np.uint8)
    if width in (8, 16, 32, 64):
        return np.ascontiguousarray(data[: count * width // 8]).view(f"<u{width // 8}").astype(unsigned_of(width))
    if width in (1, 2, 4):
        per_byte = 8 // width
        fields = np.empty((bytes_for(count * width), per_byte), np.uint8)
        for i in range(per_byte):
            fields[:, i] = (data[: len(fields)] >> (i * width)) & ((1 << width) - 1)
        return fields.reshape(-1)[:count]
    return _unpack_across_bytes(data, width, count)


def _unpack_across_bytes(data: Bytes, width: int, count: int) -> Unsigned:
    used = bytes_for(count * width)
    padded = np.zeros(-(-used // 8) * 8 + 8, np.uint8)
    padded[:used] = data[:used]
    words = padded.view("<u8").astype(np.uint64)
    fields = np.empty(count, unsigned_of(width))
    mask = np.uint64((1 << width) - 1)
    for first in range(0, count, CHUNK):
        begins = np.arange(first, min(first + CHUNK, count), dtype=np.int64) * width
        word, offset = begins >> 6, (begins & 63).astype(np.uint64)
        high = (words[word + 1] << np.uint64(1)) << (np.uint64(63) - offset)
        fields[first : first + CHUNK] = ((words[word] >> offset) | high) & mask
    return fields
