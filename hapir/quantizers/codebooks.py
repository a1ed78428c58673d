"""Codebooks from thresholds: the step that all quantizers of this kind share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hapir.quantizers.coded import Codebook, Scaled
from hapir.quantizers.sorted_values import Floats


def code_type(levels: int) -> type[np.uint8] | type[np.uint16]:
    """The narrowest numpy type for indices of so many levels."""
    return np.uint8 if levels <= 256 else np.uint16


def codebook(w: Floats, edges: Floats, levels: Floats, used: npt.NDArray[np.bool_]) -> Codebook:
    """The weights coded by the interval they lie in: interval i (see `Values.intervals`) stands for `levels[i]`.

    `levels` need not ascend. Those of intervals that are not `used` get no code (no weight may lie there), and levels
    that f32 cannot tell apart share one. With none used, the only level is 0.
    """
    stored = levels.astype(np.float32) + np.float32(0)
    distinct, index = np.unique(stored[used], return_inverse=True)
    table = np.zeros(len(levels), code_type(len(distinct)))
    table[used] = index
    if not len(distinct):
        distinct = np.zeros(1, np.float32)
    return Codebook(table[np.searchsorted(edges, w, side="right")], distinct)


T = TypeVar("T", Codebook, Scaled)


def by_rows(w: Floats, groups: int, quantize: Callable[[Floats], T]) -> T:
    """Codes with a table for each of `groups` equal blocks of rows (axis 0); the rule's own where `groups` is 1."""
    if groups == 1:
        return quantize(w)
    parts = [quantize(block) for block in np.split(w, groups)]
    first = parts[0]
    if isinstance(first, Codebook):
        return _joined([part for part in parts if isinstance(part, Codebook)])
    scales = [part.scales for part in parts if isinstance(part, Scaled)]
    return Scaled(np.concatenate([part.codes for part in parts]), first.format, np.concatenate(scales))


def _joined(parts: Sequence[Codebook]) -> Codebook:
    """Codebooks one below the other. Shorter ones repeat their ends: 0 has one code in all that have it."""
    zeros = [part.zero_code for part in parts]
    first = max((zero for zero in zeros if zero is not None), default=0)
    before = [0 if zero is None else first - zero for zero in zeros]
    longest = max(n + len(part.levels) for n, part in zip(before, parts, strict=True))
    levels = [
        np.pad(part.levels, (n, longest - n - len(part.levels)), mode="edge")
        for n, part in zip(before, parts, strict=True)
    ]
    wide = code_type(longest)
    codes = [part.codes.astype(wide) + wide(n) for n, part in zip(before, parts, strict=True)]
    return Codebook(np.concatenate(codes), np.stack(levels))
