"""`hapir export` and `Scheduled.export`: what the examples and the library become, on onnxruntime."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hapir
from hapir.dialects.nn import WeightOp
from hapir.dialects.num import shape_of
from hapir.driver import ExportStyle, Scheduled
from hapir.exporters.onnx.export import ExportOptions, export_network, has_integers
from hapir.exporters.onnx.styles import Style
from hapir.importers.onnx import import_model
from hapir.reference.interpret import run_network
from tests.end_to_end.test_library_networks import NETWORKS, SMALL, write
from tests.onnx_sessions import check, run_model
from tests.projects import run_main, write_project
from tests.property.qonnx_runner import run_qonnx

EXAMPLES = Path(__file__).resolve().parents[2] / "spec_examples"


def _schedules() -> list[Any]:
    """Every schedule of every example, and its floats; by default the last one of each, which differs most."""
    found: list[Any] = []
    for path in sorted(EXAMPLES.glob("*.hap")):
        *others, last = _design(path.stem).schedules
        for name in ("none", *others, last):
            marks = () if name == last else pytest.mark.slow
            found.append(pytest.param(path.stem, name, id=f"{path.stem}-{name}", marks=marks))
    return found


@cache
def _design(example: str) -> hapir.Design:
    return hapir.load(EXAMPLES / f"{example}.hap")


def _scheduled(example: str, schedule: str) -> Scheduled:
    design = _design(example)
    if schedule == "none":
        return design.schedule(design.schedules[0], recipe="none")
    return design.schedule(schedule)


def _inputs(scheduled: Scheduled) -> dict[str, Any]:
    network, rng = scheduled.decoded.network, np.random.default_rng(0)
    named = zip(network.input_names, network.body.block.args, strict=True)
    return {name.data: rng.random((3, *shape_of(value)[1:]), dtype=np.float32) for name, value in named}


@pytest.mark.parametrize(("example", "schedule"), _schedules())
def test_the_examples_on_onnxruntime(example: str, schedule: str) -> None:
    """All compute the reference's result: with integers, these data meet no number that a style rounds otherwise."""
    scheduled = _scheduled(example, schedule)
    decoded = scheduled.decoded
    if any("multiplier" in op.properties and op.name in ("nn.conv2d", "nn.dense") for op in decoded.network.walk()):
        with pytest.raises(hapir.HapirError, match=r"HAP0980.*multiplier model"):
            export_network(decoded.network, decoded.weights)
        return
    inputs = _inputs(scheduled)
    expected = run_network(decoded.network, decoded.weights, inputs)
    styles = (Style.QDQ, Style.QONNX, Style.INTEGER) if has_integers(decoded.network) else (Style.FLOAT,)
    for style in styles:
        model = export_network(decoded.network, decoded.weights, ExportOptions(style, any_batch=True))
        check(model)
        found = (run_qonnx if style == Style.QONNX else run_model)(model, inputs)
        for name, reals in expected.items():
            assert np.abs(found[name].astype(np.float64) - reals).max() <= 1e-5


@pytest.mark.parametrize("style", ["qdq", "qonnx", "integer"])
def test_a_quantized_example_comes_back(style: ExportStyle, tmp_path: Path) -> None:
    """What is imported again computes the same on all test images; of `qdq` it has the same layers of integers."""
    scheduled = _scheduled("digits", "on_tiny")
    scheduled.export(tmp_path / "digits.onnx", style, any_batch=True)
    again = import_model(tmp_path / "digits.onnx", batch=1)
    with np.load(EXAMPLES / "digits_test.npz") as archive:
        inputs = {"image": archive["image"]}
    expected = run_network(scheduled.decoded.network, scheduled.decoded.weights, inputs)["output"]
    np.testing.assert_array_equal(run_network(again.network, again.weights, inputs)["output"], expected)
    if style == "qdq":
        kinds = [op.name for op in again.network.body.block.ops if not isinstance(op, WeightOp)]
        layer = ["nn.conv2d", "num.rescale"]
        body = [*layer, *layer, "nn.max_pool", *layer, "nn.max_pool", "nn.flatten", "nn.dense", "num.rescale"]
        assert kinds == ["num.quantize", *body, "num.dequantize", "nn.softmax", "nn.return"]


