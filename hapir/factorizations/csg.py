"""CSG, the convolutional slice generator: all slices of a network are linear in short codes, by one shared matrix.

Trained together the two give what the UCSD thesis reports (L1894-1928, section 5.2); for weights that are trained
already the truncated singular value decomposition of all slices is the best matrix and the best codes in the sum of
squared errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from hapir.factorizations.slices import Bank, Shape, crop_patterns, cut, slice_count
from hapir.factorizations.stages import Floats
from hapir.factorizations.svd import leading_vectors_of_gram

CUTOFF = 1e-3
"""Directions of the matrix that a cropped slice sees less of than this share of the best one are not fitted."""


@dataclass(frozen=True)
class SliceGenerator:
    """A matrix A, prod(slice) x n_c, and per bank the codes of its slices, S x n_c."""

    matrix: Floats
    codes: tuple[Floats, ...]


def parameter_count(others: int, slices: int, slice_shape: Sequence[int], code: int, *, own_matrix: bool = True) -> int:
    """`P = P_others + slices n_c + prod(slice) n_c`, without the last term where the matrix is another network's."""
    return others + slices * code + (prod(slice_shape) * code if own_matrix else 0)


def largest_rank(banks: Sequence[Sequence[int]], slice_shape: Sequence[int]) -> int:
    """The code length beyond which no bank gets better: the smaller side of the stacked slices."""
    return min(sum(slice_count(bank, slice_shape) for bank in banks), prod(slice_shape))


def project(banks: Sequence[Bank], slice_shape: Shape, code: int) -> SliceGenerator:
    """The best generator with codes of length `code` for the stacked slices of some banks.

    With whole slices only, the squared error is the sum of the squares of the dropped singular values. Slices that are
    cropped count as zero where they reach beyond their bank; their codes are then fitted to what is kept of them. A
    code longer than the slices' rank is filled up with zeros.
    """
    vectors = _leading(banks, slice_shape, code)
    matrix = np.zeros((prod(slice_shape), code))
    matrix[:, : vectors.shape[1]] = vectors
    return SliceGenerator(matrix, codes_for(banks, slice_shape, matrix))


def _leading(banks: Sequence[Bank], slice_shape: Shape, count: int) -> Floats:
    """At most `count` leading right singular vectors of the stacked slices, as columns.

    Where there are many slices they are eigenvectors of the Gram matrix, tens of times faster for a large network, and
    summed up bank by bank: slices may be many times larger than the banks that they crop. That blurs directions whose
    singular values are below 1e-8 of the largest, and no others.
    """
    if sum(slice_count(bank.shape, slice_shape) for bank in banks) < prod(slice_shape):
        stacked = np.vstack([cut(bank, slice_shape).astype(np.float64) for bank in banks])
        return np.linalg.svd(stacked, full_matrices=False)[2][:count].T
    gram = np.zeros((prod(slice_shape),) * 2)
    for bank in banks:
        slices = cut(bank, slice_shape).astype(np.float64)
        gram += slices.T @ slices
    return leading_vectors_of_gram(gram, count)


def codes_for(banks: Sequence[Bank], slice_shape: Shape, matrix: Floats) -> tuple[Floats, ...]:
    """The least-squares codes of the banks' slices for a given matrix, S x n_c each.

    A cropped slice gets the code of the slice with zeros in it, corrected by what its kept part asks for; directions
    that hardly reach that part (`CUTOFF`) are left alone, as they would take codes that f32 cannot tell apart.
    """
    inverse = np.linalg.pinv(matrix).T
    corrections: dict[bytes, Floats] = {}
    found: list[Floats] = []
    for bank in banks:
        slices = cut(bank, slice_shape).astype(np.float64)
        codes = np.asarray(slices @ inverse, np.float64)
        for rows, inside in crop_patterns(bank.shape, slice_shape):
            if inside.all():
                continue
            seen, key = matrix[inside], inside.tobytes()
            if key not in corrections:
                corrections[key] = np.asarray(np.linalg.pinv(seen, CUTOFF).T, np.float64)
            codes[rows] += (slices[rows][:, inside] - codes[rows] @ seen.T) @ corrections[key]
        found.append(codes)
    return tuple(found)
