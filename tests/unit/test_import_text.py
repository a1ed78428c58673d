"""Corners of networks as text: names that are missing, taken or odd, shared parameters, results that are inputs."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType, f32
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.num import signed
from hapir.importers.calls import Family
from hapir.importers.read_back import NetworkText, read_text
from hapir.importers.structure import module_of
from hapir.importers.text import network_text

X = TensorType(f32, (1, 4))


def network(ops: list[Operation], returned: list[SSAValue], given: nn.NetworkOp) -> nn.NetworkOp:
    """The network with these ops; its results are named r0, r1, ..."""
    given.body.block.add_ops([*ops, nn.ReturnOp(returned)])
    given.result_names = ArrayAttr([StringAttr(f"r{i}") for i, _ in enumerate(returned)])
    given.set_result_types()
    given.verify()
    return given


def body(written: NetworkText) -> list[str]:
    """The lines inside the network."""
    start = written.text.index("network ")
    return [line.strip() for line in written.text[start:].splitlines()[1:-1]][1:]


def test_layers_without_names_and_with_equal_ones_get_some():
    net = nn.NetworkOp("net", [("x", X)], [])
    (x,) = net.body.block.args
    a = nn.ReluOp(x)
    b = nn.ReluOp(a.result, layer="same")
    c = nn.ReluOp(b.result, layer="same")
    d = nn.ReluOp(c.result, layer="x")
    written = network_text(network([a, b, c, d], [d.result], net))
    assert body(written) == [
        "relu1 = relu(x)",
        "same = relu(relu1)",
        "same_2 = relu(same)",
        "x_2 = relu(same_2)",
        "return x_2",
    ]
    assert written.order == ("relu1", "same", "same_2", "x_2")


@pytest.mark.parametrize("name", ["input.1", "return", "0", "", "größe", "a b", "x" * 99])
def test_odd_names_of_inputs_results_and_networks(name: str):
    net = nn.NetworkOp(name or "n", [(name, X), ("x", X)], [])
    x, y = net.body.block.args
    add = nn.AddOp(x, y, layer=name or None)
    whole = network([add], [add.result, x], net)
    whole.result_names = ArrayAttr([StringAttr(name), StringAttr(name)])
    written = network_text(whole)  # which compares what it reads back
    assert len(set(written.inputs)) == len(set(written.results)) == 2
    assert read_text(written).sym_name.data == written.name


def test_what_is_returned_may_be_an_input_a_constant_or_the_same_twice():
    net = nn.NetworkOp("net", [("x", X)], [])
    (x,) = net.body.block.args
    constant = nn.WeightOp("mean.value", TensorType(signed(64), ()))
    relu = nn.ReluOp(x, layer="relu")
    written = network_text(network([constant, relu], [x, relu.result, relu.result, constant.result], net))
    assert body(written) == ["mean = constant(shape = [], type = i64)", "relu = relu(x)",
                             "return x", "relu", "relu", "mean"]  # fmt: skip
    assert written.weights == {"mean.value": "mean.value"}


def test_parameters_that_layers_share_are_stored_for_each():
    net = nn.NetworkOp("net", [("x", X)], [])
    (x,) = net.body.block.args
    weight = nn.WeightOp("tied", TensorType(f32, (4, 4)))
    bias = nn.WeightOp("b", TensorType(f32, (4,)))
    first = nn.DenseOp(x, weight.result, bias.result, layer="f1")
    second = nn.DenseOp(first.result, weight.result, None, layer="f2")
    added = nn.AddOp(second.result, bias.result, layer="sum")
    written = network_text(network([weight, bias, first, second, added], [added.result], net))
    expected = {"f1.weight": "tied", "f2.weight": "tied", "f1.bias": "b", "b.value": "b"}
    assert written.weights == expected
    assert body(written)[:-1] == [
        "f1 = dense(x, units = 4)",
        "f2 = dense(f1, units = 4, bias = false)",
        "b = constant(shape = [4])",
        "sum = add(f2, b)",
    ]


def test_names_of_pieces_and_states_are_kept_free():
    net = nn.NetworkOp("net", [("x", TensorType(f32, (1, 4, 2)))], [])
    (x,) = net.body.block.args
    taken = nn.ReluOp(x, layer="s1")
    split = nn.SplitOp(taken.result, [2, 2], layer="s")
    joined = nn.AddOp(*split.results, layer="s_2.h")
    written = network_text(network([taken, split, joined], [joined.result], net))
    assert body(written) == [
        "s1 = relu(x)",
        "s_2 = split(s1, parts = 2)",
        "s_2.h = add(s_2[1], s_2[2])",
        "return s_2.h",
    ]


def test_numbers_beside_tensors():
    net = nn.NetworkOp("net", [("x", X)], [])
    (x,) = net.body.block.args
    half, minus = nn.FillOp(0.5, f32), nn.FillOp(-3, f32)
    scaled = nn.MulOp(x, half.result, layer="scaled")
    moved = nn.SubOp(minus.result, scaled.result, layer="moved")
    both = nn.PointwiseOp("maximum", [moved.result, half.result], layer="both")
    written = network_text(network([half, minus, scaled, moved, both], [both.result], net))
    assert body(written)[:3] == ["scaled = mul(x, 0.5)", "moved = sub(-3, scaled)", "both = maximum(moved, 0.5)"]


def test_a_network_of_nothing():
    net = nn.NetworkOp("net", [("x", X)], [])
    written = network_text(network([], [net.body.block.args[0]], net), None)
    assert written.text == "hap 1\n\nnetwork net(x: f32[1, 4]) -> (r0: f32[1, 4]) {\n    return x\n}\n"


def test_modules_of_names():
    assert module_of(["a.b.c", "a.b.d"]) == "a.b"
    assert module_of(["a.b", "a.b.d"]) == "a"
    assert module_of(["ab.c", "a.b"]) == ""
    assert module_of(["a"]) == ""


def test_rows_of_names():
    assert [Family.of(n) for n in ("layer1_2", "a.block12", "x0")] == [
        Family("layer1", 2),
        Family("a.block", 12),
        Family("x", 0),
    ]
    assert [Family.of(n) for n in ("x", "x01", "1", "x_", "a1.b", "x99999999999")] == [None] * 6
