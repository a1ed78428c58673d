"""Buffers that live at once never share a byte of the arena."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.lowering.kernel.buffers import ALIGNMENT
from hapir.lowering.kernel.plan_arena import Block, aligned, most_live, place


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    first = draw(st.integers(0, 12))
    return Block(draw(st.integers(1, 2000)), first, first + draw(st.integers(0, 6)))


@settings(max_examples=60, deadline=None)
@given(st.lists(blocks(), max_size=14))
def test_live_blocks_are_apart(drawn: list[Block]):
    plan = place(drawn)
    for (a, start_a), (b, start_b) in combinations(zip(drawn, plan.offsets, strict=True), 2):
        if a.overlaps(b):
            assert start_a + a.size_bytes <= start_b or start_b + b.size_bytes <= start_a
    ends = [start + aligned(b.size_bytes) for b, start in zip(drawn, plan.offsets, strict=True)]
    assert plan.arena_bytes == max(ends, default=0)
    assert all(start % ALIGNMENT == 0 for start in plan.offsets)
    assert plan.live_bytes == most_live(drawn) <= plan.arena_bytes


def test_a_chain_needs_two_buffers():
    chain = [Block(640, t, t + 1) for t in range(10)]
    assert place(chain).arena_bytes == 1280


def test_a_gap_is_filled_by_what_fits_best():
    # 0..3 and 4..5 are live throughout; the small block goes into the hole of its size, not above
    drawn = [Block(192, 0, 2), Block(64, 0, 0), Block(128, 0, 2), Block(64, 1, 2)]
    plan = place(drawn)
    assert plan.arena_bytes == plan.live_bytes == 384
