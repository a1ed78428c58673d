"""All styles of one network become the same IR, up to names, and compute what onnxruntime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.assembly import shortest
from hapir.dialects.num import shape_of
from hapir.importers.onnx import import_model
from hapir.importers.onnx.compare import compare
from hapir.importers.onnx.read import Imported
from hapir.importers.text import network_text
from hapir.reference.interpret import run_network
from hapir.report.comparison import EQUAL
from tests.onnx_models.styles import BATCH, SIZE, STYLES
from tests.unit.test_reference_onnx import onnxruntime_results


def form(network: nn.NetworkOp) -> list[str]:
    """The layers in order: what they are, and what they read; without names. Numbers are those that f32 holds.

    An input that is turned first of all counts as the input.
    """
    places: dict[SSAValue, str] = dict.fromkeys(network.body.block.args, "input")
    found: list[str] = []
    for op in network.body.block.ops:
        if isinstance(op, nn.WeightOp):
            places[op.result] = f"weight {shape_of(op.result)}"
        elif isinstance(op, nn.FillOp):
            places[op.result] = f"{shortest(float(op.value.value.data)):.5g}"
        elif isinstance(op, nn.TransposeOp) and places[op.x] == "input":
            places[op.result] = "input"
        elif isinstance(op, nn.LayerOp):
            said = {
                name: f"{value.value.data:.5g}" if isinstance(value, FloatAttr) else str(value)
                for name, value in op.properties.items()
                if name != "layer"
            }
            found.append(f"{op.name} {said} {[places[v] for v in op.operands]} {[str(v.type) for v in op.results]}")
            places.update((result, f"layer {len(found)}.{i}") for i, result in enumerate(op.results))
    return found


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Imported]:
    folder = tmp_path_factory.mktemp("styles")
    found: dict[str, Imported] = {}
    for name, style in STYLES.items():
        (folder / f"{name}.onnx").write_bytes(style().build().SerializeToString())
        found[name] = import_model(folder / f"{name}.onnx", name="net")
    return found


def test_the_same_layers(imported: dict[str, Imported]) -> None:
    torch = form(imported["torch"].network)
    assert len(torch) == 20
    assert form(imported["pieces"].network) == torch
    assert form(imported["keras"].network) == torch
    assert sum(isinstance(op, nn.TransposeOp) for op in imported["keras"].network.body.block.ops) == 1


@pytest.mark.parametrize("name", STYLES)
def test_the_same_function(name: str, imported: dict[str, Imported]) -> None:
    image = np.random.default_rng(1).standard_normal((BATCH, 3, SIZE, SIZE), dtype=np.float32)
    given = {"image": np.ascontiguousarray(image.transpose(0, 2, 3, 1)) if name == "keras" else image}
    (found,) = run_network(imported[name].network, imported[name].weights, given).values()
    (wanted,) = onnxruntime_results(STYLES[name]().build(), given)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    (other,) = run_network(imported["torch"].network, imported["torch"].weights, {"image": image}).values()
    np.testing.assert_allclose(found, other, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("name", STYLES)
def test_the_text_is_short(name: str, imported: dict[str, Imported]) -> None:
    assert len(network_text(imported[name].network).text.splitlines()) <= 30


def test_layers_that_turned_are_compared(imported: dict[str, Imported], tmp_path: Path) -> None:
    """Keras's tensors N H W C are those of layers N C H W, but for the turned image and what is flattened."""
    (tmp_path / "keras.onnx").write_bytes(STYLES["keras"]().build().SerializeToString())
    image = np.random.default_rng(1).standard_normal((BATCH, SIZE, SIZE, 3), dtype=np.float32)
    model = imported["keras"]
    found = compare(model.network, model.weights, {"image": image}, tmp_path / "keras.onnx")
    verdicts = [match.verdict for match in found.layers]
    assert found.first is None
    assert verdicts.count(EQUAL) == len(verdicts) - 2
