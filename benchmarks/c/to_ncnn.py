"""A float graph as ncnn's `param` text and `bin` bytes. ncnn's int8 has no zero points, so it has no integer form here.

ncnn has no batch axis: a map N C H W of one image is C H W there, and the rows of a dense layer are the rows of a
two-dimensional blob. Rectifiers are folded into products, as ncnn's own optimizer does.
"""

from __future__ import annotations

import numpy as np

from benchmarks.c.graph import Array, Graph, Node, fold_relu

MAGIC = 7767517


def to_ncnn(graph: Graph) -> tuple[str, bytes]:
    """The `param` text and the `bin` bytes; the input is blob `in0`, the result `out0`."""
    assert not graph.integers
    graph = fold_relu(graph)
    network = _Layers(_readers(graph))
    network.add("Input", [], "in0", "")
    network.blob(graph.input.name, "in0")
    data = b""
    for node in graph.nodes:
        kind, options, weights = _layer(node)
        data += weights
        name = "out0" if node.result == graph.result else node.result.name
        inputs = [network.read(value.name) for value in node.inputs]
        if node.rectified and kind == "BinaryOp":
            network.add(kind, inputs, f"{name}_sum", options)
            kind, inputs, options = "ReLU", [f"{name}_sum"], ""
        network.add(kind, inputs, name, options)
        network.blob(node.result.name, name)
    return network.text(), data


class _Layers:
    """Lines of a `param` file; a blob with several readers is copied by a layer `Split`."""

    def __init__(self, readers: dict[str, int]):
        self.readers = readers
        self.lines: list[str] = []
        self.blobs: set[str] = set()
        self.copies: dict[str, list[str]] = {}

    def add(self, kind: str, inputs: list[str], result: str, options: str) -> None:
        """One layer with one result."""
        self.blobs.add(result)
        names = " ".join([*inputs, result])
        self.lines.append(f"{kind} n{len(self.lines)} {len(inputs)} 1 {names} {options}".rstrip())

    def blob(self, value: str, name: str) -> None:
        """A value of the graph is a blob from here on."""
        count = self.readers.get(value, 0)
        self.copies[value] = [name]
        if count > 1:
            self.copies[value] = [f"{name}_{i}" for i in range(count)]
            self.blobs.update(self.copies[value])
            self.lines.append(f"Split n{len(self.lines)} 1 {count} {name} {' '.join(self.copies[value])}")

    def read(self, value: str) -> str:
        """The blob that one reader of a value takes."""
        return self.copies[value].pop()

    def text(self) -> str:
        """The `param` file."""
        return "\n".join([str(MAGIC), f"{len(self.lines)} {len(self.blobs)}", *self.lines, ""])


def _readers(graph: Graph) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node in graph.nodes:
        for value in node.inputs:
            counts[value.name] = counts.get(value.name, 0) + 1
    return counts


def _layer(node: Node) -> tuple[str, str, bytes]:
    """Type, options and weights of one layer."""
    activation = " 9=1" if node.rectified else ""
    match node.kind:
        case "conv2d":
            assert node.weight is not None
            assert node.bias is not None
            (kh, kw), (sh, sw), (top, left, bottom, right) = node.kernel, node.stride, node.padding
            options = f"0={len(node.weight)} 1={kw} 11={kh} 3={sw} 13={sh} 4={left} 14={top} 15={right} 16={bottom}"
            options += f" 5=1 6={node.weight.size}{activation}"
            if node.groups > 1:
                return "ConvolutionDepthWise", f"{options} 7={node.groups}", _weights(node.weight, node.bias)
            return "Convolution", options, _weights(node.weight, node.bias)
        case "dense":
            assert node.weight is not None
            assert node.bias is not None
            if node.inputs[0].shape[0] == 1:
                options = f"0={len(node.weight)} 1=1 2={node.weight.size}{activation}"
                return "InnerProduct", options, _weights(node.weight, node.bias)
            n, k = node.weight.shape
            rows = node.inputs[0].shape[0]
            options = f"2=0 3=1 4=0 5=1 6=1 7={rows} 8={n} 9={k} 10=4"
            return "Gemm", options, _weights(node.weight) + _weights(node.bias)
        case "max_pool":
            (kh, kw), (sh, sw) = node.kernel, node.stride
            return "Pooling", f"0=0 1={kw} 11={kh} 2={sw} 12={sh} 5=1", b""
        case "mean":
            return "Pooling", "0=1 4=1", b""
        case "add":
            return "BinaryOp", "0=0", b""
        case "pad":
            before, after = node.pads
            return "Padding", f"7={before[1]} 8={after[1]} 4=0 5=0.0", b""
        case "flatten":
            return "Flatten", "", b""
        case "relu":
            return "ReLU", "", b""
        case _:
            raise NotImplementedError(node.kind)


def _weights(weight: Array, bias: Array | None = None) -> bytes:
    """A flag that says f32, the weights, and the bias without a flag."""
    text = b"\0\0\0\0" + weight.astype(np.float32).tobytes()
    return text if bias is None else text + bias.astype(np.float32).tobytes()
