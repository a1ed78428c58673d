"""Masks over one layer's weights, K first and input channels second: True where a weight is pruned. No IR."""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np

from hapir.pruners.magnitude import Floats, Mask, score
from hapir.quantizers.n_ary import NAry
from hapir.quantizers.sorted_values import SortedValues


def n_of_m(w: Floats, n: int, m: int) -> Mask:
    """All but the n largest magnitudes of each m consecutive input channels, for each filter and place of the kernel.

    2:4 is what sparse tensor cores take (Mishra et al., Accelerating Sparse Deep Neural Networks, 2021, section 3).
    The last channels count as a group filled up with zeros, so at most n of them stay.
    """
    k, c, *rest = w.shape
    m = min(m, max(c, n))  # a group reaches no further than the channels
    groups = -(-c // m)
    magnitudes = np.full((k, groups * m, prod(rest)), -1.0)  # what fills up is less than any magnitude
    magnitudes[:, :c] = np.abs(w).reshape(k, c, -1)
    order = np.argsort(magnitudes.reshape(k, groups, m, -1), axis=2, kind="stable")
    pruned = np.zeros(order.shape, dtype=np.bool_)
    np.put_along_axis(pruned, order[:, :, : m - n], True, axis=2)
    return pruned.reshape(k, groups * m, -1)[:, :c].reshape(w.shape)


def zero_band(w: Floats, threshold: float) -> Mask:
    """The weights that the n-ary rule clusters at 0, with its innermost thresholds t times as far out.

    Those are the mean of the weights above 0 and that of the weights below. Of normal weights t = 1, 1.4, 1.6, 1.8, 2
    take 57.5, 73.6, 79.8, 84.9, 88.9 % (Heidelberg thesis, section 5.3, L1141). A layer whose weights all have one
    magnitude keeps them at t = 1 and loses them all beyond it.
    """
    lower, upper = NAry(t=threshold).edges(SortedValues(w)).tolist()
    return (w >= lower) & (w < upper)


def block_scores(
    w: Floats, rows: int, columns: int, criterion: Literal["magnitude", "l2", "random"], draw: np.random.Generator
) -> Floats:
    """What the blocks of the matrix K x (C R S) are worth, in row-major order: per weight, so that cut ones compete.

    Blocks larger than the matrix are the matrix.
    """
    rows, columns = min(rows, len(w)), min(columns, prod(w.shape[1:]))
    blocks, counts = _blocks(w, rows, columns), _blocks(np.ones_like(w), rows, columns).sum(axis=(1, 3))
    scores = score(blocks, (1, 3), criterion, draw)
    divisor = {"magnitude": counts, "l2": np.sqrt(counts), "random": 1.0}[criterion]
    return (scores / divisor).ravel()


def block_mask(pruned: Mask, shape: tuple[int, ...], rows: int, columns: int) -> Mask:
    """The weights of the blocks that are pruned, given in row-major order."""
    k, length = shape[0], prod(shape[1:])
    rows, columns = min(rows, k), min(columns, length)
    grid = pruned.reshape(-(-k // rows), -(-length // columns))
    return grid.repeat(rows, axis=0).repeat(columns, axis=1)[:k, :length].reshape(shape)


def _blocks(w: Floats, rows: int, columns: int) -> Floats:
    """The matrix as block rows x rows x block columns x columns, filled up with zeros."""
    matrix = w.reshape(w.shape[0], -1)
    k, length = matrix.shape
    filled = np.pad(matrix, ((0, -k % rows), (0, -length % columns)))
    return filled.reshape(-(-k // rows), rows, -(-length // columns), columns)
