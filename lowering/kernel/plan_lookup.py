"""Elements by computed indices, such as the rows of an embedding.

Law: exact for indices of the axis. Others, which the reference refuses, take the element at the nearer end here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from hapir.dialects import nn
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import shape_of
from hapir.lowering.kernel.plan_layout import Planner, in_network_order
from hapir.lowering.kernel.program_draft import Value
from hapir.lowering.kernel.steps import Step


@dataclass(frozen=True)
class Lookup(Step):
    """Of each of `outer` blocks of size x inner the runs of `inner` elements that so many indices name.

    The sources are the blocks and the indices.
    """

    sources: tuple[int, int]
    outer: int
    size: int
    inner: int
    count: int

    @property
    def own_reads(self) -> tuple[int, ...]:
        return self.sources


def plan_lookup(planner: Planner, op: nn.GatherOp) -> None:
    """Both operands in the network's order."""
    x, indices = (planner.plain(v, op) for v in (op.x, op.indices))
    axis, old, shape = op.axis.value.data, shape_of(op.x), shape_of(op.result)
    origin = planner.origin(op, f"gather from {text(old)} -> {text(shape)}")
    target = planner.draft.buffer(planner.draft.buffers[x.buffer].ctype, prod(shape))
    inner, count = prod(old[axis + 1 :]), prod(shape_of(op.indices))
    sources = (x.buffer, indices.buffer)
    planner.draft.add(Lookup(origin, target, (), sources, prod(old[:axis]), old[axis], inner, count))
    in_network_order(planner, op.result, Value(target, shape, bounds=x.bounds), op)
