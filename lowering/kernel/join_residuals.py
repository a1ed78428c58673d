"""Additions of two maps done where one of them is made: the residual adds of a network.

Law: exact. An elementwise sum disappears into the step that makes one operand, as the stages of that operand, a `Join`
that reads the other, and the stages of the sum; the map that was only there to be added is never written.

Before: `Convolution(stages s) -> a; Elementwise(a after t, b after u; stages r) -> y`. After:
`Convolution(stages s, t, Join(b after u), r) -> y`, where b is there before the convolution runs.
"""

from __future__ import annotations

from dataclasses import replace

from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.program_draft import Draft
from hapir.lowering.kernel.program_winograd import Winograd, WinogradLists
from hapir.lowering.kernel.stages import Join, Stage
from hapir.lowering.kernel.steps import Convolution, Elementwise, Operand, reads


def join_residuals(draft: Draft) -> None:
    """Move the sums of two maps into the convolutions that make one of them."""
    for at, step in enumerate(draft.steps):
        if isinstance(step, Elementwise) and len(step.operands) == 2 and step.operator == "+" and step.inner == 1:
            _join(draft, at, step)


def _join(draft: Draft, at: int, step: Elementwise) -> None:
    left, right = step.operands
    if left.buffer == right.buffer:
        return
    found = [
        (maker, *pair) for pair in ((left, right), (right, left)) if (maker := _maker(draft, at, step, *pair)) >= 0
    ]
    if not found:
        return
    maker, own, other = max(found, key=lambda choice: choice[0])
    convolution = draft.steps[maker]
    assert isinstance(convolution, Convolution | Winograd | WinogradLists)
    source = draft.buffers[other.buffer].ctype
    before: CType = own.stages[-1].ctype if own.stages else draft.buffers[own.buffer].ctype
    join = Join(other.buffer, source, other.stages, before)
    stages: tuple[Stage, ...] = (*convolution.stages, *own.stages, join, *step.stages)
    words = convolution.origin.with_layer(step.origin, "add")
    draft.steps[maker] = replace(convolution, stages=stages, target=step.target, origin=words)
    draft.steps[at] = None


def _maker(draft: Draft, at: int, step: Elementwise, own: Operand, other: Operand) -> int:
    """The convolution that may take the sum in: it makes one operand for the sum alone, after the other; else -1."""
    makers = [i for i, s in enumerate(draft.steps) if s is not None and s.target == own.buffer]
    users = [i for i, s in enumerate(draft.steps) if s is not None and own.buffer in reads(s)]
    if len(makers) != 1 or users != [at] or draft.buffers[own.buffer].home != "arena":
        return -1
    maker = draft.steps[makers[0]]
    if not isinstance(maker, Convolution | Winograd | WinogradLists) or getattr(maker, "pool", None) is not None:
        return -1
    if getattr(maker, "to", None) is not None:
        return -1
    g = maker.geometry
    if (step.outer, step.channels) != (g.batch * g.rows * g.columns, g.filters):
        return -1
    if any(s is not None and s.target == other.buffer for s in draft.steps[makers[0] :]):
        return -1
    types = [s.ctype for s in (*maker.stages, *own.stages, *other.stages, *step.stages)]
    types.append(draft.buffers[other.buffer].ctype)
    return -1 if "uint32_t" in types else makers[0]
