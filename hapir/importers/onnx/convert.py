"""A graph as a `nn.network` and its weights: each node by its handler, all that cannot be imported named at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.builder import Builder
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import Diagnostic, HapirError, fail
from hapir.dialects.nn import NetworkOp, ReturnOp, WeightOp
from hapir.dialects.nn_shapes import ShapeError
from hapir.dialects.num import element_type, shape_of
from hapir.importers.names import Unique, layer_names
from hapir.importers.onnx.fold import GROWN, RULES, Folder, shape_result
from hapir.importers.onnx.model import Array, Coded, Graph, GraphNode, element_of, tensor_of
from hapir.importers.onnx.nodes import ONNX, Call, NotConstant, Unsupported, handlers, plain
from hapir.importers.onnx.qdq import integer_form
from hapir.lowering.canonical.read_codes import read_codes
from hapir.lowering.network_edits import erase_dead, used_keys
from hapir.weights import WeightStore


@dataclass(frozen=True)
class Missing:
    """A node that cannot be imported: why, and the nearest form that can.

    `value` is the input that must be constant, where this is what is wrong.
    """

    node: GraphNode
    reason: str
    nearest: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Converted:
    """What a graph became; `missing` is empty where it is whole. `layers` are the nodes behind layer names.

    `untried` are nodes that may be right, but read what a missing one does not give.
    """

    module: ModuleOp
    weights: WeightStore
    missing: tuple[Missing, ...]
    layers: dict[str, GraphNode]
    untried: tuple[GraphNode, ...]


def convert(graph: Graph, name: str) -> Converted:
    """The network of a graph, under this name.

    Raises HapirError: HAP0990 with one diagnostic per node that cannot be imported, HAP0991 for inputs or outputs that
    the IR cannot hold.
    """
    converted = try_convert(graph, name)
    if converted.missing:
        raise HapirError(_diagnostic(m) for m in converted.missing)
    return converted


def try_convert(graph: Graph, name: str) -> Converted:
    """The same, with the nodes that cannot be imported as data. What depends on them alone is not reported again."""
    return _Converter(graph, name).run()


def _diagnostic(missing: Missing) -> Diagnostic:
    node = missing.node
    what = f"{node.domain}.{node.op}" if node.domain else node.op
    label = f" `{node.name or node.outputs[0]}`" if node.name or node.outputs else ""
    help = f"what works: {missing.nearest}" if missing.nearest else None
    return Diagnostic("HAP0990", f"cannot import {what}{label}: {missing.reason}", None, (), help)


def _unknown(node: GraphNode) -> tuple[str, str | None]:
    """Why a node without a handler stays: its operator is not known, or could only be computed here and now."""
    if node.domain == ONNX and node.op in RULES:
        return "its inputs are computed, or its result is too large", f"a constant of up to {GROWN} elements"
    return "the operator is not known", None


class _Unknown(Exception):
    """A value that an earlier node, already reported, did not give."""


class _Converter:
    """Walks the nodes; values by their ONNX names."""

    def __init__(self, graph: Graph, name: str):
        graph = integer_form(graph)
        self._graph = graph
        self._values: dict[str, SSAValue] = {}
        self._constants: dict[str, Array] = dict(graph.constants)
        self._folder = Folder()
        self._weights = WeightStore()
        self._names = Unique()
        inputs: list[tuple[str, Attribute]] = []
        for value in graph.inputs:
            type_ = tensor_of(graph.types[value])
            if type_ is None:
                found = graph.types[value]
                shape = "an unknown shape" if found.shape is None else f"{found.dtype}"
                fail("HAP0991", f"the input `{value}` has {shape}", help="f32, integers and booleans can be imported")
            inputs.append((self._names.give(value, "input"), type_))
        results = [self._names.give(value, "output") for value in graph.outputs]
        self._network = NetworkOp(name, inputs, [])
        self._result_names = results
        self._values.update(zip(graph.inputs, self._network.body.block.args, strict=True))
        self._builder = Builder(InsertPoint.at_end(self._network.body.block))

    def run(self) -> Converted:
        """Convert all nodes."""
        missing: list[Missing] = []
        layers: dict[str, GraphNode] = {}
        folded: set[int] = set()
        untried: list[GraphNode] = []
        read = {name for node in self._graph.nodes for name in node.inputs if name} | set(self._graph.outputs)
        table = handlers()
        wanted = layer_names(
            [(node.name or next(filter(None, node.outputs), ""), node.op) for node in self._graph.nodes]
        )
        for node, name in zip(self._graph.nodes, wanted, strict=True):
            if self._folded(node):
                folded.add(id(node))
                continue
            layer = self._names.give(name, node.op)
            layers[layer] = node
            handler = table.get((node.domain, node.op))
            if handler is None:
                missing.append(Missing(node, *_unknown(node)))
                continue
            call = Call(node, self._graph.opsets.get(node.domain, 1), layer, self)
            try:
                found = handler(call)
                outputs = [found] if isinstance(found, SSAValue) else list(found)
                for output, value in zip(node.outputs, outputs, strict=False):
                    if output and value is not None:
                        self._values[output] = value
                left = [output for output in node.outputs if output in read and output not in self._values]
                if left:
                    missing.append(Missing(node, f"its output `{left[0]}` is not computed"))
            except _Unknown:
                untried.append(node)
            except Unsupported as error:
                value = error.value if isinstance(error, NotConstant) else None
                missing.append(Missing(node, error.reason, error.nearest, value))
            except (IndexError, ArithmeticError):  # of an axis that is not there, or of size 0
                missing.append(Missing(node, "the shapes of its inputs are none that the operator takes"))
            except (ShapeError, VerifyException, ValueError) as error:
                missing.append(Missing(node, str(error).removeprefix("Operation does not verify: ")))
        network = self._network
        module = ModuleOp([network])
        live = self._live(folded)
        missing = [m for m in missing if id(m.node) in live]
        untried = [node for node in untried if id(node) in live]
        returned = [] if missing else self._returned(missing)
        if not missing:
            self.insert(ReturnOp(returned))
            network.result_names = ArrayAttr([StringAttr(name) for name in self._result_names])
            read_codes(network)
            network.set_result_types()
            self._drop_unused(module)
            layers = {name: node for name, node in layers.items() if id(node) in live}
        return Converted(module, self._weights, tuple(missing), layers, tuple(untried))

    def _returned(self, missing: list[Missing]) -> list[SSAValue]:
        """The values of the outputs; those that are constants which cannot be stored are added to `missing`."""
        returned: list[SSAValue] = []
        for name in self._graph.outputs:
            try:
                returned.append(self.tensor(name))
            except Unsupported as error:
                missing.append(Missing(GraphNode("Constant", ONNX, name, (), (name,), {}), error.reason, error.nearest))
        return returned

    # --- what need not be computed ------------------------------------------------------------------------------------

    def _folded(self, node: GraphNode) -> bool:
        """Whether the results of a node are known here: of constants, or the shape of a value."""
        if node.domain == ONNX and node.op in ("Shape", "Size") and node.inputs[0] in self._values:
            results = [shape_result(node, shape_of(self._values[node.inputs[0]]))]
        elif any(name and (name not in self._constants or self._narrow(name)) for name in node.inputs):
            return False
        else:
            results = self._folder.results(node, [self._constants.get(name) for name in node.inputs])
        if results is not None:
            self._constants.update((name, array) for name, array in zip(node.outputs, results, strict=True) if name)
        return results is not None

    def _narrow(self, name: str) -> int | None:
        """The width of a constant's integers where numpy has no type for them."""
        return self._graph.types[name].bits if name in self._graph.types else None

    def _live(self, folded: set[int]) -> set[int]:
        """The nodes that outputs need, by identity: not those behind a shape that is known without them."""
        needed = set(self._graph.outputs)
        live: set[int] = set()
        for node in reversed(self._graph.nodes):
            if id(node) not in folded and needed.intersection(node.outputs):
                live.add(id(node))
                needed.update(name for name in node.inputs if name)
        return live

    def _drop_unused(self, module: ModuleOp) -> None:
        """Erase ops whose results nothing reads, and their arrays."""
        erase_dead(self._network)
        self._weights.retain(used_keys(module))

    # --- what calls ask -----------------------------------------------------------------------------------------------

    def tensor(self, name: str) -> SSAValue:
        """The value of a name; a constant becomes a parameter of its own, once."""
        if name not in self._values:
            array = self._constants.get(name)
            if array is None:
                raise _Unknown
            self._values[name] = self.parameter(
                f"{self._names.give(name, 'constant')}.value", array, self.element(name)
            )
        return self._values[name]

    def coded(self, name: str) -> Coded | None:
        """The codes behind a constant."""
        return self._graph.coded.get(name)

    def element(self, name: str) -> Attribute:
        """The element type of a name."""
        array = self._constants.get(name)
        if array is None:
            return element_type(self.tensor(name))
        element = element_of(array.dtype, self._narrow(name))
        if element is None:
            raise Unsupported(f"the constant `{name}` is {array.dtype}", "f32, integers or booleans")
        return element

    def store(self, key: str, array: Array) -> str:
        """Keep an array."""
        return self._weights.put_new(key, array)

    def constant(self, name: str) -> Array | None:
        """The array of a constant."""
        return self._constants.get(name)

    def insert(self, op: Operation) -> None:
        """Append an op."""
        self._builder.insert(op)

    def parameter(self, key: str, array: Array, element: Attribute | None) -> SSAValue:
        """A parameter of the network."""
        element = element or element_of(array.dtype)
        if element is None:
            raise Unsupported(f"the constant `{key}` is {array.dtype}", "f32, integers or booleans")
        stored = plain(np.asarray(array))
        if stored.dtype.kind == "f" and not np.isfinite(stored).all():
            raise Unsupported(f"the constant `{key}` is not finite", "clean the weights: every value must be finite")
        op = WeightOp(self._weights.put_new(key, stored), TensorType(element, stored.shape))
        self.insert(op)
        return op.result
