"""An ONNX graph as plain data: what the converter reads, without protobuf.

Invariants: nodes are in topological order; a name is made once; no constant is an output of a node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Attribute

from hapir.diagnostics import Diagnostic
from hapir.dialects.num import signed, unsigned

Array = npt.NDArray[Any]
AttributeValue = int | float | str | Array | list[int] | list[float] | list[str]


@dataclass(frozen=True)
class ValueType:
    """The type of a value: a numpy type, and its shape where it is known.

    `bits` is the width of integers that numpy has no type for: int4 and int2 lie in int8, uint4 and uint2 in uint8.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...] | None
    bits: int | None = None


@dataclass(frozen=True)
class GraphNode:
    """An operator; an empty name among the inputs or outputs is one that is left out. `domain` is "" for ONNX's own."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True)
class Coded:
    """The codes behind a constant of reals: `codes * scale`, the set that they are from, and their scales.

    There is one scale, or one for each index of `axis`.
    """

    codes: Array
    element: Attribute
    scales: Array
    axis: int


@dataclass(frozen=True)
class Graph:
    """A graph: inputs and outputs in order, constants by name, the types of inputs and constants.

    `coded` are constants of reals that were dequantized from codes.

    `warnings` say what the network will do otherwise than the model, and what was chosen.
    """

    name: str
    opsets: Mapping[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[GraphNode, ...]
    constants: Mapping[str, Array]
    types: Mapping[str, ValueType]
    warnings: tuple[Diagnostic, ...] = field(default=())
    coded: Mapping[str, Coded] = field(default_factory=dict[str, Coded])


def element_of(dtype: np.dtype[Any], bits: int | None = None) -> Attribute | None:
    """The element type of the IR for a numpy type, `bits` wide where it is narrower; None where there is none."""
    if dtype == np.float32:
        return f32
    if dtype == np.bool_:
        return unsigned(1)
    if dtype.kind in "iu":
        return (signed if dtype.kind == "i" else unsigned)(bits or 8 * dtype.itemsize)
    return None


def tensor_of(type_: ValueType) -> TensorType[Attribute] | None:
    """The tensor type of the IR; None where the shape is unknown or there is no element type."""
    element = element_of(type_.dtype, type_.bits)
    return None if element is None or type_.shape is None else TensorType(element, type_.shape)
