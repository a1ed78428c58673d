"""Maps written where their readers want them: into frames, so that no copy adds the padding.

A layer with padding, or one that multiplies unsigned bytes and gets signed ones, reads a copy of its input in a frame
(`Reframe`). Where the step that makes the map can write the frame itself, and every other reader can read there, the
copy is dropped: the map lies in the frame from the start. Law: exact, every element read is the one that was read.

Before: `conv -> map; map -> copy in a frame; copy -> conv`. After: `conv -> map in a frame -> conv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from hapir.lowering.kernel.program import (
    Convolution,
    Depthwise,
    Elementwise,
    Frame,
    Pool,
    Reframe,
    Relayout,
    Requantize,
    Stage,
    Step,
    reads,
)
from hapir.lowering.kernel.program_draft import Draft

Writer = Convolution | Depthwise | Pool | Relayout


def frame_maps(draft: Draft) -> None:
    """Drop the copies that the writers of their sources make needless."""
    for index, step in enumerate(draft.steps):
        if isinstance(step, Reframe):
            _drop(draft, index, step)


def _drop(draft: Draft, index: int, copy: Reframe) -> None:
    source = copy.source
    found = [t for t, step in enumerate(draft.steps) if step is not None and step.target == source]
    if draft.buffers[source].home != "arena" or len(found) != 1:
        return
    writer = draft.steps[found[0]]
    assert writer is not None
    written = _written(writer, copy)
    if written is None:
        return
    changed: dict[int, Step | None] = {found[0]: written, index: None}
    renamed = {copy.target: source}
    for t, step in enumerate(draft.steps):
        if step is None or t in (found[0], index) or source not in reads(step):
            continue
        if isinstance(step, Reframe) and (step.to, step.lift) == (copy.to, copy.lift):
            renamed[step.target] = source
            changed[t] = None
            continue
        read = _read(step, source, copy)
        if read is None:
            return
        changed[t] = read
    for t, step in enumerate(draft.steps):
        if step is not None and t not in changed and any(b in renamed for b in reads(step)):
            changed[t] = _moved(step, renamed)
    for t, step in changed.items():
        draft.steps[t] = step
    draft.buffers[source] = replace(draft.buffers[copy.target], home="arena")


def _written(writer: Step, copy: Reframe) -> Step | None:
    """The step that writes the map into the copy's frame, its elements lifted as the copy does."""
    stages = lifted(writer.stages, copy.lift) if copy.lift else writer.stages
    if stages is None or not isinstance(writer, Writer) or writer.to is not None:
        return None
    lies = replace(writer, stages=stages)
    if _padding(copy) == 0:
        return lies
    maps = (copy.batch, copy.height, copy.width)
    if isinstance(lies, Relayout):
        same = (lies.batch, lies.pixels, lies.channels) == (copy.batch, copy.height * copy.width, copy.to.channels)
        return replace(lies, to=copy.to, width=copy.width) if same and lies.channels_last else None
    if maps_of(lies) == (maps, copy.to.channels):
        return replace(lies, to=copy.to)
    in_one_row = (1, 1, prod(maps)), copy.to.channels
    if isinstance(lies, Convolution) and lies.pool is None and maps_of(lies) == in_one_row:
        return replace(lies, to=copy.to, maps=maps)
    if isinstance(lies, Elementwise) and _is_map(lies, copy):
        return replace(lies, to=copy.to, pixels=maps)
    return None


def _padding(copy: Reframe) -> int:
    """Elements of a frame around a map."""
    return copy.to.image - copy.height * copy.width * copy.to.channels


def maps_of(step: Step) -> tuple[tuple[int, int, int], int] | None:
    """Images, rows and columns, and channels, of the result of a step with a geometry."""
    if not isinstance(step, Convolution | Depthwise | Pool):
        return None
    g = step.geometry
    pool = step.pool if isinstance(step, Convolution) else None
    return (g.batch, *((g.rows, g.columns) if pool is None else (pool.rows, pool.columns))), g.filters


def lifted(stages: Sequence[Stage], lift: int) -> tuple[Stage, ...] | None:
    """The stages with all their results moved up, as unsigned bytes, where the last can do it."""
    if not stages or not isinstance(stages[-1], Requantize) or stages[-1].ctype != "int8_t":
        return None
    last = stages[-1]
    moved = replace(
        last, zero_point=last.zero_point + lift, low=last.low + lift, high=last.high + lift, ctype="uint8_t"
    )
    return (*stages[:-1], moved)


def _is_map(step: Elementwise, copy: Reframe) -> bool:
    """Whether an elementwise step runs over whole pixels, channels last."""
    return step.inner == 1 and step.outer * step.channels == copy.batch * copy.height * copy.width * copy.to.channels


def _read(step: Step, source: int, copy: Reframe) -> Step | None:
    """A step that reads the map in the frame of the copy, and not as it lay."""
    frame, lift = copy.to, copy.lift
    match step:
        case Convolution() if _same_map(step.frame, copy) and not lift:
            return _reading(step, frame)
        case Depthwise() if _same_map(step.frame, copy) and (step.lift or not lift):
            return replace(step, frame=frame, lift=step.lift and not lift)
        case Pool() | Reframe() if step.frame is None and not lift:
            return replace(step, frame=frame)
        case Elementwise() if _is_map(step, copy) and not lift and copy.batch < 0:
            frames = [frame if o.buffer == source else o.frame for o in step.operands]
            operands = [replace(o, frame=f) for o, f in zip(step.operands, frames, strict=True)]
            return replace(step, operands=tuple(operands), pixels=(copy.batch, copy.height, copy.width))
        case _:
            return None


def _same_map(frame: Frame, copy: Reframe) -> bool:
    """Whether a frame is the map itself, row by row."""
    return (frame.rows, frame.columns, frame.channels) == (copy.height, copy.width, copy.to.channels)


def _reading(step: Convolution, frame: Frame) -> Convolution:
    """A convolution without padding that reads inside of a frame."""
    runs = step.runs
    row_stride = step.geometry.window.dilation[0] * frame.pitch
    return replace(step, frame=frame, runs=replace(runs, row_stride=row_stride))


def _moved(step: Step, renamed: dict[int, int]) -> Step:
    """A reader of a copy that reads the map instead."""
    if isinstance(step, Elementwise):
        operands = tuple(replace(o, buffer=renamed.get(o.buffer, o.buffer)) for o in step.operands)
        return replace(step, operands=operands)
    (source,) = reads(step)
    return replace(step, source=renamed[source])  # pyright: ignore[reportCallIssue]  # readers of copies have a source
