"""LSTM, GRU and RNN of ONNX as networks: what onnxruntime computes, in all forms, on the reference and in C."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper, numpy_helper

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.importers.onnx.convert import Converted, convert
from hapir.importers.onnx.graph import graph_of
from hapir.importers.onnx.read import make_canonical
from hapir.importers.text import network_text
from hapir.reference.interpret import run_network
from hapir.targets.c.build import build_c_together
from hapir.targets.c.emit import emit_c
from tests.unit.test_reference_onnx import Array, assert_close, onnxruntime_results

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
ORDER = ("X", "W", "R", "B", "lengths", "h", "c", "P")
BOUNDED = ("Sigmoid", "Tanh", "ScaledTanh", "HardSigmoid", "Softsign")
OTHERS = ("Relu", "Affine", "LeakyRelu", "ThresholdedRelu", "Elu", "Softplus", *BOUNDED)
WITH_ALPHA = ("ScaledTanh", "HardSigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "Elu")
WITH_BETA = ("ScaledTanh", "HardSigmoid", "Affine")


def model(kind: str, arrays: dict[str, Array], constant: set[str], outputs: list[str], **attributes: Any) -> ModelProto:
    """One node; the inputs named in `constant` are initializers, the others inputs of the graph."""
    names = [name if name in arrays else "" for name in ORDER[: 8 if kind == "LSTM" else 6]]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
        if name not in constant
    ]
    n, t = sizes(arrays["X"], attributes.get("layout", 0))
    directions, _, units = arrays["R"].shape
    batch_first = attributes.get("layout", 0) == 1
    state = (n, directions, units) if batch_first else (directions, n, units)
    shapes = [(n, t, directions, units) if batch_first else (t, directions, n, units), state, state]
    results = [
        helper.make_tensor_value_info(name, 1, shape) for name, shape in zip(outputs, shapes, strict=False) if name
    ]
    node = helper.make_node(kind, names, outputs, "layer", hidden_size=units, **attributes)
    stored = [numpy_helper.from_array(arrays[name], name) for name in constant]
    graph = helper.make_graph([node], "one_node", inputs, results, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def sizes(x: Array, layout: int) -> tuple[int, int]:
    """Sequences and steps."""
    return (x.shape[0], x.shape[1]) if layout else (x.shape[1], x.shape[0])


def imported(proto: ModelProto) -> tuple[nn.NetworkOp, Converted]:
    converted = convert(graph_of(proto), "net")
    (network,) = converted.module.ops
    assert isinstance(network, nn.NetworkOp)
    network.verify()
    return network, converted


@st.composite
def nodes(draw: st.DrawFn) -> tuple[str, dict[str, Array], set[str], list[str], dict[str, Any]]:
    """A node: its inputs, which of them are constant, its outputs and attributes."""
    kind = draw(st.sampled_from(sorted(GATES)))
    n, t, c, h = (draw(st.integers(1, 4)) for _ in range(4))
    direction = draw(st.sampled_from(("forward", "reverse", "bidirectional")))
    d, gates = 2 if direction == "bidirectional" else 1, GATES[kind]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))

    def normal(*shape: int, scale: float = 0.25) -> Array:
        return np.asarray(scale * rng.standard_normal(shape), np.float32)

    arrays = {"X": normal(t, n, c, scale=1), "W": normal(d, gates * h, c), "R": normal(d, gates * h, h)}
    optional: dict[str, Array] = {
        "B": normal(d, 2 * gates * h),
        "lengths": rng.integers(1, t + 1, n).astype(np.int32),
        "h": normal(d, n, h),
        "c": normal(d, n, h),
        "P": normal(d, 3 * h),
    }
    zeros = draw(st.booleans())
    for name, array in optional.items():
        if name in ("c", "P") and kind != "LSTM":
            continue
        if draw(st.booleans()):
            arrays[name] = array * 0 if zeros and name != "lengths" else array
    constant = {name for name in arrays if name != "X" and draw(st.booleans())}
    attributes: dict[str, Any] = {"direction": direction}
    if draw(st.booleans()):
        attributes["clip"] = draw(st.sampled_from((0.3, 1.0)))
    if kind == "GRU":
        attributes["linear_before_reset"] = draw(st.integers(0, 1))
    if draw(st.booleans()):
        count = {"LSTM": 3, "GRU": 2, "RNN": 1}[kind]
        words = [draw(st.sampled_from(BOUNDED if i % count == 0 and count > 1 else OTHERS)) for i in range(d * count)]
        attributes["activations"] = words
        for name, takes in (("activation_alpha", WITH_ALPHA), ("activation_beta", WITH_BETA)):
            numbers = [draw(st.sampled_from((0.1, 0.5))) for word in words if word in takes]
            # onnxruntime takes 0 for numbers of these that are left out; ONNX says 1, or nothing
            if numbers and ({"Affine", "ScaledTanh", "ThresholdedRelu"} & set(words) or draw(st.booleans())):
                attributes[name] = numbers
    outputs = ["Y", "Y_h", "Y_c"][: 3 if kind == "LSTM" else 2]
    return kind, arrays, constant, outputs, attributes


def runtime(proto: ModelProto, arrays: dict[str, Array], constant: set[str]) -> list[Array]:
    given = {name: array for name, array in arrays.items() if name not in constant}
    return onnxruntime_results(proto, given)


@settings(max_examples=120, deadline=None)
@given(nodes())
def test_any_form(node: tuple[str, dict[str, Array], set[str], list[str], dict[str, Any]]) -> None:
    kind, arrays, constant, outputs, attributes = node
    proto = model(kind, arrays, constant, outputs, **attributes)
    network, converted = imported(proto)
    given = {name: array for name, array in arrays.items() if name not in constant}
    found = run_network(network, converted.weights, given)
    for mine, theirs in zip(found.values(), runtime(proto, arrays, constant), strict=True):
        assert_close(mine, theirs)


@settings(max_examples=40, deadline=None)
@given(nodes())
def test_batches_first(node: tuple[str, dict[str, Array], set[str], list[str], dict[str, Any]]) -> None:
    """onnxruntime has no such layout: the same node with its axes in the other order says what is right."""
    kind, arrays, constant, outputs, attributes = node
    proto = model(kind, arrays, constant, outputs, **attributes)
    swapped = {n: a.swapaxes(0, 1).copy() if n in ("X", "h", "c") else a for n, a in arrays.items()}
    network, converted = imported(model(kind, swapped, constant, outputs, layout=1, **attributes))
    given = {name: array for name, array in swapped.items() if name not in constant}
    found = list(run_network(network, converted.weights, given).values())
    for position, (mine, theirs) in enumerate(zip(found, runtime(proto, arrays, constant), strict=True)):
        assert_close(mine, theirs.transpose(1, 0, 2) if position else theirs.transpose(2, 0, 1, 3))


@settings(max_examples=1, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.lists(nodes(), min_size=10, max_size=10))
def test_in_c(drawn: list[tuple[str, dict[str, Array], set[str], list[str], dict[str, Any]]]) -> None:
    made = [imported(model(kind, arrays, constant, outputs, **a)) for kind, arrays, constant, outputs, a in drawn]
    artefacts = [emit_c(network, converted.weights, f"net{i}") for i, (network, converted) in enumerate(made)]
    modules = build_c_together(artefacts, flags=("-std=c11", "-O0"), cache=False)
    for (_, arrays, constant, _, _), (network, converted), module in zip(drawn, made, modules, strict=True):
        given = {name: array for name, array in arrays.items() if name not in constant}
        expected, found = run_network(network, converted.weights, given), module.run(given)
        for name, array in expected.items():
            assert_close(np.asarray(found[name]), array)


def basic(kind: str) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    shapes = {"X": (3, 2, 4), "W": (1, GATES[kind] * 5, 4), "R": (1, GATES[kind] * 5, 5)}
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def test_one_layer_reads_well() -> None:
    """Zero states and lengths that are all there leave nothing behind; parameters have the layer's own keys."""
    arrays = basic("LSTM")
    arrays |= {"h": np.zeros((1, 2, 5), np.float32), "c": np.zeros((1, 2, 5), np.float32)}
    arrays["lengths"] = np.full(2, 3, np.int32)
    network, converted = imported(model("LSTM", arrays, set(arrays) - {"X"}, ["Y"]))
    names = [op.name for op in network.body.block.ops if not isinstance(op, nn.WeightOp)]
    assert names == ["nn.transpose", "nn.lstm", "nn.transpose", "nn.reshape", "nn.return"]
    assert sorted(converted.weights) == ["layer.weight_hidden", "layer.weight_input"]


