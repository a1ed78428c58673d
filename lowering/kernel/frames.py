"""Maps written straight into the frames that their readers want, instead of copied there.

Law: exact; only places change. A `Reframe` disappears where the step that makes its source can write into a frame,
and every other reader of the source can read from one; where the copy lifts signed bytes or rounds floats, the maker
does that, if all readers want it so.
Where several frames of one map are wanted, the first is written and the others are copied from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hapir.lowering.kernel.buffers import Frame
from hapir.lowering.kernel.plan_products import one_row
from hapir.lowering.kernel.program_draft import Draft
from hapir.lowering.kernel.program_winograd import Winograd
from hapir.lowering.kernel.register_tiles import with_pixels
from hapir.lowering.kernel.stages import Join, Requantize, Stage
from hapir.lowering.kernel.steps import (
    Convolution,
    Depthwise,
    Elementwise,
    KernelStep,
    Operand,
    Pool,
    Reframe,
    Relayout,
    Step,
    joins,
    reads,
)


def _mapped_writes(step: Convolution | Depthwise | Pool | Winograd, copy: Reframe) -> Step | None:
    """Steps whose geometry says what map they make."""
    g, pool = step.geometry, step.pool if isinstance(step, Convolution) else None
    rows, columns = (g.rows, g.columns) if pool is None else (pool.rows, pool.columns)
    same = (g.batch, rows, columns, g.filters) == (copy.batch, copy.height, copy.width, copy.to.channels)
    return replace(step, to=copy.to) if same and step.to is None else None


def _relayout_writes(step: Relayout, copy: Reframe) -> Step | None:
    same = (step.batch, step.pixels, step.channels) == (copy.batch, copy.height * copy.width, copy.to.channels)
    return replace(step, to=copy.to, width=copy.width) if same and step.channels_last and step.to is None else None


def _elementwise_writes(step: Elementwise, copy: Reframe) -> Step | None:
    maps = (copy.batch, copy.height, copy.width)
    fits = step.to is None and _is_map(step, copy)
    return replace(step, to=copy.to, pixels=maps) if fits else None


def _is_map(step: Elementwise, copy: Reframe) -> bool:
    """Whether an elementwise step runs over the copy's pixels, channels last."""
    same = (step.outer, step.channels, step.inner)
    return same == (copy.batch * copy.height * copy.width, copy.to.channels, 1)


def _convolution_reads(step: Convolution, copy: Reframe) -> Step | None:
    if not _same_map(step.frame, copy):
        return None
    runs = replace(step.runs, row_stride=step.geometry.window.dilation[0] * copy.to.pitch)
    return replace(step, source=copy.target, frame=copy.to, runs=runs)


def _framed_reads(step: Depthwise | Winograd, copy: Reframe) -> Step | None:
    return replace(step, source=copy.target, frame=copy.to) if _same_map(step.frame, copy) else None


def _pool_reads(step: Pool, copy: Reframe) -> Step | None:
    g = step.geometry
    same = (g.batch, g.height, g.width, g.channels) == (copy.batch, copy.height, copy.width, copy.to.channels)
    return replace(step, source=copy.target, frame=copy.to) if same and step.frame is None else None


def _reframe_reads(step: Reframe, copy: Reframe) -> Step | None:
    same = (step.batch, step.height, step.width, step.to.channels)
    fits = step.frame is None and same == (copy.batch, copy.height, copy.width, copy.to.channels)
    return replace(step, source=copy.target, frame=copy.to) if fits else None


def _elementwise_reads(step: Elementwise, copy: Reframe) -> Step | None:
    if not _is_map(step, copy):
        return None
    maps = (copy.batch, copy.height, copy.width)

    def moved(operand: Operand) -> Operand:
        return replace(operand, buffer=copy.target, frame=copy.to) if operand.buffer == copy.source else operand

    operands = tuple(moved(operand) for operand in step.operands)
    return replace(step, operands=operands, pixels=maps)


WRITERS: dict[type[Step], Callable[[Any, Reframe], Step | None]] = {
    Convolution: _mapped_writes,
    Depthwise: _mapped_writes,
    Pool: _mapped_writes,
    Winograd: _mapped_writes,
    Relayout: _relayout_writes,
    Elementwise: _elementwise_writes,
}
"""A step that writes its result into the frame of a copy; None where it cannot."""

READERS: dict[type[Step], Callable[[Any, Reframe], Step | None]] = {
    Convolution: _convolution_reads,
    Depthwise: _framed_reads,
    Winograd: _framed_reads,
    Pool: _pool_reads,
    Reframe: _reframe_reads,
    Elementwise: _elementwise_reads,
}
"""A step that reads a copy in its frame where it read the copy's source; None where it cannot."""


def _same_map(frame: Frame, copy: Reframe) -> bool:
    """Whether a frame is the map itself."""
    return (frame.rows, frame.columns, frame.channels) == (copy.height, copy.width, copy.to.channels)


def write_frames(draft: Draft) -> None:
    """Drop the copies into frames that are not needed; then let pointwise layers run over all pixels as one row."""
    for at, step in enumerate(draft.steps):
        if isinstance(step, Reframe):
            _absorb(draft, at, step)
    draft.steps = [_as_one_row(step) if isinstance(step, Convolution) else step for step in draft.steps]


