"""Sums of products whose weights the network computes, matrices that repeat, and norms with such factors: as loops.

Law: exact on integers; of floats the sums run over (input, r, s) in f32, the bias comes last. What is padded is copied
into a larger map first, so that the places of a window follow multiples: element `p * stride + r * dilation` of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from xdsl.dialects.builtin import Float32Type
from xdsl.ir import SSAValue

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.nn_op import is_parameter
from hapir.dialects.nn_shapes import as_map, text
from hapir.dialects.num import element_type, shape_of, storage_of, zero_point_of
from hapir.lowering.kernel.c_types import CType
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
from hapir.lowering.kernel.pack_weights import INT32_MAX
from hapir.lowering.kernel.plan_layout import Planner, in_network_order, moved, no_kernel
from hapir.lowering.kernel.plan_moves import loops, map_order, strides
from hapir.lowering.kernel.plan_stages import constant, ctype_of, range_of
from hapir.lowering.kernel.program_draft import Value
from hapir.lowering.kernel.steps import Axis, Matmul, Move


def is_computed(op: nn.ProductOp | nn.TransposedConvolutionOp | nn.LinearOp) -> bool:
    """Whether the network computes a layer's weights or bias from its inputs: the kernels need stored ones."""
    return not all(is_parameter(v) for v in (op.w, op.bias) if v is not None)


def map_strides(value: Value) -> tuple[int, int, int, int]:
    """Elements between neighbours of a map, or of a sequence as a map of one row, as it lies."""
    found = strides(value.shape, channels_last=value.order is not None)
    n, c, *places = found
    return (n, c, 0, places[0]) if len(places) == 1 else (n, c, places[0], places[1])


