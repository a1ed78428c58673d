"""hapir as an `onnx.backend`: devices, names, sizes that are left open, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

import hapir.backend
from hapir.diagnostics import HapirError

X = np.array([[-1.5, 0, 2], [3, -4, 0.25]], np.float32)
DEVICES = ("reference", "c", "CPU")


def model(
    nodes: Sequence[NodeProto],
    inputs: dict[str, tuple[int, Sequence[int | str] | None]],
    outputs: dict[str, tuple[int, Sequence[int | str] | None]],
    initializers: Sequence[TensorProto] = (),
) -> ModelProto:
    """A model; inputs and outputs are element types and shapes."""
    values = [[helper.make_tensor_value_info(n, *t) for n, t in side.items()] for side in (inputs, outputs)]
    return helper.make_model(helper.make_graph(nodes, "g", *values, initializer=initializers))


def relu(shape: Sequence[int | str]) -> ModelProto:
    """A model of one Relu."""
    tensor = {"shape": (TensorProto.FLOAT, shape)}
    return model([helper.make_node("Relu", ["x"], ["y"])], {"x": tensor["shape"]}, {"y": tensor["shape"]})


def code_of(call: Any, *arguments: Any) -> str:
    """The code of the diagnostic that a call gives."""
    with pytest.raises(HapirError) as caught:
        call(*arguments)
    return caught.value.diagnostics[0].code


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_runs_by_order_and_by_name(device: str):
    prepared = hapir.backend.prepare(relu([2, 3]), device)
    for inputs in ([X], {"x": X}):
        (found,) = prepared.run(inputs)
        np.testing.assert_array_equal(found, np.maximum(X, 0))
    (found,) = hapir.backend.run_model(relu([2, 3]), [X], device)
    np.testing.assert_array_equal(found, np.maximum(X, 0))


@pytest.mark.parametrize("device", DEVICES)
def test_open_sizes_are_those_of_each_run(device: str):
    prepared = hapir.backend.prepare(relu(["N", 3]), device)
    for count in (1, 2, 1):
        (found,) = prepared.run([X[:count]])
        np.testing.assert_array_equal(found, np.maximum(X[:count], 0))


@pytest.mark.parametrize("device", DEVICES)
def test_a_node_runs_alone(device: str):
    node = helper.make_node("Add", ["a", "b"], ["sum"])
    for inputs in ([X, X], {"b": X, "a": X}):
        (found,) = hapir.backend.run_node(node, inputs, device, opset_version=13)
        np.testing.assert_array_equal(found, X + X)


def test_devices_are_known():
    assert all(map(hapir.backend.supports_device, DEVICES))
    assert not hapir.backend.supports_device("CUDA")
    assert code_of(hapir.backend.prepare, relu([2, 3]), "gpu") == "HAP0930"


def test_what_cannot_be_imported_is_said_when_it_is_prepared():
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Det", ["y"], ["z"])]
    refused = model(nodes, {"x": (TensorProto.FLOAT, [3, 3])}, {"z": (TensorProto.FLOAT, [])})
    assert code_of(hapir.backend.prepare, refused) == "HAP0990"
    assert not hapir.backend.is_compatible(refused)
    assert hapir.backend.is_compatible(relu([2, 3]))
    assert not hapir.backend.is_compatible(relu([2, 3]), "gpu")


def test_inputs_that_do_not_fit_are_refused():
    prepared = hapir.backend.prepare(relu([2, 3]))
    assert code_of(prepared.run, []) == "HAP0420"
    assert code_of(prepared.run, {"y": X}) == "HAP0420"
    assert code_of(prepared.run, [X[:1]]) == "HAP0421"
    assert code_of(prepared.run, [X.astype(np.int32)]) == "HAP0421"
    assert code_of(hapir.backend.run_node, helper.make_node("Relu", ["x"], ["y"]), [X, X]) == "HAP0420"
