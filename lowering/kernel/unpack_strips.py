"""Weights of few bits that meet many pixels: a strip of filters is unpacked once, then multiplied as bytes.

A lookup in the register block takes place again for each block of pixels. To unpack a strip before its pixels costs one
pass and a buffer: worth it where there are many blocks of pixels, and where the buffer is small beside what the weights
take as bytes.
"""

from __future__ import annotations

from dataclasses import replace

from hapir.lowering.kernel.contraction import U8_I7, U8_I8
from hapir.lowering.kernel.contraction_bits import Lookup
from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.program_draft import Draft
from hapir.lowering.kernel.register_tiles import WORD_BYTES
from hapir.lowering.kernel.steps import Convolution, Unpacked

PATHS_OF_BYTES = ("avx512", "c")
"""Where blocks of bytes are faster than those that look up. On AVX2 GCC makes worse loops of them, and spills."""
BLOCKS_OF_PIXELS = 16
"""The fewest blocks of pixels that a strip is unpacked for: to write and to read it takes as long as a few lookups."""
STRIPS = 8
"""The fewest strips: the buffer takes at most so small a part of what all weights would take as bytes."""
STRIP_BYTES = 1 << 16
"""The largest buffer: it is read for each block of pixels, so it must stay in a near cache."""


def unpack_strips(draft: Draft) -> None:
    """Let layers whose weights are codes unpack strips of them, where that pays."""
    for i, step in enumerate(draft.steps):
        if isinstance(step, Convolution) and isinstance(step.contraction, Lookup) and _many_blocks(step):
            draft.steps[i] = _unpacked(step, step.contraction, draft)


def _many_blocks(step: Convolution) -> bool:
    """Whether each of several strips meets many blocks of pixels before the next one."""
    g, tiles = step.geometry, step.tiles
    rows = g.batch * g.rows
    if step.pool is not None or (tiles.order == "rows" and rows > 1):
        return False  # rows are outside, so each would unpack all strips
    pixels = max(tiles.registers[path][0] for path in PATHS_OF_BYTES)
    strips = g.groups * -(-(g.filters // g.groups) // (tiles.superblock * LANES))
    return rows * -(-g.columns // pixels) >= BLOCKS_OF_PIXELS and strips >= STRIPS


def _unpacked(step: Convolution, codes: Lookup, draft: Draft) -> Convolution:
    """The layer with a buffer for a strip, where that is not too large."""
    words = (step.runs.words - 1) * codes.words + codes.last
    strip = replace(step.runs, words=words).total_words * step.tiles.superblock * LANES
    if strip * WORD_BYTES > STRIP_BYTES:
        return step
    contraction = U8_I7 if codes.short else U8_I8
    return replace(step, unpacked=Unpacked(PATHS_OF_BYTES, contraction, words, draft.buffer("int32_t", strip)))
