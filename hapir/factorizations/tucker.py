"""Tucker-2 and canonical polyadic decompositions of filters.

Tucker-2 (Kim et al., ICLR 2016): `W[k,c] = sum_{o,i} U[k,o] G[o,i] V[i,c]` with a core G of R x S filters: 1 x 1 to i
channels, the core, 1 x 1 to K channels. Ranks and first factors come from the singular vectors of the two unfoldings
(HOSVD); rounds of alternating least squares (HOOI, De Lathauwer et al., SIAM J. Matrix Anal. Appl. 2000) never raise
the error. A canonical polyadic form of rank r is the case of a diagonal core: 1 x 1, depthwise, 1 x 1 (Lebedev et al.,
ICLR 2015, with the kernel kept whole).
"""

from __future__ import annotations

import numpy as np

from hapir.factorizations.stages import Floats, Shape4, Stage, StageShape
from hapir.factorizations.svd import Svd, leading_vectors, rank_for_energy


def unfolded(w: Floats) -> tuple[Floats, Floats]:
    """Filters K C R S as matrices along their output channels (K x CRS) and their input channels (C x KRS)."""
    k, c = w.shape[:2]
    return w.reshape(k, -1), w.swapaxes(0, 1).reshape(c, -1)


def ranks_for_energy(w: Floats, share: float) -> tuple[int, int]:
    """Output and input rank that keep this share of the energy, each by itself."""
    output, input = (rank_for_energy(Svd.of(matrix).values, share) for matrix in unfolded(w))
    return output, input


def chain_shape(filters: Shape4, ranks: tuple[int, int]) -> tuple[StageShape, StageShape, StageShape]:
    """1 x 1, core, 1 x 1 with (output, input) ranks."""
    k, c, r, s = filters
    o, i = ranks
    return (
        StageShape("reduce", (i, c, 1, 1)),
        StageShape("core", (o, i, r, s), rows=True, columns=True),
        StageShape("expand", (k, o, 1, 1)),
    )


def tucker2(w: Floats, ranks: tuple[int, int], rounds: int) -> tuple[Stage, Stage, Stage]:
    """Tucker-2 with (output, input) ranks of at most K and C: HOSVD, then `rounds` of HOOI."""
    k, c, r, s = w.shape
    o, i = ranks
    along_outputs, along_inputs = unfolded(w)
    outputs, inputs = leading_vectors(along_outputs, o), leading_vectors(along_inputs, i)
    for _ in range(rounds):
        reduced = np.einsum("kcrs,ci->kirs", w, inputs, optimize=True)
        outputs = leading_vectors(reduced.reshape(k, -1), o)
        reduced = np.einsum("kcrs,ko->cors", w, outputs, optimize=True)
        inputs = leading_vectors(reduced.reshape(c, -1), i)
    core = np.einsum("kcrs,ko,ci->oirs", w, outputs, inputs, optimize=True)
    reduce, middle, expand = chain_shape((k, c, r, s), ranks)
    return (
        Stage(reduce, np.ascontiguousarray(inputs.T)[:, :, np.newaxis, np.newaxis]),
        Stage(middle, core),
        Stage(expand, outputs[:, :, np.newaxis, np.newaxis]),
    )


def cp_shape(filters: Shape4, rank: int) -> tuple[StageShape, StageShape, StageShape]:
    """1 x 1, depthwise, 1 x 1 of one rank."""
    k, c, r, s = filters
    return (
        StageShape("reduce", (rank, c, 1, 1)),
        StageShape("core", (rank, 1, r, s), groups=rank, rows=True, columns=True),
        StageShape("expand", (k, rank, 1, 1)),
    )


def canonical_polyadic(w: Floats, rank: int, rounds: int, seed: int = 0) -> tuple[Stage, Stage, Stage]:
    """`W[k,c,r,s] ~ sum_t K[k,t] C[c,t] S[rs,t]` by alternating least squares from the leading singular vectors.

    Columns that the singular vectors cannot give are drawn from the seed. Each round solves for one factor at a time,
    so that no round raises the error.
    """
    k, c, r, s = w.shape
    tensor = w.reshape(k, c, r * s)
    draw = np.random.default_rng(seed)
    unfolded = [np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1) for axis in range(3)]
    factors = [_start(matrix, rank, draw) for matrix in unfolded]
    for _ in range(rounds):
        for axis in range(3):
            first, second = (factors[other] for other in range(3) if other != axis)
            gram = (first.T @ first) * (second.T @ second)
            pairs = (first[:, np.newaxis] * second).reshape(-1, rank)
            factors[axis] = (unfolded[axis] @ pairs) @ np.linalg.pinv(gram, hermitian=True)
    outputs, inputs, kernels = _balanced(factors)
    reduce, middle, expand = cp_shape((k, c, r, s), rank)
    return (
        Stage(reduce, np.ascontiguousarray(inputs.T)[:, :, np.newaxis, np.newaxis]),
        Stage(middle, np.ascontiguousarray(kernels.T).reshape(rank, 1, r, s)),
        Stage(expand, outputs[:, :, np.newaxis, np.newaxis]),
    )


def _start(matrix: Floats, rank: int, draw: np.random.Generator) -> Floats:
    """Leading left singular vectors, and random columns where there are not enough."""
    vectors = leading_vectors(matrix, rank)
    missing = rank - vectors.shape[1]
    return np.hstack([vectors, draw.standard_normal((len(matrix), missing)) / np.sqrt(len(matrix))])


def _balanced(factors: list[Floats]) -> list[Floats]:
    """The factors with the length of each component spread evenly over the three."""
    lengths = [np.linalg.norm(factor, axis=0) for factor in factors]
    even = np.cbrt(np.prod(lengths, axis=0))
    return [
        factor * np.divide(even, n, out=np.zeros_like(n), where=n > 0)
        for factor, n in zip(factors, lengths, strict=True)
    ]
