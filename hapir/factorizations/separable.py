"""Depthwise separable form of filters: per input channel, R x S filters, and a 1 x 1 convolution that mixes them.

`W[k,c] ~ sum_{t<r} P[k, c r + t] D[c r + t]`: for each input channel the K x RS matrix of its kernels is truncated to
rank r, which is the best separable form of that rank (UCSD thesis, L444-446; r = 1 is the form of MobileNet).
"""

from __future__ import annotations

import numpy as np

from hapir.factorizations import svd
from hapir.factorizations.stages import Floats, Shape4, Stage, StageShape


def chain_shape(filters: Shape4, rank: int) -> tuple[StageShape, StageShape]:
    """Depthwise with `rank` filters per channel, then 1 x 1."""
    k, c, r, s = filters
    return (
        StageShape("depthwise", (c * rank, 1, r, s), groups=c, rows=True, columns=True),
        StageShape("pointwise", (k, c * rank, 1, 1)),
    )


def separable(w: Floats, rank: int) -> tuple[Stage, Stage]:
    """The best form of at most this rank; there is no use for a rank beyond min(K, RS)."""
    k, c, r, s = w.shape
    rank = min(rank, k, r * s)
    u, values, vt = np.linalg.svd(w.transpose(1, 0, 2, 3).reshape(c, k, r * s), full_matrices=False)
    root = np.sqrt(values[:, :rank])
    depthwise = (root[:, :, np.newaxis] * vt[:, :rank]).reshape(c * rank, 1, r, s)
    pointwise = (u[:, :, :rank] * root[:, np.newaxis]).transpose(1, 0, 2).reshape(k, c * rank, 1, 1)
    first, second = chain_shape((k, c, r, s), rank)
    return Stage(first, depthwise), Stage(second, pointwise)


def rank_for_energy(w: Floats, share: float) -> int:
    """The least rank, the same for all channels, that keeps this share of the layer's energy."""
    k, c, r, s = w.shape
    values = np.linalg.svd(w.transpose(1, 0, 2, 3).reshape(c, k, r * s), compute_uv=False)
    return svd.rank_for_energy(np.linalg.norm(values, axis=0), share)
