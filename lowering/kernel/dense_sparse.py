"""Which two-dimensional kernels of a layer are skipped, computed by their non-zeros, or densely (DSC). Plain numpy.

A kernel is one filter's weights for one channel. With n non-zeros it is skipped where n is 0, dense where n reaches the
threshold `tau`, else sparse. A 3x3 kernel has 0 to 9, so that 0..10 are all thresholds that differ: 0 and 1 make every
kernel dense that is not skipped, 10 none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapir.weights import Array

TAUS = range(11)
"""All thresholds of 3x3 kernels that differ."""

Map = npt.NDArray[np.bool_]
"""Filters x channels."""


@dataclass(frozen=True, eq=False)
class KernelMap:
    """Which kernels are dense and which sparse; what is neither is skipped."""

    dense: Map
    sparse: Map

    @property
    def counts(self) -> tuple[int, int, int]:
        """Kernels skipped, dense and sparse."""
        dense, sparse = int(self.dense.sum()), int(self.sparse.sum())
        return self.dense.size - dense - sparse, dense, sparse


def kernel_map(kernels: Array, tau: int) -> KernelMap:
    """The map of weights K C R S at a threshold. Raises ValueError for one that is none."""
    if tau not in TAUS:
        raise ValueError(f"the threshold of non-zeros is in 0..10, not {tau}")
    nonzeros = np.count_nonzero(kernels, axis=(2, 3))
    dense = (nonzeros > 0) & (nonzeros >= tau)
    return KernelMap(dense, (nonzeros > 0) & ~dense)
