"""Models of one ONNX node: what onnxruntime computes, and what the imported network does on the reference and in C."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from hapir.dialects import nn
from hapir.importers.onnx.convert import Converted, convert
from hapir.importers.onnx.graph import graph_of
from hapir.reference import run_network
from hapir.targets.c.build import build_c_together
from hapir.targets.c.emit import emit_c
from tests.unit.test_reference_onnx import SESSION, Array, ort

FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic")
OPSET = 21


@dataclass(frozen=True)
class Node:
    """One node. `inputs` are in its order, a blank name is one left out; those in `constant` are initializers."""

    kind: str
    inputs: Mapping[str, Array]
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    constant: Collection[str] = ()
    outputs: int = 1
    opset: int = OPSET

    def model(self) -> ModelProto:
        """The model; results have no declared shapes."""
        present = {name: array for name, array in self.inputs.items() if name.strip()}
        given = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in present.items()
            if name not in self.constant
        ]
        stored = [numpy_helper.from_array(array, name) for name, array in present.items() if name in self.constant]
        first = next(iter(present.values())).dtype
        types = [first, np.dtype(np.int64) if self.kind == "MaxPool" else first, first][: self.outputs]
        results = [
            helper.make_tensor_value_info(f"result{i}", helper.np_dtype_to_tensor_dtype(dtype), None)
            for i, dtype in enumerate(types)
        ]
        names = [name.strip() for name in self.inputs]
        node = helper.make_node(self.kind, names, [result.name for result in results], "layer", **self.attributes)
        graph = helper.make_graph([node], "one_node", given, results, stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

    @property
    def fed(self) -> dict[str, Array]:
        """The inputs of the model."""
        return {name: v for name, v in self.inputs.items() if name.strip() and name not in self.constant}

    def expected(self) -> list[Array]:
        """What onnxruntime gives."""
        session = ort.InferenceSession(self.model().SerializeToString(), SESSION, ["CPUExecutionProvider"])
        return [np.asarray(array) for array in session.run(None, self.fed)]

    def imported(self, name: str = "net") -> tuple[nn.NetworkOp, Converted]:
        """The network, under this name, and its weights."""
        converted = convert(graph_of(self.model()), name)
        converted.module.verify()
        (network,) = converted.module.ops
        assert isinstance(network, nn.NetworkOp)
        return network, converted

    def found(self) -> list[Array]:
        """What the reference gives."""
        network, converted = self.imported()
        names = [name.data for name in network.input_names]
        return list(run_network(network, converted.weights, dict(zip(names, self.fed.values(), strict=True))).values())


def check_reference(node: Node, tolerance: float = 1e-5) -> None:
    """The reference gives what onnxruntime does."""
    _compare(node.found(), node.expected(), node, tolerance)


def check_c(nodes: Sequence[Node], tolerance: float = 2e-5) -> None:
    """The C of all nodes, built in one call, gives what the reference does; integers are equal."""
    imported = [node.imported(f"net{i}") for i, node in enumerate(nodes)]
    programs = build_c_together([emit_c(network, c.weights) for network, c in imported], flags=FLAGS)
    for node, (network, converted), program in zip(nodes, imported, programs, strict=True):
        inputs = dict(zip((name.data for name in network.input_names), node.fed.values(), strict=True))
        expected = run_network(network, converted.weights, inputs)
        _compare([program.run(inputs)[name] for name in expected], list(expected.values()), node, tolerance)


def _compare(found: Sequence[Array], expected: Sequence[Array], node: Node, tolerance: float) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), node
        if b.dtype == np.float32:
            limit = tolerance * max(1.0, float(np.abs(b).max(initial=0)))
            assert np.abs(a - b).max(initial=0) <= limit, node
        else:
            assert np.array_equal(a, b), node
