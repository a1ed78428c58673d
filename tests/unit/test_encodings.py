"""Encodings beside the numbers of the theses: sizes, laws of storage, test vectors."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hapir.encodings.bitmap import Bitmap
from hapir.encodings.bits import Unsigned, unpack
from hapir.encodings.crs import Crs
from hapir.encodings.dense import Dense
from hapir.encodings.encoding import DamagedError, Encoding, Symbols, entropy_bits
from hapir.encodings.huffman import Huffman
from hapir.encodings.huffman_code import Book, code_lengths
from hapir.encodings.ras import Ras, flush_interval
from hapir.encodings.rle import Rle
from hapir.encodings.trits import Trits
from tests.property.encoded_symbols import symbols_from

ZERO, PLUS, MINUS = 0, 1, 3
"""Ternary weights as 2-bit two's complement."""
EXAMPLE = [
    *(ZERO, PLUS, PLUS, ZERO, MINUS),
    *(MINUS, ZERO, ZERO, PLUS, ZERO),
    *(PLUS, MINUS, ZERO, MINUS, MINUS),
]
"""Heidelberg thesis, L870-905: the 3 x 5 matrix of its worked example."""


def total(encoding: Encoding, symbols: Symbols) -> int:
    return sum(encoding.fitted(symbols).part_bits(symbols).values())


def ternary(count: int, sparsity: float, seed: int = 1) -> Symbols:
    """Independent ternary weights, either sign alike."""
    draws = np.random.default_rng(seed).random(count, np.float32)
    density = 1 - sparsity
    values = np.zeros(count, np.uint8)
    values[draws < density] = MINUS
    values[draws < density / 2] = PLUS
    return symbols_from(values, 2)


def binary_entropy(p: float) -> float:
    return float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))


def test_huffman_golden_vector():
    """HAPPI-Net thesis, A:543: {a: 5, b: 2, c: 1, d: 1}."""
    counts = np.array([5, 2, 1, 1])
    assert code_lengths(counts).tolist() == [1, 2, 3, 3]
    symbols = symbols_from([0] * 5 + [1] * 2 + [2, 3], 2)
    assert Huffman(source="symbols").fitted(symbols).part_bits(symbols)["stream"] == 15
    assert entropy_bits(counts) == pytest.approx(14.92, abs=0.005)


def test_the_code_of_the_worked_example():
    """Heidelberg thesis, L890-905: d = 1 1 2 1 3 2 1 2 1 and s = 0 0 1 1 0 0 1 1 1 in 13 + 9 bits."""
    symbols = symbols_from(EXAMPLE, 2, shape=(3, 5))
    encoding = Huffman(source="gaps").fitted(symbols)
    parts = dict(zip(encoding.part_names, encoding.encode(symbols), strict=True))
    book = Book.read(parts["book"].data)
    assert dict(zip(book.symbols.tolist(), book.lengths.tolist(), strict=True)) == {1: 1, 2: 2, 3: 2}
    assert book.read_stream(parts["stream"].data, 9).tolist() == [1, 1, 2, 1, 3, 2, 1, 2, 1]
    assert unpack(parts["values"].data, 1, 9).tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 1]
    assert (parts["stream"].bits, parts["values"].bits) == (13, 9)
    assert total(Dense(), symbols) == 30


def test_the_lists_of_the_worked_example():
    """Heidelberg thesis, L870-882: I^p = [1 2] [3] [0] and I^n = [4] [0] [1 3 4]."""
    symbols = symbols_from(EXAMPLE, 2, shape=(3, 5))
    encoding = Ras(index_bits=16).fitted(symbols)
    parts = dict(zip(encoding.part_names, encoding.encode(symbols), strict=True))
    starts = unpack(parts["pointers"].data, 4, 7).tolist()
    indices = unpack(parts["indices"].data, 16, 9).tolist()
    lists = [indices[a:b] for a, b in pairwise(starts)]
    assert lists == [[1, 2], [3], [0], [4], [0], [1, 3, 4]]
    assert unpack(parts["levels"].data, 2, 2).tolist() == [PLUS, MINUS]


