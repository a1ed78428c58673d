"""Graphs that surround float operators with DequantizeLinear and QuantizeLinear, as graphs of integer operators.

Law: bounded. Products between the two become QLinearConv, QLinearMatMul and QGemm, as onnxruntime fuses them: the sums
are exact and rounded once, so each code is that of the float operators or its neighbour, where those round a sum across
a tie. Max pools, ReLU and what moves data work on the codes where scale and zero point stay the same, which is exact.
A bias of floats becomes steps of the sums. All other operators keep their conversions, and compute on reals.

```
x -> DequantizeLinear -> Conv (weights: DequantizeLinear of int8) -> Relu -> QuantizeLinear -> y
```
becomes
```
x -> QLinearConv (weights: int8, clamped at the zero point) -> y
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hapir.dialects.num import storage_of
from hapir.importers.onnx import codes
from hapir.importers.onnx.model import Array, Coded, Graph, GraphNode, ValueType
from hapir.importers.onnx.nodes import MICROSOFT, ONNX, QONNX_DOMAINS
from hapir.importers.onnx.runtime_ops import ON_REALS, unfolded

BOUNDS = "hapir_bounds"
"""The attribute of an integer operator that holds the least and the largest code that come out."""

_MOVES = frozenset(
    ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "MaxPool", "Slice", "Gather")
)
"""Operators of one activation, the first input, that give some of its elements."""
_QUANTIZING = ("QuantizeLinear", "DequantizeLinear", "Quant", "IntQuant", "BipolarQuant", *ON_REALS)
_INT32 = np.iinfo(np.int32)


def integer_form(graph: Graph) -> Graph:
    """The graph with integer operators where it can have them."""
    if not any(node.op in _QUANTIZING for node in graph.nodes):
        return graph
    return _Rewrite(graph).run()


@dataclass(frozen=True)
class _Codes:
    """A tensor of codes: its name, and those of its constant scale and zero point ("" where there is none)."""

    name: str
    scale: str
    zero_point: str
    axis: int = 1


@dataclass(frozen=True)
class _Chain:
    """A float operator and the activation behind it, if any, in front of a QuantizeLinear."""

    main: GraphNode
    activation: GraphNode | None


class _Rewrite:
    """The rewriting of one graph."""

    def __init__(self, graph: Graph):
        self._graph = graph
        self._constants = dict(graph.constants)
        self._types = dict(graph.types)
        self._producers = {output: node for node in graph.nodes for output in node.outputs if output}
        self._coded: dict[str, Coded] = {}
        self._readers: dict[str, int] = {}
        for name in (*(name for node in graph.nodes for name in node.inputs), *graph.outputs):
            self._readers[name] = self._readers.get(name, 0) + 1

    def run(self) -> Graph:
        """Fold the quantization of constants, fuse, and read what stays quantized as reals."""
        nodes = [part for node in self._graph.nodes for part in self._unfolded(node)]
        self._producers = {output: node for node in nodes for output in node.outputs if output}
        nodes = [node for node in nodes if not self._folds(node)]
        return self._without_unread([_renamed(self._fused(node) or node) for node in nodes])

    # --- constants ----------------------------------------------------------------------------------------------------

    def _folds(self, node: GraphNode) -> bool:
        """Whether a node makes codes of constants, reals of constant codes, or moves their axes: then a constant."""
        if any(name and name not in self._constants for name in node.inputs) or not node.inputs:
            return False
        arrays = [self._constants[name] if name else None for name in node.inputs]
        try:
            match node.domain, node.op:
                case "", "QuantizeLinear":
                    return self._folds_codes(node, arrays)
                case "", "DequantizeLinear":
                    return self._folds_reals(node, arrays)
                case "", "Transpose" if node.inputs[0] in self._coded:
                    return self._folds_transpose(node, arrays)
                case domain, "Quant" | "IntQuant" | "BipolarQuant" if domain in QONNX_DOMAINS:
                    return self._folds_quant(node, arrays)
                case _:
                    return False
        except ValueError:
            return False

    def _folds_codes(self, node: GraphNode, arrays: Sequence[Array | None]) -> bool:
        x, scale, *zero = arrays
        if x is None or scale is None or not zero or zero[0] is None or x.dtype != np.float32:
            return False
        type_ = self._types.get(node.inputs[2])
        axis, block = _integer(node, "axis", 1), _integer(node, "block_size", 0)
        found = codes.quantized(x, scale, zero[0], _range(zero[0], type_), axis, block)
        self._define(node.outputs[0], found, None if type_ is None else type_.bits)
        return True

    def _folds_reals(self, node: GraphNode, arrays: Sequence[Array | None]) -> bool:
        integers, scale, *zero = arrays
        if integers is None or scale is None or scale.dtype != np.float32:
            return False
        zero_point = zero[0] if zero else None
        axis, block = _integer(node, "axis", 1), _integer(node, "block_size", 0)
        reals, type_ = codes.dequantized(integers, scale, zero_point, axis, block), self._types.get(node.inputs[0])
        found = None if block else codes.coded(integers, type_.bits if type_ else None, scale, zero_point, axis)
        return self._folded(node, reals, found)

    def _folds_transpose(self, node: GraphNode, arrays: Sequence[Array | None]) -> bool:
        (x,) = arrays
        order = node.attributes.get("perm", list(range(x.ndim))[::-1] if x is not None else [])
        if x is None or not isinstance(order, list):
            return False
        axes = [int(a) for a in order]
        return self._folded(node, x.transpose(axes), codes.transposed(self._coded[node.inputs[0]], axes))

    def _folds_quant(self, node: GraphNode, arrays: Sequence[Array | None]) -> bool:
        x, scale, *more = arrays
        if x is None or scale is None or x.dtype != np.float32:
            return False
        if node.op == "BipolarQuant":
            return self._folded(node, *codes.bipolar_quant(x, scale))
        zero_point, bits = more
        found = None if zero_point is None or bits is None else codes.quant(node, x, scale, zero_point, bits)
        return found is not None and self._folded(node, *found)

    def _folded(self, node: GraphNode, reals: Array, found: Coded | None) -> bool:
        self._define(node.outputs[0], reals, None)
        if found is not None:
            self._coded[node.outputs[0]] = found
        return True

    def _define(self, name: str, array: Array, bits: int | None) -> None:
        self._constants[name] = array
        self._types[name] = ValueType(array.dtype, array.shape, bits)

    def _new(self, stem: str, array: Array, bits: int | None = None) -> str:
        """A new constant with a name like this one."""
        name = self._unused(stem)
        self._define(name, array, bits)
        return name

    # --- fusing -------------------------------------------------------------------------------------------------------

    def _unfolded(self, node: GraphNode) -> list[GraphNode]:
        """An operator on codes that computes on reals, as these; others as they are."""
        parts = unfolded(node, self._unused)
        if len(parts) > 1:
            self._readers.update((name, 1) for part in parts[:-1] for name in part.outputs)
        return parts

    def _unused(self, stem: str) -> str:
        name, n = stem, 1
        while name in self._constants or name in self._types or name in self._producers:
            n += 1
            name = f"{stem}_{n}"
        return name

    def _fused(self, node: GraphNode) -> GraphNode | None:
        """The integer operator that stands for what ends in this QuantizeLinear; None where there is none."""
        if node.op != "QuantizeLinear" or node.domain != ONNX or len(node.inputs) < 3:
            return None
        _, scale, zero_point = node.inputs[:3]
        y = self._codes_of(_Codes(node.outputs[0], scale, zero_point), per_tensor=True)
        chain = self._chain(node)
        if y is None or chain is None:
            return None
        match chain.main.op:
            case "Conv":
                return self._conv(chain, y)
            case "Gemm":
                return self._gemm(chain, y)
            case "MatMul":
                return self._matmul(chain, y)
            case "GlobalAveragePool" if chain.activation is None:
                return self._global_average_pool(chain.main, y)
            case "Relu" if chain.activation is None:
                return self._relu(chain.main, y)
            case "Concat" if chain.activation is None:
                return self._concat(chain.main, y)
            case "Resize" if chain.activation is None and chain.main.attributes.get("mode", "nearest") == "nearest":
                return self._move(chain.main, y)
            case op if op in _MOVES and chain.activation is None:
                return self._move(chain.main, y)
            case _:
                return None

    def _chain(self, quantize: GraphNode) -> _Chain | None:
        """What computes the operand of a QuantizeLinear for it alone."""
        main, activation = self._sole_producer(quantize.inputs[0]), None
        if main is not None and main.op in ("Relu", "Clip"):
            behind = self._sole_producer(main.inputs[0])
            if behind is not None and behind.op in ("Conv", "Gemm", "MatMul"):
                main, activation = behind, main
        return None if main is None or main.domain != ONNX else _Chain(main, activation)

    def _sole_producer(self, name: str) -> GraphNode | None:
        return self._producers.get(name) if self._readers.get(name) == 1 else None

    def _dequantized(self, name: str, *, per_tensor: bool = False) -> _Codes | None:
        """The codes behind a name that a DequantizeLinear gives, with constant scales."""
        node = self._producers.get(name)
        if node is None or node.op != "DequantizeLinear" or node.domain != ONNX or _integer(node, "block_size", 0):
            return None
        codes, scale, *zero_point = node.inputs
        found = _Codes(codes, scale, zero_point[0] if zero_point else "", _integer(node, "axis", 1))
        return self._codes_of(found, per_tensor=per_tensor)

    def _codes_of(self, codes: _Codes, *, per_tensor: bool) -> _Codes | None:
        """The same codes, with a zero point, where scale and zero point are constant and, if asked, one number each."""
        scale, zero_point = self._constants.get(codes.scale), self._constants.get(codes.zero_point)
        if scale is None or (codes.zero_point and zero_point is None) or not (np.isfinite(scale) & (scale > 0)).all():
            return None
        if zero_point is None:
            type_ = self._type_of(codes.name)
            if type_ is None:
                return None
            zero_point = np.zeros(scale.shape, type_.dtype)
            codes = replace(codes, zero_point=self._new(f"{codes.scale}_zero", zero_point, type_.bits))
        return None if per_tensor and (scale.size != 1 or zero_point.size != 1) else codes

    def _type_of(self, name: str) -> ValueType | None:
        """The type of a tensor of codes, as far as it is known without computing shapes."""
        node = self._producers.get(name)
        if node is None:
            return self._types.get(name)
        if node.op != "QuantizeLinear" or _integer(node, "output_dtype", 0):
            return None
        zero_point = node.inputs[2] if len(node.inputs) > 2 else ""
        return self._types.get(zero_point) if zero_point else ValueType(np.dtype(np.uint8), None)

    def _weights(self, name: str, filters: int) -> _Codes | None:
        """Constant codes with one scale, or one per index of the axis that counts filters; their zero point is 0."""
        found = self._coded.get(name)
        codes_in = None if found is None else storage_of(found.element)
        if found is None or codes_in is None or codes_in != found.element or codes_in.width.data > 17:
            return None
        if found.scales.size > 1 and found.axis != filters % found.codes.ndim:
            return None
        width = codes_in.width.data
        bits = width if width < 8 else None
        scale = found.scales.reshape(()) if found.scales.size == 1 else found.scales
        return _Codes(
            self._new(f"{name}_codes", found.codes, bits),
            self._new(f"{name}_scale", scale),
            self._new(f"{name}_zero", np.zeros(scale.shape, found.codes.dtype), bits),
        )

    def _bias(self, name: str, x: _Codes, w: _Codes, stem: str, factor: float = 1.0) -> str | None:
        """The name of a bias in steps of the sums, in int32; None where it is not constant or does not fit."""
        reals, found = self._constants.get(name), self._coded.get(name)
        if reals is None:
            return None
        steps = self._constants[x.scale].reshape(()).astype(np.float64) * self._constants[w.scale].astype(np.float64)
        if found is not None and factor == 1 and np.allclose(found.scales, steps.reshape(-1), rtol=1e-5, atol=0):
            integers = found.codes.reshape(-1).astype(np.int64)
        else:
            integers = np.rint(reals.reshape(-1).astype(np.float64) * factor / steps.reshape(-1))
        fits = (np.abs(integers) < _INT32.max).all()
        return self._new(f"{stem}_bias", integers.astype(np.int32)) if fits else None

    def _fits(self, x: _Codes, w: _Codes, bias: str, filters: int) -> bool:
        """Whether the sums of a filter stay within int32, whatever the activations are."""
        low, high = _range(zeros := self._constants[x.zero_point], self._types.get(x.zero_point))
        zero_point = int(zeros.reshape(-1)[0])
        reach = max(high - zero_point, zero_point - low)
        matrix = np.moveaxis(np.abs(self._constants[w.name].astype(np.float64)), filters, 0)
        most = matrix.reshape(len(matrix), -1).sum(axis=1).max(initial=0) * reach
        return most + (np.abs(self._constants[bias].astype(np.float64)).max(initial=0) if bias else 0) < _INT32.max

    def _clamped(self, chain: _Chain, y: _Codes) -> list[int] | None:
        """The bounds that an activation puts on codes; None where they are not constant."""
        zeros = self._constants[y.zero_point]
        low, high = _range(zeros, self._types.get(y.zero_point))
        activation = chain.activation
        if activation is None:
            return [low, high]
        zero_point, scale = int(zeros.reshape(-1)[0]), self._constants[y.scale].reshape(()).astype(np.float32)
        reals = self._activation_bounds(activation)
        if reals is None:
            return None
        for real, is_low in zip(reals, (True, False), strict=True):
            if real is not None:
                with np.errstate(over="ignore"):
                    steps = float(np.clip(np.rint(np.float32(real) / scale).astype(np.float64), -1e9, 1e9))
                code = int(steps) + zero_point
                low, high = (max(low, code), high) if is_low else (low, min(high, code))
        return [low, high] if low <= high else None

    def _activation_bounds(self, node: GraphNode) -> tuple[float | None, float | None] | None:
        """The reals between which an activation clamps; None where they are not constant."""
        if node.op == "Relu":
            return 0.0, None
        found: list[float | None] = []
        for index, name in ((1, "min"), (2, "max")):
            given = node.inputs[index] if index < len(node.inputs) else ""
            attribute = node.attributes.get(name)
            if given:
                array = self._constants.get(given)
                if array is None or array.size != 1 or np.isnan(array).any():
                    return None
                found.append(float(array.reshape(())))
            else:
                found.append(float(attribute) if isinstance(attribute, int | float) else None)
        return found[0], found[1]

    def _conv(self, chain: _Chain, y: _Codes) -> GraphNode | None:
        node = chain.main
        x, w = self._dequantized(node.inputs[0], per_tensor=True), self._weights(node.inputs[1], 0)
        bounds = self._clamped(chain, y)
        if x is None or w is None or bounds is None:
            return None
        inputs = [x.name, x.scale, x.zero_point, w.name, w.scale, w.zero_point, y.scale, y.zero_point]
        bias: str | None = ""
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = self._bias(node.inputs[2], x, w, y.name)
        if bias is None or not self._fits(x, w, bias, 0):
            return None
        if bias:
            inputs.append(bias)
        return _node("QLinearConv", ONNX, node, inputs, y, bounds)

    def _gemm(self, chain: _Chain, y: _Codes) -> GraphNode | None:
        node = chain.main
        turned = _integer(node, "transB", 0)
        alpha, beta = (float(_number(node, name)) for name in ("alpha", "beta"))
        x, w = self._dequantized(node.inputs[0], per_tensor=True), self._weights(node.inputs[1], 1 - turned)
        bounds = self._clamped(chain, y)
        if x is None or w is None or bounds is None or alpha != 1 or _integer(node, "transA", 0):
            return None
        inputs = [x.name, x.scale, x.zero_point, w.name, w.scale, w.zero_point]
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = self._bias(node.inputs[2], x, w, y.name, beta)
            outputs = self._constants[w.name].shape[1 - turned]
            if bias is None or self._constants[bias].size != outputs:
                return None
            inputs.append(bias)
        else:
            inputs.append("")
        if not self._fits(x, w, inputs[-1], 1 - turned):
            return None
        return _node("QGemm", MICROSOFT, node, [*inputs, y.scale, y.zero_point], y, bounds)

    def _matmul(self, chain: _Chain, y: _Codes) -> GraphNode | None:
        node = chain.main
        a = self._dequantized(node.inputs[0], per_tensor=True)
        b = self._dequantized(node.inputs[1], per_tensor=True) or self._weights(node.inputs[1], -1)
        bounds = self._clamped(chain, y)
        if a is None or b is None or bounds is None or (b.name in self._constants and not self._fits(a, b, "", -1)):
            return None
        inputs = [a.name, a.scale, a.zero_point, b.name, b.scale, b.zero_point, y.scale, y.zero_point]
        return _node("QLinearMatMul", ONNX, node, inputs, y, bounds)

    def _global_average_pool(self, node: GraphNode, y: _Codes) -> GraphNode | None:
        x = self._dequantized(node.inputs[0], per_tensor=True)
        if x is None or self._constants[x.zero_point].dtype != self._constants[y.zero_point].dtype:
            return None
        inputs = (x.name, x.scale, x.zero_point, y.scale, y.zero_point)
        return GraphNode("QLinearGlobalAveragePool", MICROSOFT, node.name, inputs, (y.name,), {})

    def _same_grid(self, name: str, y: _Codes) -> _Codes | None:
        """The codes behind a name where they have the scale, the zero point and the type of others."""
        x = self._dequantized(name, per_tensor=True)
        if x is None:
            return None
        same = all(
            self._constants[a].reshape(()) == self._constants[b].reshape(())
            for a, b in ((x.scale, y.scale), (x.zero_point, y.zero_point))
        )
        kinds = [(t.dtype, t.bits) for t in (self._types[x.zero_point], self._types[y.zero_point])]
        return x if same and kinds[0] == kinds[1] else None

    def _relu(self, node: GraphNode, y: _Codes) -> GraphNode | None:
        x = self._same_grid(node.inputs[0], y)
        return None if x is None else GraphNode("Max", ONNX, node.name, (x.name, y.zero_point), (y.name,), {})

    def _concat(self, node: GraphNode, y: _Codes) -> GraphNode | None:
        parts = [x for name in node.inputs if (x := self._same_grid(name, y)) is not None]
        if len(parts) < len(node.inputs):
            return None
        return replace(node, inputs=tuple(x.name for x in parts), outputs=(y.name,))

    def _move(self, node: GraphNode, y: _Codes) -> GraphNode | None:
        x = self._same_grid(node.inputs[0], y)
        if x is None or (len(node.outputs) > 1 and any(node.outputs[1:])):
            return None
        return replace(node, inputs=(x.name, *node.inputs[1:]), outputs=(y.name,))

    # --- the end ------------------------------------------------------------------------------------------------------

    def _without_unread(self, nodes: Sequence[GraphNode]) -> Graph:
        needed = set(self._graph.outputs)
        kept: list[GraphNode] = []
        for node in reversed(nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(name for name in node.inputs if name)
        constants = {name: array for name, array in self._constants.items() if name in needed}
        coded = {name: found for name, found in self._coded.items() if name in needed}
        opsets = {**self._graph.opsets, MICROSOFT: self._graph.opsets.get(MICROSOFT, 1)}
        nodes = tuple(reversed(kept))
        graph = replace(self._graph, nodes=nodes, constants=constants, types=self._types, opsets=opsets)
        return replace(graph, coded=coded)


def _node(op: str, domain: str, main: GraphNode, inputs: Sequence[str], y: _Codes, bounds: Sequence[int]) -> GraphNode:
    attributes = {**main.attributes, BOUNDS: [int(b) for b in bounds]}
    return GraphNode(op, domain, main.name or main.outputs[0], tuple(inputs), (y.name,), attributes)


_SUFFIXES = {"_QuantizeLinear": "_q", "_DequantizeLinear": "_real", "_quant": ""}
"""What quantizers append to names, and what layers are called instead."""


def _renamed(node: GraphNode) -> GraphNode:
    """A node without the suffix that a quantizer gave it."""
    for suffix, short in _SUFFIXES.items():
        if node.name.endswith(suffix) and node.name != suffix:
            return replace(node, name=node.name.removesuffix(suffix) + short)
    return node


def _integer(node: GraphNode, name: str, default: int) -> int:
    value = node.attributes.get(name, default)
    return value if isinstance(value, int) else default


def _number(node: GraphNode, name: str) -> float:
    value = node.attributes.get(name, 1.0)
    return float(value) if isinstance(value, int | float) else float("nan")


def _range(zero_point: Array, type_: ValueType | None) -> tuple[int, int]:
    """The least and the largest code of the type of a zero point."""
    bits = (type_.bits if type_ else None) or 8 * zero_point.dtype.itemsize
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if zero_point.dtype.kind == "i" else (0, (1 << bits) - 1)
