"""What can be computed while a model is imported: nodes whose inputs are all constant.

onnx's own evaluator computes them, operator by operator from a list, and only where inference has said the shape of
the result and it is small enough. Quantization is not folded: integer weights stay integer weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from hapir.importers.onnx.model import Array, ValueType

_FOLDED = """
    Abs Add And Ceil Clip Concat ConstantOfShape Cos Div Equal Exp Expand Flatten Floor Gather GatherElements GatherND
    Greater GreaterOrEqual Less LessOrEqual Log Max Min Mod Mul Neg Not Or Pow Range Reciprocal ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum Reshape Round ScatterElements ScatterND Sign Sin Slice Split Sqrt Squeeze Sub Sum
    Tile Transpose Trilu Unsqueeze Where Xor Cast CastLike EyeLike
"""
FOLDED = frozenset(re.findall(r"\w+", _FOLDED))
"""Operators that are computed where all their inputs are constant."""
GROWN = 1 << 20
"""Elements that a result may have where its inputs have fewer."""
TOTAL = 1 << 28
"""Elements of all results together; what comes after stays a node."""


class Folder:
    """Folds nodes, and keeps count of what it made."""

    def __init__(self, opsets: Mapping[str, int]):
        self._opsets = {domain: version for domain, version in opsets.items() if domain == ""}
        self._made = 0

    def results(
        self, node: onnx.NodeProto, inputs: Mapping[str, Array], types: Mapping[str, ValueType]
    ) -> list[Array] | None:
        """The outputs of a node, or None where it stays. `types` are the types of inputs and outputs by name."""
        if node.op_type not in FOLDED or any(types[name].bits for name in inputs):
            return None
        outputs = [types.get(name) for name in node.output]
        most = max([GROWN, *(array.size for array in inputs.values())])
        count = 0
        for type_ in outputs:
            if type_ is None or type_.shape is None or type_.bits or type_.dtype.kind not in "fiub":
                return None
            count += prod(type_.shape)
        if count > most or self._made + count > TOTAL or _divides_by_zero(node, inputs):
            return None
        self._made += count
        found = self._evaluated(node, inputs)
        if found is None:
            return None
        known = cast("Sequence[ValueType]", outputs)
        arrays = [np.asarray(a).astype(t.dtype, copy=False) for a, t in zip(found, known, strict=True)]
        return arrays if all(a.shape == t.shape for a, t in zip(arrays, known, strict=True)) else None

    def _evaluated(self, node: onnx.NodeProto, inputs: Mapping[str, Array]) -> list[Any] | None:
        graph = helper.make_graph(
            [node],
            "fold",
            [onnx.ValueInfoProto(name=name) for name in inputs],
            [onnx.ValueInfoProto(name=name) for name in node.output],
        )
        try:
            with np.errstate(all="ignore"):
                evaluator = cast(Any, ReferenceEvaluator(graph, opsets=dict(self._opsets)))
                return evaluator.run(None, dict(inputs))
        except Exception:  # it raises whatever numpy does; the node stays, and the converter says what is wrong with it
            return None


def _divides_by_zero(node: onnx.NodeProto, inputs: Mapping[str, Array]) -> bool:
    """Whether integers are divided by zero, which numpy answers with a number."""
    if node.op_type not in ("Div", "Mod") or len(node.input) < 2:
        return False
    divisor = inputs[node.input[1]]
    return divisor.dtype.kind in "iu" and not divisor.all()
