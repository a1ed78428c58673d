"""Non-zero weights as lists of places in a panel: plain functions over numpy, no IR.

`rows` are a layer's weights K x E, E in (r, s, c) order with the channels of one group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import CType, size_of
from hapir.lowering.kernel.geometry import LANES, Geometry, Runs
from hapir.lowering.kernel.pack_weights import pack_words, round_up
from hapir.lowering.kernel.program_sparse import Lists, Panel
from hapir.weights import Array

Ints = npt.NDArray[np.int64]

CACHE_LINE = 64
"""Bytes."""


@dataclass(frozen=True)
class Taps:
    """Per tap of the kernel, in (r, s) order: its phase of the stride and its shift in places."""

    phases: tuple[tuple[int, int], ...]
    phase: Ints
    shift: Ints
    columns: int

    @staticmethod
    def of(geometry: Geometry) -> Taps:
        """Phases are those that a tap falls on, in order of appearance."""
        window = geometry.window
        (r, s), (down, right), (far, wide) = window.kernel, window.stride, window.dilation
        row, column = np.arange(r).repeat(s) * far, np.tile(np.arange(s), r) * wide
        pairs = list(zip((row % down).tolist(), (column % right).tolist(), strict=True))
        phases = tuple(dict.fromkeys(pairs))
        columns = geometry.columns + int((column // right).max())
        shift = row // down * columns + column // right
        return Taps(phases, np.array([phases.index(pair) for pair in pairs], np.int64), shift, columns)

    def places(self, geometry: Geometry) -> int:
        """Places up to the result's last pixel."""
        return (geometry.rows - 1) * self.columns + geometry.columns


@dataclass(frozen=True, eq=False)
class Entries:
    """Words of weights that are not all zero: filter, word of channels, tap, and the weights `[entry][in a word]`."""

    filters: Ints
    words: Ints
    taps: Ints
    values: Array

    def __len__(self) -> int:
        return len(self.filters)


