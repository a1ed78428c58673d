"""What is computed while a model is imported: the rules against onnxruntime, sizes, and shapes that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.importers.onnx import fold
from hapir.importers.onnx.convert import convert, try_convert
from hapir.importers.onnx.fold import Folder
from hapir.importers.onnx.graph import graph_of
from hapir.importers.onnx.model import GraphNode
from tests.onnx_models.small import model, random, value
from tests.unit.test_reference_onnx import SESSION, ort

Array = npt.NDArray[Any]
F = random(2, 3, 4)
WHOLE = np.arange(-6, 18).reshape(2, 3, 4)


def ints(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def real(number: float) -> Array:
    return np.array(number, np.float32)


CASES: list[tuple[str, list[Array], dict[str, Any]]] = [
    *((op, [F, random(3, 1)], {}) for op in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Less", "GreaterOrEqual")),
    *((op, [WHOLE, ints(-3, 2, 5, -7)], {}) for op in ("Add", "Sub", "Mul", "Div", "Mod", "Max", "Equal", "Greater")),
    ("Mod", [F, random(4)], {"fmod": 1}),
    ("LessOrEqual", [WHOLE, ints(3)], {}),
    ("Pow", [np.abs(F), np.array(2.5, np.float32)], {}),
    ("Pow", [WHOLE, np.array(2)], {}),
    ("Max", [F, random(1), random(3, 4)], {}),
    ("Sum", [F, random(1), random(3, 4)], {}),
    *((op, [F], {}) for op in ("Abs", "Neg", "Ceil", "Floor", "Exp", "Reciprocal", "Sin", "Cos")),
    *((op, [np.abs(F)], {}) for op in ("Sqrt", "Log")),
    ("Neg", [WHOLE], {}),
    ("Not", [WHOLE > 3], {}),
    *((op, [WHOLE > 3, WHOLE < 9], {}) for op in ("And", "Or", "Xor")),
    ("Where", [WHOLE > 3, F, random(4)], {}),
    *(("Cast", [F * 9], {"to": to}) for to in (TensorProto.INT64, TensorProto.INT8, TensorProto.BOOL)),
    ("Cast", [WHOLE], {"to": TensorProto.FLOAT}),
    ("Reshape", [F, ints(0, -1, 2)], {}),
    ("Reshape", [np.zeros((0, 3), np.float32), ints(3, 0)], {"allowzero": 1}),
    ("Flatten", [F], {"axis": 2}),
    ("Flatten", [F], {"axis": -1}),
    ("Flatten", [F], {}),
    ("Transpose", [F], {}),
    ("Transpose", [F], {"perm": [1, 2, 0]}),
    ("Squeeze", [F[None, :, :1]], {}),
    ("Squeeze", [F[None, :, :1], ints(0, -2)], {}),
    ("Unsqueeze", [F, ints(0, -1)], {}),
    ("Concat", [F, F[:, :1]], {"axis": -2}),
    ("Gather", [F, ints(2, -1)], {"axis": 1}),
    ("Gather", [WHOLE, np.array(1)], {}),
    ("Slice", [F, ints(-2, 0), ints(99, 2), ints(1, 0)], {}),
    ("Slice", [F, ints(3), ints(-99), ints(2), ints(-2)], {}),
    ("Slice", [F, ints(-99), ints(-99), ints(2), ints(-1)], {}),
    ("Slice", [F, ints(99, -1), ints(-5, 0), ints(2, 1), ints(-1, -1)], {}),
    ("Slice", [F, ints(0), ints(2)], {}),
    ("Expand", [F[:, :1], ints(3, 1)], {}),
    ("Expand", [F[:, :1], ints(5, 1, 3, 1)], {}),
    ("Tile", [F, ints(1, 2, 3)], {}),
    ("Range", [np.array(9), np.array(-2), np.array(-3)], {}),
    ("Range", [real(0.5), real(3), real(0.5)], {}),
    ("ConstantOfShape", [ints(2, 3)], {}),
    ("ConstantOfShape", [ints()], {"value": numpy_helper.from_array(ints(7))}),
    *((f"Reduce{kind}", [F], {"keepdims": 0}) for kind in ("Max", "Min", "Mean", "Prod")),
    *((f"Reduce{kind}", [F], {"axes": [0, -1]}) for kind in ("Max", "Min", "Mean", "Prod")),
    ("ReduceProd", [WHOLE + 7], {"axes": [1]}),
    ("ReduceSum", [F, ints(1)], {}),
    ("ReduceSum", [F], {"noop_with_empty_axes": 1}),
    ("ReduceSum", [WHOLE], {"keepdims": 0}),
    ("Split", [F, ints(1, 2)], {"axis": 1}),
    ("Split", [F], {"axis": -1}),
]


@pytest.mark.parametrize(("op", "arrays", "attributes"), CASES)
def test_rules_against_onnxruntime(op: str, arrays: list[Array], attributes: dict[str, Any]):
    """Opset 13, where axes are attributes of some operators and inputs of others."""
    arrays = [np.asarray(array) for array in arrays]
    outputs = ["y", "z"] if op == "Split" else ["y"]
    names = [f"i{i}" for i in range(len(arrays))]
    made = helper.make_node(op, names, outputs, **attributes)
    graph = helper.make_graph(
        [made],
        "one",
        [value(n, a.shape, helper.np_dtype_to_tensor_dtype(a.dtype)) for n, a in zip(names, arrays, strict=True)],
        [onnx.ValueInfoProto(name=name) for name in outputs],
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 14 if "allowzero" in attributes else 13)], ir_version=8
    )
    session = ort.InferenceSession(proto.SerializeToString(), SESSION, ["CPUExecutionProvider"])
    expected = session.run(None, dict(zip(names, arrays, strict=True)))
    (node,) = graph_of(proto).nodes
    found = Folder().results(node, arrays)
    assert found is not None
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert np.allclose(one, other, rtol=1e-6, atol=1e-6)


def test_every_rule_is_compared():
    assert set(fold.RULES) == {op for op, _, _ in CASES}


def folded(op: str, *arrays: Array, outputs: int = 1, **attributes: Any) -> list[Array] | None:
    """What the folder makes of a node."""
    names = tuple(f"i{i}" for i in range(len(arrays)))
    made = tuple(f"o{i}" for i in range(outputs))
    return Folder().results(GraphNode(op, "", "n", names, made, attributes), arrays)


@pytest.mark.parametrize(
    ("op", "arrays", "attributes"),
    [
        ("ConstantOfShape", [ints(1 << 30)], {}),
        ("ConstantOfShape", [ints(*[1] * 40)], {}),
        ("ConstantOfShape", [ints(-1)], {}),
        ("Expand", [ints(1), ints(1 << 30)], {}),
        ("Expand", [ints(1, 2), ints(3)], {}),
        ("Tile", [ints(1), ints(1 << 30)], {}),
        ("Tile", [ints(1), ints(-1)], {}),
        ("Range", [np.array(0), np.array(1 << 40), np.array(1)], {}),
        ("Range", [np.array(0), np.array(1), np.array(0)], {}),
        ("Range", [real(0), real(np.inf), real(1)], {}),
        ("Add", [np.zeros((1 << 11, 1)), np.zeros((1, 1 << 11))], {}),
        ("Gather", [np.zeros((1, 1 << 11)), np.zeros(1 << 11, np.int64)], {}),
        ("Gather", [ints(1, 2), ints(2)], {}),
        ("Div", [ints(1), ints(0)], {}),
        ("Mod", [ints(1), ints(0)], {}),
        ("Cast", [np.array([np.nan], np.float32)], {"to": TensorProto.INT64}),
        ("Cast", [ints(1)], {"to": TensorProto.INT4}),
        ("Cast", [ints(1)], {"to": TensorProto.STRING}),
        ("Cast", [ints(1)], {}),
        ("Reshape", [ints(1, 2), ints(3)], {}),
        ("Transpose", [ints(1, 2)], {"perm": [1]}),
        ("Split", [ints(1, 2), ints(3)], {}),
        ("Unsqueeze", [ints(1), ints(*range(40))], {}),
        ("Slice", [ints(1), ints(0), ints(1), ints(0), ints(0)], {}),
        ("MatMul", [F, F], {}),
    ],
)
def test_what_is_too_large_or_wrong_stays_a_node(op: str, arrays: list[Array], attributes: dict[str, Any]):
    assert folded(op, *arrays, **attributes) is None


def test_an_input_that_is_left_out_stays_a_node():
    node = GraphNode("Slice", "", "n", ("a", "", "c"), ("o",), {})
    assert Folder().results(node, [ints(1), None, ints(1)]) is None


def test_large_constants_may_be_moved_but_not_for_ever(monkeypatch: pytest.MonkeyPatch):
    large = np.zeros((fold.GROWN + 1, 1), np.float32)
    assert folded("Transpose", large) is not None
    monkeypatch.setattr(fold, "TOTAL", 3 * large.size)
    folder = Folder()
    node = GraphNode("Transpose", "", "n", ("a",), ("o",), {})
    assert [folder.results(node, [large]) is None for _ in range(4)] == [False, False, True, True]


# --- in models --------------------------------------------------------------------------------------------------------


def shape_chain(**ends: Any) -> onnx.ModelProto:
    """A sum whose operand is filled in the shape of another value, as exporters write masks."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Shape", ["r"], ["s"], **ends),
        helper.make_node("Size", ["r"], ["n"]),
        helper.make_node("ConstantOfShape", ["s"], ["c"], value=numpy_helper.from_array(np.array([2], np.float32))),
        helper.make_node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["c", "f"], ["m"]),
        helper.make_node("Add", ["x", "m"], ["y"]),
    ]
    return model(nodes, [value("x", ["N", 4])], ["y"])


