"""Bit planes: every pair of small number sets gives exact products, whatever the length."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from hapir.lowering.kernel.bit_planes import (
    Codes,
    Planes,
    finish_of,
    pack_words,
    planes_of,
    positions_of,
    weight_bits,
)
from hapir.lowering.kernel.contraction_bits import BYTE_STEPS, HALF_STEPS, Bits

Int64 = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]

BIPOLAR = [Codes(1 - (1 << bits), (1 << bits) - 1, 2, 0) for bits in (1, 2, 3, 4)]
UNSIGNED = [Codes(0, (1 << bits) - 1, 1, zero) for bits, zero in ((1, 0), (1, 1), (2, 0), (2, 3), (3, 2), (4, 0))]
SIGNED = [Codes(-(1 << bits - 1), (1 << bits - 1) - 1, 1, zero) for bits, zero in ((2, 0), (3, -1), (4, 0))]
TERNARY = [Codes(-1, 1, 1, 0), Codes(6, 8, 1, 7)]
ACTIVATIONS = [*BIPOLAR, *UNSIGNED, *SIGNED, *TERNARY]

WEIGHTS = [(-1, 1, 2), (-3, 3, 2), (-15, 15, 2), (0, 1, 1), (0, 5, 1), (-1, 0, 1), (-1, 1, 1), (-2, 1, 1), (-8, 7, 1)]
"""Lowest, highest, step."""

LENGTHS = (1, 5, 31, 32, 33, 64, 100)


def counted(x: Words, w: Words, planes: Planes, contraction: Bits) -> Int64:
    """What a register block sums: x is M x words x planes, w is K x words x planes; gives M x K."""

    def count(words: Words) -> Int64:
        return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1).sum(axis=-1, dtype=np.int64)

    def plane(i: int, j: int) -> tuple[Words, Words]:
        return x[:, None, :, i], w[None, :, :, j]

    if planes.kind == "ternary":
        (masks, of_w), (signs, w_signs) = plane(0, 0), plane(1, 1)
        both = masks & of_w
        return count(both) - 2 * count(both & (signs ^ w_signs))
    total = np.zeros((len(x), len(w)), np.int64)
    for term in contraction.terms:
        a, b = plane(term.x, term.w)
        total += term.place * count(a ^ b if planes.kind == "bipolar" else a & b)
    return contraction.factor * total


def activation_words(q: Int64, codes: Codes, planes: Planes) -> Words:
    """What the packing of activations makes of stored integers."""
    low, positions = positions_of(codes, planes)
    return pack_words(((q - low)[..., None] >> np.array(positions)) & 1 == 1)


def check(q: Int64, w: Int64, codes: Codes, planes: Planes) -> None:
    """Rows of activations times rows of weights."""
    contraction = Bits.of(planes, codes, 1)
    found = counted(activation_words(q, codes, planes), pack_words(weight_bits(w, planes)), planes, contraction)
    finish = finish_of(w, planes, codes)
    assert np.abs(found).max() <= finish.reach * abs(contraction.factor)
    np.testing.assert_array_equal(finish.constant + found, (q - codes.zero_point) @ w.T)


def decompositions(w: Int64, codes: Codes) -> list[Planes]:
    """All that fit these numbers."""
    fitting = [planes_of(w)]
    if codes.is_ternary and np.abs(w).max() <= 1:
        fitting.append(Planes("ternary", 2))
    return fitting


@pytest.mark.parametrize("codes", ACTIVATIONS, ids=str)
def test_every_pair_of_numbers(codes: Codes):
    q = np.arange(codes.low, codes.high + 1, codes.step)[:, None]
    for low, high, step in WEIGHTS:
        w = np.arange(low, high + 1, step)[:, None]
        for planes in decompositions(w, codes):
            check(q, w, codes, planes)


@pytest.mark.parametrize("length", LENGTHS)
def test_sums_of_any_length(length: int):
    rng = np.random.default_rng(length)
    for codes, (low, high, step) in product(ACTIVATIONS, WEIGHTS):
        q = rng.integers(0, (codes.high - codes.low) // codes.step, (3, length), endpoint=True)
        w = low + step * rng.integers(0, (high - low) // step, (4, length), endpoint=True)
        w[0], w[1] = low, high
        q[0], q[1] = 0, (codes.high - codes.low) // codes.step
        for planes in decompositions(w, codes):
            check(codes.low + codes.step * q, w, codes, planes)


@pytest.mark.parametrize(
    ("values", "planes"),
    [
        ([-1, 1], Planes("bipolar", 1)),
        ([1], Planes("unsigned", 1)),
        ([-3, 1], Planes("bipolar", 2)),
        ([0], Planes("unsigned", 1)),
        ([-1, 0], Planes("signed", 1)),
        ([-1, 0, 1], Planes("signed", 2)),
        ([-2, 1], Planes("signed", 2)),
        ([-8, 7], Planes("signed", 4)),
        ([-15, 15], Planes("bipolar", 4)),
        ([0, 15], Planes("unsigned", 4)),
    ],
)
def test_the_fewest_planes(values: list[int], planes: Planes):
    assert planes_of(np.array([values])) == planes


@pytest.mark.parametrize(("steps", "limit", "bits"), [(BYTE_STEPS, 8, 8), (HALF_STEPS, 16, 16)])
def test_narrow_counts_hold_as_many_steps_as_they_say(steps: int, limit: int, bits: int):
    assert steps * limit < 1 << bits <= (steps + 1) * limit


def test_counts_stay_in_bytes_while_they_fit():
    codes = Codes(-1, 1, 2, 0)
    assert Bits.of(Planes("bipolar", 1), codes, BYTE_STEPS).shallow
    assert not Bits.of(Planes("bipolar", 1), codes, BYTE_STEPS + 1).shallow
    assert not Bits.of(Planes("signed", 2), Codes(0, 3, 1, 0), BYTE_STEPS // 2 + 1).shallow