def test_equal_states_of_all_sequences_are_one_row() -> None:
    arrays = basic("RNN") | {"h": np.full((1, 2, 5), 0.5, np.float32)}
    network, converted = imported(model("RNN", arrays, {"W", "R", "h"}, ["", "Y_h"]))
    assert converted.weights["layer_initial_h.value"].shape == (1, 5)
    (op,) = (op for op in network.body.block.ops if isinstance(op, nn.RnnOp))
    assert op.keeps_items


@pytest.mark.parametrize(
    ("kind", "attributes", "message"),
    [
        ("LSTM", {"input_forget": 1}, "couples two gates"),
        ("LSTM", {"direction": "sideways"}, "there is no direction `sideways`"),
        ("LSTM", {"clip": -1.0}, "clips at a positive number, got -1.0"),
        ("GRU", {"linear_before_reset": 2}, "`linear_before_reset` is 2"),
        ("GRU", {"activations": ["Tanh"]}, r"`activations` is \['Tanh'\]"),
        ("RNN", {"activations": ["Gelu"]}, "there is no activation `Gelu` in a cell"),
        ("RNN", {"activations": ["ScaledTanh"]}, "ScaledTanh has no default of alpha"),
        ("RNN", {"layout": 3}, "`layout` is 3"),
        ("RNN", {"direction": "bidirectional"}, "input 1 has shape"),
    ],
)
def test_what_cannot_be_imported(kind: str, attributes: dict[str, Any], message: str) -> None:
    arrays = basic(kind)
    proto = model(kind, arrays, set(arrays) - {"X"}, ["Y"], **attributes)
    with pytest.raises(HapirError, match="HAP0990"):
        convert(graph_of(proto), "net")
    with pytest.raises(HapirError, match=message):
        convert(graph_of(proto), "net")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_batches_first_as_pytorch_exports_them(bidirectional: bool) -> None:
    """Transposes before and after, and the axis of directions, cancel: nothing but the layers is left."""
    rng = np.random.default_rng(0)
    directions = 2 if bidirectional else 1
    arrays: dict[str, Array] = {"W": rng.standard_normal((directions, 20, 4), dtype=np.float32)}
    arrays["R"] = rng.standard_normal((directions, 20, 5), dtype=np.float32)
    arrays["shape"], arrays["axes"] = np.array([0, 0, -1], np.int64), np.array([1], np.int64)
    direction = "bidirectional" if bidirectional else "forward"
    nodes = [
        helper.make_node("Transpose", ["x"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["steps", "W", "R"], ["Y"], "lstm", hidden_size=5, direction=direction),
        *(
            [
                helper.make_node("Transpose", ["Y"], ["turned"], perm=[0, 2, 1, 3]),
                helper.make_node("Reshape", ["turned", "shape"], ["flat"]),
            ]
            if bidirectional
            else [helper.make_node("Squeeze", ["Y", "axes"], ["flat"])]
        ),
        helper.make_node("Transpose", ["flat"], ["y"], perm=[1, 0, 2]),
    ]
    types = [helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", [2, 3, 4]), ("y", [2, 3, 5]))]
    types[1].type.tensor_type.shape.dim[2].dim_value = 5 * directions
    stored = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "net", types[:1], types[1:], stored)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    network, converted = imported(proto)
    weights = make_canonical(converted.module, converted.weights)
    kinds = [op.name for op in network.body.block.ops if isinstance(op, nn.LayerOp)]
    assert kinds == (["nn.lstm", "nn.lstm", "nn.concat"] if bidirectional else ["nn.lstm"])
    x = rng.standard_normal((2, 3, 4), dtype=np.float32)
    (wanted,) = onnxruntime_results(proto, {"x": x})
    assert_close(run_network(network, weights, {"x": x})["y"], wanted)


@settings(max_examples=60, deadline=None)
@given(nodes())
def test_text(node: tuple[str, dict[str, Array], set[str], list[str], dict[str, Any]]) -> None:
    """What is a parameter of the layer and what a tensor is said by the statement; `network_text` reads it again."""
    kind, arrays, constant, outputs, attributes = node
    network, _ = imported(model(kind, arrays, constant, outputs, **attributes))
    assert f"{kind.lower()}(" in network_text(network).text
