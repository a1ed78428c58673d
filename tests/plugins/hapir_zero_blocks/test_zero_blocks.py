"""The encoding of the plug-in: the way back, its sizes, and bytes that it did not write."""

from __future__ import annotations

import numpy as np
import pytest
from hapir_zero_blocks import ZeroBlocks

from hapir.encodings.bits import unsigned_of
from hapir.encodings.encoding import DamagedError, Symbols, Tensor


def symbols(shape: tuple[int, ...], bits: int, zero: int, density: float, seed: int = 0) -> Symbols:
    """Symbols in runs: rows of seven are kept or zero."""
    random = np.random.default_rng(seed)
    tensor = Tensor(shape, bits, zero)
    values = random.integers(0, 1 << bits, tensor.count, dtype=np.uint64)
    kept = np.repeat(random.random(tensor.count // 7 + 1) < density, 7)[: tensor.count]
    return Symbols(np.where(kept, values, zero).astype(unsigned_of(bits)), tensor)


@pytest.mark.parametrize("size", [1, 7, 9, 5000, "auto"])
@pytest.mark.parametrize(("shape", "bits", "zero"), [((6, 5, 3, 3), 4, 8), ((), 2, 0), ((0, 3), 8, 0), ((301,), 32, 0)])
@pytest.mark.parametrize("density", [0, 0.3, 1])
def test_there_and_back(size: int, shape: tuple[int, ...], bits: int, zero: int, density: float):
    given = symbols(shape, bits, zero, density)
    encoding = ZeroBlocks(size).fitted(given)
    parts = encoding.encode(given)
    assert {part.name: part.bits for part in parts} == encoding.part_bits(given)
    assert encoding.is_fitted
    back = encoding.decode([part.data for part in parts], given.tensor)
    np.testing.assert_array_equal(back, given.values)
    assert back.dtype == given.values.dtype


def test_sizes_are_exact():
    values = np.zeros(64, np.uint8)
    values[[3, 60]] = 5
    given = Symbols(values, Tensor((8, 8), 4, 0))
    assert ZeroBlocks(8).part_bits(given) == {"mask": 8, "blocks": 2 * 8 * 4}
    assert ZeroBlocks(60).part_bits(given) == {"mask": 2, "blocks": 2 * 60 * 4}
    fitted = ZeroBlocks().fitted(given)
    assert sum(fitted.part_bits(given).values()) == min(
        -(-64 // size) + 4 * size * len({3 // size, 60 // size}) for size in (1, 2, 4, 8, 16, 32, 64, 128)
    )


def test_what_it_cannot_hold():
    no_zero = Symbols(np.ones(4, np.uint8), Tensor((4,), 1, None))
    assert ZeroBlocks().unfit(no_zero) == "no symbol means zero"
    given = symbols((8, 8), 4, 0, 0.5)
    mask, blocks = (part.data for part in ZeroBlocks(8).encode(given))
    flipped = np.bitwise_xor(mask, np.uint8(1))
    for damaged in ([mask[:-1], blocks], [mask, blocks[:-1]], [flipped, blocks]):
        with pytest.raises(DamagedError):
            ZeroBlocks(8).decode(damaged, given.tensor)
    with pytest.raises(ValueError, match="at least 1"):
        ZeroBlocks(0)
