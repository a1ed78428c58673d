"""How long a code should be, by the rule of the UCSD thesis: how few coefficients of a cosine transform show a slice.

Slices are transformed by the DCT-II along every axis, small coefficients are dropped, the rest transformed back (the
inverse is the DCT-III; the thesis prints it with wrong indices, L1930-1960), and slice and reconstruction are scaled to
0..1 by the slice's own range. The threshold is the largest for which the mean `PSNR* = 10 log10(1 / MSE)` is above
20 dB; the mean count of coefficients left is the suggestion.

A heuristic: as the error is relative to the slice's range, long-tailed noise passes with next to no coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapir.factorizations.slices import Bank, Shape, cut, slice_count
from hapir.factorizations.stages import Floats

MEASURED = 8192
"""Slices that the rule looks at, at most."""

STEPS = 40
"""Bisections of the threshold: far below the distance of two coefficients in float64."""


def cosines(size: int) -> Floats:
    """The orthonormal DCT-II matrix, `C[u, i] = s_u cos(pi / size (i + 1/2) u)`."""
    u, i = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    matrix = np.cos(np.pi / size * (i + 0.5) * u) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return matrix


def transform(slices: Floats, slice_shape: Shape) -> Floats:
    """The DCT-II along every axis of each row of slices, S x prod(slice_shape)."""
    return _along_axes(slices, slice_shape, inverse=False)


def inverse(coefficients: Floats, slice_shape: Shape) -> Floats:
    """The slices that coefficients stand for: the DCT-III along every axis."""
    return _along_axes(coefficients, slice_shape, inverse=True)


def _along_axes(rows: Floats, slice_shape: Shape, *, inverse: bool) -> Floats:
    values = rows.reshape(-1, *slice_shape)
    for axis, size in enumerate(slice_shape, 1):
        matrix = cosines(size).T if inverse else cosines(size)
        values = np.moveaxis(np.tensordot(matrix, values, (1, axis)), 0, axis)
    return values.reshape(len(rows), -1)


@dataclass(frozen=True)
class CodeAdvice:
    """The mean count of coefficients that reach the PSNR, and the threshold below which they are dropped."""

    coefficients: float
    threshold: float
    psnr_db: float

    @property
    def code(self) -> int:
        """The suggested code length."""
        return max(1, round(self.coefficients))


@dataclass(frozen=True, eq=False)
class Transformed:
    """The slices of one bank: the magnitudes of their coefficients, in f32 as a network has many, and their ranges."""

    magnitudes: npt.NDArray[np.float32]
    spread: Floats

    @staticmethod
    def of(slices: Floats, slice_shape: Shape) -> Transformed:
        """The transform of slices, S x prod(slice_shape)."""
        magnitudes = np.abs(transform(slices, slice_shape)).astype(np.float32)
        return Transformed(magnitudes, slices.max(axis=1) - slices.min(axis=1))

    def psnr_db(self, threshold: float) -> Floats:
        """PSNR* of each slice without its coefficients below a threshold.

        By Parseval the squared error of a slice is the sum of its dropped coefficients squared. A slice that is
        constant has no range and is passed over; one that loses nothing counts as 200 dB, so that a mean stays finite.
        """
        dropped = np.where(self.magnitudes < threshold, self.magnitudes, np.float32(0))
        errors = np.einsum("ij,ij->i", dropped, dropped, dtype=np.float64)
        seen = self.spread > 0
        shares = errors[seen] / np.square(self.spread[seen]) / self.magnitudes.shape[1]
        return -10 * np.log10(np.maximum(shares, 1e-20))


def advise(banks: Sequence[Bank], slice_shape: Shape, psnr: float = 20.0) -> CodeAdvice:
    """The code length that the rule suggests for the slices of some banks, at a mean PSNR* in dB.

    Of more than `MEASURED` slices it sees evenly spaced ones: a mean needs no more of them, and slices of 3 x 3 of a
    network of 1 x 1 kernels are nine times as large as its weights.
    """
    largest = max((float(np.abs(bank).max(initial=0.0)) for bank in banks), default=0.0) or 1.0
    step, first = -(-sum(slice_count(bank.shape, slice_shape) for bank in banks) // MEASURED), 0
    parts: list[Transformed] = []
    for bank in banks:
        slices = cut(bank, slice_shape)
        parts.append(Transformed.of(slices[first::step] / np.float64(largest), slice_shape))
        first = (first - len(slices)) % step

    def mean_psnr(threshold: float) -> float:
        found = np.concatenate([part.psnr_db(threshold) for part in parts])
        return float(found.mean()) if found.size else 200.0

    low, high = 0.0, max((float(part.magnitudes.max(initial=0.0)) for part in parts), default=0.0) * 2
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_psnr(middle) > psnr else (low, middle)
    count = sum(len(part.magnitudes) for part in parts)
    kept = sum(int((part.magnitudes >= low).sum()) for part in parts) if high else 0
    return CodeAdvice(kept / count if count else 0.0, low * largest, mean_psnr(low))
