"""Operators that take elements by their indices, or put others in their place.

`Gather` is a layer of its own, or a slice; its indices may be computed. Those of the others are constant: each is
computed once on the places of all elements, and what it gives is the order in which the elements come.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.importers.onnx.model import Array
from hapir.importers.onnx.nodes import Call, Unsupported, axis_in, handles, scalar
from hapir.importers.onnx.ops_layout import EMPTY, cut, reshaped


@handles("Gather")
def gather(call: Call) -> SSAValue:
    """Constant indices at equal distances are a slice."""
    shape = call.shape(0)
    axis = axis_in(call.integer("axis"), len(shape))
    if not call.is_constant(1):
        return call.add(nn.GatherOp(call.tensor(0), call.tensor(1), axis=axis, layer=call.layer))
    indices = call.constant(1).astype(np.int64)
    if indices.size == 0:
        raise Unsupported("there are no indices", EMPTY)
    _check_range(indices, shape[axis])
    places = (indices % shape[axis]).reshape(-1)
    steps = np.unique(np.diff(places))
    x = call.tensor(0)
    if len(steps) <= 1 and (len(steps) == 0 or steps[0] != 0):
        cuts = [(0, size, 1) for size in shape]
        cuts[axis] = int(places[0]), len(places), int(steps[0]) if len(steps) else 1
        whole = (*shape[:axis], *indices.shape, *shape[axis + 1 :])
        if whole == tuple(size for _, size, _ in cuts):
            return cut(call, x, cuts, call.layer)
        return reshaped(call, cut(call, x, cuts, call.sub("slice")), whole, call.layer)
    index = call.parameter("index", places.reshape(indices.shape).astype(np.int32))
    return call.add(nn.GatherOp(x, index, axis=axis, layer=call.layer))


def _check_range(indices: Array, size: int) -> None:
    if indices.min(initial=0) < -size or indices.max(initial=0) >= size:
        raise Unsupported(f"indices from {indices.min()} to {indices.max()} leave an axis of {size} elements")


def ordered(call: Call, x: SSAValue, places: Array) -> SSAValue:
    """The elements of x at these places of its row-major order."""
    if places.size == 0:
        raise Unsupported("the result is empty", EMPTY)
    flat = reshaped(call, x, (prod(shape_of(x)),), call.sub("flat"))
    index = call.parameter("index", np.ascontiguousarray(places, np.int32))
    return call.add(nn.GatherOp(flat, index, axis=0, layer=call.layer))


MAXIMUM_PLACES = 1 << 27
"""Elements of a tensor whose places are counted one by one: half of a gigabyte of indices."""


def _places(shape: Sequence[int], start: int = 0) -> Array:
    """The place of each element in row-major order. Raises Unsupported for too many."""
    if prod(shape) > MAXIMUM_PLACES:
        raise Unsupported(f"{list(shape)} has too many elements to take one by one", f"at most {MAXIMUM_PLACES}")
    return np.arange(start, start + prod(shape)).reshape(tuple(shape))


@contextmanager
def _fitting() -> Generator[None]:
    """Says of indices that do not fit the tensors what numpy says with an IndexError."""
    try:
        yield
    except IndexError as error:
        raise Unsupported(f"the indices do not fit the tensors: {error}") from error


@handles("GatherElements")
def gather_elements(call: Call) -> SSAValue:
    """One index per element of the result."""
    shape, indices = call.shape(0), call.constant(1).astype(np.int64)
    axis = axis_in(call.integer("axis"), len(shape))
    _check_range(indices, shape[axis])
    within = tuple(slice(0, size) for size in indices.shape)
    whole = tuple(slice(None) if a == axis else part for a, part in enumerate(within))
    with _fitting():
        places = np.take_along_axis(_places(shape)[whole], indices % shape[axis], axis)
    return ordered(call, call.tensor(0), places)


@handles("GatherND")
def gather_nd(call: Call) -> SSAValue:
    """The last axis of the indices names an element, or a part, of each item of the first axes."""
    shape, indices, batch = call.shape(0), call.constant(1).astype(np.int64), call.integer("batch_dims")
    with _fitting():
        width = indices.shape[-1]
        places = _places(shape).reshape(-1, *shape[batch:])
        rows = indices.reshape(len(places), -1, width)
        found = np.stack([item[_tuples(row, shape[batch:])] for item, row in zip(places, rows, strict=True)])
    left = shape[batch + width :]
    return ordered(call, call.tensor(0), found.reshape(*shape[:batch], *indices.shape[batch:-1], *left))


def _tuples(indices: Array, shape: Sequence[int]) -> tuple[Array, ...]:
    """Rows of indices, one per axis, as numpy indexes with them."""
    if indices.shape[-1] > len(shape):
        raise Unsupported(f"indices of {indices.shape[-1]} axes, there are {len(shape)}")
    for axis in range(indices.shape[-1]):
        _check_range(indices[..., axis], shape[axis])
    return tuple(np.moveaxis(indices, -1, 0))


@handles("ScatterND")
def scatter_nd(call: Call) -> SSAValue:
    """Parts of a tensor are others: those at the last axis of the indices."""

    def place(old: Array, new: Array, indices: Array) -> None:
        old[_tuples(indices, old.shape)] = new

    return _scattered(call, place)


@handles("ScatterElements", "Scatter")
def scatter_elements(call: Call) -> SSAValue:
    """Elements of a tensor are others, one index each."""
    axis = axis_in(call.integer("axis"), len(call.shape(0)))

    def place(old: Array, new: Array, indices: Array) -> None:
        _check_range(indices, old.shape[axis])
        at = list(np.indices(indices.shape))
        at[axis] = indices % old.shape[axis]
        old[tuple(at)] = new

    return _scattered(call, place)


def _scattered(call: Call, place: Callable[[Array, Array, Array], None]) -> SSAValue:
    """The elements of the first tensor and then of the updates, in the order that scattering their places gives."""
    how = call.word("reduction", "none")
    if how != "none":
        raise Unsupported(f"the reduction is `{how}`", "a scatter that replaces elements")
    indices, old, new = call.constant(1).astype(np.int64), call.shape(0), call.shape(2)
    places = _places(old)
    with _fitting():
        place(places, _places(new, prod(old)), indices)
    parts = [reshaped(call, call.tensor(i), (prod(call.shape(i)),), call.sub(n)) for i, n in ((0, "old"), (2, "new"))]
    return ordered(call, call.add(nn.ConcatOp(parts, axis=0, layer=call.sub("both"))), places)


@handles("ReverseSequence")
def reverse_sequence(call: Call) -> SSAValue:
    """Each item backwards up to its own length."""
    shape, lengths = call.shape(0), call.constant(1).astype(np.int64)
    batch, time = call.integer("batch_axis", 1), call.integer("time_axis", 0)
    batch, time = axis_in(batch, len(shape)), axis_in(time, len(shape))
    _check_range(lengths - 1, shape[time])
    steps = np.arange(shape[time])
    order = np.stack([np.where(steps < n, n - 1 - steps, steps) for n in lengths], axis=1 if time < batch else 0)
    sizes = [size if a in (batch, time) else 1 for a, size in enumerate(shape)]
    with _fitting():
        places = np.take_along_axis(_places(shape), np.broadcast_to(order.reshape(sizes), shape), time)
    return ordered(call, call.tensor(0), places)


@handles("Compress")
def compress(call: Call) -> SSAValue:
    """The elements, or the parts along an axis, whose condition holds."""
    shape, chosen = call.shape(0), np.flatnonzero(call.constant(1))
    if len(chosen) == 0:
        raise Unsupported("no element is chosen", EMPTY)
    axis = call.attribute("axis")
    _check_range(chosen, shape[axis_in(axis, len(shape))] if isinstance(axis, int) else prod(shape))
    if not isinstance(axis, int):
        return ordered(call, call.tensor(0), chosen)
    index = call.parameter("index", chosen.astype(np.int32))
    return call.add(nn.GatherOp(call.tensor(0), index, axis=axis_in(axis, len(shape)), layer=call.layer))


@handles("Trilu")
def trilu(call: Call) -> SSAValue:
    """The upper or the lower triangle; 0 elsewhere."""
    x, shape = call.tensor(0), call.shape(0)
    if len(shape) < 2:
        raise Unsupported(f"{list(shape)} has no triangle")
    k = int(scalar(call.constant(1))) if call.has(1) else 0
    keep = np.broadcast_to(np.triu(np.ones(shape[-2:], bool), k), shape)
    if not call.integer("upper", 1):
        keep = np.broadcast_to(np.tril(np.ones(shape[-2:], bool), k), shape)
    count = prod(shape)
    flat = reshaped(call, x, (count,), call.sub("line"))
    with_zero = call.add(nn.PadOp(flat, [0], [1], layer=call.sub("zero")))
    places = np.where(keep, _places(shape), count).astype(np.int32)
    return call.add(nn.GatherOp(with_zero, call.parameter("index", places), axis=0, layer=call.layer))