@pytest.mark.parametrize(("bits", "signed", "additions"), [
    (8, False, 257), (6, False, 1040), (4, False, 4369), (2, False, 21845), (8, True, 128),
])  # fmt: skip
def test_how_many_activations_16_bits_add_up(bits: int, signed: bool, additions: int):
    """Heidelberg thesis, L851, corrected: an accumulator of 8.8 bits is not free of overflow."""
    assert flush_interval(bits, 16, signed=signed) == additions
    limit = 2**15 if signed else 2**16
    assert additions * (2**bits - 1) < limit <= (additions + 1) * (2**bits - 1)


def test_a_list_that_names_a_column_twice_is_damaged():
    symbols = symbols_from(EXAMPLE, 2, shape=(3, 5))
    encoding = Ras(index_bits=8).fitted(symbols)
    levels, pointers, indices = (part.data.copy() for part in encoding.encode(symbols))
    assert indices.tolist() == [1, 2, 3, 0, 4, 0, 1, 3, 4]
    indices[1] = 1
    with pytest.raises(DamagedError, match="ascend"):
        encoding.decode([levels, pointers, indices], symbols.tensor)


def test_rows_wider_than_an_index_are_cut_into_blocks():
    values = np.zeros(600, np.uint8)
    values[[255, 256, 511, 599]] = PLUS
    symbols = symbols_from(values, 2, shape=(2, 300))
    narrow, wide = Ras(index_bits=8).fitted(symbols), Ras(index_bits=16).fitted(symbols)
    assert narrow.part_bits(symbols)["pointers"] == (2 * 2 + 1) * 10
    assert wide.part_bits(symbols)["pointers"] == (2 + 1) * 10
    assert total(Ras(), symbols) == min(total(narrow, symbols), total(wide, symbols))


@pytest.mark.parametrize(("sparsity", "law", "huffman"), [
    (0.68, 1.224, 1.236), (0.837, 0.805, 0.809), (0.89, 0.610, 0.614), (0.96, 0.282, 0.282),
    (0.58, 1.402, 1.420), (0.63, 1.321, 1.352), (0.71, 1.159, 1.164),
])  # fmt: skip
def test_the_law_of_storage(sparsity: float, law: float, huffman: float):
    """`H2(p) + p` bits per weight, and what a real code takes (seed rows of the storage law)."""
    density = 1 - sparsity
    assert binary_entropy(density) + density == pytest.approx(law, rel=0.005)
    symbols = ternary(1_000_000, sparsity)
    bits = Huffman(source="gaps").fitted(symbols).part_bits(symbols)
    measured = (bits["stream"] + bits["values"]) / 1_000_000
    assert measured == pytest.approx(huffman, rel=0.01)
    assert sum(bits.values()) < 1_000_000 * measured + 5000  # the book
    assert law * 0.995 < measured < law * 1.03
    assert symbols.entropy_bits / 1_000_000 == pytest.approx(law, rel=0.005)


ALEXNET_HIDDEN = (307_200, 884_736, 663_552, 442_368, 37_748_736, 16_777_216)
"""Weights of conv2 to fc7, two groups in conv2, conv4 and conv5 as first published."""
ALEXNET_ENDS = 96 * 3 * 11 * 11 + 4096 * 1000
"""Weights of the first and the last layer, which stay f32."""


@pytest.mark.parametrize(("sparsity", "megabytes"), [(0.676, 25.29), (0.837, 22.25), (0.944, 19.14)])
def test_alexnet_as_reduce_and_scale_stores_it(sparsity: float, megabytes: float):
    """Heidelberg thesis, Tables 5.4 and 5.6 (L952-991) print 25, 22 and 19 MB; one code for all layers."""
    assert ALEXNET_ENDS + sum(ALEXNET_HIDDEN) + 10_568 == 60_965_224  # with the biases
    whole = ternary(sum(ALEXNET_HIDDEN), sparsity).values
    layers = [symbols_from(part, 2) for part in np.split(whole, np.cumsum(ALEXNET_HIDDEN)[:-1])]
    encoding = Huffman(source="gaps", codebook="model")
    shared = encoding.share(layers)
    bits = [encoding.fitted(layer).part_bits(layer, shared) for layer in layers]
    stored = shared["book"].bits + sum(sum(layer.values()) - layer["book"] for layer in bits)
    assert (stored / 8 + 4 * ALEXNET_ENDS) / 1e6 == pytest.approx(megabytes, rel=0.005)


