"""Operators of onnxruntime on codes that compute on the reals behind them, as float operators between conversions.

Each operand is followed by its scale and zero point, and so is the last one by those of the result (onnxruntime,
ContribOperators.md). Where onnxruntime joins scales into one factor first, a code may lie one step beside.
"""

from __future__ import annotations

from collections.abc import Callable

from hapir.importers.onnx.model import GraphNode
from hapir.importers.onnx.nodes import MICROSOFT, ONNX

ON_REALS = {
    "QLinearAdd": ("Add", 2),
    "QLinearMul": ("Mul", 2),
    "QLinearAveragePool": ("AveragePool", 1),
    "QLinearSoftmax": ("Softmax", 1),
    "QLinearSigmoid": ("Sigmoid", 1),
    "QLinearLeakyRelu": ("LeakyRelu", 1),
}
"""The float operator behind each, and how many operands it has."""


def unfolded(node: GraphNode, unused: Callable[[str], str]) -> list[GraphNode]:
    """The conversions and the float operator that a node stands for; the node alone where it is another.

    `unused` gives a name like another one that no value has yet.
    """
    op, count = ON_REALS.get(node.op, ("", 0))
    if node.domain != MICROSOFT or not op or node.attributes.get("channels_last", 0):
        return [node]
    names = [*node.inputs, ""]
    stem = node.name or node.outputs[0]
    codes = [names[3 * i : 3 * i + 3] for i in range(count)]
    scale, zero_point = names[3 * count : 3 * count + 2]
    reals = [unused(f"{stem}_real{i or ''}") for i in range(count)]
    made = unused(f"{stem}_y")
    # Softmax names the version that it follows, which the graph says too
    kept = {name: value for name, value in node.attributes.items() if name not in ("channels_last", "opset")}
    before = [
        GraphNode("DequantizeLinear", ONNX, real, tuple(n for n in code if n), (real,), {})
        for real, code in zip(reals, codes, strict=True)
    ]
    after = tuple(n for n in (made, scale, zero_point) if n)
    return [
        *before,
        GraphNode(op, ONNX, stem, tuple(reals), (made,), kept),
        GraphNode("QuantizeLinear", ONNX, f"{stem}_q", after, node.outputs, {}),
    ]
