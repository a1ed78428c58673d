"""A checked model as a `Graph`: constants apart, attributes as plain data, static types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hapir.importers.onnx.model import Array, AttributeValue, Graph, GraphNode, ValueType


def graph_of(model: onnx.ModelProto, dims: Mapping[str, int] | None = None) -> Graph:
    """The graph of a model; `dims` gives symbolic dimensions their sizes."""
    model = onnx.shape_inference.infer_shapes(model)
    proto = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in proto.initializer}
    nodes: list[GraphNode] = []
    for node in proto.node:
        if node.op_type == "Constant" and node.domain == "":
            constants[node.output[0]] = _constant(node)
        else:
            attributes = {a.name: _attribute(helper.get_attribute_value(a)) for a in node.attribute}
            domain = "" if node.domain == "ai.onnx" else node.domain
            nodes.append(GraphNode(node.op_type, domain, node.name, tuple(node.input), tuple(node.output), attributes))
    types = {v.name: _type(v, dims or {}) for v in (*proto.input, *proto.value_info, *proto.output)}
    inputs = tuple(v.name for v in proto.input if v.name not in constants)
    return Graph(
        proto.name,
        {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import},
        inputs,
        tuple(v.name for v in proto.output),
        tuple(nodes),
        constants,
        types,
    )


def _type(value: onnx.ValueInfoProto, dims: Mapping[str, int]) -> ValueType:
    tensor = value.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    if not tensor.HasField("shape"):
        return ValueType(dtype, None)
    sizes = [d.dim_value if d.HasField("dim_value") else dims.get(d.dim_param, 0) for d in tensor.shape.dim]
    return ValueType(dtype, tuple(sizes))


def _constant(node: onnx.NodeProto) -> Array:
    (attribute,) = node.attribute
    value: Any = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return numpy_helper.to_array(value)
    return np.asarray(value, np.float32 if attribute.name.startswith("value_float") else np.int64)


def _attribute(value: Any) -> AttributeValue:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, int | float | str):
        return value
    return [v.decode(errors="replace") if isinstance(v, bytes) else v for v in value]
