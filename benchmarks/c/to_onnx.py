"""A graph as an ONNX model: floats, or u8 with QuantizeLinear and DequantizeLinear around each operator.

The quantized model takes and gives u8, so that no tool pays for conversions that the others do not make.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from benchmarks.c.graph import Array, Graph, Node, Value

OPSET = 17


class _Builder:
    """Nodes and constants of a model under construction."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, inputs: list[str], result: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [result], name=f"{kind}_{result}", **attributes))
        return result

    def constant(self, name: str, array: Array) -> str:
        if name not in {c.name for c in self.constants}:
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def scale(self, value: Value) -> list[str]:
        """The constants that say what the integers of a value mean."""
        return [
            self.constant(f"{value.name}_scale", np.float32(value.scale)),
            self.constant(f"{value.name}_zero", np.uint8(value.zero_point)),
        ]

    def real(self, value: Value) -> str:
        """A value as floats."""
        if value.scale is None:
            return value.name
        name = f"{value.name}_real{len(self.nodes)}"
        return self.add("DequantizeLinear", [value.name, *self.scale(value)], name)

    def parameters(self, node: Node) -> list[str]:
        """Weight and bias as floats."""
        assert node.weight is not None
        assert node.bias is not None
        at = node.result.name
        if node.weight_scales is None:
            return [self.constant(f"{at}_w", node.weight), self.constant(f"{at}_b", node.bias)]
        assert node.inputs[0].scale is not None
        names: list[str] = []
        for key, array, scales in (
            ("w", node.weight.astype(np.int8), node.weight_scales),
            ("b", node.bias.astype(np.int32), node.weight_scales * node.inputs[0].scale),
        ):
            parts = [
                self.constant(f"{at}_{key}", array),
                self.constant(f"{at}_{key}_scale", scales.astype(np.float32)),
                self.constant(f"{at}_{key}_zero", np.zeros(len(scales), array.dtype)),
            ]
            names.append(self.add("DequantizeLinear", parts, f"{at}_{key}_real", axis=0))
        return names

    def node(self, node: Node) -> None:
        """One operator."""
        raw = node.result.name if node.result.scale is None else f"{node.result.name}_raw"
        inputs = [self.real(value) for value in node.inputs]
        match node.kind:
            case "conv2d":
                self.add(
                    "Conv",
                    [*inputs, *self.parameters(node)],
                    raw,
                    kernel_shape=node.kernel,
                    strides=node.stride,
                    pads=node.padding,
                    group=node.groups,
                )
            case "dense":
                self.add("Gemm", [*inputs, *self.parameters(node)], raw, transB=1)
            case "max_pool":
                self.add("MaxPool", inputs, raw, kernel_shape=node.kernel, strides=node.stride)
            case "mean":
                self.add("GlobalAveragePool", inputs, raw)
            case "pad":
                sizes = np.array([*node.pads[0], *node.pads[1]], np.int64)
                self.add("Pad", [*inputs, self.constant(f"{raw}_sizes", sizes)], raw)
            case "flatten":
                self.add("Flatten", inputs, raw)
            case "add" | "relu":
                self.add(node.kind.capitalize(), inputs, raw)
            case _:
                raise NotImplementedError(node.kind)
        if node.result.scale is not None:
            self.add("QuantizeLinear", [raw, *self.scale(node.result)], node.result.name)


def to_onnx(graph: Graph) -> ModelProto:
    """The model of a graph."""
    builder = _Builder()
    for node in graph.nodes:
        builder.node(node)
    element = TensorProto.UINT8 if graph.integers else TensorProto.FLOAT
    ends = [[helper.make_tensor_value_info(v.name, element, v.shape)] for v in (graph.input, graph.result)]
    model = helper.make_graph(builder.nodes, graph.name, *ends, builder.constants)
    return helper.make_model(model, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
