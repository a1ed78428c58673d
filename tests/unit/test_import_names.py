"""Names of other tools as names of the language."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hapir.importers.names import LONGEST, Unique, is_legal, layer_names, tidy
from hapir.spec.parse import parse


def names_of(nodes: Sequence[tuple[str, str]]) -> list[str]:
    names = Unique()
    return [names.give(wanted, op) for wanted, (_, op) in zip(layer_names(nodes), nodes, strict=True)]


def test_names_of_pytorch():
    nodes = {
        "/conv1/Conv": "conv1",
        "/bn1/BatchNormalization": "bn1",
        "/layer1/layer1.0/conv1/Conv": "layer1_0.conv1",
        "/layer1/layer1.0/relu/Relu": "layer1_0.relu",
        "/layer1/layer1.0/relu_1/Relu": "layer1_0.relu_1",
        "/layer1/layer1.0/downsample/downsample.0/Conv": "layer1_0.downsample0",
        "/layer1/layer1.0/Add": "layer1_0.add",
        "/layer1/layer1.0/Add_1": "layer1_0.add1",
        "/encoder/layers.3/self_attn/MatMul": "encoder.layers3.self_attn.matmul",
        "/encoder/layers.3/self_attn/MatMul_1": "encoder.layers3.self_attn.matmul1",
        "/Flatten": "flatten",
        "/fc/Gemm": "fc",
    }
    given = [(name, name.rpartition("/")[2].partition("_")[0]) for name in nodes]
    assert names_of(given) == list(nodes.values())


def test_names_of_others():
    nodes = [("Conv_0", "Conv"), ("model/re_lu_2/Relu:0", "Relu"), ("123", "Gemm"), ("", "MaxPool"), ("", "MaxPool")]
    assert names_of(nodes) == ["conv0", "model.re_lu_2", "gemm123", "max_pool", "max_pool_2"]
    assert names_of([("return", "Relu"), ("Größe 3", "Mul"), ("畳み込み", "Conv")]) == ["return_", "Groe_3", "conv"]


def test_what_all_have_in_common_is_left_out():
    nodes = [("model/features/features.0/Conv", "Conv"), ("model/classifier/Gemm", "Gemm")]
    assert names_of(nodes) == ["features0", "classifier"]
    assert names_of([("/net/net.0/Gemm", "Gemm"), ("/net/net.1/Relu", "Relu")]) == ["net0", "net1"]


def test_names_that_are_legal_stay():
    names = Unique()
    assert [names.give(n) for n in ("a.b", "Conv_1x", "_", "a.b", "block")] == [
        "a.b",
        "Conv_1x",
        "_",
        "a.b_2",
        "block_",
    ]


@given(st.lists(st.tuples(st.text(max_size=80), st.sampled_from(["Conv", "MatMul", "Ünknown", "0x"])), max_size=12))
@example([("x" * 300, "Conv")] * 3)
@example([("a.0", "Conv"), ("a/0", "Conv"), ("0.0", "Conv"), ("a." * 70, "0x")])
@settings(deadline=None)
def test_any_names_become_legal_ones(nodes: list[tuple[str, str]]):
    names = names_of(nodes)
    assert len(set(names)) == len(names)
    assert names == names_of(nodes), "the same names give the same names"
    for name in names:
        assert is_legal(name)
        assert len(name) <= LONGEST
        lines = [f"{name} = relu(x)", f"{name} = relu({name})", f"return {name}", "}"]
        text = "\n".join(["hap 1", "network n(x: f32[1]) -> f32[1] {", *lines])
        parse(text, "t.hap")


@pytest.mark.parametrize("name", ["let", "block", "repeat", "weights", "return", "true", "false", "none"])
def test_reserved_words_are_no_names(name: str):
    assert not is_legal(name)
    assert is_legal(tidy(name))
