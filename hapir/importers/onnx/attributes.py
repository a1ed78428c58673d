"""Attributes of a node as plain data."""

from __future__ import annotations

import onnx

from hapir.diagnostics import fail
from hapir.importers.onnx.limits import shown
from hapir.importers.onnx.model import AttributeValue
from hapir.importers.onnx.schemas import attribute_kind
from hapir.importers.onnx.tensors import TensorReader


def plain_attributes(node: onnx.NodeProto, reader: TensorReader, what: str) -> dict[str, AttributeValue]:
    """The attributes of a node by name: numbers, strings, arrays, lists of them; of a graph what it is.

    Raises HapirError: HAP0913 for kinds that no operator has, and what the reader says of tensors.
    """
    return {attribute.name: _value(attribute, reader, what) for attribute in node.attribute}


def _value(attribute: onnx.AttributeProto, reader: TensorReader, what: str) -> AttributeValue:
    kind = attribute_kind(attribute)
    if kind == "INT":
        return attribute.i
    if kind == "FLOAT":
        return attribute.f
    if kind == "STRING":
        return _text(attribute.s)
    if kind == "INTS":
        return list(attribute.ints)
    if kind == "FLOATS":
        return list(attribute.floats)
    if kind == "STRINGS":
        return [_text(s) for s in attribute.strings]
    if kind == "TENSOR":
        return reader.array(attribute.t, f"{attribute.name} of {what}")
    if kind == "GRAPH":
        return f"a graph of {len(attribute.g.node)} nodes"
    if kind == "SPARSE_TENSOR":
        return reader.dense(attribute.sparse_tensor, f"{attribute.name} of {what}")
    said = f"{what} has the attribute {shown(attribute.name)} of kind {kind.lower()}"
    fail("HAP0913", said, help="numbers, strings, tensors and lists of them can be imported")


def _text(data: bytes) -> str:
    """Operators have ASCII words; anything else is kept recognizable."""
    return data.decode("utf-8", errors="replace")
