"""How a depthwise layer is blocked: which channels lie in lanes, which taps share a word, how many results per pass.

Plain arithmetic over shapes; no IR. A vector holds 16 results. Of layers with fewer than 16 filters it holds several
neighbouring pixels; of others 16 filters, the last block reaching back where they are no multiple of 16, so that every
lane is a result. Bytes are multiplied four taps at a time: a word holds four neighbouring taps of one channel, and as a
window rarely fills whole words, neighbouring results of a row share the words that they read, each with its weights
shifted to where its own taps lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapir.lowering.kernel.c_types import DTYPES, CType
from hapir.weights import Array

LANES = 16
TAPS_OF_A_WORD = 4
UNROLLED = 40
"""Vectors of weights up to which all rows of a window are unrolled; else a loop runs over the rows."""
RESULTS = 8
"""Vectors of results per pass at most: with the weights of a 3x3 window and constants they fill 32 registers."""


@dataclass(frozen=True)
class Blocking:
    """A pass of a depthwise kernel: `rows` x `columns` x `shared` vectors of results.

    `pixels` neighbouring results lie in one vector (1 where it holds channels only). The `shared` results of a group
    read the same `words` vectors per row of the window; without `packed` a vector is one tap. `columns` groups lie side
    by side. `unrolled` says that all rows of the window are.
    """

    packed: bool
    pixels: int
    shared: int
    words: int
    rows: int
    columns: int
    unrolled: bool

    @property
    def width(self) -> int:
        """Results of a row per pass."""
        return self.pixels * self.shared * self.columns


def blocking(
    packed: bool,
    gathers: bool,
    channels: int,
    filters: int,
    results: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Blocking:
    """The blocking of a layer with `results` rows and columns; `gathers` says that lanes may be read from apart."""
    rows, columns = results
    several = channels == filters and channels <= LANES // 2 and (gathers or stride[1] == 1)
    pixels = min(LANES // channels, columns) if several else 1
    shared = _shared(packed, kernel[1], stride[1], dilation[1], columns) if pixels == 1 else 1
    words = -(-((shared - 1) * stride[1] + kernel[1]) // TAPS_OF_A_WORD) if packed else kernel[1]
    unrolled = kernel[0] * words * (shared if packed else 1) <= UNROLLED
    down = min(rows, 1 if not unrolled else 4 if kernel[0] > stride[0] else 2)
    across = max(1, min(columns // (pixels * shared), RESULTS // (down * shared)))
    while rows % down and down > 2 and rows % 2 == 0:
        down -= 1
    return Blocking(packed, pixels, shared, words, down, across, unrolled)


def _shared(packed: bool, taps: int, stride: int, dilation: int, columns: int) -> int:
    """How many results of a row share words. A word costs five loads and shuffles and each use a multiplication."""
    if not packed or dilation > 1:
        return 1
    costs = {
        n: -(-((n - 1) * stride + taps) // TAPS_OF_A_WORD) * (2.5 + 0.5 * n) / n
        for n in range(1, min(TAPS_OF_A_WORD, columns) + 1)
    }
    return min(costs, key=lambda n: (costs[n], n))


def first_filters(filters: int) -> list[int]:
    """The first filter of each block of 16."""
    return [max(0, min(k, filters - LANES)) for k in range(0, filters, LANES)]


def lane_filters(blocking: Blocking, filters: int) -> npt.NDArray[np.int64]:
    """Blocks x 16: the filter whose result a lane holds, -1 for none."""
    if filters < LANES:
        lanes = np.arange(LANES)
        return np.where(lanes < filters * blocking.pixels, lanes % filters, -1)[None]
    return np.add.outer(np.array(first_filters(filters)), np.arange(LANES))


def pack_depthwise(rows: Array, kernel: tuple[int, int], stride: int, blocking: Blocking, ctype: CType) -> Array:
    """K x (R S) -> blocks x R x words x shared x 16 x 4 (taps of a word), or blocks x R x S x 16 where not packed."""
    filters = rows.shape[0]
    lanes = lane_filters(blocking, filters)
    dtype = DTYPES[ctype]
    weights = rows.reshape(filters, *kernel).astype(dtype)
    chosen = np.where((lanes >= 0)[:, :, None, None], weights[lanes], dtype.type(0))  # blocks x 16 x R x S
    if not blocking.packed:
        return np.ascontiguousarray(chosen.transpose(0, 2, 3, 1)).reshape(-1)
    words, shared = blocking.words, blocking.shared
    packed = np.zeros((*chosen.shape[:3], shared, words * TAPS_OF_A_WORD), dtype)
    for j in range(shared):
        packed[:, :, :, j, j * stride : j * stride + kernel[1]] = chosen
    split = packed.reshape(*packed.shape[:4], words, TAPS_OF_A_WORD)  # blocks x 16 x R x shared x words x 4
    return np.ascontiguousarray(split.transpose(0, 2, 4, 3, 1, 5)).reshape(-1)