def plan_convolution(planner: Planner, op: nn.ConvolutionOp) -> None:
    """A convolution by any weights: per result the sum over (input, r, s)."""
    window, groups = op.window.window, op.filter_groups
    x, w = planner.value(op.x, op), planner.value(op.w, op)
    (n, k, p, q), (_, c, r, s) = as_map(shape_of(op.result)), as_map(shape_of(op.w))
    if any(window.padding):
        x = _padded(planner, op, window.padding)
    xs, ws = map_strides(x), map_strides(w)
    (down, right), (step_down, step_right) = window.stride, window.dilation
    axes = ((n, xs[0], 0), (groups, xs[1] * c, ws[0] * (k // groups)), (k // groups, 0, ws[0]),
            (p, xs[2] * down, 0), (q, xs[3] * right, 0))  # fmt: skip
    reduced = ((c, xs[1], ws[1]), (r, xs[2] * step_down, ws[2]), (s, xs[3] * step_right, ws[3]))
    _contract(planner, op, (x, w), (0, 0), axes, reduced, op.bias, groups)


def _padded(planner: Planner, op: nn.ConvolutionOp, padding: tuple[int, int, int, int]) -> Value:
    """The operand with its zero around it."""
    top, left, bottom, right = padding
    old, element = shape_of(op.x), element_type(op.x)
    before, after = ([0, 0, left], [0, 0, right]) if len(old) == 3 else ([0, 0, top, left], [0, 0, bottom, right])
    shape = tuple(b + size + a for b, size, a in zip(before, old, after, strict=True))
    reads = [(axis, np.arange(size)) for axis, size in enumerate(old)]
    fill = 0.0 if isinstance(element, Float32Type) else zero_point_of(element)
    words = f"pad {text(old)} -> {text(shape)}"
    return moved(planner, op, op.x, shape, reads, words, write_at=before, fill=fill)


def plan_transposed_convolution(planner: Planner, op: nn.TransposedConvolutionOp) -> None:
    """The pixels are spread apart by the stride, among zeros; each result then sums what the turned filter covers."""
    window, groups = op.window.window, op.groups.value.data
    x, w = planner.value(op.x, op), planner.value(op.w, op)
    (n, _, p, q), (c, per_group, r, s) = as_map(shape_of(op.result)), as_map(shape_of(op.w))
    height, width = as_map(shape_of(op.x))[2:]
    spread = [
        _spread(size, count, step, extent, before)
        for size, count, step, extent, before in zip(
            (height, width), (p, q), window.stride, window.extent, window.padding[:2], strict=True
        )
    ]
    if any(pixels < 1 for _, pixels, _ in spread):
        no_kernel(op, " whose padding cuts off all of its input")
    rows, columns = (count + extent - 1 for count, extent in zip((p, q), window.extent, strict=True))
    zs = (c * rows * columns, rows * columns, columns, 1)
    xs, ws = map_strides(x), map_strides(w)
    (first_row, tall, at_row), (first_column, wide, at_column) = spread
    walk = (Axis(n, xs[0], zs[0]), Axis(c, xs[1], zs[1]), Axis(tall, xs[2], zs[2] * window.stride[0]),
            Axis(wide, xs[3], window.stride[1]))  # fmt: skip
    buffer = planner.draft.buffer("float", n * zs[0])
    read_from, write_to = first_row * xs[2] + first_column * xs[3], at_row * columns + at_column
    origin = planner.origin(op, f"spread {text(shape_of(op.x))} -> {text((n, c, rows, columns))}")
    planner.draft.add(Move(origin, buffer, (), x.buffer, loops(walk), read_from, write_to, 0.0))
    z = Value(buffer, (n, c, rows, columns))
    axes = ((n, zs[0], 0), (groups, zs[1] * (c // groups), ws[0] * (c // groups)), (per_group, 0, ws[1]),
            (p, zs[2], 0), (q, 1, 0))  # fmt: skip
    down, right = window.dilation
    reduced = ((c // groups, zs[1], ws[0]), (r, -down * zs[2], ws[2]), (s, -right, ws[3]))
    start = (window.extent[0] - 1) * zs[2] + window.extent[1] - 1
    _contract(planner, op, (z, w), (start, 0), axes, reduced, op.bias, groups)


def _spread(size: int, count: int, stride: int, extent: int, before: int) -> tuple[int, int, int]:
    """Along an axis: the first pixel that reaches a result, how many do, and where it lies among the zeros."""
    offset = extent - 1 - before
    first = max(0, -(offset // stride))
    last = min(size - 1, (count + extent - 2 - offset) // stride)
    return first, last - first + 1, first * stride + offset


def plan_rows(planner: Planner, op: nn.DenseOp | nn.LinearOp) -> None:
    """Rows of features by any weights."""
    x, w = planner.plain(op.x, op), planner.plain(op.w, op)
    *lines, c = shape_of(op.x)
    k, n = shape_of(op.w)[0], prod(lines)
    _contract(planner, op, (x, w), (0, 0), ((n, c, 0), (k, 0, c)), ((c, 1, 1),), op.bias, 1)


Ranges = Sequence[tuple[int, int, int]]
"""Loops: their turns, and what each adds to the place in the two factors."""


def _contract(
    planner: Planner,
    op: nn.ProductOp | nn.TransposedConvolutionOp | nn.LinearOp,
    factors: tuple[Value, Value],
    starts: tuple[int, int],
    axes: Ranges,
    reduced: Ranges,
    bias: SSAValue | None,
    groups: int,
) -> None:
    """One result per turn of `axes`, which run over batch, groups, filters and places, or over rows and filters."""
    shape = shape_of(op.result)
    maps = len(axes) == 5
    order = map_order(shape) if maps else None
    buffers, places = [f.buffer for f in factors], list(starts)
    per_filter: list[int] = [0] * len(axes)
    ctype: CType = ctype_of(element_type(op.result), op)
    product, bounds = _product(planner, op, factors, prod(size for size, *_ in reduced))
    finish: Expression | None = None
    if bias is not None:
        buffers.append(planner.plain(bias, op).buffer)
        places.append(0)
        filters = 2 if maps else 1
        per_filter[filters] = 1
        if maps:
            per_filter[1] = axes[filters][0]
        finish = Apply("add" if ctype == "float" else "wrapping_add", (Reduced(ctype), Element(2, ctype)), ctype)
    writes = _writes(shape, order is not None, groups) if maps else (shape[-1], 1)
    extra: list[tuple[int, ...]] = [(add,) if bias is not None else () for add in per_filter]
    outer = [LoopAxis(size, (a, b, *extra[i]), writes[i]) for i, (size, a, b) in enumerate(axes)]
    inner = [LoopAxis(size, (a, b, *(0 for _ in buffers[2:]))) for size, a, b in reduced]
    words = f"{op.name.split('.')[-1]} {text(shape_of(op.x))} by {text(shape_of(op.w))}"
    target = planner.draft.buffer(ctype, prod(shape))
    planner.draft.add(
        Loops(
            planner.origin(op, words),
            target,
            (),
            tuple(buffers),
            tuple(places),
            joined(outer),
            product,
            joined(inner),
            Reduction("sum", ctype),
            finish,
        )
    )
    if maps:
        planner.values[op.result] = Value(target, shape, order, bounds)
    else:
        in_network_order(planner, op.result, Value(target, shape, None, bounds), op)


def _writes(shape: Sequence[int], channels_last: bool, groups: int) -> tuple[int, ...]:
    """What turns over batch, groups, filters, rows and columns add to the place in a map or sequence."""
    n, k, *places = strides(shape, channels_last=channels_last)
    row, column = (0, places[0]) if len(places) == 1 else places
    return n, k * (shape[1] // groups), k, row, column


def _product(
    planner: Planner,
    op: nn.ProductOp | nn.TransposedConvolutionOp | nn.LinearOp,
    factors: tuple[Value, Value],
    terms: int,
) -> tuple[Expression, tuple[int, int] | None]:
    """An element times a weight, and the range of the sums of so many where they are integers.

    Raises HapirError (HAP0710) where a sum is not proven to fit 32 bits.
    """
    types: list[CType] = [planner.draft.buffers[f.buffer].ctype for f in factors]
    if types[0] == "float":
        return Apply("mul", (Element(0, "float"), Element(1, "float")), "float"), None
    element, weight = element_type(op.x), element_type(op.w)
    zero_point, storage = zero_point_of(element), storage_of(weight)
    low, high = factors[0].bounds or range_of(element) or (0, 0)
    assert storage is not None
    bounds = range_of(weight)
    assert bounds is not None
    partial = terms * max(abs(low - zero_point), abs(high - zero_point)) * max(map(abs, bounds))
    if op.bias is not None:
        if not isinstance(op.bias.owner, nn.WeightOp):
            fail("HAP0703", f"the bias of {op.name} on integers must be constant", at=op, help="use an `nn.weight`")
        partial += int(np.abs(constant(planner.weights, op.bias, op).astype(np.int64)).max(initial=0))
    if partial > INT32_MAX:
        fail("HAP0710", f"a sum of {terms} products can reach {partial}, more than si32 holds", at=op,
             help="use fewer bits, or split the layer")  # fmt: skip
    x: Expression = Apply("cast", (Element(0, types[0]),), "int32_t")
    if zero_point:
        x = Apply("wrapping_sub", (x, Number(zero_point, "int32_t")), "int32_t")
    w = Apply("cast", (Element(1, types[1]),), "int32_t")
    return Apply("wrapping_mul", (x, w), "int32_t"), (-partial, partial)


def plan_matmul(planner: Planner, op: nn.MatmulOp) -> None:
    """Matrices in the network's order; the kernel takes those of f32 that lie one after the other."""
    a, b = (planner.plain(v, op) for v in (op.lhs, op.rhs))
    left, right = ((1, *a.shape) if len(a.shape) == 1 else a.shape), ((*b.shape, 1) if len(b.shape) == 1 else b.shape)
    shape, (m, k), p = shape_of(op.result), left[-2:], right[-1]
    ctype: CType = ctype_of(element_type(op.result), op)
    target = planner.draft.buffer(ctype, prod(shape))
    origin = planner.origin(op, f"matmul {text(shape_of(op.lhs))} by {text(shape_of(op.rhs))}")
    one_right = prod(right[:-2]) == 1
    if ctype == "float" and (one_right or left[:-2] == right[:-2]):
        batch, rows = (1, prod(left[:-1])) if one_right else (prod(left[:-2]), m)
        planner.draft.add(Matmul(origin, target, (), (a.buffer, b.buffer), batch, rows, k, p))
    else:
        axes = _repeated_axes(left[:-2], right[:-2], m * k, k * p)
        loop = [LoopAxis(size, (i, j), 0) for size, i, j in axes]
        loop += [LoopAxis(m, (k, 0), 0), LoopAxis(p, (0, 1), 0)]
        sizes = [axis.size for axis in loop]
        outer = [LoopAxis(axis.size, axis.reads, prod(sizes[i + 1 :])) for i, axis in enumerate(loop)]
        product = Apply("mul" if ctype == "float" else "wrapping_mul", (Element(0, ctype), Element(1, ctype)), ctype)
        wide = _wrapping(ctype)
        body: Expression = product if wide == ctype else Apply("cast", (product,), wide)
        storage = storage_of(element_type(op.result))
        width = None if storage is None else storage.width.data
        finish = None if storage is None else Apply("cast", (Reduced(wide),), ctype, (), width)
        buffers = (a.buffer, b.buffer)
        planner.draft.add(
            Loops(origin, target, (), buffers, (0, 0), joined(outer), body, joined([LoopAxis(k, (1, p))]),
                  Reduction("sum", wide), finish)
        )  # fmt: skip
    in_network_order(planner, op.result, Value(target, shape, None, range_of(element_type(op.result))), op)


def _wrapping(ctype: CType) -> CType:
    """The type in which sums of a type wrap around: unsigned integers do, in C."""
    return ctype if ctype == "float" else "uint64_t"


def _repeated_axes(a: Sequence[int], b: Sequence[int], of_a: int, of_b: int) -> list[tuple[int, int, int]]:
    """The axes before matrices: sizes, and what each adds to the place in both operands; matrices are so large."""
    found: list[tuple[int, int, int]] = []
    for i in range(1, max(len(a), len(b)) + 1):
        i_a, i_b = (shape[-i] if len(shape) >= i else 1 for shape in (a, b))
        found.append((max(i_a, i_b), of_a if i_a > 1 else 0, of_b if i_b > 1 else 0))
        of_a, of_b = of_a * i_a, of_b * i_b
    return found[::-1]


def plan_batch_norm(planner: Planner, op: nn.BatchNormOp) -> None:
    """With factors that the network computes: `(x - mean) / sqrt(variance + epsilon) * gamma + beta`."""
    x, shape = planner.value(op.x, op), shape_of(op.x)
    factors = [planner.plain(v, op).buffer for v in (op.mean, op.variance, op.gamma, op.beta)]
    own = strides(shape, channels_last=x.order is not None)
    axes = [LoopAxis(size, (own[a], *(int(a == 1) for _ in factors)), own[a]) for a, size in enumerate(shape)]

    def apply(function: str, *arguments: Expression) -> Apply:
        return Apply(function, arguments, "float")

    value, mean, variance, gamma, beta = (Element(i, "float") for i in range(5))
    deviation = apply("sqrt", apply("add", variance, Number(op.epsilon.value.data, "float")))
    body = apply("add", apply("mul", apply("div", apply("sub", value, mean), deviation), gamma), beta)
    target = planner.draft.buffer("float", prod(shape))
    origin = planner.origin(op, f"batch_norm {text(shape)}")
    buffers = (x.buffer, *factors)
    ordered = sorted(axes, key=lambda axis: axis.write, reverse=True)
    planner.draft.add(Loops(origin, target, (), buffers, (0,) * len(buffers), joined(ordered), body))
    planner.values[op.result] = Value(target, shape, x.order)
