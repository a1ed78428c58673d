"""Cross-layer equalization: plain numpy, no IR.

Between two layers with only a positively homogeneous function between them (`f(s x) = s f(x)` for s > 0, as a ReLU or a
pool is), channel i may be divided by any `s_i > 0` in the first layer and multiplied by it in the second. The choice
`s_i = sqrt(r1_i / r2_i)`, r the largest magnitude of the weights that make and that read the channel, gives both the
range `sqrt(r1_i r2_i)`, so that one scale per tensor fits all channels (Nagel, van Baalen, Blankevoort and Welling,
ICCV 2019, section 4.1, equation 11).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST_FACTOR = 2.0**20
"""A channel is scaled by no more than this, or its inverse, at a time: dead channels stay where floats are."""


def equalizing_factors(made: Floats, read: Floats, *, powers_of_two: bool = False) -> Floats:
    """`s_i` of each channel from the ranges `made` (of the first layer) and `read` (of the second).

    1 where one of them is 0: a channel that nothing makes or reads needs no scale. `powers_of_two` rounds each s to the
    nearest power of two, by which floats are multiplied without any rounding.
    """
    alive = (made > 0) & (read > 0)
    # the root of each first: the quotient of two floats may leave the range of floats
    factors = np.sqrt(np.where(alive, made, 1.0)) / np.sqrt(np.where(alive, read, 1.0))
    factors = np.clip(factors, 1 / LARGEST_FACTOR, LARGEST_FACTOR)
    return 2.0 ** np.rint(np.log2(factors)) if powers_of_two else factors


def made_ranges(w: Floats) -> Floats:
    """The largest magnitude of the weights K ... that make each output channel."""
    return np.abs(w).reshape(len(w), -1).max(axis=1, initial=0.0)


def read_ranges(w: Floats, groups: int, block: int = 1) -> Floats:
    """The largest magnitude of the weights K C/G ... that read each input channel.

    A dense layer behind a flatten reads each channel through `block` features that follow one another.
    """
    per_feature = np.abs(w).reshape(groups, len(w) // groups, w.shape[1] // block, -1).max(axis=(1, 3), initial=0.0)
    return per_feature.reshape(-1)


def scale_made(w: Floats, factors: Floats) -> Floats:
    """Weights K ..., or a bias K, with every output channel multiplied by its factor."""
    return w * factors.reshape(-1, *[1] * (w.ndim - 1))


def scale_read(w: Floats, factors: Floats, groups: int, block: int = 1) -> Floats:
    """Weights K C/G ... with every input channel multiplied by its factor."""
    by_group = w.reshape(groups, len(w) // groups, w.shape[1] // block, -1)
    return (by_group * factors.reshape(groups, 1, -1, 1)).reshape(w.shape)
