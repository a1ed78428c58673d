"""`hapir import`: the files it writes, the report, and what it refuses; the networks are those of the models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from hapir.importers import read_onnx
from hapir.importers.onnx.read import network_name
from hapir.importers.onnx.report import coverage
from hapir.reference.interpret import run_network
from tests.onnx_models.resnet import resnet
from tests.onnx_models.small import SMALL, convolutions, model, random, value
from tests.projects import run_main
from tests.unit.test_reference_onnx import SESSION, ort

WHOLE = ("convolutions", "recurrent", "functions", "shapes")
"""Small models that can be imported as they are."""


def saved(proto: onnx.ModelProto, folder: Path, name: str = "my-model.onnx") -> Path:
    """A model as a file."""
    (folder / name).write_bytes(proto.SerializeToString())
    return folder / name


def tiny() -> onnx.ModelProto:
    """A sum with a constant, its batch open."""
    nodes = [helper.make_node("Relu", ["x"], ["r"], "first"), helper.make_node("Add", ["r", "c"], ["y"], "second")]
    return model(nodes, [value("x", ["N", "width"])], ["y"], {"c": random(4)})


# --- networks ---------------------------------------------------------------------------------------------------------


def assert_same(path: Path, **sizes: Any) -> None:
    """The network of a model computes what onnxruntime does."""
    imported = read_onnx(path, **sizes)
    draw = np.random.default_rng(1)
    types = imported.graph.types
    feeds = {name: draw.standard_normal(types[name].shape).astype(np.float32) for name in imported.graph.inputs}
    expected = ort.InferenceSession(str(path), SESSION, ["CPUExecutionProvider"]).run(None, feeds)
    names = [name.data for name in imported.network.input_names]
    found = run_network(imported.network, imported.weights, dict(zip(names, feeds.values(), strict=True)))
    assert len(found) == len(expected)
    for one, other in zip(found.values(), expected, strict=True):
        assert one.shape == other.shape
        assert np.abs(one - other).max() <= 1e-4 * max(1, np.abs(other).max())


@pytest.mark.parametrize("name", WHOLE)
def test_imported_networks_compute_what_the_models_do(tmp_path: Path, name: str):
    assert_same(saved(SMALL[name](), tmp_path), batch=3 if name == "convolutions" else None)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_residual_networks(tmp_path: Path, batch_norm: bool):
    assert_same(saved(resnet(18, size=32, width=4, batch_norm=batch_norm), tmp_path), batch=2)


def test_a_deep_network_is_short_as_text(tmp_path: Path):
    path = saved(resnet(50, size=32, width=4), tmp_path)
    written = read_onnx(path).save(tmp_path / "deep.hap")
    assert written.layers == 122
    assert written.lines < 400


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_spec_that_is_good(tmp_path: Path):
    out = tmp_path / "out.hap"
    outcome = run_main("import", saved(tiny(), tmp_path), "-o", out, "--dim", "width=4", "--batch", "2")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        f"wrote {out} ({len(out.read_text().splitlines())} lines) and {tmp_path / 'out.safetensors'}",
        "network my_model(x: f32[2, 4]) -> (y: f32[2, 4]): 2 layers, 4 parameters",
    ]
    checked = run_main("check", out)
    assert checked.code == 0, checked.err
    assert "out.hap: good" in checked.out


def test_as_json_with_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    saved(tiny(), tmp_path)
    outcome = run_main("import", "my-model.onnx", "--dim", "width=4", "--name", "net", "--format", "json")
    assert outcome.code == 0
    found = outcome.json
    assert [d["code"] for d in found.pop("diagnostics")] == ["HAP0917"]
    assert found.pop("lines") > 5
    assert found == {
        "spec": "my_model.hap",
        "weights": "my_model.safetensors",
        "network": "net",
        "layers": 2,
        "parameters": 4,
        "inputs": {"x": "f32[1, 4]"},
        "results": {"y": "f32[1, 4]"},
        "canonicalized": {},
    }
    assert (tmp_path / "my_model.hap").is_file()


def test_the_summary_tells_what_was_brought_into_one_form(tmp_path: Path):
    nodes = [
        helper.make_node("Add", ["x", "three"], ["a"]),
        helper.make_node("Clip", ["a", "zero", "six"], ["c"]),
        helper.make_node("Mul", ["x", "c"], ["m"]),
        helper.make_node("Div", ["m", "six"], ["y"]),
    ]
    numbers = {"three": np.array(3, np.float32), "zero": np.array(0, np.float32), "six": np.array(6, np.float32)}
    path = saved(model(nodes, [value("x", [1, 4])], ["y"], numbers), tmp_path)
    imported = read_onnx(path)
    assert imported.canonicalized["hard_swish"] == 1
    written = imported.save(tmp_path / "out.hap")
    assert written.layers == 1
    assert "+1 hard_swish" in written.to_text().splitlines()[2]
    assert read_onnx(path, canonical=False).canonicalized == {}


def test_files_are_replaced_only_when_asked(tmp_path: Path):
    path = saved(tiny(), tmp_path)
    command = ("import", path, "--dim", "width=4", "-o", tmp_path / "out.hap")
    for there in ("out.hap", "out.safetensors"):
        (tmp_path / there).write_text("mine")
        outcome = run_main(*command)
        assert outcome.code == 1
        assert f"error[HAP0918]: `{tmp_path / there}` exists" in outcome.err
        assert (tmp_path / there).read_text() == "mine"
        assert run_main(*command, "--force").code == 0
        assert (tmp_path / there).read_bytes() != b"mine"
        (tmp_path / "out.hap").unlink()
        (tmp_path / "out.safetensors").unlink()


@pytest.mark.parametrize(
    ("output", "code"), [("out.txt", "HAP0919"), ("no/out.hap", "HAP0884"), ("folder.hap", "HAP0884")]
)
def test_places_that_cannot_be_written(tmp_path: Path, output: str, code: str):
    (tmp_path / "folder.hap").mkdir()
    outcome = run_main("import", saved(tiny(), tmp_path), "--dim", "width=4", "-o", tmp_path / output)
    assert outcome.code == 1
    assert f"error[{code}]" in outcome.err
    assert {entry.name for entry in tmp_path.iterdir()} == {"my-model.onnx", "folder.hap"}


def test_a_model_that_cannot_be_imported_writes_nothing(tmp_path: Path):
    path = saved(SMALL["control_flow"](), tmp_path)
    outcome = run_main("import", path, "-o", tmp_path / "out.hap", "--format", "json")
    assert outcome.code == 1
    said = [(d["code"], d["message"]) for d in outcome.json["diagnostics"]]
    assert said == [
        ("HAP0990", "cannot import If `choice`: control flow: a network has no branches"),
        ("HAP0990", "cannot import Loop `loop`: control flow: a network has no loops"),
    ]
    assert [entry.name for entry in tmp_path.iterdir()] == ["my-model.onnx"]


@pytest.mark.parametrize(
    "options", [["--dim", "width"], ["--dim", "=3"], ["--dim", "w=x"], ["--batch", "0"], ["--name", "a b"]]
)
def test_wrong_usage(tmp_path: Path, options: list[str]):
    assert run_main("import", saved(tiny(), tmp_path), *options).code == 2


@pytest.mark.parametrize(
    "options",
    [
        ("--map", "a = b"),
        ("--network", "net"),
        ("--layout", "torch"),
        ("--into", "net.hap", "--batch", "2"),
        ("--into", "net.hap", "--name", "net"),
        ("--into", "net.hap", "--dim", "s=2"),
        ("--into", "net.hap", "--report"),
    ],
)
def test_no_option_is_ignored(tmp_path: Path, options: tuple[str, ...]):
    outcome = run_main("import", saved(tiny(), tmp_path), "-o", tmp_path / "net.hap", *options)
    assert outcome.code == 1
    assert "HAP0921" in outcome.err
    assert not (tmp_path / "net.hap").exists()


def test_without_the_extra_the_command_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [n for n in sys.modules if n.startswith("hapir.importers.onnx.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    outcome = run_main("import", saved(tiny(), tmp_path))
    assert (outcome.code, outcome.out) == (1, "")
    assert "error[HAP0880]: this needs `onnx`, which is not installed" in outcome.err
    assert "pip install 'hapir[onnx]'" in outcome.err


@pytest.mark.parametrize(
    ("file", "name"), [("my-model.v2.onnx", "my_model"), ("50.onnx", "net_50"), ("@.onnx", "net"), ("a b", "a_b")]
)
def test_names_of_networks(file: str, name: str):
    assert network_name(Path(file)) == name


# --- reports ----------------------------------------------------------------------------------------------------------


def test_a_report_of_a_model_that_is_whole(tmp_path: Path):
    found = coverage(saved(convolutions(), tmp_path), batch=2)
    assert found.whole
    assert found.inputs == {"image": "f32[2, 3, 8, 8]"}
    assert found.outputs == ("scores",)
    assert found.parameters == 4 * 27 + 4 + 5 * 4 + 5 + 4 * 4 + 2 + 3
    assert found.macs == 2 * (16 * 4 * 27 + 5 * 4)
    assert {o.operator: o.imported for o in found.operators}["Conv"] == 1
    assert found.to_text().endswith("11 of 11 nodes can be imported")


def test_a_report_of_a_model_that_is_not(tmp_path: Path):
    path = saved(SMALL["control_flow"](), tmp_path)
    outcome = run_main("import", path, "--report", "--format", "json")
    assert outcome.code == 0
    found = outcome.json
    assert found["whole"] is False
    assert found["opsets"] == {"ai.onnx": 17}
    add, branch, loop = found["operators"]
    assert (add["operator"], add["nodes"], add["imported"], add["untried"]) == ("Add", 1, 0, 1)
    assert branch["missing"][0]["reason"] == "control flow: a network has no branches"
    assert branch["missing"][0]["nodes"] == ["choice"]
    assert loop["imported"] == 0
    text = run_main("import", path, "--report").out
    assert "0 of 3 nodes can be imported" in text
    assert "If: control flow: a network has no branches (1: `choice`)" in text
    assert "    what works: LSTM, GRU or RNN" in text
    assert [entry.name for entry in tmp_path.iterdir()] == ["my-model.onnx"]


def test_a_report_of_a_file_that_is_no_model(tmp_path: Path):
    (tmp_path / "m.onnx").write_text("no model")
    outcome = run_main("import", tmp_path / "m.onnx", "--report")
    assert outcome.code == 1
    assert "error[HAP0900]" in outcome.err


def test_a_number_that_no_text_can_say_is_a_diagnostic(tmp_path: Path):
    nodes = [helper.make_node("Elu", ["x"], ["y"], alpha=float("inf"))]
    outcome = run_main("import", saved(model(nodes, [value("x", [1, 4])], ["y"]), tmp_path), "-o", tmp_path / "o.hap")
    assert outcome.code == 1
    assert "error[HAP0971]: inf cannot be written as an option" in outcome.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["my-model.onnx"]


def test_networks_as_they_are_written_and_without_blocks(tmp_path: Path):
    """Clips of one network as the model has them, and all layers of another one by one."""
    nodes = [helper.make_node("Max", ["x", "c"], ["m"]), helper.make_node("Min", ["m", "d"], ["y"])]
    bounds = {"c": np.float32(0), "d": np.float32(6)}
    relu6 = saved(model(nodes, [value("x", [1, 4])], ["y"], {n: np.asarray(v) for n, v in bounds.items()}), tmp_path)
    for options, words in (([], "clip("), (["--as-written"], "maximum(")):
        spec = tmp_path / f"clip{len(options)}.hap"
        assert run_main("import", str(relu6), "-o", str(spec), *options).code == 0
        assert words in spec.read_text()
    deep = saved(resnet(18, size=32, width=4, classes=3), tmp_path, "deep.onnx")
    for options in ([], ["--no-blocks"]):
        spec = tmp_path / f"deep{len(options)}.hap"
        assert run_main("import", str(deep), "-o", str(spec), *options).code == 0
        assert ("block" in spec.read_text()) == (not options)
