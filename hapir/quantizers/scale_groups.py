"""Scales shared by groups of weights: plain numpy, no IR.

A scale array has the rank of its weights, and each of its dimensions divides that of the weights: scale `[i, j, ...]`
belongs to one block of weights (`coded.spread`). So (1, 1, 1, 1) is one scale per layer, (K, 1, 1, 1) one per filter,
(1, 1, R, S) one per position of the kernel. A loop over weights in row-major order meets the scales in order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hapir.quantizers.coded import Floats, Singles

Codes = npt.NDArray[np.int8]
Shape = tuple[int, ...]

LEAST_SCALE = float(np.finfo(np.float32).tiny)
"""Scales are stored in f32 and stay normal numbers there."""


def scale_shape(shape: Shape, groups: int = 1) -> Shape:
    """The shape of the scales of as many equal blocks of rows (axis 0) of weights."""
    return (groups, *[1] * (len(shape) - 1))


def group_sums(values: npt.NDArray[np.generic], shape: Shape) -> Floats:
    """The sum of each group, as an array of the shape of the scales."""
    blocks = values.reshape(
        [n for whole, groups in zip(values.shape, shape, strict=True) for n in (groups, whole // groups)]
    )
    return blocks.sum(axis=tuple(range(1, 2 * len(shape), 2)), dtype=np.float64)


def least_squares_scales(w: Floats, codes: npt.NDArray[np.generic], shape: Shape) -> Singles:
    """The scales that minimize `sum (w - scale * code)^2` in each group: `sum(w * code) / sum(code^2)`, in f32.

    For binary codes `sign(w)` that is mean |w| (Rastegari et al., XNOR-Net, ECCV 2016, eq. 6), for ternary ones the
    mean of |w| over the weights whose code is not 0 (Li et al., Ternary weight networks, 2016, eq. 4). A group of codes
    0 takes the largest scale of the others, or 1 where all are so: nothing depends on it.
    """
    wide = codes.astype(np.float64)
    squares = group_sums(wide * wide, shape)
    return means(group_sums(w * wide, shape), squares)


def means(sums: Floats, counts: Floats) -> Singles:
    """`sums / counts` as scales in f32; where nothing was counted the largest of the others, or 1 without any."""
    used = counts > 0
    scales = np.divide(sums, counts, out=np.zeros(sums.shape), where=used)
    neutral = float(scales.max()) if used.any() else 1.0
    return np.maximum(np.where(used, scales, neutral), LEAST_SCALE).astype(np.float32)
