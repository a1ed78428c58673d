"""Specs that no machine can run: `hapir compile` says what does not fit and by how much, and writes nothing.

`pytest tests/golden/test_broken_machines.py --update-golden` writes the expected texts anew; read the difference.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hapir.codes import CODES
from hapir.weights import WeightStore
from tests.projects import run_main

FOLDER = Path(__file__).parent / "broken_machines"
SPECS = sorted(path.stem for path in FOLDER.glob("*.hap"))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the specs with weights and calibration data."""
    folder = tmp_path_factory.mktemp("machines")
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    rng = np.random.default_rng(5)
    shapes = {"c1": (4, 1, 3, 3), "c2": (4, 4, 3, 3), "g1": (4, 1, 3, 3), "output.dense": (3, 36)}
    arrays: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        arrays[f"{name}.weight"] = rng.normal(size=shape).astype(np.float32)
        arrays[f"{name}.bias"] = rng.normal(size=shape[0]).astype(np.float32)
    WeightStore(arrays).save(folder / "tiny.safetensors")
    np.savez(folder / "tiny_calib.npz", x=rng.normal(size=(8, 1, 6, 6)).astype(np.float32))
    return folder


@pytest.mark.parametrize("name", SPECS)
def test_broken_machine(name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    monkeypatch.chdir(workplace)
    out = workplace / f"{name}_out"
    outcome = run_main("compile", f"{name}.hap", "--target", "verilog", "-o", out)
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert not out.exists()
    assert [entry.name for entry in workplace.iterdir() if entry.name.startswith(".")] == []
    assert any(code in outcome.err for code in CODES)
    assert "help:" in outcome.err
    assert f"{name}.hap:" in outcome.err
    expected = FOLDER / f"{name}.expected"
    if request.config.getoption("--update-golden"):
        expected.write_text(outcome.err, encoding="utf-8")
    assert outcome.err == expected.read_text(encoding="utf-8")


def test_each_spec_has_its_text():
    assert SPECS
    assert {path.stem for path in FOLDER.glob("*.expected")} == set(SPECS)
