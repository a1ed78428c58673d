"""The protobuf side of the exporter: the one file that touches `onnx`, which brings types for parts of itself only.

Everything here is deterministic: the same calls give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Proto = Any
"""A message of ONNX."""

onnx: Any = import_module("onnx")
helper: Any = import_module("onnx.helper")

NEWEST_OPSET: int = onnx.defs.onnx_opset_version()
"""The newest version of ONNX's operators that the installed onnx knows."""

LARGEST_FILE = 2_000_000_000
"""Bytes of arrays in one file: protobuf holds less than 2 GiB."""

INLINE_BYTES = 1024
"""Arrays below this stay in the model when the others lie beside it: shapes, axes, scalars."""


def node(
    kind: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    name: str,
    doc: str,
    domain: str,
    attributes: Mapping[str, Any],
) -> Proto:
    """A node; attributes in the order of their names."""
    ordered = {key: attributes[key] for key in sorted(attributes)}
    return helper.make_node(kind, inputs, outputs, name=name, doc_string=doc or None, domain=domain or None, **ordered)


def tensor(name: str, array: Array, four_bits: bool = False) -> Proto:
    """An initializer; `four_bits` packs int8 or uint8 as int4 or uint4, the first of two numbers in the low half."""
    contiguous = np.ascontiguousarray(array)
    kind = helper.np_dtype_to_tensor_dtype(contiguous.dtype)
    made = onnx.TensorProto(name=name, dims=array.shape)
    if four_bits:
        kind = onnx.TensorProto.INT4 if array.dtype == np.int8 else onnx.TensorProto.UINT4
        codes = contiguous.astype(np.uint8).ravel() & 15
        codes = np.append(codes, np.zeros(len(codes) % 2, np.uint8))
        contiguous = codes[0::2] | codes[1::2] << 4
    made.data_type = kind
    made.raw_data = contiguous.astype(contiguous.dtype.newbyteorder("<"), copy=False).tobytes()
    return made


def value_info(name: str, dtype: np.dtype[Any], shape: Sequence[int | str]) -> Proto:
    """A value's type; a size may be a word."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), list(shape))


def element_code(dtype: np.dtype[Any]) -> int:
    """ONNX's number of an element type, as the attribute `to` of `Cast` takes it."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def model(
    name: str,
    nodes: Sequence[Proto],
    inputs: Sequence[Proto],
    outputs: Sequence[Proto],
    initializers: Sequence[Proto],
    values: Sequence[Proto],
    opsets: Mapping[str, int],
    version: str,
) -> Proto:
    """A model of the oldest file version that its operators allow, so that old readers take it."""
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers, value_info=values)
    imports = [helper.make_opsetid(domain, number) for domain, number in opsets.items()]
    own = [entry for entry in imports if entry.domain == ""]
    made = helper.make_model(graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(own))
    made.producer_name, made.producer_version = "hapir", version
    return made


def array_bytes(model: Proto) -> int:
    """The bytes of all arrays of a model."""
    return sum(len(t.raw_data) for t in model.graph.initializer)


def move_arrays_out(model: Proto, file: str) -> bytes:
    """Take the arrays of a model into a file beside it, named `file`, and return what that file holds."""
    parts: list[bytes] = []
    offset = 0
    for array in model.graph.initializer:
        data = bytes(array.raw_data)
        if len(data) < INLINE_BYTES:
            continue
        array.ClearField("raw_data")
        array.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", file), ("offset", str(offset)), ("length", str(len(data)))):
            entry = array.external_data.add()
            entry.key, entry.value = key, value
        gap = -len(data) % 4096  # each array starts on a page, so that a reader may map it
        parts += [data, bytes(gap)]
        offset += len(data) + gap
    return b"".join(parts)


def first_opset(kind: str) -> int:
    """The first version of ONNX's operators that has this one; past the newest where the installed onnx has none."""
    versions = (schema.since_version for schema in _schemas() if schema.name == kind)
    return int(min(versions, default=NEWEST_OPSET + 1))


def takes(kind: str, opset: int, position: int, dtype: np.dtype[Any]) -> bool:
    """Whether an operator takes an element type as the input at a position."""
    inputs = onnx.defs.get_schema(kind, opset, "").inputs
    word = helper.tensor_dtype_to_string(element_code(dtype)).removeprefix("TensorProto.").lower()
    return f"tensor({word})" in inputs[min(position, len(inputs) - 1)].types


@cache
def _schemas() -> list[Any]:
    return [schema for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""]
