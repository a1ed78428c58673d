"""A program under construction: steps that still grow stages, buffers whose type still changes, values and layouts.

Pure bookkeeping for `plan_program`; `finish` assigns homes and offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hapir.lowering.kernel.buffers import SLACK, Buffer, Table
from hapir.lowering.kernel.c_types import CType, size_of
from hapir.lowering.kernel.plan_arena import Block, Placement, aligned, place
from hapir.lowering.kernel.plan_stages import stage_tables
from hapir.lowering.kernel.program import Port, Program
from hapir.lowering.kernel.stages import Join
from hapir.lowering.kernel.steps import (
    Bilinear,
    Convolution,
    Depthwise,
    Elementwise,
    Move,
    Norm,
    Step,
    TransposedConvolution,
    reads,
    scratch,
)


@dataclass(frozen=True)
class Value:
    """Where a network value lies.

    `order` is None for the network's own order; for a map it is its (C, H, W) where it lies channels-last, for a
    flattened map the (C, H, W) it was flattened from while its elements still lie channels-last. `bounds` is what an
    integer can be. `step` is the index of the step that made it, where that step may still take stages.
    """

    buffer: int
    shape: tuple[int, ...]
    order: tuple[int, int, int] | None = None
    bounds: tuple[int, int] | None = None
    step: int | None = None


@dataclass
class Draft:
    """Growing lists of buffers and steps; a step that was merged into another is None.

    `loaded` are the keys of parameters that a program decodes when it starts: their kernels only move them.
    """

    buffers: list[Buffer] = field(default_factory=list[Buffer])
    steps: list[Step | None] = field(default_factory=list[Step | None])
    loaded: frozenset[str] = frozenset()

    def buffer(self, ctype: CType, length: int) -> int:
        """A new buffer in the arena."""
        self.buffers.append(Buffer(ctype, length, "arena"))
        return len(self.buffers) - 1

    def constant(self, table: Table) -> int:
        """A buffer that is a table."""
        self.buffers.append(Buffer(table.ctype, table.values.size, "constant", table=table))
        return len(self.buffers) - 1

    def place_at(self, buffer: int, home: str) -> None:
        """Move a buffer to the caller's memory."""
        assert home in ("input", "output")
        self.buffers[buffer] = replace(self.buffers[buffer], home=home)

    def add(self, step: Step) -> int:
        """Append a step; returns its index."""
        self.steps.append(step)
        return len(self.steps) - 1

    def retype(self, buffer: int, ctype: CType) -> None:
        """Change what a buffer's elements are."""
        self.buffers[buffer] = replace(self.buffers[buffer], ctype=ctype)


def share_in_place(draft: Draft) -> None:
    """Let an elementwise step write over an operand that dies in it, where both have one type and length."""
    steps = [s for s in draft.steps if s is not None]
    last_use = {b: t for t, step in enumerate(steps) for b in (*reads(step), step.target)}
    alias: dict[int, int] = {}
    for t, step in enumerate(steps):
        if not isinstance(step, Elementwise) or draft.buffers[step.target].home != "arena":
            continue
        for operand, frame in {o.buffer: o.frame for o in step.operands}.items():
            source = alias.get(operand, operand)
            old, new = draft.buffers[source], draft.buffers[step.target]
            if frame != step.to:
                continue
            if old.home == "arena" and last_use[operand] == t and (old.ctype, old.length) == (new.ctype, new.length):
                alias[step.target] = source
                break
    if alias:
        draft.steps = [_renamed(step, alias) for step in steps]


