"""Low rank by the singular value decomposition, of matrices and of filters read as matrices.

Truncation to rank r is the best approximation of that rank in the Frobenius norm, and what it loses is the sum of the
squared singular values that it drops (Eckart and Young, Psychometrika 1936). Filters are read as a matrix in three
ways:

- `output`: K x CRS, r filters R x S and then 1 x 1 to K channels (Denton et al., NIPS 2014; the form that ALF deploys);
- `input`: KRS x C, 1 x 1 to r channels and then the filters R x S;
- `spatial`: KS x CR, r filters R x 1 and then 1 x S, `W_k = sum_r H_k^r (V_r)^T` (Jaderberg et al., BMVC 2014, scheme
  2; UCSD thesis, L438-440).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hapir.factorizations.stages import Floats, Shape4, Stage, StageShape

Split = Literal["output", "input", "spatial"]


@dataclass(frozen=True)
class Svd:
    """`matrix = u diag(values) vt`, values falling; as many as the smaller side of the matrix has."""

    u: Floats
    values: Floats
    vt: Floats

    @staticmethod
    def of(matrix: Floats) -> Svd:
        """The decomposition of M x N numbers, all finite.

        It goes through the Gram matrix of the smaller side, ten times faster for a large layer. Truncations are
        projections on exactly orthogonal vectors of that side; the vectors of the other side are zero, or not quite
        orthogonal, where the singular value is below 1e-8 of the largest.
        """
        if len(matrix) > matrix.shape[1]:
            turned = Svd.of(matrix.T)
            return Svd(turned.vt.T, turned.values, turned.u.T)
        u = leading_vectors(matrix)
        scaled = u.T @ matrix
        values = np.linalg.norm(scaled, axis=1)
        return Svd(u, values, np.divide(scaled, values[:, np.newaxis], where=values[:, np.newaxis] > 0, out=scaled))

    def rank_for_energy(self, share: float) -> int:
        """The least rank, at least 1, that keeps this share of the sum of squared singular values."""
        return rank_for_energy(self.values, share)

    def lost(self, rank: int) -> float:
        """The squared error of the truncation to a rank."""
        return float((self.values[rank:] ** 2).sum())

    def factors(self, rank: int) -> tuple[Floats, Floats]:
        """M x r and r x N whose product is the truncation; the two share each singular value evenly, as roots."""
        root = np.sqrt(self.values[:rank])
        return self.u[:, :rank] * root, root[:, np.newaxis] * self.vt[:rank]


def leading_vectors(matrix: Floats, count: int | None = None) -> Floats:
    """The first left singular vectors of M x N numbers as orthonormal columns, at most M; all M without a count."""
    return leading_vectors_of_gram(matrix @ matrix.T, count)


def leading_vectors_of_gram(gram: Floats, count: int | None = None) -> Floats:
    """The first left singular vectors of a matrix whose Gram matrix `matrix @ matrix.T` is given."""
    return np.linalg.eigh(gram)[1][:, ::-1][:, :count]


def rank_for_energy(values: Floats, share: float) -> int:
    """The least count, at least 1, of falling singular values that hold this share of their squared sum."""
    energy = np.cumsum(np.square(values))
    # rounding must not ask for a value more than there are, nor for one that is zero but for rounding
    needed = share * float(energy[-1]) * (1 - 1e-12)
    return min(int(np.count_nonzero(energy < needed)) + 1, len(values))


def matrix_of(w: Floats, split: Split) -> Floats:
    """Filters K C R S as the matrix that a split takes apart."""
    k, c, r, s = w.shape
    if split == "output":
        return w.reshape(k, c * r * s)
    if split == "input":
        return w.transpose(0, 2, 3, 1).reshape(k * r * s, c)
    return w.transpose(0, 3, 1, 2).reshape(k * s, c * r)


def chain_shape(filters: Shape4, split: Split, rank: int) -> tuple[StageShape, StageShape]:
    """The two stages that a split of a rank gives."""
    k, c, r, s = filters
    if split == "output":
        return (
            StageShape("basis", (rank, c, r, s), rows=True, columns=True),
            StageShape("expand", (k, rank, 1, 1)),
        )
    if split == "input":
        return (
            StageShape("reduce", (rank, c, 1, 1)),
            StageShape("filter", (k, rank, r, s), rows=True, columns=True),
        )
    return (
        StageShape("vertical", (rank, c, r, 1), rows=True),
        StageShape("horizontal", (k, rank, 1, s), columns=True),
    )


def chain(filters: Shape4, split: Split, svd: Svd, rank: int) -> tuple[Stage, Stage]:
    """The stages of a rank, from the decomposition of `matrix_of(w, split)`."""
    k, c, r, s = filters
    left, right = svd.factors(rank)
    first, second = chain_shape(filters, split, rank)
    if split == "output":
        arrays = right.reshape(rank, c, r, s), left.reshape(k, rank, 1, 1)
    elif split == "input":
        arrays = right.reshape(rank, c, 1, 1), left.reshape(k, r, s, rank).transpose(0, 3, 1, 2)
    else:
        arrays = right.reshape(rank, c, r, 1), left.reshape(k, s, rank, 1).transpose(0, 2, 3, 1)
    return Stage(first, arrays[0]), Stage(second, arrays[1])
