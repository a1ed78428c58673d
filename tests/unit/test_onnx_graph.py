"""Models as plain data: names, order, open sizes, what does nothing, floats of other widths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hapir.diagnostics import HapirError
from hapir.importers.onnx.graph import graph_of
from tests.onnx_models.small import SMALL, model, random, value
from tests.unit.test_onnx_load import code_of


def net(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str] = ("y",), **options: Any) -> onnx.ModelProto:
    """A model with one input `x` and one weight `w`."""
    return model(nodes, [value("x", [1, 4])], outputs, {"w": random(4)}, **options)


def node(op: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> onnx.NodeProto:
    """A node whose values are words in a row."""
    return helper.make_node(op, inputs.split(), outputs.split(), name, **attributes)


# --- structure --------------------------------------------------------------------------------------------------------


def test_nodes_are_put_in_order_where_they_are_not():
    nodes = [node("Relu", "b", "y", "last"), node("Abs", "x", "a", "first"), node("Add", "a w", "b", "second")]
    assert [n.name for n in graph_of(net(nodes)).nodes] == ["first", "second", "last"]
    ordered = [node("Abs", "x", "a", "1"), node("Neg", "x", "b", "2"), node("Add", "a b", "y", "3")]
    assert [n.name for n in graph_of(net(ordered)).nodes] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("nodes", "code"),
    [
        ([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")], "HAP0907"),
        ([node("Add", "x y", "y")], "HAP0907"),
        ([node("Relu", "x", "y"), node("Abs", "x", "y")], "HAP0908"),
        ([node("Relu", "x", "w"), node("Relu", "w", "y")], "HAP0908"),
        ([node("Relu", "x", "x"), node("Relu", "x", "y")], "HAP0908"),
        ([node("Relu", "typo", "y")], "HAP0909"),
        ([node("Relu", "x", "z")], "HAP0909"),
        ([node("Relu", "", "y")], "HAP0913"),
        ([node("Relu", "x x", "y")], "HAP0913"),
        ([node("Split", "x", "y z", num_outputs=0)], "HAP0913"),
        ([node("Conv", "x w", "y", strides=[0, 1])], "HAP0913"),
        ([node("Conv", "x w", "y", group=1 << 40)], "HAP0913"),
        ([node("Gather", "x w", "y", axes=1)], "HAP0913"),
        ([node("Gather", "x w", "y", axis=1.5)], "HAP0913"),
        ([node("Concat", "x w", "y")], "HAP0913"),
        ([node("Constant", "", "c"), node("Add", "x c", "y")], "HAP0913"),
        ([node("Constant", "", "c", value_string="s"), node("Add", "x c", "y")], "HAP0910"),
        ([node("Add", "x", "y")], "HAP0913"),
        ([], "HAP0909"),
    ],
)
def test_graphs_that_are_malformed(nodes: list[onnx.NodeProto], code: str):
    made = net([])
    made.graph.node.extend([n if list(n.input) or n.op_type == "Constant" else _left_out(n) for n in nodes])
    assert code_of(made) == code


def _left_out(broken: onnx.NodeProto) -> onnx.NodeProto:
    """The node with its input left out by an empty name."""
    broken.input.append("")
    return broken


def test_attributes_given_twice_or_from_no_function():
    twice = node("LeakyRelu", "x", "y", alpha=0.5)
    twice.attribute.append(twice.attribute[0])
    assert code_of(net([twice])) == "HAP0913"
    referring = node("LeakyRelu", "x", "y", alpha=0.5)
    referring.attribute[0].ref_attr_name = "slope"
    assert code_of(net([referring])) == "HAP0913"


def test_outputs_that_are_malformed():
    made = net([node("Relu", "x", "y")], ["y", "y"])
    assert code_of(made) == "HAP0908"
    del made.graph.output[:]
    assert code_of(made) == "HAP0909"


def test_names_in_messages_are_short_and_printable():
    with pytest.raises(HapirError) as raised:
        graph_of(net([helper.make_node("Relu", ["\x1b[31m\n" + "x" * 5000], ["y"])]))
    message = raised.value.diagnostics[0].message
    assert message.isprintable()
    assert len(message) < 200


def test_inputs_that_are_no_tensors():
    made = net([node("Relu", "x", "y")])
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    made.graph.input[0].type.CopyFrom(sequence)
    assert code_of(made) == "HAP0910"
    made.graph.input[0].type.CopyFrom(helper.make_tensor_type_proto(TensorProto.STRING, [1]))
    assert code_of(made) == "HAP0910"
    made.graph.input[0].ClearField("type")
    assert code_of(made) == "HAP0910"


def test_domains_and_unknown_operators_stay_for_the_converter():
    nodes = [helper.make_node("Relu", ["x"], ["h"], domain="ai.onnx"), node("Odd", "h", "y", domain="far", size=3)]
    found = graph_of(net(nodes, domains=[helper.make_opsetid("far", 2)]))
    assert [(n.domain, n.op) for n in found.nodes] == [("", "Relu"), ("far", "Odd")]
    assert found.opsets == {"": 17, "far": 2}
    assert found.nodes[1].attributes == {"size": 3}


def test_attributes_are_plain_data():
    made = graph_of(SMALL["control_flow"]())
    choice, loop, _ = made.nodes
    assert choice.attributes == {"then_branch": "a graph of 1 nodes", "else_branch": "a graph of 1 nodes"}
    assert loop.op == "Loop"
    assert made.constants["k"].tolist() == [0, 1, 0, 2]
    attributes: dict[str, Any] = {"a": 1, "b": 0.5, "c": "word", "d": [1, 2], "e": [0.5], "f": ["s"]}
    odd = node("Odd", "x", "y", domain="far", t=numpy_helper.from_array(random(2)), **attributes)
    found = dict(graph_of(net([odd], domains=[helper.make_opsetid("far", 2)])).nodes[0].attributes)
    assert np.array_equal(found.pop("t"), random(2))  # pyright: ignore[reportArgumentType]  # an array
    assert found == attributes


# --- what does nothing ------------------------------------------------------------------------------------------------


def test_what_does_nothing_makes_place_for_what_it_reads():
    nodes = [
        node("Identity", "x", "i"),
        node("Dropout", "i", "d mask"),
        node("Relu", "d", "r"),
        node("Identity", "r", "y"),
        node("Abs", "r", "z"),
    ]
    found = graph_of(net(nodes, ["y", "z"]))
    assert [(n.op, n.inputs, n.outputs) for n in found.nodes] == [("Relu", ("x",), ("y",)), ("Abs", ("y",), ("z",))]
    assert found.outputs == ("y", "z")


def test_outputs_under_two_names_stay_two():
    nodes = [node("Relu", "x", "y"), node("Identity", "y", "a"), node("Identity", "x", "b"), node("Identity", "w", "c")]
    found = graph_of(net(nodes, ["y", "a", "b", "c"]))
    assert [(n.op, n.inputs, n.outputs) for n in found.nodes] == [
        ("Relu", ("x",), ("y",)),
        ("Identity", ("y",), ("a",)),
        ("Identity", ("x",), ("b",)),
    ]
    assert np.array_equal(found.constants["c"], random(4))


def test_a_dropout_that_trains_or_whose_mask_is_read_stays():
    constants = {"ratio": np.array(0.5, np.float32), "yes": np.array(True), "no": np.array(False)}
    for trains, stays in (("yes", True), ("no", False)):
        nodes = [node("Dropout", f"x ratio {trains}", "d m"), node("Relu", "d", "y")]
        found = graph_of(model(nodes, [value("x", [1, 4])], ["y"], constants))
        assert [n.op for n in found.nodes] == ["Dropout", "Relu"][1 - stays :]
    assert graph_of(net([node("Dropout", "x", "d y")])).nodes[0].op == "Dropout"


def test_what_no_output_needs_is_dropped():
    nodes = [node("Relu", "x", "y"), node("Add", "x w", "dead"), node("Abs", "dead", "deader")]
    found = graph_of(net(nodes))
    assert [n.op for n in found.nodes] == ["Relu"]
    assert dict(found.constants) == {}


def test_initializers_that_are_inputs_too_are_constants():
    made = net([node("Add", "x w", "y")])
    made.graph.input.append(value("w", [4]))
    found = graph_of(made)
    assert found.inputs == ("x",)
    assert np.array_equal(found.constants["w"], random(4))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"value_float": 0.5}, np.float32(0.5)),
        ({"value_floats": [0.5, 2]}, np.array([0.5, 2], np.float32)),
        ({"value_int": 3}, np.int64(3)),
        ({"value_ints": [3, 4]}, np.array([3, 4])),
        ({"value": numpy_helper.from_array(random(2, 2))}, random(2, 2)),
    ],
)
def test_constants_in_all_forms(attributes: dict[str, Any], expected: Any):
    found = graph_of(net([node("Constant", "", "c", **attributes), node("Add", "x c", "y")])).constants["c"]
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


# --- open sizes -------------------------------------------------------------------------------------------------------


def shape_of(sizes: Sequence[int | str | None], **options: Any) -> tuple[int, ...] | None:
    """The shape of an input whose sizes are these in the model."""
    return graph_of(opened(sizes), **options).types["x"].shape


def opened(sizes: Sequence[int | str | None]) -> onnx.ModelProto:
    return model([node("Relu", "x", "y")], [value("x", sizes)], ["y"])


BATCHES = ["N", "batch", "batch_size", "Batch", None, "unk__616", "dynamic_batch", -1, 0]
MADE_UP = ["DynamicDimension.0", "input_dynamic_axes_1", "s77"]


@pytest.mark.parametrize("name", [*BATCHES, *MADE_UP])
def test_the_batch_is_one_or_what_is_asked_for(name: int | str | None):
    found = graph_of(opened([name, 3]))
    assert found.types["x"].shape == (1, 3)
    assert [(w.code, w.severity) for w in found.warnings] == [("HAP0917", "note")]
    assert shape_of([name, 3], batch=8) == (8, 3)
    assert graph_of(opened([name, 3]), batch=8).warnings == ()


@pytest.mark.parametrize("name", MADE_UP)
def test_made_up_names_tell_nothing_of_other_axes(name: str):
    with pytest.raises(HapirError, match="axis 1"):
        graph_of(opened([2, name]))


def test_a_batch_behind_another_axis():
    assert shape_of(["time", "batch", 4], batch=2, dims={"time": 5}) == (5, 2, 4)


def test_other_open_sizes_must_be_given():
    made = opened(["N", 3, "height", None])
    with pytest.raises(HapirError, match="axis 2") as raised:
        graph_of(made)
    assert raised.value.diagnostics[0].help == "choose its size: `--dim height=N`"
    with pytest.raises(HapirError) as raised:
        graph_of(made, {"height": 8})
    assert raised.value.diagnostics[0].help == "choose its size: `--dim x.3=N`"
    assert graph_of(made, {"height": 8, "x.3": 6}).types["x"].shape == (1, 3, 8, 6)


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        (["N", 3], {"dims": {"M": 3}}),
        ([1, 3], {"dims": {"x.0": 3}}),
        ([1, 3], {"batch": 2}),
        (["N", 3], {"batch": 1 << 40}),
        (["N", 3], {"batch": -1}),
        (["N", "h"], {"dims": {"h": 0}}),
    ],
)
def test_sizes_that_fit_nothing(sizes: list[int | str | None], options: dict[str, Any]):
    assert code_of(opened(sizes), **options) == "HAP0912"


def test_a_batch_that_is_the_models_own():
    assert shape_of([4, 3], batch=4) == (4, 3)


def test_inputs_of_absurd_or_unknown_shape():
    assert code_of(opened([1 << 20, 1 << 20])) == "HAP0906"
    assert code_of(opened(["N", 1 << 20]), batch=1 << 20) == "HAP0906"
    assert code_of(opened([1] * 20)) == "HAP0906"
    made = opened([1])
    made.graph.input[0].type.tensor_type.ClearField("shape")
    assert code_of(made) == "HAP0916"


# --- other floats -----------------------------------------------------------------------------------------------------


def test_other_floats_become_float32_with_a_warning():
    found = graph_of(SMALL["elementwise"]())
    assert {t.dtype for name, t in found.types.items() if name in ("a", "b")} == {np.dtype(np.float32)}
    (cast,) = (n for n in found.nodes if n.op == "Cast")
    assert cast.attributes == {"to": TensorProto.FLOAT}
    said = [(w.code, w.severity, w.message) for w in found.warnings]
    assert said == [
        ("HAP0915", "warning", "2 float16 tensors become float32: `a`, `b`"),
        ("HAP0915", "warning", "a cast to another float keeps float32, and does not round: Cast `y`"),
    ]
