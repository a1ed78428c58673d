"""Integers of few bits as bit planes: the decompositions, the words they are packed in, and the sums they give.

Activations are `offset + step * u` with u of `bits` bits; plane i of u has the place value 2^i. Weights are

- `bipolar`: odd numbers `sum_j 2^j * (2 * W_j - 1)`, multiplied by XOR;
- `unsigned` and `signed`: `sum_j +-2^j * W_j` (minus at the top of two's complement), multiplied by AND;
- `ternary`: a mask of what is not 0 and a plane of signs, for activations that are ternary too.

With `count = popcount(X_i ^ W_j)` or `popcount(X_i & W_j)` over a window, `acc = sum_ij +-2^(i+j) * count` and

    sum (q - zero_point) * w = constant + factor * acc

where `constant` depends on the filter alone. For AND it is `offset * sum(w)`, and `factor = step`. For XOR, since
`sum (2 * W - 1) * X = popcount(W) - popcount(X ^ W)`, it also holds `step * (2^bits - 1) * sum_j 2^j popcount(W_j)`,
and `factor = -step`. (G. Schindler, Compressing and Mapping Deep Neural Networks on Edge Computing Systems, 2021,
chapter 4, has +-1 and unsigned numbers.) Bits beyond the last element are 0 on both sides and count nothing.

Plain functions over numpy; no IR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hapir.weights import Array

Int64 = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]

WORD = 32
"""Bits of a word; elements lie in it from its lowest bit."""

Kind = Literal["bipolar", "unsigned", "signed", "ternary"]


@dataclass(frozen=True)
class Codes:
    """What an activation can be: `low`, `low + step`, ... up to at most `high`; it means `q - zero_point`."""

    low: int
    high: int
    step: int
    zero_point: int

    @property
    def bits(self) -> int:
        """Planes of u."""
        return max(1, ((self.high - self.low) // self.step).bit_length())

    @property
    def offset(self) -> int:
        """What u = 0 means."""
        return self.low - self.zero_point

    @property
    def is_ternary(self) -> bool:
        """Whether it means -1, 0 or 1."""
        return self.step == 1 and self.low - self.zero_point >= -1 and self.high - self.zero_point <= 1

    def unsigned(self, q: Array) -> Int64:
        """u of stored integers."""
        return (q.astype(np.int64) - self.low) // self.step


@dataclass(frozen=True)
class Planes:
    """How weights decompose, and in how many planes; ternary ones are a mask and signs."""

    kind: Kind
    bits: int

    @property
    def place_values(self) -> tuple[int, ...]:
        """What a set bit of each plane adds to `acc`, per count."""
        top = -1 if self.kind == "signed" else 1
        return tuple((1 << j) * (top if j == self.bits - 1 else 1) for j in range(self.bits))


def planes_of(weights: Array, codes: Codes | None = None) -> Planes:
    """The decomposition with the fewest planes, or the fewest counts where the activations are known."""
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    options = [Planes("unsigned", max(1, high.bit_length()))] if low >= 0 else []
    options.append(Planes("signed", max(1, (-low - 1).bit_length() + 1 if low < 0 else 0, high.bit_length() + 1)))
    if weights.size and (weights.astype(np.int64) & 1).all():
        options.append(Planes("bipolar", max(1, max(-low, high).bit_length())))
    best = min(options, key=lambda planes: planes.bits)
    if codes is not None and codes.is_ternary and low >= -1 and high <= 1 and best.bits * codes.bits > 2:
        return Planes("ternary", 2)
    return best


def bits_of(u: Int64, count: int) -> npt.NDArray[np.bool_]:
    """The planes of numbers, along a new last axis."""
    return (u[..., None] >> np.arange(count)) & 1 == 1


def weight_bits(weights: Array, planes: Planes) -> npt.NDArray[np.bool_]:
    """The planes of weights, along a new last axis: those of a ternary weight are its mask and its sign."""
    wide = weights.astype(np.int64)
    if planes.kind == "ternary":
        return np.stack([wide != 0, wide < 0], axis=-1)
    if planes.kind == "bipolar":
        wide = (wide + (1 << planes.bits) - 1) >> 1
    return bits_of(wide, planes.bits)


def positions_of(codes: Codes, planes: Planes) -> tuple[int, tuple[int, ...]]:
    """What is taken from stored bytes, and which bits of what is left (modulo 256) are the planes that weights meet.

    Steps of 2 leave even numbers; of -1, 0 and 1 the lowest bit is the mask and the highest the sign.
    """
    if planes.kind == "ternary":
        return codes.zero_point, (0, 7)
    return codes.low, tuple(range(codes.step - 1, codes.step - 1 + codes.bits))


def pack_words(bits: npt.NDArray[np.bool_]) -> Words:
    """... x elements x planes -> ... x words x planes: elements by 32s, zeros after the last."""
    *rest, elements, planes = bits.shape
    words = -(-elements // WORD)
    padded = np.zeros((*rest, words * WORD, planes), np.bool_)
    padded[..., :elements, :] = bits
    lanes = padded.reshape(*rest, words, WORD, planes).astype(np.uint32)
    places = np.uint32(1) << np.arange(WORD, dtype=np.uint32)
    return (lanes * places[:, None]).sum(axis=-2, dtype=np.uint32)


@dataclass(frozen=True)
class Finish:
    """`constant[filter] + factor * acc`, and the most that acc can reach in magnitude."""

    constant: Int64
    factor: int
    reach: int


def finish_of(rows: Array, planes: Planes, codes: Codes) -> Finish:
    """What turns counts into sums of products, for rows of weights (K x E)."""
    wide = rows.astype(np.int64)
    elements = rows.shape[1]
    if planes.kind == "ternary":
        return Finish(np.zeros(len(rows), np.int64), 1, elements)
    levels = (1 << codes.bits) - 1
    constant = codes.offset * wide.sum(axis=1)
    reach = elements * levels * sum(abs(v) for v in planes.place_values)
    if planes.kind != "bipolar":
        return Finish(constant, codes.step, reach)
    counts = weight_bits(rows, planes).sum(axis=1, dtype=np.int64)
    return Finish(constant + codes.step * levels * (counts @ np.array(planes.place_values)), -codes.step, reach)
