"""Reproducers of `hapir opt`: one file that repeats a failure from anywhere, and that may ask for little."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import hapir.opt.reproducer as reproducer
from tests.projects import Outcome, run_main, write_project
from tests.unit.opt_passes import IR, registered


@pytest.fixture(autouse=True)
def _passes() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the reproducer goes: a folder without anything else."""
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder / "crash.mlir"


def _crash(outcome: Outcome) -> str:
    """What a crash says."""
    assert (outcome.code, outcome.out) == (70, "")
    assert "Traceback" not in outcome.err
    found = re.search(r"error\[HAP0860\]: the pass `\w+` crashed: (.*)", outcome.err)
    assert found
    return found[1]


def _ir(folder: Path) -> Path:
    path = folder / "tiny.mlir"
    path.write_text(IR)
    return path


def test_a_crash_leaves_one_file_that_repeats_it(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write_project(tmp_path)
    pipeline = 'quantize{calibration="calib.npz"},crash_in_test{word="a \\"b\\\\ c"},fuse'
    outcome = run_main("opt", spec, "-p", pipeline, "--crash-reproducer", place)
    said = _crash(outcome)
    assert said == 'RuntimeError: unexpected a "b\\ c'
    assert f"hapir opt {place}" in outcome.err
    assert [p.name for p in place.parent.iterdir()] == [place.name]
    text = place.read_text()
    assert "quantize{" not in re.findall("// configuration: (.*)", text)[0]  # it starts where the crash was
    assert f"// failed: crash_in_test: {said}" in text
    assert "// command: hapir opt" in text
    monkeypatch.chdir("/")
    again = run_main("opt", place, "--crash-reproducer", tmp_path / "again.mlir")
    assert _crash(again) == said
    # the reproducer of a reproducer says the same, but for the command
    lines = [set(p.read_text().splitlines()) for p in (place, tmp_path / "again.mlir")]
    assert [line for line in lines[0] ^ lines[1] if not line.startswith("// command:")] == []


def test_another_pipeline_may_run_on_a_reproducer(tmp_path: Path, place: Path) -> None:
    _crash(run_main("opt", _ir(tmp_path), "-p", "crash_in_test", "--crash-reproducer", place))
    outcome = run_main("opt", place, "-p", "fuse")
    assert outcome.code == 0
    assert "nn.relu" in outcome.out


@pytest.mark.parametrize("limit", [reproducer.EMBEDDED_BYTES, 16])
def test_data_weights_and_original_travel(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Small files are embedded, large ones lie beside; either way all moves to another folder."""
    monkeypatch.setattr(reproducer, "EMBEDDED_BYTES", limit)
    home = tmp_path / "home"
    home.mkdir()
    spec = write_project(home)
    pipeline = 'quantize{calibration="calib.npz"},data_crash_in_test{data="calib.npz"}'
    said = _crash(run_main("opt", spec, "-p", pipeline, "--crash-reproducer", place))
    assert "(16, 2, 6, 6)" in said
    assert said.endswith("False")  # the original is not what the pass runs on
    files = sorted(p.name for p in place.parent.iterdir())
    beside = ["crash.data0.npz", "crash.mlir", "crash.original.mlir", "crash.weights.safetensors"]
    assert files == (["crash.mlir"] if limit > 1000 else beside)
    moved = tmp_path / "moved"
    place.parent.rename(moved)
    home.rename(tmp_path / "gone")
    monkeypatch.chdir("/")
    again = _crash(run_main("opt", moved / place.name, "--crash-reproducer", tmp_path / "again.mlir"))
    assert again.split("[")[1] == said.split("[")[1]  # data
    assert again.split(")] ")[1].split(" [")[0] == said.split(")] ")[1].split(" [")[0]  # the weight's shape
    assert again.endswith("False")


def test_the_temporary_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    outcome = run_main("opt", _ir(tmp_path), "-p", "crash_in_test")
    said = _crash(outcome)
    named = re.search(r"`hapir opt (\S+)` repeats it", outcome.err)
    assert named
    assert _crash(run_main("opt", named[1])) == said


def test_a_failing_pass_leaves_one_only_where_asked(tmp_path: Path, place: Path) -> None:
    ir = _ir(tmp_path)
    refused = run_main("opt", ir, "-p", "cse,refuse_in_test", "--crash-reproducer", place)
    assert refused.code == 1
    assert f"note: `hapir opt {place}` repeats the failure" in refused.err
    again = run_main("opt", place)
    assert again.code == 1
    assert "not with me" in again.err
    place.unlink()
    run_main("opt", ir, "-p", "corrupt_in_test", "--crash-reproducer", place)
    assert "left invalid IR" in run_main("opt", place).err
    place.unlink()
    run_main("opt", ir, "-p", "cse", "--crash-reproducer", place)
    run_main("opt", ir, "-p", "refuse_in_test")
    assert not place.exists()


def test_flags_are_kept(tmp_path: Path, place: Path) -> None:
    ir = _ir(tmp_path)
    ir.write_text(f"{IR}my.op(){{}} : () -> ()\n".replace("my.op(){}", '"my.op"()'))
    options = ("--allow-unregistered-dialect", "--no-verify-each")
    pipeline = "corrupt_in_test,crash_in_test"
    _crash(run_main("opt", ir, "-p", pipeline, *options, "--crash-reproducer", place))
    (line,) = re.findall("// configuration: (.*)", place.read_text())
    assert line == "-p crash_in_test --allow-unregistered-dialect --no-verify-each"


def test_a_place_that_cannot_be_written_does_not_hide_the_crash(tmp_path: Path) -> None:
    outcome = run_main("opt", _ir(tmp_path), "-p", "crash_in_test", "--crash-reproducer", tmp_path / "no" / "x")
    _crash(outcome)
    assert "no reproducer could be written" in outcome.err


def test_a_traceback_is_shown_on_request(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAPIR_DEBUG", "1")
    outcome = run_main("opt", _ir(tmp_path), "-p", "crash_in_test", "--crash-reproducer", place)
    assert "opt_passes.py" in outcome.err
    assert outcome.code == 70


def test_a_crash_in_a_chunk_is_that_of_the_chunk(tmp_path: Path, place: Path) -> None:
    ir = _ir(tmp_path)
    ir.write_text(f"{IR.replace('nn.relu', 'nn.relo')}// -----\n{IR.replace('@tiny', '@second')}")
    run_main("opt", ir, "-p", "crash_in_test", "--split-input-file", "--crash-reproducer", place)
    assert "@second" in place.read_text()
    assert "nn.relo" not in place.read_text()


HEAD = f"{reproducer.MAGIC}\n// configuration: -p fuse\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{reproducer.MAGIC}\n// configuration: -p fuse -o x\n{IR}", "cannot ask for `-o`"),
        (f"{reproducer.MAGIC}\n// configuration: -p fuse --save-weights=x\n{IR}", "cannot ask for"),
        (f"{reproducer.MAGIC}\n// configuration: 'fuse\n{IR}", "cannot be read"),
        (f"{reproducer.MAGIC}\n// configuration: fuse\n{IR}", "starts with -p"),
        (f"{HEAD}// file ../x: embedded\n{IR}", "not the name of a file"),
        (f"{HEAD}// file x: ../x\n{IR}", "not the name of a file"),
        (f"{HEAD}// file x: gone.npz\n{IR}", "`gone.npz` is not beside the reproducer"),
        (f"{HEAD}// file x: embedded\n{IR}", "the embedded file `x` cannot be read"),
        (f"{HEAD}// file x: embedded\n{IR}// embedded x\n// !!\n// end\n", "the embedded file `x` cannot be read"),
        (f"{HEAD}// file x: embedded\n{IR}// embedded x\n// eJw=\n// end\n", "cut short"),
        (f"{reproducer.MAGIC}\n// configuration: -p 'mlir-opt{{executable=\"true\"}}'\n{IR}", "runs another program"),
        (f"{reproducer.MAGIC}\n// configuration: -p fuze\n{IR}", "there is no pass or pipeline `fuze`"),
    ],
)
def test_damaged_and_suspicious_reproducers_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "r.mlir"
    path.write_text(text)
    outcome = run_main("opt", path)
    assert (outcome.code, outcome.out) == (1, "")
    assert words in outcome.err
    assert ("HAP0861" in outcome.err) != ("HAP0203" in outcome.err)
    assert [p.name for p in tmp_path.iterdir()] == ["r.mlir"]


def test_data_outside_of_a_reproducer_is_out_of_reach(tmp_path: Path) -> None:
    np.savez(tmp_path / "secret.npz", x=np.ones(3))
    path = tmp_path / "r.mlir"
    line = f"""-p 'data_crash_in_test{{data="{tmp_path / "secret.npz"}"}}'"""
    path.write_text(f"{reproducer.MAGIC}\n// configuration: {line}\n{IR}")
    outcome = run_main("opt", path)
    assert outcome.code == 1
    assert "HAP0214" in outcome.err


def test_run_reproducer_insists(tmp_path: Path) -> None:
    outcome = run_main("opt", _ir(tmp_path), "--run-reproducer")
    assert outcome.code == 1
    assert "`tiny.mlir` is not a reproducer" in outcome.err
    path = tmp_path / "r.mlir"
    path.write_text(HEAD + IR)
    assert run_main("opt", path, "--run-reproducer").code == 0
