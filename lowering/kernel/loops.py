"""Loops over the elements of a result: the general kernel, for all that has no faster one.

Each element is an expression of elements of the operands, or joins such expressions over inner loops that are reduced.
An operand may lie in any order: each loop knows how far a turn moves in it, or reads the place from a table. Where an
operand repeats, a turn moves it by nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.steps import Step


@dataclass(frozen=True)
class Element:
    """The element of an operand at the place of the loops."""

    operand: int
    ctype: CType


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float | int
    ctype: CType


@dataclass(frozen=True)
class Reduced:
    """What the inner loops joined."""

    ctype: CType


@dataclass(frozen=True)
class Apply:
    """A function of the C target, by its name, of expressions of one type or as the function says; then constants.

    `width` is that of the integers of the result, where it is not a whole number of bytes.
    """

    function: str
    arguments: tuple[Expression, ...]
    ctype: CType
    constants: tuple[float, ...] = ()
    width: int | None = None


Expression = Element | Number | Reduced | Apply

Joining = Literal["sum", "product", "max", "min", "first_max", "first_min", "last_max", "last_min"]
"""How inner loops join: those of the last four give the number of the turn, counted over all inner loops."""


@dataclass(frozen=True)
class LoopAxis:
    """One loop: its turns, what each adds to the place read per operand (or a table of places), and to that written."""

    size: int
    reads: tuple[int | Table, ...]
    write: int = 0


@dataclass(frozen=True)
class Reduction:
    """How the values of the inner loops are joined, in a variable of `ctype`."""

    joining: Joining
    ctype: CType


@dataclass(frozen=True)
class Loops(Step):
    """Loops over a result, the outermost first, and inside them those that are reduced.

    `body` is the value of a turn, `finish` what is made of the joined values; without reduced loops `body` is written.
    `sources` are the operands' buffers and `starts` the places in them where all loops begin.
    """

    sources: tuple[int, ...]
    starts: tuple[int, ...]
    axes: tuple[LoopAxis, ...]
    body: Expression
    reduced: tuple[LoopAxis, ...] = ()
    reduction: Reduction | None = None
    finish: Expression | None = None

    @property
    def own_reads(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self.sources))

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        return tuple(read for axis in (*self.axes, *self.reduced) for read in axis.reads if isinstance(read, Table))


def joined(axes: Sequence[LoopAxis]) -> tuple[LoopAxis, ...]:
    """The same loops without those of one turn, and as one where the inner continues the outer in every place."""
    found: list[LoopAxis] = []
    for axis in axes:
        if axis.size == 1 and not any(isinstance(read, Table) for read in axis.reads):
            continue
        outer = found[-1] if found else None
        if outer is not None and _continues(outer, axis):
            found[-1] = replace(axis, size=outer.size * axis.size)
        else:
            found.append(axis)
    return tuple(found)


def _continues(outer: LoopAxis, inner: LoopAxis) -> bool:
    if outer.write != inner.write * inner.size:
        return False
    pairs = zip(outer.reads, inner.reads, strict=True)
    return all(isinstance(o, int) and isinstance(i, int) and o == i * inner.size for o, i in pairs)


def in_written_order(axes: Sequence[LoopAxis]) -> tuple[LoopAxis, ...]:
    """Loops in the order of what they write, the farthest steps outside, joined where possible."""
    return joined(sorted(axes, key=lambda axis: axis.write, reverse=True))


def places(indices: Sequence[int], stride: int, role: str) -> tuple[int | Table, int]:
    """What the turns of a loop add to a place, for the index that each reads, and where they start."""
    read = np.asarray(indices, np.int64) * stride
    steps = np.unique(np.diff(read))
    if len(steps) <= 1:
        return (int(steps[0]) if len(steps) else 0), int(read[0])
    return Table(role, "int32_t", read.astype(np.int32)), 0
