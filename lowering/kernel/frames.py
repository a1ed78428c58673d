"""Maps written straight into the frames that their readers want, instead of copied there.

Law: exact; only places change. A `Reframe` disappears where the step that makes its source can write into a frame, and
every other reader of the source can read from one. Where several frames of one map are wanted, the first is written and
the others are copied from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hapir.lowering.kernel.plan_products import one_row
from hapir.lowering.kernel.program import Convolution, Frame, Reframe, Step, reads
from hapir.lowering.kernel.program_draft import Draft
from hapir.lowering.kernel.register_tiles import with_pixels


def _convolution_writes(step: Convolution, frame: Frame, target: int) -> Step | None:
    if step.pool is not None or step.to is not None:
        return None
    return replace(step, to=frame, target=target)


def _convolution_reads(step: Convolution, source: int, frame: Frame) -> Step | None:
    runs = replace(step.runs, row_stride=step.geometry.window.dilation[0] * frame.pitch)
    return replace(step, source=source, frame=frame, runs=runs)


def _reframe_reads(step: Reframe, source: int, frame: Frame) -> Step | None:
    if step.lift or step.to != frame:
        return None
    return replace(step, source=source)


WRITERS: dict[type[Step], Callable[[Any, Frame, int], Step | None]] = {Convolution: _convolution_writes}
"""A step that writes its result into a frame in another buffer; None where it cannot."""

READERS: dict[type[Step], Callable[[Any, int, Frame], Step | None]] = {
    Convolution: _convolution_reads,
    Reframe: _reframe_reads,
}
"""A step that reads its source from a frame in another buffer; None where it cannot."""


def write_frames(draft: Draft) -> None:
    """Drop the copies into frames that are not needed; then let pointwise layers run over all pixels as one row."""
    for at, step in enumerate(draft.steps):
        if isinstance(step, Reframe):
            _absorb(draft, at, step)
    draft.steps = [_as_one_row(step) if isinstance(step, Convolution) else step for step in draft.steps]


def _absorb(draft: Draft, at: int, copy: Reframe) -> None:
    source, target = copy.source, copy.target
    old, new = draft.buffers[source], draft.buffers[target]
    makers = [i for i, step in enumerate(draft.steps) if step is not None and step.target == source]
    if copy.lift or old.home != "arena" or old.ctype != new.ctype or len(makers) != 1:
        return
    maker = draft.steps[makers[0]]
    writes = WRITERS.get(type(maker))
    written = writes(maker, copy.to, target) if writes is not None else None
    if written is None:
        return
    changed: dict[int, Step | None] = {makers[0]: written, at: None}
    for i, step in enumerate(draft.steps):
        if step is None or i == at or source not in reads(step):
            continue
        read = READERS.get(type(step))
        other = read(step, target, copy.to) if read is not None else None
        if other is None:
            return
        changed[i] = None if isinstance(other, Reframe) else other
        if isinstance(other, Reframe):  # the same frame: its readers read this one
            for j, user in enumerate(draft.steps):
                if user is None or other.target not in reads(user):
                    continue
                if j in changed or not isinstance(user, Convolution):
                    return
                changed[j] = replace(user, source=target)
    for i, step in changed.items():
        draft.steps[i] = step


def _as_one_row(step: Convolution) -> Convolution:
    """The same layer over all pixels of all images as one row, where it reads and writes them in their order."""
    g, geometry = step.geometry, one_row(step.geometry)
    plain = step.frame.image == g.height * g.width * g.channels
    if geometry == g or not plain or step.to is not None or step.pool is not None:
        return step
    pixels = geometry.columns
    frame = Frame.around(1, pixels, g.channels, (0, 0, 0, 0), step.frame.fill)
    per_group = g.filters // g.groups
    return replace(
        step, geometry=geometry, frame=frame, tiles=with_pixels(step.tiles, pixels, per_group, step.contraction)
    )
