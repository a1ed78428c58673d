"""Winograd's minimal filtering F(m, r): its matrices, exact integer forms, ranges and error bounds. Plain arithmetic.

`m` neighbouring outputs of an r-tap filter cost `n = m + r - 1` products instead of `m * r`:

    y = A^T [(G g) * (B^T d)]                     1-D, * element by element
    Y = A^T [(G g G^T) * (B^T d B)] A             2-D: n^2 products for m^2 outputs

The matrices come from polynomial interpolation at n - 1 points and infinity (Cook-Toom; Winograd 1980, Lavin and Gray
2016). Filters are not flipped: this is the correlation that networks call convolution.

Integers stay exact. The rows of G are cleared of denominators one by one, and what was cleared moves to the output
transform, whose results are then `scale`^2 times the true ones. All of it may run modulo 2^32: the odd part of
`scale`^2 is divided out by its inverse modulo 2^32, its power of two by a shift, so that only the true result times
that power must fit 32 bits. Products and sums on the way may wrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import gcd, lcm, prod
from typing import Any

import numpy as np
import numpy.typing as npt

POINTS = tuple(Fraction(p) for p in (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2), 3, -3))
"""Where polynomials are evaluated, the ones with the smallest matrices first."""

Numbers = npt.NDArray[Any]
"""Integers, floats or exact fractions."""

Matrix = tuple[tuple[Fraction, ...], ...]
"""Rows of exact numbers."""


@dataclass(frozen=True)
class Transform:
    """F(m, r): `a` is A^T (m x n), `g` is G (n x r), `b` is B^T (n x n)."""

    m: int
    r: int
    a: Matrix
    g: Matrix
    b: Matrix

    @property
    def n(self) -> int:
        """Inputs of a tile along one axis, and its products."""
        return self.m + self.r - 1


@cache
def transform(m: int, r: int, points: tuple[Fraction, ...] | None = None) -> Transform:
    """F(m, r) from m + r - 2 distinct points (by default the first of `POINTS`) and infinity.

    The rows of zero and of infinity are signed so that their first coefficient in B^T is positive, as in the published
    matrices of F(2, 3) and F(4, 3). Raises ValueError where points are too few or not distinct.
    """
    finite = POINTS[: m + r - 2] if points is None else points
    if m < 1 or r < 1 or len(finite) != m + r - 2 or len(set(finite)) != len(finite):
        raise ValueError(f"F({m}, {r}) needs {m + r - 2} distinct points, got {len(finite)}: {finite}")
    a = [[p**i for p in finite] + [Fraction(i == m - 1)] for i in range(m)]
    g = [[p**k / prod((p - q for q in finite if q != p), start=Fraction(1)) for k in range(r)] for p in finite]
    g.append([Fraction(k == r - 1) for k in range(r)])
    b = [[*_coefficients([q for q in finite if q != p]), Fraction(0)] for p in finite]
    b.append(_coefficients(list(finite)))
    for row, point in enumerate([*finite, None]):
        first = next(x for x in b[row] if x)
        if first < 0 and point == 0:
            b[row], g[row] = [-x for x in b[row]], [-x for x in g[row]]
        elif first < 0 and point is None:
            b[row] = [-x for x in b[row]]
            for line in a:
                line[row] = -line[row]
    return Transform(m, r, _frozen(a), _frozen(g), _frozen(b))


def _coefficients(roots: list[Fraction]) -> list[Fraction]:
    """The polynomial with these roots, constant first."""
    found = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *found], [*(-root * x for x in found), Fraction(0)]
        found = [x + y for x, y in zip(shifted, scaled, strict=True)]
    return found


def _frozen(rows: list[list[Fraction]]) -> Matrix:
    return tuple(tuple(row) for row in rows)


@dataclass(frozen=True, eq=False)
class IntegerTransform:
    """F(m, r) in integers: `a (g k g^T * b d b^T) a^T` is `scale`^2 times the convolution of tile d with filter k."""

    m: int
    r: int
    a: Numbers
    g: Numbers
    b: Numbers
    scale: int

    @property
    def n(self) -> int:
        """Inputs of a tile along one axis."""
        return self.m + self.r - 1

    @property
    def shift(self) -> int:
        """How often two divides `scale`^2: the bits that a 2-D result needs above its own."""
        square = self.scale * self.scale
        return (square & -square).bit_length() - 1

    @property
    def inverse(self) -> int:
        """What the odd part of `scale`^2 is multiplied by to give 1 modulo 2^32."""
        return pow(self.scale * self.scale >> self.shift, -1, 1 << 32)


@cache
def integer_transform(m: int, r: int) -> IntegerTransform:
    """F(m, r) with the smallest integer filter transform.

    Each row of G is divided by the number that leaves integers without a common factor; the columns of A^T take it,
    times one `scale` for all that makes them integer. Raises ValueError where B^T has fractions.
    """
    exact = transform(m, r)
    if any(x.denominator != 1 for row in exact.b for x in row):
        raise ValueError(f"F({m}, {r}) has fractions in its input transform")
    taken = [_content(row) for row in exact.g]
    scale = lcm(*(t.denominator for t in taken))
    g = [[x / t for x in row] for row, t in zip(exact.g, taken, strict=True)]
    a = [[x * t * scale for x, t in zip(row, taken, strict=True)] for row in exact.a]
    return IntegerTransform(m, r, integers(_frozen(a)), integers(_frozen(g)), integers(exact.b), scale)


def _content(row: tuple[Fraction, ...]) -> Fraction:
    """The largest number whose multiples are all of a row, with the sign of its first entry that is not zero."""
    common = lcm(*(x.denominator for x in row))
    size = Fraction(gcd(*(int(x * common) for x in row)), common)
    return size if next(x for x in row if x) > 0 else -size


def integers(matrix: Matrix) -> Numbers:
    """A matrix of integers as int64. Raises ValueError where an entry is none."""
    if any(x.denominator != 1 for row in matrix for x in row):
        raise ValueError("a matrix with fractions has no integer form")
    return np.array([[int(x) for x in row] for row in matrix], np.int64)


def cleared(matrix: Matrix) -> tuple[Numbers, int]:
    """A matrix times the least number that makes it integer, and that number: 2 G of F(2, 3), 24 G of F(4, 3)."""
    scale = lcm(*(x.denominator for row in matrix for x in row))
    return integers(_frozen([[x * scale for x in row] for row in matrix])), scale


def floats(matrix: Matrix) -> Numbers:
    """The nearest float64 of each entry."""
    return np.array([[float(x) for x in row] for row in matrix], np.float64)


def gain(matrix: Numbers) -> int:
    """By how much `matrix x matrix^T` may enlarge the largest magnitude."""
    return int(np.abs(matrix).sum(axis=1).max()) ** 2


def reach(matrix: Numbers, low: int, high: int) -> tuple[int, int]:
    """The least and greatest entry of `matrix x matrix^T` where those of x lie in [low, high]."""
    products = np.einsum("ir,js->ijrs", matrix, matrix)
    positive = np.maximum(products, 0).sum(axis=(2, 3))
    negative = np.minimum(products, 0).sum(axis=(2, 3))
    return int((positive * low + negative * high).min()), int((positive * high + negative * low).max())


def filter_transform(g: Numbers, kernels: Numbers) -> Numbers:
    """`g k g^T` of kernels `[..., r, r]`, or `g k` of kernels `[..., r]` where they have one axis (`[..., 1, r]`)."""
    along = np.einsum("js,...rs->...rj", g, kernels)
    return along if kernels.shape[-2] == 1 else np.einsum("ir,...rj->...ij", g, along)


def convolve(a: Numbers, g: Numbers, b: Numbers, tile: Numbers, kernel: Numbers) -> Numbers:
    """One 2-D tile: `a (g k g^T * b d b^T) a^T`, in the arithmetic of its operands."""
    return a @ ((g @ kernel @ g.T) * (b @ tile @ b.T)) @ a.T


def float_bound(algorithm: Transform, kernels: Numbers, largest: float) -> Numbers:
    """How far f32 results may be from exact ones, per filter, where inputs lie within +-`largest`.

    `kernels` is `[filter, channel, r, r]`. U is rounded once, each pass of a transform is an inner product of n terms,
    and the sum over C channels has C; a chain of k roundings errs by at most k u / (1 - k u) of the sum of magnitudes
    (u = 2^-24; Higham 2002, section 3.1).
    """
    a, b = np.abs(floats(algorithm.a)), np.abs(floats(algorithm.b))
    u = np.abs(filter_transform(floats(algorithm.g), kernels.astype(np.float64))).sum(axis=1)
    ones = np.full((algorithm.n, algorithm.n), largest)
    sums = a @ (u * (b @ ones @ b.T)) @ a.T
    roundings = (1 + 4 * algorithm.n + kernels.shape[1]) * 2.0**-24
    return sums.max(axis=(1, 2)) * roundings / (1 - roundings)
