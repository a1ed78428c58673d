"""The element types of ONNX: how a file stores them, and what hapir computes with instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hapir.importers.onnx.model import ValueType

FLOAT = 1
WIDENED = {10: "float16", 11: "float64", 16: "bfloat16"}
"""Floats that become float32, which only float64 notices: their codes and names."""
_REFUSED = np.dtype("V1")
"""Stands for the elements of values that no handler takes."""


@dataclass(frozen=True)
class Element:
    """An element type: its name, its bits in a file, the field that holds it where it is not raw, the type it gets."""

    name: str
    bits: int
    field: str
    dtype: np.dtype[Any]

    @property
    def narrow(self) -> int | None:
        """The width of integers that lie in a wider numpy type."""
        return self.bits if self.bits < 8 else None


def _element(name: str, bits: int, field: str, dtype: str | None = None) -> Element:
    return Element(name, bits, field, np.dtype(dtype or name))


ELEMENTS = {
    1: _element("float32", 32, "float_data"),
    2: _element("uint8", 8, "int32_data"),
    3: _element("int8", 8, "int32_data"),
    4: _element("uint16", 16, "int32_data"),
    5: _element("int16", 16, "int32_data"),
    6: _element("int32", 32, "int32_data"),
    7: _element("int64", 64, "int64_data"),
    9: _element("bool", 8, "int32_data"),
    10: _element("float16", 16, "int32_data", "float32"),
    11: _element("float64", 64, "double_data", "float32"),
    12: _element("uint32", 32, "uint64_data"),
    13: _element("uint64", 64, "uint64_data"),
    16: _element("bfloat16", 16, "int32_data", "float32"),
    21: _element("uint4", 4, "int32_data", "uint8"),
    22: _element("int4", 4, "int32_data", "int8"),
    25: _element("uint2", 2, "int32_data", "uint8"),
    26: _element("int2", 2, "int32_data", "int8"),
}
"""What can be imported, by the code of `TensorProto.DataType`."""

_OTHERS = {
    8: "string",
    14: "complex64",
    15: "complex128",
    17: "float8e4m3fn",
    18: "float8e4m3fnuz",
    19: "float8e5m2",
    20: "float8e5m2fnuz",
    23: "float4e2m1",
    24: "float8e8m0",
}
_CODES = {(e.dtype, e.narrow): code for code, e in ELEMENTS.items() if code not in WIDENED}


def element_name(code: int) -> str:
    """The name of an element type, known to hapir or not."""
    return ELEMENTS[code].name if code in ELEMENTS else _OTHERS.get(code, f"number {code}")


def value_type(code: int, shape: tuple[int, ...] | None) -> ValueType:
    """The type of a value whose elements have this code; those that hapir does not know are void."""
    element = ELEMENTS.get(code)
    return ValueType(_REFUSED, shape) if element is None else ValueType(element.dtype, shape, element.narrow)


def code_of(type_: ValueType) -> int:
    """The code of a value's elements; 0 where they are none that hapir knows."""
    return _CODES.get((type_.dtype, type_.bits), 0)
