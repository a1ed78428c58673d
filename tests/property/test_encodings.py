"""Laws of every encoding: the way back, exact sizes, damaged bytes refused or harmless, and nothing grows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapir.encodings.bitmap import Bitmap
from hapir.encodings.bits import bytes_for, pack, unpack, unsigned_of, write_fields
from hapir.encodings.codebook import Codebook
from hapir.encodings.crs import Crs
from hapir.encodings.dense import Dense
from hapir.encodings.encoding import DamagedError, Encoding, Symbols, entropy_bits
from hapir.encodings.gaps import entries_of, gap_histogram, positions_of, row_gaps, with_skips
from hapir.encodings.huffman import Huffman
from hapir.encodings.huffman_code import Book, code_lengths
from hapir.encodings.ras import Ras
from hapir.encodings.rle import Rle
from hapir.encodings.smallest import Smallest
from hapir.encodings.trits import Trits
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


def test_relative_columns_are_the_smallest_where_rows_end_in_zeros():
    values = np.zeros((5, 132), np.uint8)
    values[:, :3] = 1
    given = symbols_from(values.reshape(-1), 1, shape=values.shape)
    best = Smallest().fitted(given)
    assert isinstance(best, Crs)
    assert best.columns == "relative"


@pytest.mark.parametrize("encoding", [Codebook(), Trits(), Ras(), Bitmap(levels=1), Rle(levels=1), Crs(levels=1)])
def test_one_value_takes_no_bits_but_the_tables(encoding: Encoding):
    given = symbols_from([7] * 12, 3, shape=(3, 4))
    parts = encoding.fitted(given).part_bits(given)
    rest = {"bitmap": 12, "words": 12 * 1, "pointers": None, "indices": None, "trits": 24}
    for name, bits in parts.items():
        assert bits == {"levels": 3, "values": 0, **rest}[name] or rest[name] is None
    assert parts.get("indices", 0) == {"codebook": 0, "ras": 12 * 8, "crs": 12 * 2}.get(encoding.name, 0)


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


@pytest.mark.parametrize("count", [4, 60_001, 61_007])
def test_codes_longer_than_the_table_at_every_place_of_a_chunk(count: int):
    """31 symbols, the rarest of 30 bits: three chunks, and codes that begin in one and end in the next."""
    rng = np.random.default_rng(count)
    book = Book.of(np.arange(31, dtype=np.uint8), np.array([1, *(2**i for i in range(30))], np.int64))
    assert book.longest == 30
    values = rng.choice(np.array([0, 1, 5, 11, 13, 14, 15, 16, 29, 30], np.uint8), count)
    data = book.stream(values)
    assert np.array_equal(book.read_stream(data, count), values)
    for wrong in (data[:-1], np.append(data, np.uint8(0))):
        with pytest.raises(DamagedError, match="stream"):
            book.read_stream(wrong, count)


def test_code_words_of_a_stream_are_the_canonical_ones():
    """RFC 1951, section 3.2.2: lengths 3 3 3 3 3 2 4 4 of A to H give these codes, first bit first."""
    lengths = {"A": 3, "B": 3, "C": 3, "D": 3, "E": 3, "F": 2, "G": 4, "H": 4}
    order = sorted(lengths, key=lambda name: (lengths[name], name))
    book = Book(np.array([ord(s) for s in order], np.uint8), np.array([lengths[s] for s in order], np.uint8))
    stream = book.stream(np.frombuffer(b"FABCDEGH", np.uint8))
    bits = "".join(f"{byte:08b}"[::-1] for byte in stream.tolist())
    assert bits == "00" + "010" + "011" + "100" + "101" + "110" + "1110" + "1111" + "0" * 7


@given(symbols())
def test_what_is_automatic_is_the_best_of_all_choices(given: Symbols):
    counts = (0, len(given.nonzero_histogram[0]))
    fitted = Rle().fitted(given), Crs(columns="relative").fitted(given)
    best = (
        min(size(Rle(gap_bits=width, levels=n), given) for width in range(1, 25) for n in counts),
        min(size(Crs("relative", width, n), given) for width in range(1, 25) for n in counts),
    )
    assert tuple(size(encoding, given) for encoding in fitted) == best
    assert size(Bitmap().fitted(given), given) == min(size(Bitmap(levels=n), given) for n in counts)


def size(encoding: Encoding, given: Symbols) -> int:
    return sum(encoding.part_bits(given).values())


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
