"""Offsets for buffers in one static arena, reused by liveness.

Law: two blocks whose lifetimes share a step never share a byte; every offset is a multiple of the alignment. The most
bytes live at one step bounds every plan from below. Placing blocks one by one, each into the smallest gap that holds it
(best fit), is a heuristic; three orders are tried and the smallest arena is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hapir.lowering.kernel.buffers import ALIGNMENT


@dataclass(frozen=True)
class Block:
    """Memory needed from step `first` to step `last`, both included."""

    size_bytes: int
    first: int
    last: int

    def overlaps(self, other: Block) -> bool:
        """Whether both are live at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Placement:
    """One offset per block, the arena's size, and the lower bound of any plan; all in bytes."""

    offsets: tuple[int, ...]
    arena_bytes: int
    live_bytes: int


def aligned(size: int) -> int:
    """`size` rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def place(blocks: Sequence[Block]) -> Placement:
    """Place all blocks; ties are broken by index, so equal inputs give equal plans."""
    indices = range(len(blocks))
    orders = (
        sorted(indices, key=lambda i: (-blocks[i].size_bytes, blocks[i].first, i)),
        sorted(indices, key=lambda i: (-(blocks[i].last - blocks[i].first), -blocks[i].size_bytes, i)),
        sorted(indices, key=lambda i: (blocks[i].first, -blocks[i].size_bytes, i)),
    )
    plans = [_place_in_order(blocks, order) for order in orders]
    offsets, arena = min(plans, key=lambda plan: plan[1])
    return Placement(offsets, arena, most_live(blocks))


def most_live(blocks: Sequence[Block]) -> int:
    """The most (aligned) bytes live at one step."""
    starts = {b.first for b in blocks}
    return max((sum(aligned(b.size_bytes) for b in blocks if b.first <= t <= b.last) for t in starts), default=0)


def _place_in_order(blocks: Sequence[Block], order: Sequence[int]) -> tuple[tuple[int, ...], int]:
    offsets: dict[int, int] = {}
    for index in order:
        size = aligned(blocks[index].size_bytes)
        taken = sorted(
            (offsets[j], offsets[j] + aligned(blocks[j].size_bytes))
            for j in offsets
            if blocks[j].overlaps(blocks[index])
        )
        offsets[index] = _best_gap(taken, size)
    arena = max((offsets[i] + aligned(blocks[i].size_bytes) for i in offsets), default=0)
    return tuple(offsets[i] for i in range(len(blocks))), arena


def _best_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    """The start of the smallest gap of at least `size` between taken ranges, or the end of the last range."""
    best: tuple[int, int] | None = None
    end = 0
    for start, stop in taken:
        gap = start - end
        if gap >= size and (best is None or gap < best[0]):
            best = (gap, end)
        end = max(end, stop)
    return end if best is None else best[1]
