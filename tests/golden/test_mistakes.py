"""The commonest mistakes and what hapir answers to them, word for word; the documentation shows both.

`pytest tests/golden/test_mistakes.py --update-golden` writes the expected texts anew; read the difference as the
newcomer who made the mistake.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hapir.weights import WeightStore
from tests.projects import Outcome, run_main

PAGE = Path(__file__).parents[2] / "docs" / "mistakes_page.py"


def load_page() -> Any:
    """The module that reads the mistakes and makes the page; `docs` is no package."""
    spec = importlib.util.spec_from_file_location("mistakes_page", PAGE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


PAGES = load_page()
MISTAKES: list[Any] = PAGES.mistakes()
each_mistake = pytest.mark.parametrize("mistake", MISTAKES, ids=[m.name for m in MISTAKES])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The specs without their introductions, with a weights file and images for those that name them."""
    folder = tmp_path_factory.mktemp("mistakes")
    for mistake in MISTAKES:
        (folder / f"{mistake.name}.hap").write_text(mistake.spec, encoding="utf-8")
    rng = np.random.default_rng(7)
    shapes = {
        "c1.weight": (16, 3, 3, 3),
        "c1.bias": (16,),
        "output.dense.weight": (10, 576),
        "output.dense.bias": (10,),
        "fc1.weight": (10, 192),
        "fc2.weight": (192, 10),
        **{f"n1.{name}": (16,) for name in ("gamma", "beta", "mean")},
    }
    arrays = {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    arrays["n1.variance"] = np.ones(16, np.float32)
    WeightStore(arrays).save(folder / "trained.safetensors")
    np.savez(folder / "images.npz", image=rng.normal(size=(8, 3, 8, 8)).astype(np.float32))
    return folder


def answer(mistake: Any, *options: str) -> Outcome:
    """What the command of a mistake says."""
    program, *words = mistake.command.split()
    assert program == "hapir"
    return run_main(*(f"{mistake.name}.hap" if word == "FILE" else word for word in words), *options)


def pointed_at(span: dict[str, Any], folder: Path) -> str:
    """The text that a span holds; `end of line` behind the last character."""
    line = (folder / span["file"]).read_text(encoding="utf-8").split("\n")[span["line"] - 1]
    if span["end_line"] > span["line"]:
        return line[span["column"] - 1 :]
    return line[span["column"] - 1 : span["end_column"] - 1] or "end of line"


@each_mistake
def test_answer(mistake: Any, workplace: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    monkeypatch.chdir(workplace)
    outcome = answer(mistake)
    assert outcome.code == 1
    if request.config.getoption("--update-golden"):
        (PAGES.FOLDER / f"{mistake.name}.expected").write_text(outcome.err, encoding="utf-8")
    else:
        assert outcome.err == mistake.answer


@each_mistake
def test_answer_is_about_the_mistake(mistake: Any, workplace: Path, monkeypatch: pytest.MonkeyPatch):
    """One fault gives one or two messages, the first points at it, and each shows what to write instead."""
    monkeypatch.chdir(workplace)
    outcome = answer(mistake, "--format", "json")
    diagnostics = [d for d in outcome.json["diagnostics"] if d["severity"] == "error"]
    assert 1 <= len(diagnostics) <= 2
    for diagnostic in diagnostics:
        assert "hapir explain" not in diagnostic["help"]
    span = diagnostics[0]["span"]
    if mistake.expects is None:
        assert span is None
    else:
        found = pointed_at(span, workplace)
        # the IR knows where a layer begins, not where it ends
        assert found == mistake.expects or (len(found) == 1 and mistake.expects.startswith(found))


def test_there_are_enough():
    assert len(MISTAKES) >= 40
    assert len({m.title for m in MISTAKES}) == len(MISTAKES)
    assert {path.stem for path in PAGES.FOLDER.iterdir()} == {m.name for m in MISTAKES}


def test_page():
    text = PAGES.page()
    for mistake in MISTAKES:
        shown = text[text.index(f"### {mistake.title}\n") :]
        assert shown.index(mistake.text) < shown.index(mistake.spec) < shown.index(mistake.answer)
    parts = [line.removeprefix("## ") for line in text.split("\n") if line.startswith("## ")]
    assert len(parts) == len(set(parts)) >= 5  # the mistakes of a part stand together
