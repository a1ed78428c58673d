"""What can be wrong with a model file: a diagnostic for each thing, and nothing read outside of its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hapir.diagnostics import HapirError
from hapir.importers.onnx.graph import graph_of
from hapir.importers.onnx.limits import MAXIMUM_NODES
from hapir.importers.onnx.load import load_file, parse
from hapir.importers.onnx.model import Graph
from hapir.importers.onnx.tensors import TensorReader
from tests.onnx_models.small import SMALL, convolutions, functions, model, random, save_external, value


def code_of(proto: onnx.ModelProto, **options: Any) -> str:
    """The code of the one diagnostic that a model gives."""
    with pytest.raises(HapirError) as raised:
        graph_of(proto, **options)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.help
    assert "\n" not in diagnostic.message
    return diagnostic.code


def graph_of_file(path: Path) -> Graph:
    """The graph of a file."""
    loaded = load_file(path)
    return graph_of(loaded.proto, folder=loaded.folder)


def file_code(path: Path) -> str:
    """The code of the one diagnostic that a file gives."""
    with pytest.raises(HapirError) as raised:
        graph_of_file(path)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.help
    return diagnostic.code


def relu(*, opset: int = 17, **others: Any) -> onnx.ModelProto:
    """The smallest model."""
    return model([helper.make_node("Relu", ["x"], ["y"])], [value("x", [1, 4])], ["y"], opset=opset, **others)


def with_weight(tensor: onnx.TensorProto) -> onnx.ModelProto:
    """A model that adds a tensor `w`."""
    made = model([helper.make_node("Add", ["x", "w"], ["y"])], [value("x", [1, 4])], ["y"])
    made.graph.initializer.append(tensor)
    return made


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path: Path):
    (tmp_path / "near.onnx").touch()
    with pytest.raises(HapirError, match="HAP0901") as raised:
        load_file(tmp_path / "far.onnx")
    assert raised.value.diagnostics[0].help == "there are near.onnx"
    assert file_code(tmp_path) == "HAP0901"
    os.mkfifo(tmp_path / "pipe.onnx")
    assert file_code(tmp_path / "pipe.onnx") == "HAP0901"


def test_a_file_larger_than_protobuf_reads(tmp_path: Path):
    with (tmp_path / "large.onnx").open("wb") as file:
        file.truncate(1 << 31)
    assert file_code(tmp_path / "large.onnx") == "HAP0901"


@pytest.mark.parametrize("data", [b"", b"hello, this is no protobuf", b"\x3a\xff\xff\xff\xff\x0f", b"\x08\x0a"])
def test_bytes_that_are_no_model(tmp_path: Path, data: bytes):
    (tmp_path / "m.onnx").write_bytes(data)
    assert file_code(tmp_path / "m.onnx") == "HAP0900"


def test_a_model_that_is_cut_off(tmp_path: Path):
    data = convolutions().SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data[: len(data) // 2])
    assert file_code(tmp_path / "m.onnx") == "HAP0900"


def test_names_that_are_no_text():
    data = relu().SerializeToString().replace(b"Relu", b"R\xffl\xfe")
    with pytest.raises(HapirError, match="no text"):
        graph_of(parse(data))


@pytest.mark.parametrize("name", SMALL)
def test_good_models_give_no_diagnostic(name: str):
    assert isinstance(graph_of(SMALL[name]()), Graph)


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [1, 6, onnx.defs.onnx_opset_version() + 1, 0, -3, 1 << 40])
def test_opsets_that_are_not_known(opset: int):
    assert code_of(relu(opset=opset)) == "HAP0902"


@pytest.mark.parametrize("opset", [7, 13, onnx.defs.onnx_opset_version()])
def test_opsets_that_are_known(opset: int):
    assert graph_of(relu(opset=opset)).opsets == {"": opset}


def test_other_versions():
    made = relu()
    made.ir_version = onnx.IR_VERSION + 1
    assert code_of(made) == "HAP0902"
    made = relu()
    del made.opset_import[:]
    assert code_of(made) == "HAP0902"
    assert code_of(relu(domains=[helper.make_opsetid("ai.onnx", 16)])) == "HAP0902"


# --- tensors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensor", "code"),
    [
        (TensorProto(name="w", dims=[4], data_type=1, raw_data=b"\0" * 15), "HAP0905"),
        (TensorProto(name="w", dims=[4], data_type=1, float_data=[1, 2, 3]), "HAP0905"),
        (TensorProto(name="w", dims=[2], data_type=2, int32_data=[1, 256]), "HAP0905"),
        (TensorProto(name="w", dims=[4], data_type=1, segment=TensorProto.Segment(begin=0, end=1)), "HAP0905"),
        (TensorProto(name="w", dims=[1 << 40], data_type=1), "HAP0906"),
        (TensorProto(name="w", dims=[1 << 20, 1 << 20], data_type=1), "HAP0906"),
        (TensorProto(name="w", dims=[0, 1 << 40], data_type=1), "HAP0906"),
        (TensorProto(name="w", dims=[-1], data_type=1), "HAP0906"),
        (TensorProto(name="w", dims=[1] * 17, data_type=1, float_data=[1]), "HAP0906"),
        (TensorProto(name="w", dims=[1], data_type=8, string_data=[b"a"]), "HAP0910"),
        (TensorProto(name="w", dims=[1], data_type=17, raw_data=b"a"), "HAP0910"),
        (TensorProto(name="w", dims=[1], data_type=99, raw_data=b"a"), "HAP0910"),
    ],
)
def test_tensors_that_cannot_be_read(tensor: onnx.TensorProto, code: str):
    assert code_of(with_weight(tensor)) == code


def test_a_tensor_that_nothing_reads_is_not_looked_at():
    made = relu()
    made.graph.initializer.append(TensorProto(name="w", dims=[1 << 40], data_type=1))
    assert graph_of(made).constants == {}


def test_constants_that_are_too_many_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hapir.importers.onnx.tensors.MAXIMUM_CONSTANTS", 31)
    made = with_weight(numpy_helper.from_array(random(4), "w"))
    assert list(graph_of(made).constants) == ["w"]
    made.graph.node.append(helper.make_node("Add", ["y", "v"], ["z"]))
    made.graph.output.append(onnx.ValueInfoProto(name="z"))
    made.graph.initializer.append(numpy_helper.from_array(random(4), "v"))
    assert code_of(made) == "HAP0906"


_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (4, 8, 16, 32, 64)]
_TYPES = ["float32", "float16", "bfloat16", "float64", "bool", *_INTEGERS]


def raw_bytes(kind: str, numbers: list[int]) -> bytes:
    """Numbers as a file stores them: little-endian; what is narrower than a byte from the low bits up."""
    if kind == "bfloat16":
        return (np.array(numbers, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    if not kind.endswith(("int4", "int2")):
        return np.array(numbers).astype(np.dtype(kind).newbyteorder("<")).tobytes()
    bits = int(kind[-1])
    stream = sum((number & ((1 << bits) - 1)) << (bits * place) for place, number in enumerate(numbers))
    return stream.to_bytes(-(-len(numbers) * bits // 8), "little")


@pytest.mark.parametrize("kind", [*_TYPES, *(["uint2", "int2"] if hasattr(TensorProto, "INT2") else [])])
@pytest.mark.parametrize("raw", [True, False])
def test_element_types(kind: str, raw: bool):
    """Both ways to store each type, of a size that does not fill a byte."""
    code = {"float32": 1, "float64": 11}.get(kind) or TensorProto.DataType.Value(kind.upper())
    low = 0 if kind.startswith(("u", "bool")) else -2
    numbers = [low, 1, 0, 1, low + 1, 1, 0]
    tensor = helper.make_tensor("t", code, [7], raw_bytes(kind, numbers) if raw else numbers, raw=raw)
    reader = TensorReader(None)
    found = reader.array(tensor, "t")
    assert found.astype(np.float64).tolist() == numbers
    assert found.dtype == {"float16": "f4", "bfloat16": "f4", "float64": "f4", "bool": "?"}.get(
        kind, "i1" if kind in ("int4", "int2") else "u1" if kind in ("uint4", "uint2") else kind
    )
    assert reader.widened == ({kind: ["t"]} if kind in ("float16", "bfloat16", "float64") else {})


def test_narrow_integers_keep_their_width():
    graph = graph_of(SMALL["quantized"]())
    assert graph.types["w"].bits == 4
    assert graph.constants["w"].tolist() == [[-8, 7], [1, -1], [2, -2], [3, 0]]
    assert graph.constants["w"].dtype == np.int8


@pytest.mark.parametrize("indices", [[[0, 1], [1, 2]], [1, 5]])
def test_sparse_tensors_become_dense(indices: list[Any]):
    array = np.array(indices, np.int64)
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(random(2), "v"), numpy_helper.from_array(array, "i"), [2, 3]
    )
    found = TensorReader(None).dense(sparse, "s")
    expected = np.zeros((2, 3), np.float32)
    expected.reshape(-1)[[1, 5]] = random(2)
    assert np.array_equal(found, expected)
    for wrong in (array + 3, array[:1], array.astype(np.int32)):
        sparse.indices.CopyFrom(numpy_helper.from_array(wrong, "i"))
        with pytest.raises(HapirError, match="HAP0905"):
            TensorReader(None).dense(sparse, "s")


# --- external data ----------------------------------------------------------------------------------------------------


def external(location: str, **entries: str) -> onnx.ModelProto:
    """A model whose weight lies in a file."""
    tensor = TensorProto(name="w", dims=[4], data_type=1, data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=text)
    return with_weight(tensor)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder with data in it, and a secret outside of it."""
    place = tmp_path / "model"
    (place / "sub").mkdir(parents=True)
    (place / "data.bin").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    (tmp_path / "secret").write_bytes(bytes(64))
    (place / "link").symlink_to(tmp_path / "secret")
    (place / "way").symlink_to(tmp_path)
    (place / "good").symlink_to("data.bin")
    os.mkfifo(place / "pipe")
    return place