@pytest.mark.parametrize(("hidden", "ends", "sparsity", "kilobytes"), [
    (2_071_552, 8_778, 0.89, 194), (2_071_552, 8_778, 0.96, 108),
    (654_336, 1_082, 0.58, 120), (654_336, 1_082, 0.63, 115), (654_336, 1_082, 0.71, 100),
])  # fmt: skip
def test_small_networks_as_reduce_and_scale_stores_them(hidden: int, ends: int, sparsity: float, kilobytes: float):
    """Heidelberg thesis, Tables 5.5 (L970-991): the SVHN network and ResNet-44, predictions of the seed row."""
    assert hidden + ends in (2_080_330, 655_418)
    stored = total(Huffman(source="gaps", codebook="model"), ternary(hidden, sparsity)) / 8 + 4 * ends
    assert stored / 1e3 == pytest.approx(kilobytes, rel=0.01)


@pytest.mark.parametrize(("zeros", "bits"), [(0.976, 7.81), (0.923, 6.08), (0.901, 5.71), (0.928, 6.19)])
def test_bits_of_a_weight_that_is_kept(zeros: float, bits: float):
    """Sydney thesis, Tables 3.2 and 3.3 (L759-785), recomputed: entropy of gap and sign per non-zero."""
    density = 1 - zeros
    assert binary_entropy(density) / density + 1 == pytest.approx(bits, abs=0.02)
    symbols = ternary(2_000_000, zeros)
    coded = Huffman(source="gaps").fitted(symbols).part_bits(symbols)
    assert bits - 0.05 < (coded["stream"] + coded["values"]) / symbols.nonzeros < bits + 0.08


def test_run_lengths_of_five_bits():
    """Sydney thesis, L777-785: 6.54 bits per non-zero at 92.3 % zeros; skips are q^m / (1 - q^m) per weight."""
    symbols = ternary(2_000_000, 0.923)
    encoding = Rle(gap_bits=5).fitted(symbols)
    assert encoding.part_bits(symbols)["words"] / symbols.nonzeros == pytest.approx(6.54, rel=0.005)
    skips = 0.923**31 / (1 - 0.923**31)
    assert encoding.part_bits(symbols)["words"] / symbols.nonzeros == pytest.approx(6 * (1 + skips), rel=0.005)


@pytest.mark.parametrize("zeros", [0.5, 0.7, 0.9, 0.976])
def test_the_automatic_width_of_a_gap_is_the_best(zeros: float):
    symbols = ternary(100_000, zeros)
    sizes = {width: total(Rle(gap_bits=width), symbols) for width in range(1, 25)}
    chosen = Rle().fitted(symbols)
    assert isinstance(chosen, Rle)
    assert sizes[chosen.gap_bits] == min(sizes.values())  # pyright: ignore[reportArgumentType]  # it is chosen
    relative = {width: total(Crs(columns="relative", index_bits=width), symbols) for width in range(1, 25)}
    assert total(Crs(columns="relative"), symbols) == min(relative.values())


@pytest.mark.parametrize(("bits", "listed", "mapped"), [(8, 5, 7), (16, 7, 8), (32, 7, 8)])
def test_when_sparse_kernels_are_smaller_than_dense(bits: int, listed: int, mapped: int):
    """Values of a 3x3 kernel by position (4 bits) and by bitmap, up to how many kept ones (seed row of CRS)."""

    def sizes(kept: int) -> tuple[int, int]:
        values = np.zeros(9, np.uint32)
        values[:kept] = np.arange(1, kept + 1)
        symbols = symbols_from(values, bits, shape=(1, 9))
        crs = Crs(levels=0).fitted(symbols).part_bits(symbols)
        return crs["indices"] + crs["values"], total(Bitmap(levels=0), symbols)

    dense = 9 * bits
    assert max(kept for kept in range(10) if sizes(kept)[0] < dense) == listed
    assert max(kept for kept in range(10) if sizes(kept)[1] < dense) == mapped


