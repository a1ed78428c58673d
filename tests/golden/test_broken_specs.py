"""Every broken spec gives its diagnostics, word for word: a code, a caret, and the way out.

`pytest tests/golden/test_broken_specs.py --update-golden` writes the expected texts anew; read the difference.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hapir.codes import CODES
from hapir.diagnostics import Diagnostic, HapirError, render
from hapir.registry import make_context
from hapir.spec import build_module, diagnose, load_spec
from hapir.weights import WeightStore

FOLDER = Path(__file__).parent / "broken_specs"
SPECS = sorted(path.stem for path in FOLDER.glob("*.hap"))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the specs with a weights file that has something wrong for several of them."""
    folder = tmp_path_factory.mktemp("specs") / "broken_specs"
    shutil.copytree(FOLDER, folder)
    kernel = np.ones((4, 1, 3, 3), np.float32)
    arrays = {
        "c1.weight": kernel,
        "c1.bais": np.zeros(4, np.float32),
        "b1.gamma": np.ones(4, np.float32),
        "b1.beta": np.ones(4, np.float32),
        "b1.mean": np.ones(4, np.float32),
        "f1.weight": np.ones((64, 10), np.float32),
        "f1.bias": np.ones(12, np.float32),
        "bad.weight": np.where(np.arange(36).reshape(kernel.shape) < 3, np.float32("nan"), kernel),
        "bad.bias": np.full(4, np.inf, np.float32),
        "wide.weight": np.ones((4, 1, 3, 3), np.float64),
    }
    WeightStore(arrays).save(folder / "weights.safetensors")
    return folder


def diagnostics_of(path: Path) -> tuple[Diagnostic, ...]:
    """What is wrong with a spec, up to the module of each schedule."""
    try:
        spec = load_spec(path)
        diagnose(spec)
        for schedule in spec.schedules:
            build_module(spec, schedule, make_context())
    except HapirError as error:
        return error.diagnostics
    return ()


@pytest.mark.parametrize("name", SPECS)
def test_broken_spec(name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    monkeypatch.chdir(workplace)
    diagnostics = diagnostics_of(Path(f"{name}.hap"))
    assert any(d.severity == "error" for d in diagnostics)
    assert {d.code for d in diagnostics} <= set(CODES)
    text = render(diagnostics) + "\n"
    expected = FOLDER / f"{name}.expected"
    if request.config.getoption("--update-golden"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SPECS)
def test_every_error_has_a_place_and_is_json(name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(workplace)
    for diagnostic in diagnostics_of(Path(f"{name}.hap")):
        data = json.loads(json.dumps(diagnostic.to_json()))
        assert data["code"] == diagnostic.code
        assert data["help"]
        span = diagnostic.span
        assert span is not None
        lines = Path(span.file).read_text(encoding="utf-8").split("\n")
        assert 1 <= span.line <= len(lines)
        assert 1 <= span.column <= len(lines[span.line - 1]) + 1
        assert (span.end_line, span.end_column) > (span.line, span.column)


def test_the_same_from_elsewhere(workplace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Where a command is run changes the paths that are shown and nothing else."""
    monkeypatch.chdir(workplace)
    near = diagnostics_of(Path("05_shape_mismatch.hap"))
    monkeypatch.chdir(tmp_path)
    far = diagnostics_of(workplace / "05_shape_mismatch.hap")
    assert near == far
    assert "s = add(a, b)" in render(far)


def test_json_names_files_as_they_are_opened(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(workplace.parent)
    for diagnostic in diagnostics_of(Path("broken_specs/08_missing_weight_key.hap")):
        data = json.loads(json.dumps(diagnostic.to_json()))
        assert data["span"]["file"] == "broken_specs/08_missing_weight_key.hap"
        assert Path(data["span"]["file"]).is_file()