def entries_of(rows: Array, geometry: Geometry, per_word: int) -> Entries:
    """The words of `per_word` neighbouring channels, counted over all groups, that hold a weight that is not zero."""
    per_group, taps = geometry.channels // geometry.groups, geometry.window.kernel[0] * geometry.window.kernel[1]
    filters, tap, channel = np.nonzero(rows.reshape(len(rows), taps, per_group))
    weights = rows.reshape(len(rows), taps, per_group)[filters, tap, channel]
    channels = filters // (geometry.filters // geometry.groups) * per_group + channel
    words = -(-geometry.channels // per_word)
    keys, index = np.unique((filters * words + channels // per_word) * taps + tap, return_inverse=True)
    values = np.zeros((len(keys), per_word), rows.dtype)
    values[index, channels % per_word] = weights
    return Entries(keys // (words * taps), keys // taps % words, keys % taps, values)


def panel_of(geometry: Geometry, taps: Taps, vectors: int, run: int, depth: int, ctype: CType) -> Panel:
    """The panel for `run` places; with the last tile of a run it reaches the farthest shift.

    Where only a part of each plane is read at a time, planes are an odd number of cache lines apart, so that these
    parts do not fall into the same sets of a cache.
    """
    tile, shift = LANES * vectors, int(taps.shift.max())
    length = round_up(run, tile) + round_up(shift, LANES)
    if length > tile:
        per_line = CACHE_LINE // size_of(ctype)
        length = (-(-length // per_line) | 1) * per_line
    return Panel(taps.phases, taps.columns, run, length, depth, ctype)


def places_of(entries: Entries, taps: Taps, panel: Panel, words_per_tile: int) -> Ints:
    """Where each entry reads, counted from the first plane of its tile of channels."""
    plane = entries.words % words_per_tile * len(panel.phases) + taps.phase[entries.taps]
    return plane * panel.length + taps.shift[entries.taps]


@dataclass(frozen=True, eq=False)
class Order:
    """Entries sorted into lists: `entries` the order, and per list its tile, filter, scale, adds and subtractions."""

    entries: Ints
    tiles: Ints
    filters: Ints
    scales: Ints
    adds: Ints
    subtractions: Ints


def in_lists(entries: Entries, places: Ints, words_per_tile: int, longest: int | None = None) -> Order:
    """One list per tile of channels and filter, or, where there is a `longest`, per level too and no longer than that.

    A level is a magnitude: positive weights are added, then negative ones subtracted. Within a tile lists of one length
    follow each other, so that branches are foreseen; within a list places ascend.
    """
    tile = entries.words // words_per_tile
    level, negative = np.ones(len(entries), np.int64), np.zeros(len(entries), np.int64)
    if longest is not None:
        weights: Ints = entries.values[:, 0].astype(np.int64)
        level, negative = np.abs(weights), (weights < 0).astype(np.int64)
    order = np.lexsort((places, negative, level, entries.filters, tile))
    group = np.stack((tile, entries.filters, level), axis=1)[order]
    starts = _starts(group, longest or len(group))
    lengths = np.diff(np.append(starts, len(group)))
    below = np.append(0, np.cumsum(negative[order]))
    minus = below[starts + lengths] - below[starts]
    heads = group[starts]
    by_length = np.lexsort((heads[:, 2], heads[:, 1], minus, lengths, heads[:, 0]))
    empty = np.zeros(0, np.int64)
    flat = np.concatenate(
        [empty, *(order[s : s + n] for s, n in zip(starts[by_length], lengths[by_length], strict=True))]
    )
    tiles, filters, scales = heads[by_length].T
    return Order(flat, tiles, filters, scales, (lengths - minus)[by_length], minus[by_length])


def _starts(group: Ints, longest: int) -> Ints:
    """Where the lists begin of entries whose rows of `group` say which list they are in: none has more than allowed."""
    if not len(group):
        return np.zeros(0, np.int64)
    first: list[int] = np.flatnonzero(np.append(True, (group[1:] != group[:-1]).any(axis=1))).tolist()
    parts: list[Ints] = [np.arange(s, e, longest) for s, e in zip(first, [*first[1:], len(group)], strict=True)]
    return np.concatenate(parts)


def unsigned(role: str, values: Ints, *, wide: bool | None = None) -> Table:
    """A table of numbers from 0 on in 16 bits, or in 32 where one needs them; `wide` where that is known."""
    wide = not _fits(values) if wide is None else wide
    return Table(role, "uint32_t" if wide else "uint16_t", values.astype(np.uint32 if wide else np.uint16))


def _fits(values: Ints) -> bool:
    return int(values.max(initial=0)) <= 0xFFFF


def list_tables(role: str, order: Order, places: Ints, panel: Panel, words_per_tile: int, *, signed: bool) -> Lists:
    """The tables of a layer's lists; each has one entry more than is used, so that none is empty."""
    tiles = -(-panel.depth // words_per_tile)
    planes = np.arange(tiles) * words_per_tile * len(panel.phases) * panel.length
    table = np.stack((np.bincount(order.tiles, minlength=tiles), planes), axis=1)
    counts = np.stack((order.adds, order.subtractions), axis=1).reshape(-1) if signed else order.adds
    numbers = [np.append(values, 0) for values in (order.filters, counts, places[order.entries])]
    wide = not all(map(_fits, numbers))
    names = (f"{role}.filters", f"{role}.counts", f"{role}.places")
    return Lists(
        Table(f"{role}.tiles", "int32_t", table.astype(np.int32).reshape(-1)),
        *(unsigned(name, values, wide=wide) for name, values in zip(names, numbers, strict=True)),
    )


@dataclass(frozen=True, eq=False)
class Blocks:
    """Words of a window that any of 16 filters has a weight for: how many per vector of filters, which, and weights.

    `words` counts over the runs of a window, `vectors` over all groups; `weights` is `[entry][16 filters * elements]`.
    """

    counts: Ints
    vectors: Ints
    words: Ints
    weights: Array


def blocks_of(rows: Array, geometry: Geometry, runs: Runs, elements: int) -> Blocks:
    """The blocks of 16 filters and one word that are not all zero."""
    packed = pack_words(rows, geometry.groups, runs, elements, 1).reshape(-1, runs.total_words, LANES * elements)
    present = packed.astype(np.bool_).any(axis=2)
    vectors, words = np.nonzero(present)
    return Blocks(present.sum(axis=1).astype(np.int64), vectors, words, packed[vectors, words])


def block_places(blocks: Blocks, geometry: Geometry, runs: Runs, elements: int) -> Ints:
    """Where the words lie, from where a pixel's window begins, in elements."""
    run, word = np.divmod(blocks.words, runs.words)
    row, column = np.divmod(run, runs.columns)
    group = blocks.vectors // (len(blocks.counts) // geometry.groups)
    start = group * (geometry.channels // geometry.groups)
    return start + row * runs.row_stride + column * runs.column_stride + word * elements
