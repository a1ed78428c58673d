"""BSG, the binary slice generator: slices of whole numbers from codes of signs and one vector of signs.

Row i of the generator's matrix is the vector b shifted right by i, so that `W_i = sum_v b[v - i] c[v]`: a circular
cross-correlation (UCSD thesis, equation 5.5, L1984-2012). It follows that `W_(i + n_c) = W_i`, that all W_i of a slice
agree modulo 4 and are even where n_c is, that `|W_i| <= n_c` and that the first n_c of them sum to `sum(b) sum(c)`.

With bits for signs (1 is +1) `W_i = n_c - 2 popcount(b xor c)`. Equation 5.6 of the thesis counts the ones of the XOR
as agreements, which gives the negative of 5.5: that sign is `polarity = "xor"` here, the right one `"xnor"`.

The thesis trains the codes through the sign function and lets batch norm absorb the magnitude. Here they are fitted to
trained weights: signs of the correlation with the slice, then the single flips that lower the error most, with the
least-squares scale of the layer in between. That is a poor fit, and better than nothing to start training from.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import Literal

import numpy as np
import numpy.typing as npt

from hapir.factorizations.slices import Shape, crop_patterns, cut
from hapir.factorizations.stages import Floats

Polarity = Literal["xnor", "xor"]
Bits = npt.NDArray[np.uint8]
WORD = 16
"""Bits of a stored word (UCSD thesis, table 5.5 counts words of 16 bits)."""


def words_for(code: int) -> int:
    """How many words hold a code."""
    return ceil(code / WORD)


def inference_words(others: int, slices: int, code: int) -> float:
    """`P_others + (slices n_c + n_c) / 16`: 16-bit words at inference; other parameters take one word each."""
    return others + (slices + 1) * code / WORD


def training_parameters(others: int, slices: int, code: int) -> int:
    """`P_others + slices n_c`: what training adjusts."""
    return others + slices * code


def random_base(code: int, seed: int) -> Bits:
    """The generator's vector, `code` random bits. The same seed gives the same bits everywhere."""
    return np.random.default_rng(seed).integers(0, 2, code, dtype=np.uint8)


def generated(codes: Bits, base: Bits, length: int, polarity: Polarity = "xnor") -> npt.NDArray[np.int64]:
    """The whole numbers of slices of `length` weights, S x length, from codes S x n_c and a base n_c of bits."""
    period = min(length, len(base))
    shifted = _shifted(base, period).astype(np.float32)
    # sums of at most n_c signs are exact in f32 below 2^24
    values = (_signs(codes).astype(np.float32) @ shifted.T).astype(np.int64)
    repeats = ceil(length / period)
    whole = np.tile(values, repeats)[:, :length]
    return whole if polarity == "xnor" else -whole


def pack(bits: Bits) -> npt.NDArray[np.uint16]:
    """Bits along the last axis in 16-bit words, the first bit lowest; what is left of the last word is 0."""
    missing = words_for(bits.shape[-1]) * WORD - bits.shape[-1]
    padded = np.pad(bits, [*[(0, 0)] * (bits.ndim - 1), (0, missing)])
    lanes = padded.reshape(*bits.shape[:-1], -1, WORD).astype(np.uint32) << np.arange(WORD, dtype=np.uint32)
    return lanes.sum(axis=-1).astype(np.uint16)


def unpack(words: npt.NDArray[np.uint16], code: int) -> Bits:
    """The first `code` bits of words along the last axis."""
    bits = (words[..., np.newaxis] >> np.arange(WORD, dtype=np.uint16)) & 1
    return bits.reshape(*words.shape[:-1], -1)[..., :code].astype(np.uint8)


@dataclass(frozen=True)
class FittedCodes:
    """Bits per slice, S x n_c, and the layer's scale: weights are `scale * W_i`."""

    codes: Bits
    scale: float


def fit(bank: Floats, slice_shape: Shape, base: Bits, rounds: int = 4, polarity: Polarity = "xnor") -> FittedCodes:
    """Codes and scale whose slices come near a bank's, by `rounds` of flips and of the scale's least squares.

    Each step lowers the squared error or leaves it. A layer of zeros has scale 0.
    """
    n = len(base)
    inside, targets, patterns = _folded(bank, slice_shape, n)
    if not targets.any():
        return FittedCodes(np.ones((len(targets), n), np.uint8), 0.0)
    matrix = _shifted(base, targets.shape[1]).astype(np.float64) * (1 if polarity == "xnor" else -1)
    codes = np.where(targets @ matrix < 0, -1.0, 1.0)
    scale = _best_scale(codes @ matrix.T, targets, inside)
    for _ in range(rounds if scale > 0 else 0):
        for rows in patterns:
            codes[rows] = _flipped(codes[rows], targets[rows] / scale, matrix, inside[rows[0]])
        scale = _best_scale(codes @ matrix.T, targets, inside)
    return FittedCodes((codes > 0).astype(np.uint8), scale)


def _signs(bits: Bits) -> npt.NDArray[np.int8]:
    return (2 * bits.astype(np.int8) - 1).astype(np.int8)


def _shifted(base: Bits, rows: int) -> npt.NDArray[np.int8]:
    """The signs of the first rows of the circulant matrix: row i, column v is b[(v - i) mod n_c]."""
    n = len(base)
    windows = np.lib.stride_tricks.sliding_window_view(np.tile(_signs(base), 2), n)
    return windows[n - np.arange(rows)]


def _folded(bank: Floats, slice_shape: Shape, code: int) -> tuple[Floats, Floats, list[npt.NDArray[np.int64]]]:
    """Per slice and place in the period, how many weights share one number, and what these sum to; and the sets of
    slices that agree in the former."""
    length = prod(slice_shape)
    period = min(length, code)
    padding = [(0, 0), (0, ceil(length / period) * period - length)]
    slices = np.pad(cut(bank, slice_shape).astype(np.float64), padding).reshape(-1, ceil(length / period), period)
    counts = np.zeros((len(slices), period))
    patterns = crop_patterns(bank.shape, slice_shape)
    for rows, inside in patterns:
        counts[rows] = np.pad(inside, padding[1]).reshape(-1, period).sum(axis=0)
    return counts, slices.sum(axis=1), [rows for rows, _ in patterns]


def _best_scale(values: Floats, sums: Floats, counts: Floats) -> float:
    """`<t, W> / <W, W>` over all weights of the layer; positive, as the codes follow the targets' signs."""
    energy = float((counts * values**2).sum())
    return float((values * sums).sum()) / energy if energy else 0.0


def _flipped(codes: Floats, sums: Floats, matrix: Floats, counts: Floats) -> Floats:
    """Codes after greedy flips, one per slice and step, while one lowers `sum_i n_i (W_i - t_i)^2`.

    Flipping bit v changes the error by `4 (G_vv - c_v g_v)` with G = B' N B and g = B' (N B c - s).
    """
    gram = (matrix.T * counts) @ matrix
    gradient = codes @ gram - sums @ matrix
    diagonal = np.diag(gram)
    codes = codes.copy()
    moving = np.arange(len(codes))
    for _ in range(2 * codes.shape[1]):
        change = diagonal - codes[moving] * gradient
        best = change.argmin(axis=1)
        gains = change[np.arange(len(moving)), best] < -1e-9 * diagonal[best]
        moving, best, gradient = moving[gains], best[gains], gradient[gains]
        if not len(moving):
            break
        gradient -= 2 * codes[moving, best][:, np.newaxis] * gram[best]
        codes[moving, best] *= -1
    return codes
