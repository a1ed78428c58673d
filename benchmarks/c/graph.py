"""A network of hapir as the plain graph that the exporters to other tools read.

Float networks come after `fold_batch_norm`, quantized ones after `quantize`: there a product, sum or mean gives i32,
and the `num.requantize` behind it the value that other tools know. So each node here gives a value of f32 or u8; what
scales to apply follows from the values' scales, as in the other tools. Layouts are N C H W.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn, num
from hapir.dialects.nn_elementwise import AddOp, ReluOp
from hapir.dialects.nn_layout import FlattenOp, PadOp
from hapir.dialects.nn_pools import AvgPoolOp, GlobalAvgPoolOp, MaxPoolOp, SumPoolOp
from hapir.dialects.nn_products import Conv2dOp, DenseOp
from hapir.dialects.num import AffineType, PerChannelType

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Value:
    """A tensor between nodes: f32, or u8 of a scale and a zero point."""

    name: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int = 0


@dataclass(frozen=True)
class Node:
    """One operator: conv2d, dense, max_pool, mean (over the whole map), add, pad, flatten or relu.

    `weight` is f32 or i8 with one of `weight_scales` per output channel, `bias` f32 or i32; `padding` is top, left,
    bottom, right; `pads` are those before and after each axis; `rectified` says that a rectifier follows (`fold_relu`).
    """

    kind: str
    inputs: tuple[Value, ...]
    result: Value
    weight: Array | None = None
    bias: Array | None = None
    weight_scales: Array | None = None
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    rectified: bool = False
    pads: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    macs: int = 0


@dataclass
class Graph:
    """Nodes in order, with one input and one result."""

    name: str
    input: Value
    nodes: list[Node] = field(default_factory=list[Node])

    @property
    def result(self) -> Value:
        """What the last node gives."""
        return self.nodes[-1].result

    @property
    def integers(self) -> bool:
        """Whether the values are u8."""
        return self.input.scale is not None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one call."""
        return sum(node.macs for node in self.nodes)


def read_graph(network: nn.NetworkOp, weights: Mapping[str, Array]) -> Graph:
    """The graph of a network that is not fused yet. Raises NotImplementedError for an op without a node."""
    return _Reader(weights).read(network)


def fold_relu(graph: Graph) -> Graph:
    """Rectifiers become a flag of the product or sum before them where nothing else reads it, as converters do."""
    readers: dict[str, int] = {}
    for node in graph.nodes:
        for value in node.inputs:
            readers[value.name] = readers.get(value.name, 0) + 1
    folded = Graph(graph.name, graph.input)
    for node in graph.nodes:
        before = folded.nodes[-1] if folded.nodes else None
        if (
            node.kind == "relu"
            and before is not None
            and before.kind in ("conv2d", "dense", "add")
            and before.result == node.inputs[0]
            and readers[before.result.name] == 1
        ):
            folded.nodes[-1] = replace(before, result=node.result, rectified=True)
        else:
            folded.nodes.append(node)
    return folded


class _Reader:
    """One walk over a network."""

    def __init__(self, weights: Mapping[str, Array]):
        self.weights = weights
        self.values: dict[SSAValue, Value] = {}
        self.parameters: dict[SSAValue, nn.WeightOp] = {}
        self.pending: dict[SSAValue, Node] = {}
        """Sums of i32 that wait for their `num.requantize`."""
        self.count = 0

    def read(self, network: nn.NetworkOp) -> Graph:
        (argument,) = network.body.block.args
        self.values[argument] = self.value(argument)
        graph = Graph(network.sym_name.data, self.values[argument])
        for op in network.body.block.ops:
            match op:
                case nn.WeightOp():
                    self.parameters[op.result] = op
                case num.QuantizeOp():
                    self.values[op.results[0]] = graph.input = self.value(op.results[0])
                case num.DequantizeOp() | nn.ReturnOp():
                    pass
                case num.WidenOp():
                    self.values[op.results[0]] = self.values[op.operands[0]]
                case _:
                    node = self.requantized(op) if isinstance(op, num.RequantizeOp) else self.node(op)
                    if node is not None:
                        graph.nodes.append(node)
        return graph

    def value(self, ssa: SSAValue) -> Value:
        """A fresh name for what an op gives."""
        assert isinstance(ssa.type, TensorType)
        self.count += 1
        element = ssa.type.element_type
        name, shape = f"v{self.count}", ssa.type.get_shape()
        if isinstance(element, AffineType):
            return Value(name, shape, element.scale.data, element.zero_point.data)
        return Value(name, shape)

    def requantized(self, op: num.RequantizeOp) -> Node:
        """The node whose sum an op brings back to u8."""
        result = self.value(op.results[0])
        self.values[op.results[0]] = result
        return replace(self.pending.pop(op.operands[0]), result=result)

    def node(self, op: Operation) -> Node | None:
        """The node of an op, or None where it waits for its `num.requantize`."""
        result = self.value(op.results[0])
        node = self.made(op, result)
        self.values[op.results[0]] = result
        if node.inputs[0].scale is not None and result.scale is None:
            self.pending[op.results[0]] = node
            return None
        return node

    def made(self, op: Operation, result: Value) -> Node:
        inputs = tuple(self.values[o] for o in op.operands if o in self.values)
        match op:
            case Conv2dOp():
                window = op.window.window
                node = Node("conv2d", inputs, result, kernel=window.kernel, stride=window.stride)
                node = replace(node, padding=window.padding, groups=op.groups.value.data)
                return self.with_weights(node, op.w, op.bias)
            case DenseOp():
                return self.with_weights(Node("dense", inputs, result), op.w, op.bias)
            case MaxPoolOp():
                window = op.window.window
                return Node("max_pool", inputs, result, kernel=window.kernel, stride=window.stride)
            case GlobalAvgPoolOp():
                return Node("mean", inputs, result)
            case AvgPoolOp() | SumPoolOp() if op.window.window.kernel == inputs[0].shape[2:]:
                return Node("mean", inputs, result)
            case AddOp():
                return Node("add", inputs, result)
            case PadOp():
                before, after = (tuple(i.data for i in sizes) for sizes in (op.before, op.after))
                return Node("pad", inputs, result, pads=(before, after))
            case FlattenOp():
                return Node("flatten", inputs, result)
            case ReluOp():
                return Node("relu", inputs, result)
            case _:
                raise NotImplementedError(op.name)

    def with_weights(self, node: Node, w: SSAValue, bias: SSAValue | None) -> Node:
        """A product with its parameters."""
        weight = self.array(w)
        element = self.parameters[w].result.type.element_type
        scales = None
        if isinstance(element, PerChannelType):
            scales = np.broadcast_to(np.asarray(self.weights[element.scales.data], np.float64), (len(weight),))
        outputs = int(np.prod(node.result.shape)) // len(weight)
        parameters = self.array(bias) if bias is not None else np.zeros(len(weight), np.float32)
        return replace(node, weight=weight, bias=parameters, weight_scales=scales, macs=outputs * int(weight.size))

    def array(self, ssa: SSAValue) -> Array:
        """A parameter."""
        return np.ascontiguousarray(self.weights[self.parameters[ssa].key.data])