@pytest.mark.parametrize("location", ["data.bin", "good", "sub/../data.bin", "./data.bin"])
def test_external_data_in_the_folder(folder: Path, location: str):
    graph = graph_of(external(location, offset="8"), folder=folder)
    assert graph.constants["w"].tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("location", "entries", "code"),
    [
        ("../secret", {}, "HAP0903"),
        ("sub/../../secret", {}, "HAP0903"),
        ("/etc/passwd", {}, "HAP0903"),
        ("link", {}, "HAP0903"),
        ("way/secret", {}, "HAP0903"),
        ("", {}, "HAP0903"),
        ("a\0b", {}, "HAP0903"),
        ("..", {}, "HAP0903"),
        (".", {}, "HAP0904"),
        ("sub", {}, "HAP0904"),
        ("pipe", {}, "HAP0904"),
        ("missing.bin", {}, "HAP0904"),
        ("x" * 5000, {}, "HAP0904"),
        ("data.bin", {"offset": "20"}, "HAP0904"),
        ("data.bin", {"offset": "-4"}, "HAP0904"),
        ("data.bin", {"offset": str(1 << 70)}, "HAP0904"),
        ("data.bin", {"length": "12"}, "HAP0904"),
        ("data.bin", {"length": "many"}, "HAP0904"),
    ],
)
def test_external_data_elsewhere(folder: Path, location: str, entries: dict[str, str], code: str):
    assert code_of(external(location, **entries), folder=folder) == code


