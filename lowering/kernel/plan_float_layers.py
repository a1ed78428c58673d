"""Layers of floats with kernels of their own: norms, transposed convolutions, bilinear sampling.

Law: close in f32. Transposed convolutions add up per pixel in the order (row, column, r, s, input), norms from the
first element on; the reference sums in numpy's and BLAS's order.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import as_map, text
from hapir.dialects.num import shape_of
from hapir.lowering.kernel.buffers import Source, Table
from hapir.lowering.kernel.geometry import Geometry
from hapir.lowering.kernel.plan_contractions import is_computed, plan_rows, plan_transposed_convolution
from hapir.lowering.kernel.plan_layout import Planner, in_network_order, no_kernel
from hapir.lowering.kernel.plan_moves import map_order
from hapir.lowering.kernel.plan_products import plan_linear
from hapir.lowering.kernel.plan_stages import constant
from hapir.lowering.kernel.program_draft import Value
from hapir.lowering.kernel.steps import Bilinear, Norm, ResponseNorm, TransposedConvolution
from hapir.reference.nn_resize import places_between
from hapir.weights import Array


def float_buffer(planner: Planner, v: SSAValue) -> int:
    """A buffer for a value of floats."""
    return planner.draft.buffer("float", prod(shape_of(v)))


def _table(role: str, array: Array) -> Table:
    return Table(role, "float", np.ascontiguousarray(array, np.float32).reshape(-1))


def moved_table(role: str, planner: Planner, v: SSAValue, at: Operation, move: Callable[[Array], Array]) -> Table:
    """The table of a layer's weights in another order."""

    def arrange(array: Array) -> Array:
        return np.ascontiguousarray(move(array)).reshape(-1)

    values = arrange(constant(planner.weights, v, at)).astype(np.float32, copy=False)
    assert isinstance(v.owner, nn.WeightOp)
    return Table(role, "float", values, Source(v.owner.key.data, arrange))


def _map_result(planner: Planner, v: SSAValue, target: int) -> None:
    """Record a result that lies channels-last where it is a map."""
    planner.values[v] = Value(target, shape_of(v), map_order(shape_of(v)))


def _factors(planner: Planner, v: SSAValue, role: str, at: Operation) -> Table | int:
    """The factors of a norm: a table where they are stored, else the buffer of the value in the network's order."""
    if isinstance(v.owner, nn.WeightOp):
        return _table(role, constant(planner.weights, v, at))
    return planner.plain(v, at).buffer


def _norm(
    planner: Planner,
    op: nn.LayerNormOp | nn.RmsNormOp | nn.GroupNormOp,
    rows: int,
    words: str,
    *,
    shared: int = 1,
    cycle: int = 1,
) -> None:
    """Rows of the network's order."""
    x, shape = planner.plain(op.x, op), shape_of(op.x)
    origin = planner.origin(op, f"{op.name.split('.')[-1]} {words}")
    gamma = _factors(planner, op.gamma, f"{origin.layer}.gamma", op)
    beta = None if isinstance(op, nn.RmsNormOp) else _factors(planner, op.beta, f"{origin.layer}.beta", op)
    target, epsilon, centred = float_buffer(planner, op.result), op.epsilon.value.data, not isinstance(op, nn.RmsNormOp)
    columns = prod(shape) // rows
    planner.draft.add(
        Norm(origin, target, (), x.buffer, rows, columns, gamma, beta, epsilon, centred, shared=shared, cycle=cycle)
    )
    in_network_order(planner, op.result, Value(target, shape), op)


def _norm_from_axis(planner: Planner, op: nn.LayerNormOp | nn.RmsNormOp) -> None:
    shape, axis = shape_of(op.x), op.axis.value.data
    _norm(planner, op, prod(shape[:axis]), f"{text(shape[:axis])} rows of {text(shape[axis:])}")


def _group_norm(planner: Planner, op: nn.GroupNormOp) -> None:
    """A group of an item is a row; a channel's places share their factors."""
    (n, _, *places), groups = shape_of(op.x), op.groups.value.data
    _norm(planner, op, n * groups, f"{text(shape_of(op.x))} in {groups} groups", shared=prod(places), cycle=groups)


