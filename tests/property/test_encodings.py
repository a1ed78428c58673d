"""Laws of every encoding: the way back, exact sizes, damaged bytes refused or harmless, and nothing grows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapir.encodings.bits import bytes_for, pack, unpack, unsigned_of, write_fields
from hapir.encodings.dense import Dense
from hapir.encodings.encoding import DamagedError, Encoding, Symbols, entropy_bits
from hapir.encodings.gaps import entries_of, gap_histogram, positions_of, row_gaps, with_skips
from hapir.encodings.huffman import Huffman
from hapir.encodings.huffman_code import Book, code_lengths
from hapir.encodings.rle import Rle
from hapir.encodings.smallest import Smallest
from hapir.registry import HAPIR
from tests.property.encoded_symbols import ENCODINGS, symbols, symbols_from

each = pytest.mark.parametrize("encoding", ENCODINGS, ids=str)


def test_every_registered_encoding_is_tried():
    assert {encoding.name for encoding in ENCODINGS} == set(HAPIR.encodings)


@each
@given(symbols())
def test_decoding_gives_back_what_was_encoded_and_sizes_are_exact(encoding: Encoding, given: Symbols):
    if encoding.unfit(given) is not None:
        return
    common = encoding.for_all([given])
    shared = common.share([given])
    fitted = common.fitted(given)
    assert fitted.is_fitted
    parts = fitted.encode(given, shared)
    assert tuple(part.name for part in parts) == fitted.part_names
    assert {part.name: part.bits for part in parts} == fitted.part_bits(given, shared)
    decoded = fitted.decode([part.data for part in parts], given.tensor)
    assert decoded.dtype == given.values.dtype
    assert np.array_equal(decoded, given.values)
    for name, part in shared.items():
        assert np.array_equal(part.data, parts[fitted.part_names.index(name)].data)


@each
@given(symbols(zero=False))
def test_without_a_zero_an_encoding_refuses_or_works(encoding: Encoding, given: Symbols):
    if encoding.unfit(given) is None:
        fitted = encoding.for_all([given]).fitted(given)
        parts = fitted.encode(given, encoding.for_all([given]).share([given]))
        assert np.array_equal(fitted.decode([part.data for part in parts], given.tensor), given.values)
    elif len(given.histogram[0]) <= 3:
        assert encoding.leaves_out_zeros


@each
@given(symbols(), st.data())
def test_damaged_bytes_are_refused_or_decode_to_symbols(encoding: Encoding, given: Symbols, data: st.DataObject):
    if encoding.unfit(given) is not None:
        return
    common = encoding.for_all([given])
    fitted = common.fitted(given)
    parts = [part.data.copy() for part in fitted.encode(given, common.share([given]))]
    which = data.draw(st.integers(0, len(parts) - 1))
    if data.draw(st.booleans()):
        parts[which] = np.frombuffer(data.draw(st.binary(max_size=len(parts[which]) + 2)), np.uint8)
    elif len(parts[which]):
        parts[which][data.draw(st.integers(0, len(parts[which]) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        decoded = fitted.decode(parts, given.tensor)
    except DamagedError:
        return
    assert decoded.shape == given.values.shape
    assert decoded.dtype == given.values.dtype
    assert int(decoded.max(initial=0)) < 1 << given.tensor.bits


@given(symbols())
def test_the_smallest_is_never_larger_than_packed_fields(given: Symbols):
    best = Smallest().fitted(given)
    size = sum(map(bytes_for, best.part_bits(given).values()))
    assert size <= bytes_for(given.tensor.count * given.tensor.bits)
    assert best == Dense(width=given.tensor.bits) or size < bytes_for(given.tensor.count * given.tensor.bits)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60))
def test_huffman_codes_are_complete_and_within_a_bit_of_the_entropy(counts: list[int]):
    array = np.array(counts, np.int64)
    lengths = code_lengths(array)
    assert sum(2.0 ** -int(n) for n in lengths) == 1
    bits = int((lengths * array).sum())
    total = int(array.sum())
    assert entropy_bits(array) <= bits * (1 + 1e-12)
    assert bits < entropy_bits(array) + total
    assert all(a <= b for (_, a), (_, b) in zip(*[iter(sorted(zip(-array, lengths, strict=True)))] * 2, strict=False))


@given(st.integers(2, 40))
def test_huffman_codes_as_long_as_they_get(n: int):
    counts = [1, 1]
    while len(counts) < n:
        counts.append(counts[-1] + counts[-2])
    book = Book.of(np.arange(n, dtype=np.uint8), np.array(counts, np.int64))
    assert book.longest == n - 1
    again = Book.read(book.written("book").data)
    assert np.array_equal(again.symbols, book.symbols)
    assert np.array_equal(again.lengths, book.lengths)
    values = np.concatenate([np.arange(n), np.arange(n)[::-1]]).astype(np.uint8)
    assert np.array_equal(again.read_stream(book.stream(values), len(values)), values)


def test_streams_longer_than_a_chunk():
    rng = np.random.default_rng(3)
    values = np.minimum(rng.geometric(0.4, 400_000), 20).astype(np.uint8)
    distinct, counts = np.unique(values, return_counts=True)
    book = Book.of(distinct, counts)
    assert np.array_equal(book.read_stream(book.stream(values), len(values)), values)


@given(st.integers(1, 6), st.data())
def test_gaps_at_and_around_the_largest(width: int, data: st.DataObject):
    largest = (1 << width) - 1
    around = st.sampled_from([0, 1, largest - 1, largest, largest + 1, 2 * largest, 2 * largest + 1])
    gaps = np.array(data.draw(st.lists(around, min_size=1, max_size=9)), np.int64)
    fields, _, own = with_skips(gaps, np.ones(len(gaps), np.uint8), width)
    assert len(fields) == entries_of(np.unique(gaps, return_counts=True), width)
    assert len(fields) == len(gaps) + sum(int(g) // largest for g in gaps)
    positions, weighs = positions_of(fields, width)
    assert np.array_equal(np.flatnonzero(weighs), own)
    assert np.array_equal(positions[weighs], np.cumsum(gaps + 1) - 1)
    values = np.zeros(int(positions[-1]) + 4, np.uint8)
    values[positions[weighs]] = 1
    given = symbols_from(values, 1)
    parts = Rle(gap_bits=width, levels=1).encode(given)
    assert np.array_equal(Rle(gap_bits=width, levels=1).decode([p.data for p in parts], given.tensor), given.values)


@given(symbols(), st.booleans())
def test_gaps_are_counted_as_they_are(tensor: Symbols, rows: bool):
    distinct, counts = gap_histogram(tensor, rows)
    expected = np.unique(row_gaps(tensor, rows), return_counts=True)
    assert np.array_equal(distinct, expected[0])
    assert np.array_equal(counts, expected[1])


def test_gaps_of_a_tensor_that_is_looked_at_in_pieces():
    values = np.zeros(3 << 20, np.uint8)
    values[[5, 6, (1 << 20) - 1, 1 << 20, (2 << 20) + 9]] = 1
    distinct, counts = gap_histogram(symbols_from(values, 1), rows=False)
    assert dict(zip(distinct.tolist(), counts.tolist(), strict=True)) == {
        0: 2,
        5: 1,
        (1 << 20) - 8: 1,
        (1 << 20) + 8: 1,
    }


@given(st.integers(0, 63), st.lists(st.integers(0, 2**63 - 1), max_size=200))
def test_fields_are_packed_and_unpacked(width: int, numbers: list[int]):
    values = np.array([n & ((1 << width) - 1) for n in numbers], unsigned_of(width))
    packed = pack(values, width)
    assert len(packed) == bytes_for(width * len(values))
    assert np.array_equal(unpack(packed, width, len(values)), values)
    assert np.array_equal(packed, write_fields(values, np.full(len(values), width, np.uint8)))
    bits = "".join(f"{int(v):0{width}b}"[::-1] for v in values) if width else ""
    assert "".join(f"{int(b):08b}"[::-1] for b in packed)[: len(bits)] == bits


@given(st.lists(symbols(), min_size=1, max_size=4))
def test_one_book_serves_a_model_and_is_never_better_than_books_of_their_own(tensors: list[Symbols]):
    model, layer = Huffman(source="gaps", codebook="model"), Huffman(source="gaps")
    shared = model.share(tensors)
    for tensor in tensors:
        of_model, of_layer = model.fitted(tensor), layer.fitted(tensor)
        parts = of_model.encode(tensor, shared)
        assert np.array_equal(of_model.decode([p.data for p in parts], tensor.tensor), tensor.values)
        assert of_model.part_bits(tensor, shared)["stream"] >= of_layer.part_bits(tensor)["stream"]
