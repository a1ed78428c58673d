"""Filter banks cut into slices of one shape, which generators make from short codes.

A bank of n_f x k x h x w weights has `ceil(n_f / n_f') ceil(k / k') ceil(h / h') ceil(w / w')` slices, in row-major
order of their places, each read row-major as one vector. Slices at the far edges reach beyond the bank: they are
generated whole and cropped (UCSD thesis, L1894-1928).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil, prod
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hapir.factorizations.stages import Floats

Shape = tuple[int, ...]
Number = TypeVar("Number", bound=np.generic)
Bank = npt.NDArray[np.floating]
"""The weights of a layer, of as many axes as a slice."""


def grid_of(bank: Sequence[int], slice_shape: Sequence[int]) -> Shape:
    """How many slices lie along each axis. Raises ValueError where the ranks differ or a size is below 1."""
    if len(bank) != len(slice_shape) or min(*bank, *slice_shape) < 1:
        raise ValueError(f"a bank of {tuple(bank)} has no slices of {tuple(slice_shape)}")
    return tuple(ceil(b / s) for b, s in zip(bank, slice_shape, strict=True))


def slice_count(bank: Sequence[int], slice_shape: Sequence[int]) -> int:
    """How many slices a bank has."""
    return prod(grid_of(bank, slice_shape))


def cut(bank: npt.NDArray[Number], slice_shape: Sequence[int]) -> npt.NDArray[Number]:
    """The slices of a bank as rows, S x prod(slice_shape); zero where they reach beyond it."""
    grid = grid_of(bank.shape, slice_shape)
    padded = np.pad(bank, [(0, n * s - b) for n, s, b in zip(grid, slice_shape, bank.shape, strict=True)])
    rank = len(grid)
    split = padded.reshape([size for pair in zip(grid, slice_shape, strict=True) for size in pair])
    ordered = split.transpose([*range(0, 2 * rank, 2), *range(1, 2 * rank, 2)])
    return ordered.reshape(prod(grid), prod(slice_shape))


def join(slices: npt.NDArray[Number], bank: Sequence[int], slice_shape: Sequence[int]) -> npt.NDArray[Number]:
    """The bank that rows of slices make, cropped to its shape."""
    grid = grid_of(bank, slice_shape)
    rank = len(grid)
    split = slices.reshape(*grid, *slice_shape)
    order = [axis for pair in zip(range(rank), range(rank, 2 * rank), strict=True) for axis in pair]
    whole = split.transpose(order).reshape([n * s for n, s in zip(grid, slice_shape, strict=True)])
    return np.ascontiguousarray(whole[tuple(slice(size) for size in bank)])


def crop_patterns(
    bank: Sequence[int], slice_shape: Sequence[int]
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
    """The slices of a bank in sets that are cropped alike: their rows, and which elements of a slice are kept."""
    grid = grid_of(bank, slice_shape)
    last = [range(2) if b % s else range(1) for b, s in zip(bank, slice_shape, strict=True)]
    places = np.indices(grid).reshape(len(grid), -1)
    found: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]] = []
    for cropped in product(*last):
        alike, inside = np.ones(places.shape[1], np.bool_), np.ones(slice_shape, np.bool_)
        for axis, (at_end, b, s) in enumerate(zip(cropped, bank, slice_shape, strict=True)):
            if b % s:
                alike &= (places[axis] == grid[axis] - 1) == at_end
            if at_end:
                inside[(slice(None),) * axis + (slice(b % s, None),)] = False
        if alike.any():
            found.append((np.flatnonzero(alike), inside.ravel()))
    return found


def csg_generated(codes: Floats, matrix: Floats) -> Floats:
    """`s_i = A c_i` for each row of codes (S x n_c) with A prod(slice) x n_c (UCSD thesis, equation 5.1)."""
    return codes @ matrix.T
