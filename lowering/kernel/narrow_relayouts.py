"""Relayouts of the narrower of two types, and none that nothing reads.

Law: exact; a stage without tables gives the same for an element wherever it lies.

Before: `Relayout(f32 x) -> a; Elementwise(a, quantize) -> y`. After: `Elementwise(x, quantize) -> b; Relayout(b) -> y`,
and the other way round where a relayout follows a step that makes wider elements.
"""

from __future__ import annotations

from dataclasses import replace

from hapir.lowering.kernel.c_types import size_of
from hapir.lowering.kernel.plan_stages import stage_tables
from hapir.lowering.kernel.program_draft import Draft
from hapir.lowering.kernel.steps import Elementwise, Operand, Relayout, reads


def drop_unread_relayouts(draft: Draft) -> None:
    """Drop the relayouts whose result nothing reads: what follows took the map as it lay before."""
    read = {b for step in draft.steps if step is not None for b in reads(step)}
    for at, step in enumerate(draft.steps):
        if isinstance(step, Relayout) and step.target not in read and draft.buffers[step.target].home == "arena":
            draft.steps[at] = None


def narrow_relayouts(draft: Draft) -> None:
    """Exchange relayouts with the elementwise steps next to them where that moves fewer bytes."""
    for at, step in enumerate(draft.steps):
        if isinstance(step, Elementwise | Relayout):
            _exchange(draft, at, step)


def _exchange(draft: Draft, at: int, second: Elementwise | Relayout) -> None:
    first_at = _maker(draft, at, second)
    first = draft.steps[first_at] if first_at is not None else None
    if isinstance(first, Relayout) and isinstance(second, Elementwise):
        relayout, pointwise, narrowing = first, second, True
    elif isinstance(first, Elementwise) and isinstance(second, Relayout):
        relayout, pointwise, narrowing = second, first, False
    else:
        return
    if len(pointwise.operands) != 1 or _stages_have_tables(pointwise):
        return
    operand = pointwise.operands[0]
    before, after = draft.buffers[operand.buffer], draft.buffers[pointwise.target]
    if (size_of(after.ctype) < size_of(before.ctype)) != narrowing or size_of(after.ctype) == size_of(before.ctype):
        return
    between = draft.buffer((after if narrowing else before).ctype, before.length)
    flat = replace(pointwise, outer=before.length, channels=1, inner=1)
    assert first_at is not None
    if narrowing:
        draft.steps[first_at] = replace(flat, target=between, operands=(Operand(relayout.source, operand.stages),))
        draft.steps[at] = replace(relayout, source=between, target=pointwise.target)
    else:
        draft.steps[first_at] = replace(relayout, source=operand.buffer, target=between)
        draft.steps[at] = replace(flat, target=relayout.target, operands=(Operand(between, operand.stages),))


def _maker(draft: Draft, at: int, step: Elementwise | Relayout) -> int | None:
    """The step that makes what another alone reads."""
    source = reads(step)[0]
    makers = [i for i, s in enumerate(draft.steps) if s is not None and s.target == source]
    users = [i for i, s in enumerate(draft.steps) if s is not None and source in reads(s)]
    arena = draft.buffers[source].home == "arena"
    return makers[0] if arena and users == [at] and len(makers) == 1 else None


def _stages_have_tables(step: Elementwise) -> bool:
    return bool(stage_tables(step.stages) or any(stage_tables(o.stages) for o in step.operands))