def _absorb(draft: Draft, at: int, copy: Reframe) -> None:
    makers = [i for i, step in enumerate(draft.steps) if step is not None and step.target == copy.source]
    if draft.buffers[copy.source].home != "arena" or len(makers) != 1:
        return
    maker = draft.steps[makers[0]]
    written = None if maker is None else _written(maker, copy, draft)
    if written is None:
        return
    changed: dict[int, Step | None] = {makers[0]: written, at: None}
    for i, step in enumerate(draft.steps):
        if step is None or i == at or copy.source not in reads(step):
            continue
        if isinstance(step, Reframe) and replace(step, origin=copy.origin, target=copy.target) == copy:
            for j, user in enumerate(draft.steps):
                if user is not None and step.target in reads(user):
                    again = _renamed(user, step.target, copy.target)
                    if again is None or j in changed:
                        return
                    changed[j] = again
            changed[i] = None
            continue
        read = READERS.get(type(step))
        joined = _joined(step, copy)
        only_joins = copy.source not in reads(joined)
        other = None
        if isinstance(step, Reframe) and step.stages == copy.stages != () and step.frame is None:
            other = replace(step, source=copy.target, frame=copy.to, stages=())
        elif not copy.lift and not copy.stages:
            other = joined if only_joins else read(joined, copy) if read is not None else None
        if other is None or i in changed:
            return
        changed[i] = other
    for i, step in changed.items():
        draft.steps[i] = step


def _joined(step: Step, copy: Reframe) -> Step:
    """The step, reading what it joins from the copy."""
    if not any(join.buffer == copy.source for join in joins(step)):
        return step
    stages = (
        replace(stage, buffer=copy.target, frame=copy.to)
        if isinstance(stage, Join) and stage.buffer == copy.source
        else stage
        for stage in step.stages
    )
    return replace(step, stages=tuple(stages))


def _renamed(user: Step, old: int, new: int) -> Step | None:
    """A reader of one copy that reads an equal one."""
    reads_one = isinstance(user, Convolution | Depthwise | Winograd) and user.source == old
    return replace(user, source=new) if reads_one else None


def _written(maker: Step, copy: Reframe, draft: Draft) -> Step | None:
    """The maker of a map that writes it as the copy does."""
    writes = WRITERS.get(type(maker))
    old, new = draft.buffers[copy.source], draft.buffers[copy.target]
    stages = maker.stages
    if copy.lift:
        stages = lifted(stages, copy.lift)
    elif copy.stages:
        stages = (*stages, *copy.stages) if _finishes(maker) else None
    elif old.ctype != new.ctype:
        return None
    if stages is None or writes is None or copy.frame is not None:
        return None
    maker = replace(maker, stages=stages)
    whole = copy.to.image == copy.height * copy.width * copy.to.channels
    plain = maker if whole and getattr(maker, "to", None) is None else None
    made = plain or writes(maker, copy)
    if made is None:
        return None
    if isinstance(made, Convolution) and made.pool is not None and not made.pool.of_sums and copy.lift:
        # the ring holds rows of what is written
        ring = draft.buffer(new.ctype, draft.buffers[made.pool.rows_buffer].length)
        made = replace(made, pool=replace(made.pool, rows_buffer=ring))
    return replace(made, target=copy.target)


def _finishes(maker: Step) -> bool:
    """Whether stages may be added to those of a step: its kernel has them, and nothing but they see their results."""
    if isinstance(maker, Convolution) and maker.pool is not None:
        return maker.pool.of_sums
    return isinstance(maker, Convolution | Depthwise | KernelStep | Pool | Elementwise)


def lifted(stages: tuple[Stage, ...], lift: int) -> tuple[Stage, ...] | None:
    """Stages that give what these give plus `lift`, as unsigned bytes; None where the last cannot."""
    if not stages or not isinstance(stages[-1], Requantize) or stages[-1].ctype != "int8_t":
        return None
    last = stages[-1]
    zero_point, low, high = (value + lift for value in (last.zero_point, last.low, last.high))
    return (*stages[:-1], replace(last, zero_point=zero_point, low=low, high=high, ctype="uint8_t"))


def _as_one_row(step: Convolution) -> Convolution:
    """The same layer over all pixels of all images as one row, where it reads them in their order."""
    g, geometry = step.geometry, one_row(step.geometry)
    channels = step.frame.channels
    plain = step.frame.image == g.height * g.width * channels
    framed = step.to is not None or any(join.frame is not None for join in joins(step))
    if geometry == g or not plain or step.pool is not None:
        return step
    pixels = geometry.columns
    frame = Frame.around(1, pixels, channels, (0, 0, 0, 0), step.frame.fill)
    per_group = g.filters // g.groups
    return replace(
        step,
        geometry=geometry,
        frame=frame,
        tiles=with_pixels(step.tiles, pixels, per_group, step.contraction),
        maps=(g.batch, g.rows, g.columns) if framed else None,
    )