def _response_norm(planner: Planner, op: nn.LocalResponseNormOp) -> None:
    """Pixels of a map, channels-last."""
    shape = shape_of(op.x)
    channels = shape[1]
    if len(shape) > 4:
        no_kernel(op, f" of {text(shape)}")
    x, size = planner.value(op.x, op), op.size.value.data
    alpha, beta, bias = (a.value.data for a in (op.alpha, op.beta, op.bias))
    before, after = (min(reach, channels - 1) for reach in ((size - 1) // 2, size // 2))
    origin = planner.origin(op, f"local_response_norm {text(shape)}")
    target = float_buffer(planner, op.result)
    pixels = prod(shape) // channels
    planner.draft.add(
        ResponseNorm(origin, target, (), x.buffer, pixels, channels, before, after, alpha / size, beta, bias)
    )
    _map_result(planner, op.result, target)


def _transposed_convolution(planner: Planner, op: nn.TransposedConvolutionOp) -> None:
    """Channels-last maps, or sequences as maps of one row; weights C K/G R S become G R S C/G K/G."""
    if is_computed(op):
        plan_transposed_convolution(planner, op)
        return
    x, groups = planner.value(op.x, op), op.groups.value.data
    (n, c, h, w), (_, k, p, q) = as_map(shape_of(op.x)), as_map(shape_of(op.result))
    name = op.name.split(".")[-1]
    origin = planner.origin(op, f"{name} {text(shape_of(op.x))} -> {text(shape_of(op.result))}")

    def by_group(array: Array) -> Array:
        _, filters, *taps = as_map(array.shape)
        return array.reshape(groups, c // groups, filters, *taps).transpose(0, 3, 4, 1, 2)

    bias = None if op.bias is None else _table(f"{origin.layer}.bias", constant(planner.weights, op.bias, op))
    target = float_buffer(planner, op.result)
    geometry = Geometry(n, c, h, w, k, p, q, op.window.window, groups)
    table = moved_table(f"{origin.layer}.weight", planner, op.w, op, by_group)
    planner.draft.add(TransposedConvolution(origin, target, (), x.buffer, geometry, table, bias))
    _map_result(planner, op.result, target)


def _linear(planner: Planner, op: nn.LinearOp) -> None:
    """All rows of the last axis, in the network's order."""
    if is_computed(op):
        plan_rows(planner, op)
        return
    origin = planner.origin(op, f"linear {text(shape_of(op.x))} -> {text(shape_of(op.result))}")
    step = plan_linear(op, planner.plain(op.x, op), planner.draft, planner.weights, origin)
    planner.draft.add(step)
    in_network_order(planner, op.result, Value(step.target, shape_of(op.result)), op)


def plan_bilinear(planner: Planner, op: nn.ResizeOp) -> None:
    """Channels-last maps."""
    x, corners = planner.value(op.x, op), op.mode.data == nn.ResizeMode.bilinear_corners
    (n, c, h, w), (_, _, p, q) = shape_of(op.x), shape_of(op.result)
    origin = planner.origin(op, f"resize {text(shape_of(op.x))} -> {text(shape_of(op.result))}, {op.mode.data}")

    def tables(axis: str, size: int, count: int) -> tuple[Table, Table, Table]:
        first, second, weight = places_between(size, count, corners=corners)
        role = f"{origin.layer}.{axis}"
        places = (Table(role, "int32_t", place.astype(np.int32)) for place in (first, second))
        return (*places, Table(f"{role}.weight", "float", weight))  # pyright: ignore[reportReturnType]  # it is three

    target = float_buffer(planner, op.result)
    rows, columns = tables("row", h, p), tables("column", w, q)
    planner.draft.add(Bilinear(origin, target, (), x.buffer, n, c, h, w, rows, columns))
    _map_result(planner, op.result, target)


FLOAT_PLANS: dict[type[Operation], Callable[[Planner, Any], None]] = {
    nn.LayerNormOp: _norm_from_axis,
    nn.RmsNormOp: _norm_from_axis,
    nn.GroupNormOp: _group_norm,
    nn.LocalResponseNormOp: _response_norm,
    nn.TransposedConv2dOp: _transposed_convolution,
    nn.TransposedConv1dOp: _transposed_convolution,
    nn.LinearOp: _linear,
}
"""How each op of this file is planned."""
