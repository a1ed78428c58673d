"""How many cycles a planned layer takes: the exact recurrence of the emitted controller, not a simulation of it.

Tiles follow one another; for tile i with w_i memory words, r_i rows and c_i issue cycles

    f_i = max(f_{i-1} + w_{i-1}, e_{i-slots})     first word requested (a slot of the weight buffer is free)
    a_i = f_i + w_i + latency                     last row readable
    e_i = max(s_{i-1} + r_i, a_i + 1)             all rows in the shadow registers
    s_i = max(s_{i-1} + c_{i-1}, e_i)             first pixel issued

and the next layer is fetched after the last pixel; its first pixel waits until this layer has drained. Tiles repeat,
so the recurrence is followed only until its state comes back: cost depends on the number of distinct situations, not
on the number of tiles or MACs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from hapir.lowering.schedule.weight_stationary import LayerPlan

FETCH_CYCLES = 2
"""The instruction is read in the first cycle and spreads to the engines in the second."""
STORE_CYCLES = 1
"""Cycles of a store beyond one per word: the first read of the banks."""


@dataclass(frozen=True)
class LayerCycles:
    """A layer's cycles by cause; they add up to `total`.

    fetch: the instruction; load: input not yet on chip; weights: waiting for weights before or between tiles; compute:
    issuing pixels; drain: pipelines that empty, of the layer before (seen from its fetch on) and, where the output is
    stored, of this one; store: writing the output to the outside memory.
    """

    fetch: int
    load: int
    weights: int
    compute: int
    drain: int
    store: int

    @property
    def total(self) -> int:
        """All cycles of the layer, from the fetch of its instruction to the next fetch."""
        return self.fetch + self.load + self.weights + self.compute + self.drain + self.store


@dataclass
class _Stream:
    """The recurrence's state, in cycles from the layer's fetch."""

    fetch_free: int  # first cycle in which the next tile's first word may be requested
    loaded: deque[int]  # e of the last `slots` tiles
    start: int  # s of the last tile
    issue_end: int  # s + c of the last tile

    def relative(self) -> tuple[int, ...]:
        """The state seen from `issue_end`; equal relative states have equal futures."""
        # a slot that frees before the request stream gets there never binds
        freed = (max(e, self.fetch_free) - self.issue_end for e in self.loaded)
        return (self.fetch_free - self.issue_end, self.start - self.issue_end, *freed)

    def shift(self, cycles: int) -> None:
        """Move the whole state by that many cycles."""
        self.fetch_free += cycles
        self.start += cycles
        self.issue_end += cycles
        self.loaded = deque((e + cycles for e in self.loaded), self.loaded.maxlen)


def network_cycles(plans: Sequence[LayerPlan]) -> list[LayerCycles]:
    """Cycles of every layer of a network, in order."""
    return [layer_cycles(plan, before) for plan, before in zip(plans, [None, *plans], strict=False)]


def layer_cycles(plan: LayerPlan, before: LayerPlan | None = None) -> LayerCycles:
    """Cycles of one layer on the emitted accelerator, after the layer `before` it (None: the first)."""
    machine = plan.machine
    first = FETCH_CYCLES
    input_words = plan.input_words if plan.load else 0
    loaded = first + input_words + machine.latency if plan.load else first
    drained = 0 if before is None or before.store else drain_cycles(before)
    ready = max(loaded, drained)
    stream = _Stream(first + input_words, deque([0] * machine.slots, machine.slots), first, first)
    compute = 0
    for pixel_tile, repeats in ((0, plan.pixel_tiles - 1), (plan.pixel_tiles - 1, 1)):
        pixels = plan.pixels(pixel_tile)
        per_column_tile = sum(plan.issue_cycles(pixels, r) for r in range(plan.row_tiles.count))
        compute += repeats * plan.column_tiles * per_column_tile
        _run(plan, stream, pixels, repeats * plan.column_tiles, ready)
    waited = ready - first
    return LayerCycles(
        fetch=first,
        load=loaded - first,
        weights=stream.issue_end - ready - compute,
        compute=compute,
        drain=waited - (loaded - first) + (drain_cycles(plan) if plan.store else 0),
        store=STORE_CYCLES + plan.output_words if plan.store else 0,
    )


def drain_cycles(plan: LayerPlan) -> int:
    """From the cycle after a layer's last pixel is issued to the first in which all its outputs are written."""
    return plan.machine.array_latency + plan.machine.output_latency


def _run(plan: LayerPlan, stream: _Stream, pixels: int, column_tiles: int, input_ready: int) -> None:
    """Advance over `column_tiles` equal column tiles."""
    seen: dict[tuple[int, ...], tuple[int, int]] = {}
    done = 0
    while done < column_tiles:
        for row_tile in range(plan.row_tiles.count):
            _tile(plan, stream, pixels, row_tile, input_ready)
        done += 1
        state = stream.relative()
        if state in seen:
            before, when = seen[state]
            period, cycles = done - before, stream.issue_end - when
            skipped = (column_tiles - done) // period
            stream.shift(skipped * cycles)
            done += skipped * period
            seen.clear()
        else:
            seen[state] = (done, stream.issue_end)


def _tile(plan: LayerPlan, stream: _Stream, pixels: int, row_tile: int, input_ready: int) -> None:
    machine = plan.machine
    words, rows = plan.tile_words(row_tile), plan.row_tiles.rows(row_tile)
    requested = max(stream.fetch_free, stream.loaded[0])
    readable = requested + words + machine.latency
    loaded = max(stream.start + rows, readable + 1)
    start = max(stream.issue_end, loaded, input_ready)
    stream.fetch_free = requested + words
    stream.loaded.append(loaded)
    stream.start = start
    stream.issue_end = start + plan.issue_cycles(pixels, row_tile)
