"""Weights as a sum of binary bases (ABC-Net). Plain numpy, no IR.

Lin, Zhao, Pan: Towards accurate binary convolutional neural network, NeurIPS 2017, section 3.1: `w ~ sum_m a_m B_m`
with `B_m = sign(w - mean(w) + u_m std(w))`, `u_m = -1 + 2 (m - 1) / (M - 1)` for m = 1..M (0 for M = 1), and the
factors a by least squares. `sign(0)` is +1.

`w - mean + u std >= 0` holds from a threshold on, so of the 2^M sums only M + 1 occur, and the fit depends on M + 1
counts and sums alone. More bases do not always fit better, as the shifts u of M = 4 do not contain those of M = 3; they
do along M = 1, 3, 5, 9 and along 2, 3.
"""

from __future__ import annotations

import numpy as np

from hapir.quantizers.coded import Floats, Planes

DEPENDENT = 1e-10
"""Eigenvalues of the bases' Gram matrix below this share of the largest are 0: such bases are the same."""


def shifts(bases: int) -> Floats:
    """The u_m of M bases, ascending."""
    return np.linspace(-1.0, 1.0, bases) if bases > 1 else np.zeros(1)


def abc_net(w: Floats, bases: int, groups: int = 1) -> Planes:
    """M bases for each of as many equal blocks of rows (axis 0).

    Factors come positive: the sign of a negative one moves into its bits.
    """
    rows = w.reshape(groups, -1)
    u = shifts(bases)
    centred = rows - rows.mean(axis=1, keepdims=True)
    # base m is +1 from -u_m std on; sign patterns are prefixes from the last base, by how many thresholds are passed
    thresholds = -u[::-1] * centred.std(axis=1, keepdims=True)
    passed = np.zeros(rows.shape, np.uint8)
    for m in range(bases):
        passed += centred >= thresholds[:, m, np.newaxis]
    pattern = np.where(np.arange(bases) >= bases - np.arange(bases + 1)[:, np.newaxis], 1.0, -1.0)
    classes = range(bases + 1)
    share = np.array([np.mean(passed == j, axis=1) for j in classes], np.float64).T
    mean = np.array([np.mean(np.where(passed == j, rows, 0), axis=1) for j in classes], np.float64).T
    gram = (share[:, np.newaxis] * pattern.T) @ pattern
    inverse = np.linalg.pinv(gram, rcond=DEPENDENT, hermitian=True)
    factors = (inverse @ (mean @ pattern)[:, :, np.newaxis])[:, :, 0].astype(np.float32)
    bits = (pattern[np.newaxis] > 0) ^ (factors < 0)[:, np.newaxis]
    code_of = (bits << np.arange(bases)).sum(axis=2).astype(np.uint8)
    codes = np.take_along_axis(code_of, passed.astype(np.intp), axis=1).reshape(w.shape)
    magnitudes = np.abs(factors)
    return Planes(codes, magnitudes if groups > 1 else magnitudes[0])
