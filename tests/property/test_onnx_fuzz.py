"""Damaged and hostile models end in a network or in diagnostics, soon, and touch nothing outside of their folder."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType

import pytest
from onnx import helper

from hapir.diagnostics import HapirError
from hapir.importers import read_onnx
from tests.onnx_models.mutations import mutated
from tests.onnx_models.small import SMALL, model, save_external, value

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 20
"""When a model counts as one that hangs; they take milliseconds."""
_opened: list[str] | None = None
"""Files that were opened, while somebody asks."""


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str | bytes):
        _opened.append(os.fsdecode(arguments[0]))


sys.addaudithook(_listen)


@contextmanager
def watched() -> Generator[list[str]]:
    """The files that are opened in the block; it may not take longer than the limit."""
    global _opened

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the import hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_SECONDS)
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The small models, one of them with its tensors in a file called `inside.bin`."""
    folder = tmp_path_factory.mktemp("seeds")
    # the first spec that is written reads the grammar from hapir's cache; the others need no file
    onnx_model = model([helper.make_node("Relu", ["x"], ["y"])], [value("x", [1])], ["y"])
    (folder / "first.onnx").write_bytes(onnx_model.SerializeToString())
    read_onnx(folder / "first.onnx").save(folder / "first.hap")
    save_external(SMALL["convolutions"](), folder / "inside")
    return [*(make().SerializeToString() for make in SMALL.values()), (folder / "inside").read_bytes()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where models lie: beside what they may read, a link, and what they may not."""
    place = tmp_path / "models"
    place.mkdir()
    (place / "inside.bin").write_bytes(bytes(range(256)) * 8)
    (place / "inside.data").write_bytes(bytes(1024))
    (place / "link").symlink_to("/etc")
    (tmp_path / "outside.bin").write_bytes(bytes(64))
    return place


def outcome(data: bytes, folder: Path) -> str:
    """What becomes of a model: `network`, or the code of the first diagnostic."""
    (folder / "m.onnx").write_bytes(data)
    with watched() as opened:
        try:
            read_onnx(folder / "m.onnx").save(folder / "out.hap", replace=True)
            found = "network"
        except HapirError as error:
            found = error.diagnostics[0].code
    # what Python opens for its own imports is no concern of the model
    allowed = (folder, ROOT, Path(sys.prefix), Path(sys.base_prefix))
    ours = [name for name in opened if any(Path(name).is_relative_to(place) for place in allowed)]
    assert [name for name in opened if name not in ours and not name.startswith("__editable__")] == []
    return found


def fuzz(seeds: list[bytes], folder: Path, numbers: range) -> Counter[str]:
    """How often each outcome was met; the number of a model is its seed."""
    found: Counter[str] = Counter()
    for number in numbers:
        try:
            found[outcome(mutated(seeds[number % len(seeds)], Random(number)), folder)] += 1
        except Exception as error:
            raise AssertionError(f"model {number} ends in {type(error).__name__}: {error}") from error
    made = {"m.onnx", "out.hap", "out.safetensors", "inside.bin", "inside.data", "link"}
    assert {entry.name for entry in folder.iterdir()} <= made
    assert {entry.name for entry in folder.parent.iterdir()} == {"models", "outside.bin"}
    return found


def test_damaged_models(seeds: list[bytes], folder: Path):
    found = fuzz(seeds, folder, range(400))
    assert found["network"] > 10
    assert len(found) > 10


@pytest.mark.slow
def test_many_damaged_models(seeds: list[bytes], folder: Path):
    found = fuzz(seeds, folder, range(1000, 9000))
    assert sum(found.values()) == 8000


def test_the_watch_sees_files(tmp_path: Path):
    (tmp_path / "f").touch()
    with watched() as opened:
        (tmp_path / "f").read_bytes()
    assert opened == [str(tmp_path / "f")]
