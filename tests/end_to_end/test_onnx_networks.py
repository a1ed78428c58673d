"""Known networks from ONNX files: reference, C and onnxruntime agree, and the specs read as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]  # it has none
import pytest

import hapir
from hapir.cli.main import main
from hapir.importers.onnx import import_model
from hapir.importers.onnx.read import Imported
from hapir.reference.interpret import run_network
from hapir.targets.c.build import FAST_FLAGS, build_c_together
from hapir.targets.c.emit import emit_c
from hapir.targets.c.options import COptions
from hapir.weights import Array
from tests.onnx_models.networks import SMALL, WHOLE

FLAGS = ("-std=c11", "-O1", "-march=native")
LINES = {"resnet50": 70, "mobilenet_v2": 60, "densenet121": 60, "vgg16": 50, "transformer": 40, "lstm": 25}
"""Most lines of a spec."""


def expected(path: Path, batch: int) -> tuple[dict[str, Array], Array]:
    """Random inputs, and what onnxruntime makes of them."""
    run: Any = onnxruntime
    options = run.SessionOptions()
    options.intra_op_num_threads = 1
    session = run.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    given: dict[str, Array] = {
        i.name: rng.normal(size=[batch, *i.shape[1:]]).astype(np.float32) for i in session.get_inputs()
    }
    return given, session.run(None, given)[0]


def assert_close(found: Any, wanted: Any, name: str) -> None:
    """Within 1e-4 of the largest output."""
    assert found.shape == wanted.shape
    error = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    assert error < 1e-4, f"{name} differs by {error:.2e}"


def one_result(imported: Imported, given: dict[str, Array]) -> Array:
    (result,) = run_network(imported.network, imported.weights, given).values()
    return result


def test_reference_and_c_agree_with_onnxruntime(tmp_path: Path):
    found: dict[str, tuple[Imported, dict[str, Array], Array]] = {}
    for name, make in SMALL.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(make().SerializeToString())
        imported = import_model(path, batch=2, name=name)
        given, wanted = expected(path, 2)
        assert_close(one_result(imported, given), wanted, name)
        found[name] = imported, given, wanted
    artefacts = [emit_c(imported.network, imported.weights) for imported, _, _ in found.values()]
    modules = build_c_together(artefacts, flags=FLAGS, cache=False)
    for (name, (_, given, wanted)), module in zip(found.items(), modules, strict=True):
        (result,) = module.run(given).values()
        assert_close(result, wanted, name)


@pytest.mark.parametrize("name", SMALL)
def test_specs_are_short_and_run(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model, spec = tmp_path / "model.onnx", tmp_path / f"{name}.hap"
    model.write_bytes(SMALL[name]().SerializeToString())
    assert main(["import", str(model), "-o", str(spec), "--name", name]) == 0
    assert main(["fmt", "--check", str(spec)]) == 0
    lines = spec.read_text().splitlines()
    assert len(lines) <= LINES.get(name, 60)
    capsys.readouterr()
    given, wanted = expected(model, 1)
    outputs = hapir.load(spec).schedule().run(inputs=given).outputs
    assert_close(next(iter(outputs.values())), wanted, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_whole_networks(name: str, tmp_path: Path):
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(WHOLE[name]().SerializeToString())
    imported = import_model(path, batch=1, name=name)
    given, wanted = expected(path, 1)
    assert_close(one_result(imported, given), wanted, name)
    artefact = emit_c(imported.network, imported.weights, options=COptions(weights_file=True))
    (module,) = build_c_together([artefact], flags=FAST_FLAGS, cache=False)
    (result,) = module.run(given).values()
    assert_close(result, wanted, name)