@pytest.mark.parametrize("style", ["qdq", "qonnx", "integer"])
def test_thresholds_come_back(style: ExportStyle, tmp_path: Path) -> None:
    """A network of signs, whose accumulators are compared with thresholds."""
    scheduled = _scheduled("digits_binary", "binarized")
    scheduled.export(tmp_path / "digits.onnx", style, any_batch=True)
    again = import_model(tmp_path / "digits.onnx", batch=1)
    with np.load(EXAMPLES / "digits_test.npz") as archive:
        inputs = {"image": archive["image"]}
    expected = run_network(scheduled.decoded.network, scheduled.decoded.weights, inputs)["output"]
    found = run_network(again.network, again.weights, inputs)["output"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


FAST = ("lstm_timit", "resnet20", "squeezenet_1_1")


@pytest.mark.parametrize(
    "network", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in sorted(SMALL)]
)
def test_networks_of_the_library_on_onnxruntime(network: str, tmp_path: Path) -> None:
    parameters, shape, _ = SMALL[network]
    scheduled = hapir.load(write(tmp_path, network, parameters, shape=shape)).schedule()
    report = scheduled.export(tmp_path / "net.onnx", any_batch=True)
    assert report.style == "float"
    with np.load(tmp_path / "data.npz") as archive:
        inputs = {name: archive[name] for name in archive.files}
    expected = scheduled.run("reference", inputs).outputs
    found = run_model(str(tmp_path / "net.onnx"), inputs)
    for name, reals in expected.items():
        assert np.abs(found[name] - reals).max() <= 1e-4 * np.abs(reals).max()


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_all_networks_of_the_library_are_sound(network: str, tmp_path: Path) -> None:
    scheduled = hapir.load(write(tmp_path, network)).schedule()
    decoded = scheduled.decoded
    check(export_network(decoded.network, decoded.weights))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("project"))


@pytest.mark.parametrize("style", ["qdq", "qonnx", "integer"])
def test_the_command_writes_a_model(style: ExportStyle, spec: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    outcome = run_main("export", spec, "-o", path, "--style", style, "--opset", "21", "--format", "json")
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert (report["style"], report["opset"]) == (style, 21)
    assert report["files"] == {"net.onnx": path.stat().st_size}
    again = hapir.load(spec).schedule().export(tmp_path / "again.onnx", style, opset=21)
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()
    assert dict(again.operators) == report["operators"]


def test_the_command_without_a_recipe(spec: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    outcome = run_main("export", spec, "-o", path, "--recipe", "none", "--any-batch", "--external-data")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"wrote {path} and net.onnx.data: style float, opset 17\n")
    scheduled = hapir.load(spec).schedule(recipe="none")
    with np.load(spec.parent / "test.npz") as archive:
        inputs = {"image": archive["image"]}
    found, expected = run_model(str(path), inputs), scheduled.run("reference", inputs).outputs
    np.testing.assert_allclose(found["output"], expected["output"], rtol=1e-4, atol=1e-5)


def test_the_command_says_what_is_wrong(spec: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    for arguments, code in (
        (("--opset", "9"), "HAP0981"),
        (("--style", "float"), "HAP0983"),
    ):
        outcome = run_main("export", spec, "-o", path, *arguments)
        assert outcome.code == 1
        assert code in outcome.err
    assert run_main("export", spec, "-o", tmp_path / "none" / "net.onnx").code == 1
    assert run_main("export", spec, "-o", path, "--style", "tflite").code == 2
    assert not path.exists()


def test_the_command_writes_over_no_spec(spec: Path) -> None:
    before = spec.read_bytes()
    for path in (spec, spec.with_suffix(".safetensors"), spec.parent / "net"):
        outcome = run_main("export", spec, "-o", path)
        assert outcome.code == 1
        assert "HAP0920" in outcome.err
    assert spec.read_bytes() == before
    assert not (spec.parent / "net").exists()


def test_without_the_extra(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("hapir.exporters.onnx.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    outcome = run_main("export", spec, "-o", tmp_path / "net.onnx")
    assert outcome.code == 1
    assert "HAP0880" in outcome.err
    assert "pip install 'hapir[onnx]'" in outcome.err
