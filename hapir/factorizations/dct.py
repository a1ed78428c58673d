"""How long a code should be, by the rule of the UCSD thesis: how few coefficients of a cosine transform show a slice.

Slices are transformed by the DCT-II along every axis, small coefficients are dropped, the rest transformed back (the
inverse is the DCT-III; the thesis prints it with wrong indices, L1930-1960), and slice and reconstruction are scaled to
0..1 by the slice's own range. The threshold is the largest for which the mean `PSNR* = 10 log10(1 / MSE)` is above
20 dB; the mean count of coefficients left is the suggestion.

A heuristic: as the error is relative to the slice's range, long-tailed noise passes with next to no coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import cast

import numpy as np

from hapir.factorizations.slices import Shape
from hapir.factorizations.stages import Floats

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


def psnr_db(slices: Floats, coefficients: Floats, threshold: float) -> float:
    """The mean PSNR* of slices without the coefficients below a threshold.

    By Parseval the squared error of a slice is the sum of its dropped coefficients squared. A slice that is constant
    has no range and is passed over; one that loses nothing counts as 200 dB, so that the mean stays finite.
    """
    dropped = np.where(np.abs(coefficients) < threshold, coefficients, 0.0)
    spread = slices.max(axis=1) - slices.min(axis=1)
    seen = spread > 0
    if not seen.any():
        return 200.0
    error = (dropped[seen] ** 2).sum(axis=1) / spread[seen] ** 2 / slices.shape[1]
    return float(-10 * np.log10(np.maximum(error, 1e-20)).mean())


def advise(slices: Floats, slice_shape: Shape, psnr: float = 20.0) -> CodeAdvice:
    """The code length that the rule suggests for slices, S x prod(slice_shape), at a mean PSNR* in dB."""
    assert slices.shape[1] == prod(slice_shape)
    coefficients = transform(slices, slice_shape)
    low, high = 0.0, float(np.abs(coefficients).max(initial=0.0)) * 2
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if psnr_db(slices, coefficients, middle) > psnr else (low, middle)
    count = cast(float, (np.abs(coefficients) >= low).sum(axis=1).mean()) if high else 0.0
    return CodeAdvice(float(count), low, psnr_db(slices, coefficients, low))
