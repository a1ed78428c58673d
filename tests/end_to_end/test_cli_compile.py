"""`hapir compile`: everything in one folder, the same bytes every time, and all or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hapir.weights import WeightStore
from tests.projects import run_main, tree, write_project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def _start(*argv: str | Path, **environment: str) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "hapir", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def test_the_folder_holds_what_the_manifest_says(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    outcome = run_main("compile", spec, "-o", out, "--target", "c", "--format", "json")
    assert outcome.code == 0
    files = tree(out)
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert outcome.json["files"] == {name: len(data) for name, data in files.items()}
    assert manifest["schedule"] == "on_m"
    assert manifest["cut"]["body"]["layers"] == ["c1", "f1"]
    assert {"c/tiny.c", "c/tiny.h", "ir/00_built.mlir", "ir/01_quantize.mlir", "ir/body.mlir"} <= set(files)
    assert not any(str(tmp_path).encode() in data for data in (*files.values(), json.dumps(manifest).encode()))


def test_the_written_ir_and_weights_go_on_in_opt(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_main("compile", spec, "-o", out, "--target", "c")
    weights = out / "weights.safetensors"
    last = run_main("opt", out / "ir" / "02_fuse.mlir", "--weights", weights)
    assert last.code == 0
    assert last.out.strip() == (out / "ir" / "02_fuse.mlir").read_text().strip()
    assert run_main("opt", out / "ir" / "body.mlir", "--weights", weights).code == 0
    assert "c1.weight" not in WeightStore.load(weights)  # the floats are no longer named


def test_equal_bytes_under_any_hash_seed(spec: Path, tmp_path: Path) -> None:
    outs = [tmp_path / f"out{seed}" for seed in (0, 1, 77)]
    running = [
        _start("compile", spec, "-o", out, "--target", "c", PYTHONHASHSEED=str(seed))
        for out, seed in zip(outs, (0, 1, 77), strict=True)
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    trees = [tree(out) for out in outs]
    assert trees[0] == trees[1] == trees[2]
    assert trees[0]


def test_hapirs_folder_is_replaced_and_a_strangers_is_not(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_main("compile", spec, "-o", out, "--target", "c").code == 0
    (out / "c" / "stale.c").write_text("int old;")
    assert run_main("compile", spec, "-o", out, "--target", "c").code == 0
    assert not (out / "c" / "stale.c").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes").write_text("keep")
    outcome = run_main("compile", spec, "-o", mine, "--target", "c")
    assert outcome.code == 1
    assert "HAP0881" in outcome.err
    assert tree(mine) == {"notes": b"keep"}


def _entries(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


@pytest.mark.parametrize("breakage", ["unknown layer", "no calibration", "no weights file", "unknown target"])
def test_nothing_is_written_on_an_error(spec: Path, tmp_path: Path, breakage: str) -> None:
    target = "c"
    if breakage == "unknown layer":
        spec.write_text(spec.read_text().replace("relu(", "rel("))
    elif breakage == "no calibration":
        (tmp_path / "calib.npz").unlink()
    elif breakage == "no weights file":
        (tmp_path / "tiny.safetensors").unlink()
    else:
        target = "vhdl"
    before = _entries(tmp_path)
    outcome = run_main("compile", spec, "-o", tmp_path / "out", "--target", target)
    assert outcome.code == 1
    assert "error[HAP" in outcome.err
    assert _entries(tmp_path) == before


def test_a_bug_in_a_target_leaves_nothing(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr("hapir.targets.c.emit.emit_c", broken)
    before = _entries(tmp_path)
    assert run_main("compile", spec, "-o", tmp_path / "out", "--target", "c").code == 70
    assert _entries(tmp_path) == before


STALLING = """
import sys, time
from hapir.cli.main import main
import hapir.artifacts

write = hapir.artifacts._manifest
def stall(*args):
    print("half way", flush=True)
    time.sleep(60)
    return write(*args)
hapir.artifacts._manifest = stall
sys.argv = ["hapir", *sys.argv[1:]]
sys.exit(main())
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_killed_compile_leaves_what_was_there(spec: Path, tmp_path: Path, sent: signal.Signals, code: int) -> None:
    out = tmp_path / "out"
    assert run_main("compile", spec, "-o", out, "--target", "c").code == 0
    before, entries = tree(out), _entries(tmp_path)
    spec.write_text(spec.read_text().replace("return softmax(f1)", "return f1"))
    process = subprocess.Popen(
        [sys.executable, "-c", STALLING, "compile", str(spec), "-o", str(out), "--target", "c"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half way\n"
    assert _entries(tmp_path) > entries  # the temporary folder
    process.send_signal(sent)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    assert tree(out) == before
    assert _entries(tmp_path) == entries


def test_two_compiles_at_once_do_not_disturb_each_other(spec: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    assert run_main("compile", spec, "-o", alone, "--target", "c").code == 0
    out = tmp_path / "out"
    entries = _entries(tmp_path) | {"out"}
    running = [_start("compile", spec, "-o", out, "--target", "c") for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert tree(out) == tree(alone)
    assert _entries(tmp_path) == entries


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    process = _start("list", "codes", "--format", "json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert process.wait() == 141
    assert err == ""


def test_lower_writes_one_target(spec: Path, tmp_path: Path) -> None:
    import hapir

    paths = hapir.load(spec).schedule().lower("c", tmp_path / "src")
    c = ["tiny.c", "tiny.h", "tiny_example.c", "tiny_report.json", "tiny_report.txt", "tiny_weights.c"]
    assert [p.name for p in paths] == ["CMakeLists.txt", "Makefile", *c]
    assert all(p.is_file() for p in paths)


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("command", ["list codes", "list codes --format json", "explain nothing --format json"])
def test_output_that_cannot_be_written_is_a_diagnostic(command: str, redirection: str) -> None:
    line = f"{sys.executable} -m hapir {command} {redirection}"
    found = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr.startswith("error[HAP0884]: cannot write the output: ")
    assert len(found.stderr.splitlines()) == 2


def test_no_target_at_all_is_an_error(spec: Path, tmp_path: Path) -> None:
    outcome = run_main("compile", spec, "-o", tmp_path / "out", "--target", "")
    assert outcome.code == 1
    assert "error[HAP0790]: no target is named" in outcome.err
    assert not (tmp_path / "out").exists()
