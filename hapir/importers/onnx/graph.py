"""A model as a `Graph`: constants apart, attributes as plain data, inputs with fixed shapes.

One walk over the nodes in topological order checks each of them. Nodes that do nothing (`Identity`, `Dropout` of a
trained network) make place for what they read; what no output needs is dropped. float16, bfloat16 and float64 become
float32, with a warning.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from hapir.diagnostics import Diagnostic, did_you_mean, fail, some
from hapir.importers.onnx.attributes import plain_attributes
from hapir.importers.onnx.constants import constant_array
from hapir.importers.onnx.dims import input_shapes
from hapir.importers.onnx.elements import ELEMENTS, FLOAT, WIDENED, element_name, value_type
from hapir.importers.onnx.functions import inlined
from hapir.importers.onnx.limits import shown
from hapir.importers.onnx.load import check, domain_of, opsets_of
from hapir.importers.onnx.model import Array, Graph, GraphNode, ValueType
from hapir.importers.onnx.schemas import check_node, described, schema_of
from hapir.importers.onnx.tensors import TensorReader

_AGAIN = "the file is damaged; export the model again"
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")


def graph_of(
    model: onnx.ModelProto,
    dims: Mapping[str, int] | None = None,
    *,
    batch: int | None = None,
    folder: Path | None = None,
) -> Graph:
    """The graph of a model; `dims` and `batch` say how large what is open in its inputs becomes.

    `folder` is where its external data lie. Raises HapirError for whatever is wrong with the model: HAP0900 to HAP0919.
    """
    check(model)
    if model.functions:
        model = inlined(model)
        check(model)
    return _Walk(model, folder).graph(batch, dims or {})


class _Walk:
    """The state of the one walk: what is known of each value so far."""

    def __init__(self, model: onnx.ModelProto, folder: Path | None):
        self._proto = model.graph
        self._opsets = opsets_of(model)
        self._reader = TensorReader(folder)
        self._types: dict[str, ValueType] = {}
        self._constants: dict[str, Array] = {}
        self._nodes: list[GraphNode] = []
        self._same: dict[str, str] = {}
        """Values that are another one under a second name."""
        self._narrowed: list[str] = []
        self._outputs = {info.name for info in model.graph.output}

    def graph(self, batch: int | None, dims: Mapping[str, int]) -> Graph:
        """Walk over all nodes."""
        proto = self._proto
        tensors = {t.name: t for t in proto.initializer}
        sparse = {t.values.name: t for t in proto.sparse_initializer}
        inputs = [info for info in proto.input if info.name not in tensors and info.name not in sparse]
        self._check_names(inputs)
        order = sorted_nodes(proto.node, {*tensors, *sparse, *(info.name for info in inputs)})
        self._check_outputs({*tensors, *sparse, *(info.name for info in inputs)})
        for info in inputs:
            _check_input(info)
        shapes, notes = input_shapes(inputs, batch, dims)
        for info in inputs:
            code = info.type.tensor_type.elem_type
            self._types[info.name] = value_type(code, shapes[info.name])
            if code in WIDENED:
                self._reader.widened.setdefault(WIDENED[code], []).append(info.name)
        used = {name for node in order for name in node.input} | {info.name for info in proto.output}
        for name, tensor in tensors.items():
            if name in used:
                self._constant(name, self._reader.array(tensor, name), ELEMENTS[tensor.data_type].narrow)
        for name, tensor in sparse.items():
            if name in used:
                self._constant(name, self._reader.dense(tensor, name), None)
        reads = _counted(name for node in order for name in node.input)
        for node in order:
            self._visit(node, reads)
        self._name_outputs([info.name for info in inputs])
        return self._result([info.name for info in inputs], notes)

    # --- checks -------------------------------------------------------------------------------------------------------

    def _check_names(self, inputs: Sequence[onnx.ValueInfoProto]) -> None:
        """Raise HapirError (HAP0908) where a value is made twice, or has no name."""
        proto = self._proto
        made: dict[str, str] = {}
        places = [(info.name, "an input") for info in inputs]
        places += [(tensor.name, "an initializer") for tensor in proto.initializer]
        places += [(tensor.values.name, "an initializer") for tensor in proto.sparse_initializer]
        places += [(name, f"an output of {described(node)}") for node in proto.node for name in node.output if name]
        for name, place in places:
            if not name:
                fail("HAP0908", f"{place} of the model has no name", help=_AGAIN)
            if name in made:
                fail("HAP0908", f"the value {shown(name)} is {made[name]} and {place}", help=_AGAIN)
            made[name] = place
        outputs: set[str] = set()
        for info in proto.output:
            if info.name in outputs:
                fail("HAP0908", f"the model gives the output {shown(info.name)} twice", help=_AGAIN)
            outputs.add(info.name)

    def _check_outputs(self, given: set[str]) -> None:
        """Raise HapirError (HAP0909) where an output of the model is made by nobody."""
        if not self._proto.output:
            fail("HAP0909", "the model has no output", help=_AGAIN)
        made = given | {name for node in self._proto.node for name in node.output if name}
        for info in self._proto.output:
            if info.name not in made:
                help = did_you_mean(info.name, made) or _AGAIN
                fail("HAP0909", f"nothing makes the output {shown(info.name)} of the model", help=help)

    # --- the walk -----------------------------------------------------------------------------------------------------

    def _visit(self, original: onnx.NodeProto, reads: Mapping[str, int]) -> None:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        node.domain = domain_of(node.domain)
        what = described(node)
        schema = schema_of(node.op_type, self._opsets.get(node.domain, 0), node.domain)
        check_node(node, schema, what)
        if node.domain == "" and node.op_type == "Constant":
            array, narrow = constant_array(node, self._reader, what)
            self._constant(node.output[0], array, narrow)
            return
        for index, name in enumerate(node.input):
            node.input[index] = self._same.get(name, name)
        self._widen(node, what)
        if node.domain == "" and self._does_nothing(node, reads):
            if node.output[0]:
                self._same[node.output[0]] = node.input[0]
            return
        attributes = plain_attributes(node, self._reader, what)
        self._nodes.append(
            GraphNode(node.op_type, node.domain, node.name, tuple(node.input), tuple(node.output), attributes)
        )

    def _does_nothing(self, node: onnx.NodeProto, reads: Mapping[str, int]) -> bool:
        """Whether a node gives what it reads."""
        if node.op_type == "Identity":
            return True
        if node.op_type != "Dropout":
            return False
        mask = node.output[1] if len(node.output) > 1 else ""
        trains = node.input[2] if len(node.input) > 2 else ""
        still = not trains or (trains in self._constants and not self._constants[trains].any())
        return still and not reads.get(mask) and mask not in self._outputs

    def _constant(self, name: str, array: Array, narrow: int | None) -> None:
        if name:
            array.flags.writeable = False
            self._constants[name] = array
            self._types[name] = ValueType(array.dtype, array.shape, narrow)

    def _widen(self, node: onnx.NodeProto, what: str) -> None:
        """Attributes that ask for another float ask for float32."""
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i in WIDENED and node.domain == "":
                attribute.i = FLOAT
                self._narrowed.append(what)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _name_outputs(self, inputs: Sequence[str]) -> None:
        """Give outputs that are another value under a second name back: that value takes the name where it can."""
        outputs = [info.name for info in self._proto.output]
        taken: dict[str, str] = {}
        for name in outputs:
            value = self._same.get(name, name)
            if value == name:
                continue
            if value in self._constants:
                self._constant(name, self._constants[value], self._types[value].bits)
            elif value in inputs or value in outputs or value in taken:
                self._nodes.append(GraphNode("Identity", "", name, (taken.get(value, value),), (name,), {}))
            else:
                taken[value] = name
        self._nodes = [
            replace(
                node,
                inputs=tuple(taken.get(name, name) for name in node.inputs),
                outputs=tuple(taken.get(name, name) for name in node.outputs),
            )
            for node in self._nodes
        ]

    def _result(self, inputs: Sequence[str], notes: Sequence[Diagnostic]) -> Graph:
        outputs = tuple(info.name for info in self._proto.output)
        needed = set(outputs)
        kept: list[GraphNode] = []
        for node in reversed(self._nodes):
            if needed.intersection(node.outputs):
                needed.update(name for name in node.inputs if name)
                kept.append(node)
        needed.update(inputs)
        return Graph(
            self._proto.name,
            self._opsets,
            tuple(inputs),
            outputs,
            tuple(reversed(kept)),
            {name: array for name, array in self._constants.items() if name in needed},
            {name: type_ for name, type_ in self._types.items() if name in needed},
            (*notes, *self._warnings()),
        )

    def _warnings(self) -> list[Diagnostic]:
        said: list[str] = []
        for kind, names in self._reader.widened.items():
            said.append(f"{len(names)} {kind} tensors become float32: {some([shown(n) for n in names], 3)}")
        if self._narrowed:
            said.append(f"a cast to another float keeps float32, and does not round: {some(self._narrowed, 3)}")
        help = "compare with the model: `hapir run --compare`; or export it in float32"
        return [Diagnostic("HAP0915", what, help=help, severity="warning") for what in said]


def sorted_nodes(nodes: Sequence[onnx.NodeProto], given: set[str]) -> list[onnx.NodeProto]:
    """Nodes in topological order, as they stand where that is one.

    Raises HapirError: HAP0909 where a node reads what nothing makes, HAP0907 where nodes wait for each other.
    """
    maker = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    readers: dict[int, list[int]] = {}
    waiting: list[int] = []
    for index, node in enumerate(nodes):
        sources: set[int] = set()
        for name in node.input:
            if name in maker:
                sources.add(maker[name])
            elif name and name not in given:
                help = did_you_mean(name, [*given, *maker]) or _AGAIN
                fail("HAP0909", f"{described(node)} reads {shown(name)}, which nothing makes", help=help)
        for source in sources:
            readers.setdefault(source, []).append(index)
        waiting.append(len(sources))
    ready = [index for index, count in enumerate(waiting) if count == 0]  # sorted, so a heap
    order: list[onnx.NodeProto] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(nodes[index])
        for reader in readers.get(index, ()):
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = [described(nodes[index]) for index, count in enumerate(waiting) if count > 0]
        fail("HAP0907", f"nodes wait for each other: {some(stuck, 4)}", help="a network has no cycles: unroll it")
    return order


def _check_input(info: onnx.ValueInfoProto) -> None:
    """Raise HapirError (HAP0910) where an input is no tensor, or of elements that hapir does not have."""
    if not info.type.HasField("tensor_type"):
        kind = (info.type.WhichOneof("value") or "value without a type").removesuffix("_type").replace("_", " ")
        fail("HAP0910", f"the input {shown(info.name)} is a {kind}", help="inputs must be tensors")
    code = info.type.tensor_type.elem_type
    if code not in ELEMENTS:
        help = "inputs of float32, integers and bool can be imported"
        fail("HAP0910", f"the input {shown(info.name)} is of type {element_name(code)}", help=help)


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        if name:
            counts[name] = counts.get(name, 0) + 1
    return counts
