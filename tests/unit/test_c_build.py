"""Compiling and calling the generated C: the compiler, the cache, wrong inputs."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from hapir import cache as files
from hapir.diagnostics import HapirError
from hapir.targets.c import build
from hapir.targets.c.build import build_c, find_compiler
from hapir.targets.c.emit import emit_c
from tests.unit.test_c_emit import tiny

IMAGE = np.linspace(-1, 1, 36, dtype=np.float32).reshape(1, 1, 6, 6)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def code_of(error: pytest.ExceptionInfo[HapirError]) -> str:
    return error.value.diagnostics[0].code


def test_no_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(HapirError) as error:
        find_compiler()
    assert code_of(error) == "HAP0801"
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HapirError) as error:
        find_compiler()
    assert code_of(error) == "HAP0801"


def test_a_compiler_whose_command_cannot_be_split(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "gcc 'wrong")
    with pytest.raises(HapirError, match="was not found") as error:
        find_compiler()
    assert code_of(error) == "HAP0801"


def test_a_compiler_that_makes_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "true")
    with pytest.raises(HapirError, match="it said nothing") as error:
        build_c(emit_c(*tiny()))
    assert code_of(error) == "HAP0802"


def test_a_failing_compiler_is_quoted():
    artefact = emit_c(*tiny())
    artefact.files["tiny.c"] += "\nthis is not C\n"
    with pytest.raises(HapirError, match="this is not C") as error:
        build_c(artefact)
    assert code_of(error) == "HAP0802"


def test_the_cache_serves_a_second_build(cache: Path, monkeypatch: pytest.MonkeyPatch):
    expected = build_c(emit_c(*tiny())).run({"image": IMAGE})["image"]
    assert len(list((cache / "c").glob("*.so"))) == 1

    def never(*_: object) -> Path:
        raise AssertionError("compiled again")

    monkeypatch.setattr(build, "compile_units", never)
    np.testing.assert_array_equal(build_c(emit_c(*tiny())).run({"image": IMAGE})["image"], expected)
    with pytest.raises(AssertionError, match="compiled again"):
        build_c(emit_c(*tiny()), flags=("-std=c11", "-O0"))


def test_the_cache_drops_what_was_used_longest_ago(cache: Path, monkeypatch: pytest.MonkeyPatch):
    folder = cache / "c"
    folder.mkdir(parents=True)
    for age, name in enumerate(("new", "old")):
        (folder / f"{name}.so").write_bytes(bytes(1000))
        os.utime(folder / f"{name}.so", (1000 - age, 1000 - age))
    monkeypatch.setattr(files, "LIMIT_BYTES", 1500)
    build_c(emit_c(*tiny()))
    assert not (folder / "old.so").exists()
    assert len(list(folder.glob("*.so"))) == 1  # the object just built is kept though it is larger than the limit


def test_an_object_trimmed_away_before_it_is_loaded_is_built_again(cache: Path, monkeypatch: pytest.MonkeyPatch):
    load = ctypes.CDLL

    def late(path: str) -> ctypes.CDLL:
        if Path(path).is_relative_to(cache):
            Path(path).unlink()
        return load(path)

    monkeypatch.setattr(ctypes, "CDLL", late)
    assert build_c(emit_c(*tiny())).run({"image": IMAGE})["image"].shape == (1, 4, 6, 6)
    assert not list(cache.rglob("*.so"))


def _build_and_run(seed: int) -> float:
    network, store = tiny()
    store.put("w", np.full((4, 1, 3, 3), seed % 2, np.float32))
    return float(build_c(emit_c(network, store)).run({"image": np.ones_like(IMAGE)})["image"].max())


def test_processes_that_build_at_once_do_not_disturb_each_other(cache: Path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert pool.map(_build_and_run, range(4), chunksize=1) == [0.0, 9.0, 0.0, 9.0]
    built = [path for path in (cache / "c").iterdir() if path.suffix != ".lock"]
    assert [path.suffix for path in built] == [".so", ".so"]  # nothing half-written is left


def test_a_batch_runs_image_by_image():
    module = build_c(emit_c(*tiny()))
    batch = np.random.default_rng(0).standard_normal((5, 1, 6, 6), dtype=np.float32)
    whole = module.run({"image": batch})["image"]
    assert whole.shape == (5, 4, 6, 6)
    for i in range(5):
        np.testing.assert_array_equal(module.run({"image": batch[i : i + 1]})["image"], whole[i : i + 1])
    assert module.run({"image": batch[:0]})["image"].shape == (0, 4, 6, 6)


def test_wrong_inputs_are_refused():
    module = build_c(emit_c(*tiny()))
    for inputs, code in (
        ({}, "HAP0420"),
        ({"image": IMAGE[:, :, :5]}, "HAP0421"),
        ({"image": IMAGE[0]}, "HAP0421"),
        ({"image": IMAGE.astype(np.complex64)}, "HAP0421"),
    ):
        with pytest.raises(HapirError) as error:
            module.run(inputs)
        assert code_of(error) == code
