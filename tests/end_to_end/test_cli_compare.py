"""`hapir run --compare`: the layers of a network beside the tensors of an ONNX model, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hapir.weights import load_arrays
from tests.projects import IMAGES, run_main, write_project


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("project"))


def write_model(spec: Path, name: str, changed: Mapping[str, float] | None = None, **split: bool) -> Path:
    """The spec's network as ONNX, with factors on some weights; with `split`, a node of its own adds the bias."""
    stored = load_arrays(spec.parent / "tiny.safetensors")
    weights = {key: array.astype(np.float32) * (changed or {}).get(key, 1) for key, array in stored.items()}
    bias = weights["f1.bias"] if not split else np.zeros_like(weights["f1.bias"])
    nodes = [
        helper.make_node("Conv", ["x", "c1.weight", "c1.bias"], ["conv_out"], "conv"),
        helper.make_node("Relu", ["conv_out"], ["r"], "r1"),
        helper.make_node("MaxPool", ["r"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "f1.weight", "bias"], ["dense"], "f1", transB=1),
        *([helper.make_node("Add", ["dense", "f1.bias"], ["biased"])] if split else []),
        helper.make_node("Softmax", ["biased" if split else "dense"], ["y"], axis=1),
    ]
    tensors = [numpy_helper.from_array(array, key) for key, array in {**weights, "bias": bias}.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 6, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], tensors), opset_imports=[helper.make_opsetid("", 13)], ir_version=9
    )
    path = spec.parent / name
    path.write_bytes(model.SerializeToString())
    return path


def compared(spec: Path, model: Path, *more: object) -> Any:
    """What the command gives, as JSON."""
    data = spec.parent / "test.npz"
    found = run_main("run", spec, "--input", data, "--compare", model, "--format", "json", *more)
    assert found.code == 0, found.err
    return found.json


def verdicts(report: Any) -> dict[str, str]:
    return {layer["layer"]: layer["verdict"] for layer in report["layers"]}


def test_the_same_network_differs_nowhere(spec: Path):
    report = compared(spec, write_model(spec, "same.onnx"), "--recipe", "none")
    assert report["images"] == IMAGES
    assert report["first"] is None
    assert set(verdicts(report).values()) == {"equal"}
    assert report["unmatched"] == []
    assert {"c1", "r1", "p1", "f1"} <= set(verdicts(report))


@pytest.mark.parametrize(("key", "layer"), [("c1.weight", "c1"), ("f1.weight", "f1")])
def test_the_first_layer_that_differs_is_named(spec: Path, key: str, layer: str):
    model = write_model(spec, "other.onnx", {key: 1.25})
    first = compared(spec, model, "--recipe", "none")["first"]
    assert first["layer"] == layer
    assert first["max_abs_error"] > 0
    assert 0.01 < first["relative_error"] < 1
    assert first["by_name"] == (layer == "f1")
    text = run_main("run", spec, "--input", spec.parent / "test.npz", "--compare", model, "--recipe", "none").out
    assert f"the first layer that differs is `{layer}`" in text


def test_a_layer_that_the_model_writes_otherwise_is_no_difference(spec: Path):
    """Dense with its bias is the sum of two nodes: it equals the second."""
    report = compared(spec, write_model(spec, "split.onnx", split=True), "--recipe", "none")
    assert report["first"] is None
    tensors = {layer["layer"]: layer["tensor"] for layer in report["layers"]}
    assert tensors["f1"] == "biased"


def test_a_quantized_network_is_compared_by_its_real_values(spec: Path):
    model = write_model(spec, "same.onnx")
    assert compared(spec, model)["first"] is not None
    report = compared(spec, model, "--within", "0.2")
    assert report["first"] is None
    assert verdicts(report)["c1"] == "equal"


def test_what_cannot_be_compared_is_said(spec: Path, tmp_path: Path):
    model, data = write_model(spec, "same.onnx"), spec.parent / "test.npz"

    def said(*more: object) -> str:
        outcome = run_main("run", spec, "--input", data, *more)
        assert outcome.code in (1, 2)
        return outcome.err

    assert "HAP0933" in said("--compare", model, "--on", "c")
    assert "HAP0901" in said("--compare", tmp_path / "missing.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    assert "HAP0900" in said("--compare", broken)
    two = onnx.ModelProto.FromString(model.read_bytes())
    two.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))
    (tmp_path / "two.onnx").write_bytes(two.SerializeToString())
    assert "HAP0931" in said("--compare", tmp_path / "two.onnx")
    fixed = onnx.ModelProto.FromString(model.read_bytes())
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    (tmp_path / "fixed.onnx").write_bytes(fixed.SerializeToString())
    assert "HAP0932" in said("--compare", tmp_path / "fixed.onnx")
    assert "not a number of at least 0" in said("--compare", model, "--within", "-1")


def test_an_imported_network_equals_its_model_and_no_other(spec: Path, tmp_path: Path):
    model, other = write_model(spec, "same.onnx"), write_model(spec, "other.onnx", {"f1.weight": 1.25})
    imported = tmp_path / "imported.hap"
    assert run_main("import", model, "-o", imported).code == 0
    np.savez(tmp_path / "d.npz", x=load_arrays(spec.parent / "test.npz")["image"])

    def first(beside: Path) -> Any:
        argv = ("run", imported, "--input", tmp_path / "d.npz", "--compare", beside, "--format", "json")
        return run_main(*argv).json["first"]

    assert first(model) is None
    assert first(other)["tensor"] == "dense"
