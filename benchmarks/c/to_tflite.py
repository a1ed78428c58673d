"""A graph as a LiteRT flatbuffer, written through the schema classes of `ai_edge_litert`; no TensorFlow is needed.

Maps are N H W C there. Integers are i8, so u8 values and their zero points move by 128, which changes no product:
weights have zero point 0. Dense layers after a flatten get their columns in the order of N H W C.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from benchmarks.c.graph import Array, Graph, Node, Value, fold_relu

SHIFT = 128
TYPES = {"float32": schema.TensorType.FLOAT32, "int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}
CODES = {
    "conv2d": schema.BuiltinOperator.CONV_2D,
    "depthwise": schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    "dense": schema.BuiltinOperator.FULLY_CONNECTED,
    "max_pool": schema.BuiltinOperator.MAX_POOL_2D,
    "mean": schema.BuiltinOperator.MEAN,
    "add": schema.BuiltinOperator.ADD,
    "pad": schema.BuiltinOperator.PAD,
    "flatten": schema.BuiltinOperator.RESHAPE,
    "relu": schema.BuiltinOperator.RELU,
    "densify": schema.BuiltinOperator.DENSIFY,
}


class Writer:
    """A model under construction: tensors, their bytes, operators."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.tensors: dict[str, int] = {}
        self.codes: dict[int, int] = {}

    def tensor(self, name: str, shape: Sequence[int], kind: str, scales: Any = None, zero: int = 0) -> Any:
        """A new tensor; `scales` is one per channel of axis 0 or one for all."""
        t = schema.TensorT()
        t.name, t.shape, t.type, t.buffer = name, [int(d) for d in shape], TYPES[kind], 0
        if scales is not None:
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale = [float(s) for s in np.atleast_1d(scales)]
            t.quantization.zeroPoint = [int(zero)] * len(t.quantization.scale)
            t.quantization.quantizedDimension = 0
        self.tensors[name] = len(self.graph.tensors)
        self.graph.tensors.append(t)
        return t

    def value(self, value: Value) -> int:
        """The tensor of a value of the graph."""
        if value.name not in self.tensors:
            if value.scale is None:
                self.tensor(value.name, channels_last(value.shape), "float32")
            else:
                self.tensor(value.name, channels_last(value.shape), "int8", value.scale, value.zero_point - SHIFT)
        return self.tensors[value.name]

    def constant(self, name: str, array: Array, scales: Any = None, axis: int = 0) -> int:
        """A tensor with its bytes."""
        t = self.tensor(name, array.shape, str(array.dtype), scales)
        if t.quantization is not None:
            t.quantization.quantizedDimension = axis
        self.fill(t, array)
        return self.tensors[name]

    def fill(self, tensor: Any, array: Array) -> None:
        """Give a tensor its bytes."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        tensor.buffer = len(self.model.buffers)
        self.model.buffers.append(buffer)

    def operator(self, kind: str, inputs: list[int], outputs: list[int], options: Any, name: str) -> None:
        """Append an operator; `options` is of the schema's class `<name>T`."""
        code = CODES[kind]
        if code not in self.codes:
            made = schema.OperatorCodeT()
            made.builtinCode, made.deprecatedBuiltinCode, made.version = code, min(code, 127), _version(kind)
            self.codes[code] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(made)
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = self.codes[code], inputs, outputs
        op.builtinOptions = options
        op.builtinOptionsType = getattr(schema.BuiltinOptions, name) if name else 0
        self.graph.operators.append(op)

    def bytes(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The flatbuffer."""
        self.graph.inputs, self.graph.outputs = inputs, outputs
        self.model.subgraphs = [self.graph]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _version(kind: str) -> int:
    """The versions that know int8 with a scale per channel."""
    return {"conv2d": 3, "depthwise": 3, "dense": 5, "max_pool": 2, "mean": 2, "add": 2, "pad": 2, "relu": 2}.get(
        kind, 1
    )


def channels_last(shape: Sequence[int]) -> tuple[int, ...]:
    """A map's shape as N H W C; others as they are."""
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else tuple(shape)


def to_tflite(graph: Graph) -> bytes:
    """The flatbuffer of a graph."""
    graph = fold_relu(graph)
    writer = Writer()
    before_flatten = {node.result.name: node.inputs[0].shape for node in graph.nodes if node.kind == "flatten"}
    for node in graph.nodes:
        _node(writer, node, before_flatten.get(node.inputs[0].name))
    return writer.bytes([writer.value(graph.input)], [writer.value(graph.result)])


def _node(writer: Writer, node: Node, flattened: tuple[int, ...] | None) -> None:
    inputs = [writer.value(value) for value in node.inputs]
    at = node.result.name
    match node.kind:
        case "conv2d":
            x = _padded(writer, node, inputs[0])
            _convolution(writer, node, x)
        case "dense":
            assert node.weight is not None
            weight = node.weight
            if flattened is not None and len(flattened) == 4:
                weight = weight.reshape(len(weight), *flattened[1:]).transpose(0, 2, 3, 1).reshape(len(weight), -1)
            options = _activated(schema.FullyConnectedOptionsT(), node)
            inputs += _parameters(writer, node, weight)
            writer.operator("dense", inputs, [writer.value(node.result)], options, "FullyConnectedOptions")
        case "max_pool":
            options = schema.Pool2DOptionsT()
            options.padding = schema.Padding.VALID
            (options.filterHeight, options.filterWidth), (options.strideH, options.strideW) = node.kernel, node.stride
            writer.operator("max_pool", inputs, [writer.value(node.result)], options, "Pool2DOptions")
        case "mean":
            options = schema.ReducerOptionsT()
            options.keepDims = True
            inputs.append(writer.constant(f"{at}_axes", np.array([1, 2], np.int32)))
            writer.operator("mean", inputs, [writer.value(node.result)], options, "ReducerOptions")
        case "add":
            writer.operator(
                "add", inputs, [writer.value(node.result)], _activated(schema.AddOptionsT(), node), "AddOptions"
            )
        case "pad":
            inputs.append(_pads(writer, at, *node.pads))
            writer.operator("pad", inputs, [writer.value(node.result)], schema.PadOptionsT(), "PadOptions")
        case "flatten":
            options = schema.ReshapeOptionsT()
            options.newShape = list(node.result.shape)
            inputs.append(writer.constant(f"{at}_shape", np.array(node.result.shape, np.int32)))
            writer.operator("flatten", inputs, [writer.value(node.result)], options, "ReshapeOptions")
        case "relu":
            writer.operator("relu", inputs, [writer.value(node.result)], None, "")
        case _:
            raise NotImplementedError(node.kind)


def _activated(options: Any, node: Node) -> Any:
    """Options with the rectifier behind a node."""
    if node.rectified:
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    return options


def _pads(writer: Writer, name: str, before: Sequence[int], after: Sequence[int]) -> int:
    pairs = np.array([channels_last(before), channels_last(after)], np.int32).T
    return writer.constant(f"{name}_pads", np.ascontiguousarray(pairs))


def _same(node: Node) -> bool:
    """Whether LiteRT's padding SAME is this convolution's padding: there the odd pixel goes to the end."""
    for axis in (0, 1):
        size, out = node.inputs[0].shape[2 + axis], node.result.shape[2 + axis]
        total = max(0, (out - 1) * node.stride[axis] + node.kernel[axis] - size)
        if out != -(-size // node.stride[axis]):
            return False
        if (node.padding[axis], node.padding[axis + 2]) != (total // 2, total - total // 2):
            return False
    return True


def _padded(writer: Writer, node: Node, x: int) -> int:
    """The input, behind an explicit PAD where no padding mode says the same (XNNPACK fuses it)."""
    if _same(node) or not any(node.padding):
        return x
    top, left, bottom, right = node.padding
    n, c, h, w = node.inputs[0].shape
    shape = (n, c, h + top + bottom, w + left + right)
    name = f"{node.result.name}_padded"
    padded = writer.value(Value(name, shape, node.inputs[0].scale, node.inputs[0].zero_point))
    pads = _pads(writer, name, (0, 0, top, left), (0, 0, bottom, right))
    writer.operator("pad", [x, pads], [padded], schema.PadOptionsT(), "PadOptions")
    return padded


def _convolution(writer: Writer, node: Node, x: int) -> None:
    assert node.weight is not None
    depthwise = node.groups > 1 and node.groups == node.inputs[0].shape[1]
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    _activated(options, node)
    options.padding = schema.Padding.SAME if _same(node) else schema.Padding.VALID
    options.strideH, options.strideW = node.stride
    if depthwise:
        options.depthMultiplier = len(node.weight) // node.groups
        weight, axis = node.weight.transpose(1, 2, 3, 0), 3
    else:
        weight, axis = node.weight.transpose(0, 2, 3, 1), 0
    kind = "depthwise" if depthwise else "conv2d"
    name = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    inputs = [x, *_parameters(writer, node, weight, axis)]
    writer.operator(kind, inputs, [writer.value(node.result)], options, name)


def _parameters(writer: Writer, node: Node, weight: Array, axis: int = 0) -> list[int]:
    assert node.bias is not None
    at = node.result.name
    weight = np.ascontiguousarray(weight)
    if node.weight_scales is None:
        pair = (weight.astype(np.float32), node.bias.astype(np.float32))
        return [writer.constant(f"{at}_{key}", array) for key, array in zip("wb", pair, strict=True)]
    assert node.inputs[0].scale is not None
    return [
        writer.constant(f"{at}_w", weight.astype(np.int8), node.weight_scales, axis),
        writer.constant(f"{at}_b", node.bias.astype(np.int32), node.weight_scales * node.inputs[0].scale),
    ]
