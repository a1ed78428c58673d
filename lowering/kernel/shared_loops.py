"""Which loop of a product's kernel several threads share, where the C is compiled with OpenMP.

The turns of every candidate write different elements and keep their sums to themselves, so any split gives the same
bits. One loop is enough: inner parallel regions run on one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.steps import Convolution

Loop = Literal["rows", "groups", "filters", "columns"]

ENOUGH = 16
"""Turns that keep a few threads evenly busy."""


@dataclass(frozen=True)
class SharedLoop:
    """A loop of the kernel, and the multiply-accumulates of one pass through it."""

    loop: Loop
    macs: int


def shared_loop(step: Convolution) -> SharedLoop:
    """The outermost loop with enough turns, else the one with the most."""
    g = step.geometry
    per_group = g.filters // g.groups
    strips = -(-per_group // (step.tiles.superblock * LANES))
    pixels = max(pixels for pixels, _ in step.tiles.registers.values())
    rows: list[tuple[Loop, int]] = [] if step.pool else [("rows", g.batch * g.rows)]
    # a ring of sums or a strip of bytes, which all strips use in turn
    one_buffer = step.unpacked is not None or (step.pool is not None and step.pool.of_sums)
    filters: list[tuple[Loop, int]] = [] if one_buffer else [("groups", g.groups), ("filters", strips)]
    order = [*rows, *filters] if step.tiles.order == "rows" else [*filters, *rows]
    order.append(("columns", g.columns // pixels))
    loop, _ = next((entry for entry in order if entry[1] >= ENOUGH), max(order, key=lambda entry: entry[1]))
    outside = 1
    for other, turns in order:
        if other == loop:
            break
        outside *= turns
    if step.pool:
        outside *= g.batch * g.rows
    if one_buffer:
        outside *= g.groups * strips
    return SharedLoop(loop, g.macs // outside)
