"""hapir as an `onnx.backend`: devices, names, sizes that are left open, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import hapir.backend
from hapir.diagnostics import HapirError

X = np.array([[-1.5, 0, 2], [3, -4, 0.25]], np.float32)
DEVICES = ("reference", "c", "CPU")
Types = Mapping[str, tuple[int, Sequence[int | str] | None]]
"""Element types and shapes by name."""


def model(
    nodes: Sequence[NodeProto],
    inputs: Types,
    outputs: Types,
    initializers: Sequence[TensorProto] = (),
    opset: int = 13,
) -> ModelProto:
    """A model; inputs and outputs are element types and shapes."""
    values = [[helper.make_tensor_value_info(n, *t) for n, t in side.items()] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, "g", *values, initializer=initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


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


def reshape(opset: int = 13) -> ModelProto:
    """A model of one Reshape whose shape is an input."""
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    inputs: Types = {"x": (TensorProto.FLOAT, [2, 3]), "shape": (TensorProto.INT64, ["rank"])}
    return model([node], inputs, {"y": (TensorProto.FLOAT, None)}, opset=opset)


@pytest.mark.parametrize("device", DEVICES)
def test_shapes_are_bound_at_the_first_run_and_again_when_they_change(device: str):
    prepared = hapir.backend.prepare(reshape(), device)
    for shape in ([3, 2], [6], [6], [1, -1, 3]):
        (found,) = prepared.run([X, np.array(shape)])
        np.testing.assert_array_equal(found, X.reshape(shape))


def test_what_was_bound_is_told():
    bound = hapir.backend.bind(reshape(), {"x": X, "shape": np.array([6])})
    assert list(bound.constants) == ["shape"]
    assert bound.inputs == ("x",)
    assert bound.fits({"x": X, "shape": np.array([6])})
    assert not bound.fits({"x": X, "shape": np.array([3, 2])})
    assert not bound.fits({"x": X[:1], "shape": np.array([6])})


@pytest.mark.parametrize("device", DEVICES)
def test_booleans_scalars_and_wide_numbers_keep_their_types(device: str):
    nodes = [helper.make_node("Greater", ["x", "limit"], ["y"]), helper.make_node("Add", ["limit", "limit"], ["z"])]
    inputs: Types = {"x": (TensorProto.DOUBLE, [2, 3]), "limit": (TensorProto.DOUBLE, [])}
    both = model(nodes, inputs, {"y": (TensorProto.BOOL, [2, 3]), "z": (TensorProto.DOUBLE, [])})
    larger, twice = hapir.backend.run_model(both, [X.astype(np.float64), np.array(0.5)], device)
    assert (larger.dtype, twice.dtype, twice.shape) == (np.bool_, np.float64, ())
    np.testing.assert_array_equal(larger, X > 0.5)
    assert twice == 1


def test_numbers_that_are_not_finite_are_taken():
    bad = np.array([[np.inf, -np.inf, np.nan]], np.float32)
    for device in ("reference", "c"):
        (found,) = hapir.backend.run_model(relu([1, 3]), [bad], device)
        assert found[0, 0] == np.inf
        assert found[0, 1] == 0


def test_values_that_f32_cannot_hold_are_refused():
    wide = model(
        [helper.make_node("Neg", ["x"], ["y"])], {"x": (TensorProto.DOUBLE, [1])}, {"y": (TensorProto.DOUBLE, [1])}
    )
    assert code_of(hapir.backend.run_model, wide, [np.array([1e300])]) == "HAP0482"


def test_old_operators_are_converted():
    node = helper.make_node("Add", ["a", "b"], ["sum"], broadcast=1, axis=1)
    types = {"a": (TensorProto.FLOAT, [2, 3]), "b": (TensorProto.FLOAT, [3])}
    old = model([node], types, {"sum": (TensorProto.FLOAT, [2, 3])}, opset=6)
    (found,) = hapir.backend.run_model(old, [X, X[0]])
    np.testing.assert_array_equal(found, X + X[0])


def test_initializers_are_no_inputs():
    weight = numpy_helper.from_array(X, "w")
    types = {"x": (TensorProto.FLOAT, [2, 3]), "w": (TensorProto.FLOAT, [2, 3])}
    both = model([helper.make_node("Mul", ["x", "w"], ["y"])], types, {"y": (TensorProto.FLOAT, [2, 3])}, [weight])
    (found,) = hapir.backend.run_model(both, [X])
    np.testing.assert_array_equal(found, X * X)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.uint32, np.int8, np.bool_])
def test_a_model_that_gives_back_its_input_and_a_constant(dtype: npt.DTypeLike):
    x = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    element = helper.np_dtype_to_tensor_dtype(x.dtype)
    nodes = [
        helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("Constant", [], ["z"], value=numpy_helper.from_array(x[0])),
    ]
    both = model(nodes, {"x": (element, [2, 3])}, {"y": (element, [2, 3]), "z": (element, [3])})
    for device in ("reference", "c"):
        y, z = hapir.backend.run_model(both, [x], device)
        assert (y.dtype, z.dtype) == (x.dtype, x.dtype)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(z, x[0])