def test_external_data_of_a_model_without_a_folder():
    assert code_of(external("data.bin")) == "HAP0903"


def test_a_model_with_external_data_is_that_model(tmp_path: Path):
    save_external(convolutions(), tmp_path / "m.onnx")
    found, expected = graph_of_file(tmp_path / "m.onnx"), graph_of(convolutions())
    assert found.nodes == expected.nodes
    assert all(np.array_equal(found.constants[name], array) for name, array in expected.constants.items())
    (tmp_path / "m.onnx.data").unlink()
    assert file_code(tmp_path / "m.onnx") == "HAP0904"


# --- functions --------------------------------------------------------------------------------------------------------


def test_functions_are_put_in_place():
    graph = graph_of(functions())
    assert [node.op for node in graph.nodes] == ["Add", "LeakyRelu", "Add", "LeakyRelu"]
    slopes = [node.attributes["alpha"] for node in graph.nodes if node.op == "LeakyRelu"]
    assert slopes == [0.5, 0.25]


def function(name: str, nodes: list[onnx.NodeProto]) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["a"], ["b"], nodes, imports)


def calling(*made: onnx.FunctionProto) -> onnx.ModelProto:
    nodes = [helper.make_node(made[-1].name, ["x"], ["y"], domain="own")]
    domains = [helper.make_opsetid("own", 1)]
    return model(nodes, [value("x", [1, 4])], ["y"], domains=domains, functions=list(made))


def test_functions_that_call_themselves():
    def call(name: str) -> list[onnx.NodeProto]:
        return [helper.make_node(name, ["a"], ["b"], domain="own")]

    assert code_of(calling(function("f", call("f")))) == "HAP0914"
    assert code_of(calling(function("f", call("g")), function("g", call("f")))) == "HAP0914"
    inner = helper.make_graph(call("f"), "then", [], [value("b", None)])
    branch = helper.make_node("If", ["a"], ["b"], then_branch=inner, else_branch=inner)
    assert code_of(calling(function("f", [branch]))) == "HAP0914"
    assert code_of(calling(function("f", call("f")[:0]), function("f", []))) == "HAP0914"


def test_functions_that_double_again_and_again():
    made = [function("f0", [helper.make_node("Relu", ["a"], ["b"])])]
    for level in range(1, 40):
        pair = [
            helper.make_node(f"f{level - 1}", ["a"], ["m"], domain="own"),
            helper.make_node(f"f{level - 1}", ["m"], ["b"], domain="own"),
        ]
        made.append(function(f"f{level}", pair))
    assert code_of(calling(*made)) == "HAP0914"
    assert len(graph_of(calling(*made[:8])).nodes) == 128


def test_too_many_nodes():
    made = relu()
    made.graph.node.extend([helper.make_node("Relu", ["x"], [f"n{i}"]) for i in range(MAXIMUM_NODES)])
    assert code_of(made) == "HAP0906"
