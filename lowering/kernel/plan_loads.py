"""Tables that are decoded when the program starts: which ones, where each weight goes, and their place in memory.

A table can be loaded where it is an encoded parameter whose elements were only moved: `places` says where, axis by axis
of the parameter. What a kernel needs in another form, say one value at two places, stays a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from hapir.dialects.num import table_key
from hapir.lowering.encoded_weights import EncodedWeight
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.plan_arena import aligned
from hapir.lowering.kernel.program import Program
from hapir.weights import Array, WeightStore

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """The bytes of a weights file, where each array's bytes begin in them, and what is decoded from them by key."""

    data: bytes
    starts: Mapping[str, int]
    weights: WeightStore
    encoded: Mapping[str, EncodedWeight]

    @staticmethod
    def of(weights: WeightStore, encoded: Mapping[str, EncodedWeight]) -> WeightsFile:
        """The file that a store is saved as."""
        data = weights.to_bytes()
        return WeightsFile(data, weights.starts(data), weights, encoded)


@dataclass(frozen=True)
class Axis:
    """Where indices of an axis lead: `i / block * outer + i % block * inner`, or `places[i]` without a formula."""

    size: int
    block: int
    outer: int
    inner: int
    places: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Load:
    """A table, how it is stored, and where its elements go; `offset` is in bytes in the memory of loaded tables."""

    table: Table
    weight: EncodedWeight
    axes: tuple[Axis, ...]
    offset: int


def plan_loads(program: Program, file: WeightsFile) -> tuple[Load, ...]:
    """The tables of a program that are decoded from a file; the others stay constants."""
    loads: list[Load] = []
    offset = 0
    for table in program.tables:
        source = table.source
        weight = None if source is None else file.encoded.get(source.key)
        if source is None or weight is None:
            continue
        axes = _axes(source.arrange(np.arange(1, weight.tensor.count + 1).reshape(weight.tensor.shape)), weight)
        if axes is not None:
            loads.append(Load(table, weight, axes, offset))
            offset = aligned(offset + table.size_bytes)
    return tuple(loads)


def loaded_bytes(loads: tuple[Load, ...]) -> int:
    """The memory that loaded tables take, each aligned."""
    return aligned(loads[-1].offset + loads[-1].table.size_bytes) if loads else 0


def _axes(arranged: Array, weight: EncodedWeight) -> tuple[Axis, ...] | None:
    """The places of all elements as a sum over axes; None where they are no such sum. `arranged` counts from 1.

    Where neighbouring elements of a window share a word, all axes but the first are taken as one.
    """
    shape = weight.tensor.shape
    return _sum_over(arranged, shape) or (_sum_over(arranged, (shape[0], prod(shape[1:]))) if shape else None)


def _sum_over(arranged: Array, shape: tuple[int, ...]) -> tuple[Axis, ...] | None:
    count = prod(shape)
    flat = arranged.reshape(-1).astype(np.int64)
    filled = np.flatnonzero(flat)
    if count == 0 or len(filled) != count or len(np.unique(flat[filled])) != count:
        return None
    places = np.empty(count, np.int64)
    places[flat[filled] - 1] = filled
    by_axis = places.reshape(shape)
    origin = int(by_axis.flat[0])
    lines = [by_axis[tuple(slice(None) if i == axis else 0 for i in range(len(shape)))] for axis in range(len(shape))]
    summed = np.full(shape, origin, np.int64)
    for axis, line in enumerate(lines):
        summed += (line - origin).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    if origin != 0 or not np.array_equal(summed, by_axis):
        return None
    return tuple(map(_axis, lines))


def _axis(line: Int64) -> Axis:
    """The formula of one axis, or its table."""
    indices = np.arange(len(line))
    inner = int(line[1]) if len(line) > 1 else 0
    off = np.flatnonzero(line != indices * inner)
    block = int(off[0]) if len(off) else len(line)
    outer = int(line[block]) if len(off) else 0
    if np.array_equal(indices // block * outer + indices % block * inner, line):
        return Axis(len(line), block, outer, inner)
    return Axis(len(line), 1, 0, 0, tuple(int(place) for place in line))


def table_of(weight: EncodedWeight, file: WeightsFile) -> tuple[int, tuple[int, ...]] | None:
    """Where the scales, levels or bases of an encoded parameter begin in the file, and their shape."""
    key = table_key(weight.element)
    return None if key is None else (file.starts[key], file.weights[key].shape)
