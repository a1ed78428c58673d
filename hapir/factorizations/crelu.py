"""CReLU sharing: filters that are the negative of another one are not computed, its output is negated.

Networks trained with rectifiers have such pairs in their first layers (Shang et al., "Understanding and improving
convolutional neural networks via concatenated rectified linear units", ICML 2016). A pair (i, j) keeps filter i, and
`w_j ~ -f w_i` with the least-squares factor f; the output is `y_j = -f y_i + (b_j + f b_i)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hapir.factorizations.stages import Floats


@dataclass(frozen=True)
class Pair:
    """Filter `shared` is `-factor` times filter `kept`, up to `error`: the squared relative error of the shared one."""

    kept: int
    shared: int
    factor: float
    error: float


def opposite_pairs(w: Floats, share: float, tolerance: float) -> list[Pair]:
    """Disjoint pairs of filters along axis 0, nearest to opposite first; of equal ones those of lower index.

    At most `floor(share * K / 2)` pairs, none whose squared relative error `1 - cos^2` is above `tolerance`. Of a pair
    the longer filter is kept, as its direction is the one that the other takes over. Zero filters have no direction and
    pair with none.
    """
    flat = w.reshape(len(w), -1)
    length = np.linalg.norm(flat, axis=1)
    unit = np.divide(flat, length[:, np.newaxis], out=np.zeros_like(flat), where=length[:, np.newaxis] > 0)
    i, j = np.triu_indices(len(w), 1)
    cosine = (unit @ unit.T)[i, j]
    error = np.maximum(1 - cosine**2, 0.0)
    possible = np.flatnonzero((cosine < 0) & (error <= tolerance))
    pairs: list[Pair] = []
    taken: set[int] = set()
    limit = int(round(share * len(w), 9) // 2)
    for index in possible[np.argsort(error[possible], kind="stable")].tolist():
        if len(pairs) == limit:
            break
        first, second = int(i[index]), int(j[index])
        if taken.isdisjoint((first, second)):
            taken |= {first, second}
            kept, shared = (first, second) if length[first] >= length[second] else (second, first)
            factor = float(-cosine[index] * length[shared] / length[kept])
            pairs.append(Pair(kept, shared, factor, float(error[index])))
    return sorted(pairs, key=lambda pair: pair.kept)
