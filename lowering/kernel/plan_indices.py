"""Where the maximum of each window lies, as loops: the first largest tap by its number, then its place in the tensor.

Law: exact. A tap in the padding is smaller than any element: integers are compared in a wider type. Of floats it is
minus infinity, so that a window of nothing else is the one case where the padding may be named.
"""

from __future__ import annotations

import math
from math import prod

import numpy as np

from hapir.dialects import nn
from hapir.dialects.nn_shapes import as_map, text
from hapir.dialects.num import shape_of
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.loops import (
    Apply,
    Element,
    Expression,
    LoopAxis,
    Loops,
    Number,
    Reduced,
    Reduction,
    joined,
)
from hapir.lowering.kernel.plan_contractions import map_strides
from hapir.lowering.kernel.plan_layout import Planner, moved
from hapir.lowering.kernel.plan_moves import map_order
from hapir.lowering.kernel.program_draft import Value


def plan_indices(planner: Planner, op: nn.MaxPoolIndicesOp) -> None:
    """Tables say which rows and columns of the padded map are real, and where windows begin."""
    window, columns_first = op.window.window, bool(op.columns_first.value.data)
    (n, c, height, width), (_, _, p, q) = as_map(shape_of(op.x)), as_map(shape_of(op.result))
    top, left, bottom, right = window.padding
    x = _padded(planner, op) if any(window.padding) else planner.value(op.x, op)
    origin = planner.origin(op, f"max_pool_indices {text(shape_of(op.x))} -> {text(shape_of(op.result))}")

    def constant(role: str, values: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> int:
        return planner.draft.constant(Table(f"{origin.layer}.{role}", "int64_t", values.astype(np.int64)))

    xs = map_strides(x)
    down, across = (width, 1) if not columns_first else (1, height)
    buffers = [x.buffer, constant("maps", np.arange(n * c) * (height * width)),
               constant("first_row", (np.arange(p) * window.stride[0] - top) * down),
               constant("first_column", (np.arange(q) * window.stride[1] - left) * across)]  # fmt: skip
    reads = [
        [xs[0], c, 0, 0],
        [xs[1], 1, 0, 0],
        [xs[2] * window.stride[0], 0, 1, 0],
        [xs[3] * window.stride[1], 0, 0, 1],
    ]
    inner = [[xs[2] * window.dilation[0], 0, 0, 0], [xs[3] * window.dilation[1], 0, 0, 0]]
    body: Expression = Element(0, planner.draft.buffers[x.buffer].ctype)
    lowest: float = -math.inf
    if body.ctype != "float":
        body, lowest = Apply("cast", (body,), "int64_t"), -(1 << 62)
    if any(window.padding):
        buffers += [constant("rows", _real(top, height, bottom)), constant("columns", _real(left, width, right))]
        for axis, row, column in ((reads, (2, window.stride[0]), (3, window.stride[1])),
                                  (inner, (0, window.dilation[0]), (1, window.dilation[1]))):  # fmt: skip
            for i, found in enumerate(axis):
                found += [row[1] if i == row[0] else 0, column[1] if i == column[0] else 0]
        real = Apply("bit_and", (Element(4, "int64_t"), Element(5, "int64_t")), "int64_t")
        body = Apply("where", (real, body, Number(lowest, body.ctype)), body.ctype)
    order = map_order(shape_of(op.result))
    writes = map_strides(Value(0, shape_of(op.result), order))
    axes = [LoopAxis(size, tuple(r), w) for size, r, w in zip((n, c, p, q), reads, writes, strict=True)]
    taps = [LoopAxis(size, tuple(r)) for size, r in zip(window.kernel, inner, strict=True)]
    target = planner.draft.buffer("int64_t", prod(shape_of(op.result)))
    planner.draft.add(
        Loops(
            origin,
            target,
            (),
            tuple(buffers),
            (0,) * len(buffers),
            joined(axes),
            body,
            joined(taps),
            Reduction("first_max", "int64_t"),
            _place(window.kernel[1], window.dilation[0] * down, window.dilation[1] * across),
        )
    )
    planner.values[op.result] = Value(target, shape_of(op.result), order, (0, prod(shape_of(op.x)) - 1))


def _padded(planner: Planner, op: nn.MaxPoolIndicesOp) -> Value:
    top, left, bottom, right = op.window.window.padding
    old = shape_of(op.x)
    before, after = ([0, 0, left], [0, 0, right]) if len(old) == 3 else ([0, 0, top, left], [0, 0, bottom, right])
    shape = tuple(b + size + a for b, size, a in zip(before, old, after, strict=True))
    reads = [(axis, np.arange(size)) for axis, size in enumerate(old)]
    return moved(planner, op, op.x, shape, reads, f"pad {text(old)} -> {text(shape)}", write_at=before, fill=0)


def _real(before: int, size: int, after: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """1 for the places of a padded axis that are not padding."""
    return np.concatenate([np.zeros(before), np.ones(size), np.zeros(after)]).astype(np.int64)


def _place(columns: int, down: int, across: int) -> Expression:
    """Where tap number `Reduced` of a window with so many columns lies in the tensor."""
    tap, count = Reduced("int64_t"), Number(columns, "int64_t")

    def sum_of(*terms: Expression) -> Expression:
        first, *rest = terms
        for term in rest:
            first = Apply("wrapping_add", (first, term), "int64_t")
        return first

    def times(term: Expression, factor: int) -> Expression:
        return Apply("wrapping_mul", (term, Number(factor, "int64_t")), "int64_t")

    row, column = Apply("div", (tap, count), "int64_t"), Apply("fmod", (tap, count), "int64_t")
    begins = (Element(i, "int64_t") for i in (1, 2, 3))
    return sum_of(*begins, times(row, down), times(column, across))