def test_crs_is_values_indices_pointers_and_a_table():
    """HAPPI-Net thesis, A:543: `nnz (b_code + b_idx) + (rows + 1) b_ptr + 2^b Q`."""
    values = np.zeros((4, 30), np.uint8)
    values[:, ::3] = np.resize([5, 9, 200, 17], (4, 10))
    symbols = symbols_from(values.reshape(-1), 8, shape=(4, 30))
    bits = Crs().fitted(symbols).part_bits(symbols)
    assert bits == {"pointers": 5 * 7, "indices": 40 * 5, "levels": 4 * 8, "values": 40 * 2}


def test_five_trits_are_a_byte():
    every = np.stack(np.meshgrid(*[[ZERO, PLUS, MINUS]] * 5, indexing="ij"), -1).reshape(-1)
    symbols = symbols_from(every, 2)
    encoding = Trits().fitted(symbols)
    levels, trits = encoding.encode(symbols)
    assert sorted(trits.data.tolist()) == list(range(243))
    assert np.array_equal(encoding.decode([levels.data, trits.data], symbols.tensor), every)
    assert trits.bits / len(every) == 1.6
    with pytest.raises(DamagedError, match="242"):
        encoding.decode([levels.data, np.full(243, 243, np.uint8)], symbols.tensor)


@pytest.mark.parametrize(("parameters", "ternary_bytes", "binary_bytes"), [
    (784 * 1024 + 2 * 1024**2 + 10240, 727_552, 363_776), (14_022_016, 3_505_504, 1_752_752),
])  # fmt: skip
def test_dense_sizes(parameters: int, ternary_bytes: int, binary_bytes: int):
    """Sydney thesis, L759-785: 0.72 / 0.36 MB and 3.52 / 1.76 MB as it prints them."""
    for bits, size in ((2, ternary_bytes), (1, binary_bytes)):
        assert total(Dense(), symbols_from(np.zeros(parameters, np.uint8), bits)) == 8 * size


def test_the_source_of_a_code_is_what_is_smaller():
    few: Unsigned = np.zeros(10_000, np.uint8)
    few[::100] = 1
    many = np.random.default_rng(0).binomial(14, 0.5, 10_000).astype(np.uint8)
    for values, source in ((few, "gaps"), (many, "symbols")):
        symbols = symbols_from(values, 8)
        chosen = Huffman().fitted(symbols)
        assert isinstance(chosen, Huffman)
        assert chosen.source == source
        both = [Huffman(source=s).for_all([symbols, symbols]) for s in ("symbols", "gaps")]
        assert Huffman(codebook="model").for_all([symbols, symbols]).leaves_out_zeros == (source == "gaps")
        assert total(chosen, symbols) == min(total(encoding, symbols) for encoding in both)


@pytest.mark.parametrize("options", [{"width": 0}, {"width": 33}])
def test_options_out_of_range(options: dict[str, int]):
    with pytest.raises(ValueError, match="width"):
        Dense(**options)


def test_what_cannot_be_held_is_said():
    four = symbols_from([0, 1, 2, 3], 2, None)
    assert Trits().unfit(four) == "there are 4 distinct symbols, a trit has three"
    assert Rle().unfit(four) == "no symbol means zero"
    assert Dense(width=1).unfit(four) == "symbols of 2 bits do not fit fields of 1"
    assert Crs(index_bits=1).unfit(symbols_from([0, 1, 2], 2, shape=(1, 3))) == "columns need 2 bits, not 1"
    with pytest.raises(ValueError, match="at least 1"):
        Crs(columns="relative", index_bits=0)


def test_layers_that_cannot_share_a_code():
    wide = [symbols_from(np.arange(i, 40_000 + i), 32) for i in (0, 40_000)]
    assert [Huffman(source="symbols").unfit(layer) for layer in wide] == [None, None]
    with pytest.raises(ValueError, match="together have 80000 distinct symbols, more than 65536"):
        Huffman(source="symbols", codebook="model").for_all(wide)
    assert Huffman(codebook="model").for_all(wide).leaves_out_zeros
    signs = symbols_from([0, 1], 1, None)
    with pytest.raises(ValueError, match="80000 distinct symbols"):
        Huffman(codebook="model").for_all([*wide, signs])
    assert not Huffman(codebook="model").for_all([wide[0], signs]).leaves_out_zeros