def network_of(proto: onnx.ModelProto, **options: Any) -> tuple[NetworkOp, dict[str, Array]]:
    converted = convert(graph_of(proto, **options), "net")
    network = converted.module.body.block.first_op
    assert isinstance(network, NetworkOp)
    return network, dict(converted.weights)


def test_a_shape_becomes_a_constant_and_what_it_came_from_is_dropped():
    network, weights = network_of(shape_chain(), batch=3)
    assert [type(op).__name__ for op in network.body.block.ops] == ["WeightOp", "AddOp", "ReturnOp"]
    (array,) = weights.values()
    assert np.array_equal(array, np.full((3, 4), 24, np.float32))
    (array,) = network_of(shape_chain(start=-1), batch=3)[1].values()
    assert np.array_equal(array, np.full(4, 24, np.float32))


def test_a_node_that_only_a_shape_needs_may_be_unknown():
    made = shape_chain()
    made.graph.node.insert(1, helper.make_node("Odd", ["r"], ["odd"], domain="far"))
    made.opset_import.append(helper.make_opsetid("far", 1))
    made.graph.node.append(helper.make_node("Shape", ["odd"], ["os"]))
    converted = try_convert(graph_of(made), "net")
    assert converted.missing == ()


def test_narrow_integers_are_not_folded_and_keep_their_width():
    made = model([helper.make_node("Identity", ["w"], ["y"])], [], ["y"])
    made.graph.initializer.append(helper.make_tensor("w", TensorProto.INT4, [2], [-8, 7]))
    network, weights = network_of(made)
    op = network.body.block.first_op
    assert isinstance(op, WeightOp)
    assert str(op.result.type) == "tensor<2xsi4>"
    assert weights[op.key.data].tolist() == [-8, 7]


def test_shapes_that_an_operator_does_not_take_are_named():
    nodes = [helper.make_node("InstanceNormalization", ["x", "s", "s"], ["y"], "norm")]
    made = model(nodes, [value("x", [4])], ["y"], {"s": random(4)})
    (missing,) = try_convert(graph_of(made), "net").missing
    assert missing.node.name == "norm"
    assert missing.reason == "the shapes of its inputs are none that the operator takes"


def test_numbers_that_are_none_are_refused():
    nodes = [helper.make_node("LeakyRelu", ["x"], ["y"], "leak", alpha=float("nan"))]
    (missing,) = try_convert(graph_of(model(nodes, [value("x", [4])], ["y"])), "net").missing
    assert missing.reason == "the attribute `alpha` is not a number"