def _renamed(step: Step, alias: dict[int, int]) -> Step:
    target = alias.get(step.target, step.target)
    if isinstance(step, Elementwise):
        operands = tuple(replace(o, buffer=alias.get(o.buffer, o.buffer)) for o in step.operands)
        return replace(step, target=target, operands=operands)
    stages = tuple(replace(s, buffer=alias.get(s.buffer, s.buffer)) if isinstance(s, Join) else s for s in step.stages)
    changes: dict[str, object] = {"target": target, "stages": stages}
    if hasattr(step, "source"):
        source = reads(step)[0]
        changes["source"] = alias.get(source, source)
    sources: tuple[int, ...] = getattr(step, "sources", ())  # of steps with several, whichever file they are of
    if sources:
        changes["sources"] = tuple(alias.get(b, b) for b in sources)
    if isinstance(step, Norm):
        changes |= {n: alias.get(f, f) for n in ("gamma", "beta") if isinstance(f := getattr(step, n), int)}
    return replace(step, **changes)  # pyright: ignore[reportArgumentType]  # the fields differ by class


def finish(draft: Draft, name: str, inputs: tuple[Port, ...], results: tuple[Port, ...]) -> Program:
    """Place the arena and freeze the program; buffers that no step uses are kept with their home only."""
    share_in_place(draft)
    steps = tuple(s for s in draft.steps if s is not None)
    lifetimes = _lifetimes(steps, draft.buffers)
    blocks = [Block(draft.buffers[b].size_bytes + SLACK, *span) for b, span in lifetimes.items()]
    plan: Placement = place(blocks)
    buffers = list(draft.buffers)
    for b, offset in zip(lifetimes, plan.offsets, strict=True):
        buffers[b] = replace(buffers[b], offset=offset)
    return Program(
        name=name,
        inputs=inputs,
        results=results,
        buffers=tuple(buffers),
        steps=steps,
        tables=_tables(steps, buffers),
        arena_bytes=aligned(max(plan.arena_bytes, 1)),
        live_bytes=plan.live_bytes,
    )


def _lifetimes(steps: Sequence[Step], buffers: Sequence[Buffer]) -> dict[int, tuple[int, int]]:
    """The first and last step of each buffer of the arena."""
    lifetimes: dict[int, tuple[int, int]] = {}
    for t, step in enumerate(steps):
        for b in (*reads(step), step.target, *scratch(step)):
            if buffers[b].home == "arena":
                first, _ = lifetimes.get(b, (t, t))
                lifetimes[b] = (first, t)
    return lifetimes


def live_blocks(program: Program) -> list[Block]:
    """The blocks of a program's arena."""
    buffers = program.buffers
    return [Block(buffers[b].size_bytes + SLACK, *span) for b, span in _lifetimes(program.steps, buffers).items()]


def _tables(steps: tuple[Step, ...], buffers: Sequence[Buffer]) -> tuple[Table, ...]:
    """Every table once, in the order of first use."""
    found: dict[int, Table] = {}
    for step in steps:
        for table in tables_of(step, buffers):
            found.setdefault(id(table), table)
    return tuple(found.values())


def tables_of(step: Step, buffers: Sequence[Buffer]) -> list[Table]:
    """The tables a step reads, in order."""
    found = [buffers[b].table for b in reads(step)] + list(step.own_tables)
    if isinstance(step, Convolution | Depthwise):
        found += [step.weights, step.bias]
    if isinstance(step, Convolution) and step.borders is not None:
        found += [step.borders.rows, step.borders.columns, step.borders.values]
    if isinstance(step, Elementwise):
        for operand in step.operands:
            found += stage_tables(operand.stages)
    if isinstance(step, TransposedConvolution):
        found += [step.weights, step.bias]
    if isinstance(step, Norm):
        found += [factors for factors in step.factors if isinstance(factors, Table)]
    if isinstance(step, Bilinear):
        found += [*step.rows, *step.columns]
    if isinstance(step, Move):
        found += [axis.read for axis in step.axes if isinstance(axis.read, Table)]
    found += stage_tables(step.stages)
    return [table for table in found if table is not None]


def arena_of(step: Step, program: Program) -> int:
    """Bytes of the arena that a step touches."""
    used = {*reads(step), step.target, *scratch(step)}
    homes = (program.buffers[b] for b in used)
    return sum(b.length * size_of(b.ctype) for b in homes if b.home == "arena")
