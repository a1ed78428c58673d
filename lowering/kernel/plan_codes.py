"""Weights of few levels as codes of 1 to 4 bits, for the lookups that `contraction_bits.Lookup` multiplies by.

Arithmetic over arrays; the caller proves that sums fit. Here are also the names that choices give to the arithmetic of
integer layers.
"""

from __future__ import annotations

import numpy as np

from hapir.dialects import nn
from hapir.dialects.kernel import ChoiceAttr
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.contraction_bits import LEVELS, Lookup
from hapir.lowering.kernel.geometry import LANES, Runs
from hapir.lowering.kernel.pack_weights import pack_words
from hapir.weights import Array

BITS, CODES, BYTES = "bits", "codes", "bytes"
"""Bit planes that are counted; bytes times weights that are looked up; bytes times bytes."""


def arithmetic_of(op: nn.ProductOp) -> str:
    """The arithmetic that the IR names for a layer; empty where it leaves it open."""
    choice = op.attributes.get("kernel")
    return choice.arithmetic.data if isinstance(choice, ChoiceAttr) else ""


def lookup_for(rows: Array, run: int, otherwise: Contraction) -> Contraction:
    """The lookup that keeps such weights in the fewest bytes, over runs of so many; `otherwise` where none keeps fewer.

    A run whose end is no whole word needs a code for 0.
    """
    levels = np.unique(rows)
    if run % 4:
        levels = np.union1d(levels, [0])
    if len(levels) > LEVELS or len(levels) == 0:
        return otherwise
    values = tuple(int(level) for level in levels)
    options = [Lookup.of(bits, values, run) for bits in range(1, 5) if len(levels) <= 1 << bits]
    best = min(options, key=lambda option: vectors(option, run))
    return best if vectors(best, run) < -(-run // 4) else otherwise


def vectors(contraction: Lookup, run: int) -> int:
    """Vectors of codes per 16 filters and run; a word of bytes would be one each."""
    return -(-run // contraction.elements) * contraction.vectors


def pack_codes(rows: Array, groups: int, runs: Runs, contraction: Lookup, superblock: int) -> Array:
    """K x E -> groups x strips x words x `superblock` x vectors of 16 words of 32 bits, flat."""
    codes = np.searchsorted(np.array(contraction.levels), rows).astype(np.uint8)
    zero = int(np.searchsorted(np.array(contraction.levels), 0)) if 0 in contraction.levels else 0
    # what is filled up meets bytes beyond a run, so it must mean 0
    filled = pack_words(codes + 1, groups, runs, contraction.elements, superblock)
    codes = (
        np.where(filled == 0, zero, filled.astype(np.int64) - 1)
        .astype(np.uint8)
        .reshape(-1, LANES, contraction.words, 4)
    )
    fields = [codes[:, :, word] for word in range(contraction.words)]
    if contraction.bits == 3:
        last = fields[6:]
        packed = [
            fields[0] | fields[1] << 3 | (last[0] & 3) << 6,
            fields[2] | fields[3] << 3 | (last[1] & 3) << 6,
            fields[4] | fields[5] << 3 | (last[0] >> 2) << 6 | (last[1] >> 2) << 7,
        ]
    else:
        packed = [np.bitwise_or.reduce([field << contraction.bits * i for i, field in enumerate(fields)])]
    lanes = np.stack(packed, axis=1).astype(np.uint32)
    places = np.uint32(1) << np.arange(0, 32, 8, dtype=np.uint32)
    return (lanes * places).sum(axis=-1, dtype=np.uint32).reshape(-1)
