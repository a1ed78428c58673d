"""What kernels that skip zeros cost on a host with 512-bit vectors, and how they are tiled: pure functions of counts.

The cycles are a model: a tile of pixels costs so much per word of weights and so much per list, a panel so much per
word copied, a result so much per sum. The constants were fitted to the printed kernels on one core (Zen 5, gcc 12, nine
layers at densities of 5 to 50 %); the root mean square of what is left is 8 % for floats, 10 % for bytes and 15 % for
Reduce-and-Scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hapir.lowering.kernel.buffers import Frame
from hapir.lowering.kernel.c_types import size_of
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.geometry import LANES, Geometry
from hapir.lowering.kernel.pack_weights import round_up
from hapir.lowering.kernel.plan_products import one_row, runs_of
from hapir.lowering.kernel.sparse_lists import Blocks, Taps, blocks_of
from hapir.weights import Array

PER_WORD = {"f32": 1, "u8_i8": 4, "i16": 2, "ras": 1}
"""Weights of a word, by kernel: the contractions that have one, and Reduce-and-Scale."""
LIST_BITS = 16
"""Of the sum of one list of Reduce-and-Scale."""
MOST_LEVELS = 32
"""Magnitudes of weights that Reduce-and-Scale takes: past these a list per level is no reduction."""

PANEL_SHARE = 32 << 10
"""Bytes of the first-level cache that the planes of one tile of channels may take."""
PANEL_MOST = 512 << 10
"""Bytes of a panel: what leaves room in the second-level cache."""
HALOS_PER_RUN = 3
"""A panel serves at least so many times the places that it copies beyond its run, where it is not too large then."""

VECTORS = {"f32": (1, 2, 4, 8), "u8_i8": (1, 2, 4, 8), "i16": (1, 2, 4, 8), "ras": (2, 4, 8)}
"""Tiles that the printer can make, in vectors of 16 pixels."""


@dataclass(frozen=True)
class SparseWork:
    """A layer in numbers: words of weights that are not zero (single weights for `ras`), words of channels per pixel,
    taps, phases, places of one image, the farthest shift, whether all shifts keep vectors aligned, and levels."""

    kernel: str
    entries: int
    depth: int
    taps: int
    phases: int
    filters: int
    places: int
    halo: int
    aligned: bool
    images: int
    levels: int = 1

    @property
    def plane_bytes(self) -> int:
        """Bytes of one place in one plane."""
        return 1 if self.kernel == "ras" else 4


@dataclass(frozen=True)
class SparseTiling:
    """Vectors of 16 pixels in a tile, words of channels in a tile, places served by one panel."""

    vectors: int
    words: int
    run: int


@dataclass(frozen=True)
class SparseCost:
    """Cycles of a whole batch, without the stages that finish a pixel, and the tiling that needs fewest."""

    cycles: float
    tiling: SparseTiling


@dataclass(frozen=True)
class _Constants:
    """Cycles. Per entry and per list: for each vector, and once; per word of a panel; per sum brought to its row."""

    entry_vector: float
    entry: float
    list_vector: float
    list: float
    copy: float
    sum: float
    crossing: float
    """How much longer a vector takes to load that lies across two cache lines."""


_CONSTANTS = {
    "f32": _Constants(0.85, 0.52, 1.5, 4.3, 0.42, 0.8, 1.45),
    "u8_i8": _Constants(0.80, 0.56, 1.6, 6.0, 0.50, 0.8, 1.5),
    "i16": _Constants(0.80, 0.56, 1.6, 6.0, 0.50, 0.8, 1.5),
    "ras": _Constants(0.19, 1.42, 3.7, 0.0, 0.30, 0.8, 1.1),
}


def sparse_work(kernel: str, geometry: Geometry, rows: Array) -> SparseWork:
    """The numbers of a layer with weights `rows` (K x E, E in (r, s, c) order)."""
    taps = Taps.of(geometry)
    per_word = PER_WORD[kernel]
    depth = -(-geometry.channels // per_word)
    per_group = geometry.channels // geometry.groups
    present = rows.reshape(len(rows), -1, per_group) != 0
    if per_word > 1:
        first = np.arange(len(rows)) // (geometry.filters // geometry.groups) * per_group % per_word
        spread = np.zeros((len(rows), present.shape[1], round_up(per_group + per_word - 1, per_word)), np.bool_)
        for start in np.unique(first).tolist():
            spread[first == start, :, start : start + per_group] = present[first == start]
        present = spread.reshape(*spread.shape[:2], -1, per_word).any(axis=3)
    return SparseWork(
        kernel,
        int(present.sum()),
        depth,
        len(taps.phase),
        len(taps.phases),
        geometry.filters,
        taps.places(geometry),
        int(taps.shift.max()),
        not (taps.shift % LANES).any(),
        geometry.batch,
        max(1, levels_of(rows)) if kernel == "ras" else 1,
    )


def levels_of(rows: Array) -> int:
    """Different magnitudes of integer weights that are not zero."""
    return len(np.unique(np.abs(rows[rows != 0].astype(np.int64))))


def sparse_cost(work: SparseWork) -> SparseCost:
    """The cheapest tiling and its cycles."""
    return min((SparseCost(_cycles(work, tiling), tiling) for tiling in _tilings(work)), key=lambda cost: cost.cycles)


def _tilings(work: SparseWork) -> Iterator[SparseTiling]:
    most = round_up(work.places, LANES) // LANES
    options = VECTORS[work.kernel]
    for vectors in options:
        if vectors >= 2 * most and vectors != options[0]:
            continue
        tile = LANES * vectors
        per_word = work.phases * work.plane_bytes * (tile + work.halo)
        words = max(1, min(work.depth, PANEL_SHARE // per_word))
        run = tile
        if work.halo:
            wanted = round_up(min(work.places, max(tile, HALOS_PER_RUN * work.halo)), tile)
            room = PANEL_MOST // (work.depth * work.phases * work.plane_bytes) - work.halo
            run = max(tile, min(wanted, room // tile * tile))
        yield SparseTiling(vectors, words, run)


def _cycles(work: SparseWork, tiling: SparseTiling) -> float:
    c = _CONSTANTS[work.kernel]
    tile = LANES * tiling.vectors
    runs = -(-work.places // tiling.run)
    tiles = (runs - 1) * -(-tiling.run // tile) + -(-(work.places - (runs - 1) * tiling.run) // tile)
    crossing = 1.0 if work.aligned else c.crossing
    entries = work.entries * (tiling.vectors * c.entry_vector * crossing + c.entry)
    lists = _lists(work, tiling.words) * (tiling.vectors * c.list_vector + c.list)
    copied = runs * (round_up(tiling.run, tile) + round_up(work.halo, tile)) * work.depth * work.phases
    finished = tiles * tile * round_up(work.filters, LANES)
    return work.images * (tiles * (entries + lists) + copied * c.copy + finished * c.sum)


def _lists(work: SparseWork, words: int) -> float:
    """How many lists there are, if non-zeros fall anywhere with the same probability."""
    possible = work.filters * work.levels
    density = min(1.0, work.entries / max(1, possible * work.depth * work.taps))
    tiles = -(-work.depth // words)
    return possible * tiles * (1.0 - (1.0 - density) ** (min(words, work.depth) * work.taps))


_VECTOR_ENTRY, _VECTOR_FILTER = 1.25, 8.0


def vector_cost(entries: int, filters: int, pixels: int) -> float:
    """Cycles of a `SparseVector`: one non-zero after the other, and the end of each filter."""
    return pixels * (entries * _VECTOR_ENTRY + filters * _VECTOR_FILTER)


BLOCK_PIXELS = 8
"""Pixels that `SparseBlocks` takes at a time, where a row has so many."""
BLOCK_INPUT = 128 << 10
"""Bytes of the input that `SparseBlocks` goes over again for each vector of filters: they stay in the second cache."""
_BLOCK_ENTRY, _BLOCK_PIXEL, _BLOCK_TILE_END, _BLOCK_END = 0.6, 0.65, 16.0, 7.0


def block_cost(blocks: Blocks, geometry: Geometry, size_bytes: int) -> float:
    """Cycles of `SparseBlocks`: per block once and per pixel, and the end of a vector; weights from beyond the second
    cache cost more, where few pixels use them."""
    whole, rest = divmod(geometry.columns, min(BLOCK_PIXELS, geometry.columns))
    tiles, pixels = geometry.batch * geometry.rows * (whole + (rest > 0)), geometry.batch * geometry.rows
    work = len(blocks.words) * (tiles * _BLOCK_ENTRY + pixels * geometry.columns * _BLOCK_PIXEL)
    ends = len(blocks.counts) * (tiles * _BLOCK_TILE_END + pixels * geometry.columns * _BLOCK_END)
    rate = next(rate for most, rate in _RATES if size_bytes <= most)
    return max(work, size_bytes / rate) + ends


_RATES = ((512 << 10, 40.0), (16 << 20, 28.0), (1 << 62, 12.0))
"""Bytes per cycle that one core reads of weights of up to so many bytes: in the caches, and beyond them."""

SparseForm = Literal["lanes", "vector", "blocks"]


@dataclass(frozen=True)
class SparseChoice:
    """A kernel that skips zeros, its cycles, and the share of the words (or single weights) that it multiplies."""

    form: SparseForm
    cycles: float
    share: float


def sparse_choices(geometry: Geometry, rows: Array, contraction: Contraction) -> list[SparseChoice]:
    """The kernels that can compute a layer by its non-zeros, the cheapest first; none where no kernel can."""
    flat, found = one_row(geometry), list[SparseChoice]()
    if contraction.name in PER_WORD:
        work = sparse_work(contraction.name, flat, rows)
        words = geometry.filters * -(-work.depth // geometry.groups) * work.taps
        found.append(SparseChoice("lanes", sparse_cost(work).cycles, work.entries / words))
        frame = Frame.around(geometry.height, geometry.width, geometry.channels, geometry.window.padding, 0)
        runs = runs_of(geometry, frame, contraction.elements)
        blocks = blocks_of(rows, geometry, runs, contraction.elements)
        size = blocks.weights.size * size_of(contraction.w)
        share = len(blocks.words) / (len(blocks.counts) * runs.total_words)
        found.append(SparseChoice("blocks", block_cost(blocks, flat, size), share))
    if has_no_window(flat):
        pixels = flat.batch * flat.rows * flat.columns
        entries = int(np.count_nonzero(rows))
        found.append(SparseChoice("vector", vector_cost(entries, flat.filters, pixels), entries / rows.size))
    return sorted(found, key=lambda choice: choice.cycles)


def has_no_window(geometry: Geometry) -> bool:
    """Whether a layer reads pixel by pixel, in their order."""
    window = geometry.window
    return window.kernel == (1, 1) and window.stride == (1, 1) and not any(window.padding)
