"""Bulk lowering: a hundred specs, some bad, each in a folder of its own, with a summary."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from hapir.bulk import Choice, compile_many, folder_names, interrupts_held, worker_pool
from hapir.weights import WeightStore
from tests.projects import run_main, tree, write_project

ROOT = Path(__file__).parents[2]
SPEC = """\
hap 1
network n{n}(x: f32[1, {c}, {h}, {h}]) -> f32[1, {k}, {p}, {p}] {{
    weights from "n{n}.safetensors"
    c1 = conv2d(x, channels = {k}, kernel = {r}, stride = {s})
    return relu(c1)
}}
"""


def _write_specs(folder: Path, count: int) -> list[Path]:
    """Networks of one convolution each, all different."""
    specs: list[Path] = []
    for n in range(count):
        c, k, r, s = 1 + n % 3, 1 + n % 5, 1 + n % 4, 1 + n % 2
        h = 6 + n % 7
        weights = {"c1.weight": np.full((k, c, r, r), n / 100, np.float32), "c1.bias": np.ones(k, np.float32)}
        WeightStore(weights).save(folder / f"n{n}.safetensors")
        spec = folder / f"n{n}.hap"
        spec.write_text(SPEC.format(n=n, c=c, h=h, k=k, r=r, s=s, p=(h - r) // s + 1))
        specs.append(spec)
    return specs


def test_a_hundred_specs_of_which_three_are_bad(tmp_path: Path) -> None:
    specs = _write_specs(tmp_path, 100)
    specs[7].write_text(specs[7].read_text().replace("relu", "rleu"))
    specs[50].unlink()
    (tmp_path / "n93.safetensors").unlink()
    out = tmp_path / "out"
    outcome = run_main("compile", *specs, "--target", "c", "-o", out, "--jobs", "2", "--format", "json")
    assert outcome.code == 1
    assert outcome.err == ""
    summary = json.loads((out / "summary.json").read_text())
    assert summary == outcome.json
    assert (summary["good"], summary["failed"]) == (97, 3)
    bad = {Path(e["spec"]).stem: e["diagnostics"][0]["code"] for e in summary["specs"] if e["status"] == "failed"}
    assert bad == {"n7": "HAP0201", "n50": "HAP0106", "n93": "HAP0401"}
    folders = {p.name for p in out.iterdir() if p.is_dir()}
    assert folders == {f"n{n}" for n in range(100)} - set(bad)
    for n in (0, 51, 99):
        assert (out / f"n{n}" / "manifest.json").is_file()
        assert f"int n{n}_run(" in (out / f"n{n}" / "c" / f"n{n}.h").read_text()
    assert not [p for p in out.iterdir() if p.name.startswith(".")]


def test_bulk_writes_what_single_compiles_write(tmp_path: Path) -> None:
    specs = _write_specs(tmp_path, 3)
    compile_many(specs, tmp_path / "bulk", Choice(("c",)), jobs=1)
    for spec in specs:
        single = tmp_path / "single" / spec.stem
        assert run_main("compile", spec, "--target", "c", "-o", single).code == 0
        assert tree(single) == tree(tmp_path / "bulk" / spec.stem)


def test_jobs_do_not_change_the_bytes(tmp_path: Path) -> None:
    specs = _write_specs(tmp_path, 4)
    specs[2].write_text("hap 1\nnetwork")
    for jobs in (1, 2):
        compile_many(specs, tmp_path / f"out{jobs}", Choice(("c",)), jobs=jobs)
    assert tree(tmp_path / "out1") == tree(tmp_path / "out2")


def test_one_spec_with_jobs_is_a_bulk_of_one(tmp_path: Path) -> None:
    outcome = run_main("compile", *_write_specs(tmp_path, 1), "--target", "c", "-o", tmp_path / "out", "--jobs", "1")
    assert outcome.code == 0
    assert outcome.out == "1 good, 0 failed\n"
    assert (tmp_path / "out" / "n0" / "manifest.json").is_file()


def test_failures_are_shown_in_text(tmp_path: Path) -> None:
    specs = _write_specs(tmp_path, 2)
    specs[1].write_text(specs[1].read_text().replace("relu", "rleu"))
    outcome = run_main("compile", *specs, "--target", "c", "-o", tmp_path / "out")
    assert outcome.code == 1
    assert "error[HAP0201]" in outcome.err
    assert "did you mean `relu`?" in outcome.err
    assert "1 good, 1 failed" in outcome.out


def test_equal_stems_get_numbers() -> None:
    specs = [Path(p) for p in ("a/net.hap", "b/net.hap", "c/NET.hap", "net.2.hap", "x/summary.json.hap")]
    names = folder_names(specs)
    assert names == ["net", "net.2", "NET.3", "net.2.2", "summary.json.2"]
    assert len({name.lower() for name in names}) == len(names)


def test_a_strangers_summary_is_refused(tmp_path: Path) -> None:
    specs = _write_specs(tmp_path, 2)
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text('{"mine": 1}')
    outcome = run_main("compile", *specs, "--target", "c", "-o", out)
    assert outcome.code == 1
    assert "HAP0881" in outcome.err
    assert tree(out) == {"summary.json": b'{"mine": 1}'}


def test_a_strangers_subfolder_fails_its_spec_alone(tmp_path: Path) -> None:
    specs = _write_specs(tmp_path, 2)
    (tmp_path / "out" / "n1").mkdir(parents=True)
    (tmp_path / "out" / "n1" / "notes").write_text("keep")
    outcome = run_main("compile", *specs, "--target", "c", "-o", tmp_path / "out", "--format", "json")
    assert [e["status"] for e in outcome.json["specs"]] == ["good", "failed"]
    assert (tmp_path / "out" / "n1" / "notes").read_text() == "keep"


def test_a_bug_in_one_spec_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hapir.targets.c import emit

    whole = emit.emit_c

    def broken(network: object, *rest: object, **named: object) -> object:
        if "n1" in str(network):
            raise RuntimeError("unexpected")
        return whole(network, *rest, **named)  # pyright: ignore[reportArgumentType]  # passed on as they came

    monkeypatch.setattr(emit, "emit_c", broken)
    report = compile_many(_write_specs(tmp_path, 3), tmp_path / "out", Choice(("c",)))
    assert [entry.failed for entry in report.entries] == [False, True, False]
    assert report.entries[1].error == "internal error: RuntimeError: unexpected"


def test_an_interrupted_bulk_leaves_whole_folders(tmp_path: Path) -> None:
    specs, pause = _write_specs(tmp_path, 150), threading.Event()
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "hapir", "compile", *map(str, specs), "--target", "c", "-o", str(out), "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    while process.poll() is None and not list(out.glob("*/manifest.json")):
        pause.wait(0.02)  # until the first is done
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    made = [p for p in out.iterdir() if p.is_dir()]
    assert 0 < len(made) < 150
    for folder in made:
        assert set(json.loads((folder / "manifest.json").read_text())["files"]) <= set(tree(folder))
        assert not folder.name.startswith(".")
    assert not (out / "summary.json").exists()


def _interrupts_are_held() -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_interrupts_wait_until_workers_ignore_them() -> None:
    with worker_pool(1) as pool:
        with interrupts_held():
            handler = pool.submit(signal.getsignal, signal.SIGINT)
            blocked = pool.submit(_interrupts_are_held)
            assert _interrupts_are_held()
        assert not _interrupts_are_held()
        assert handler.result() is signal.SIG_IGN
        assert not blocked.result()


def test_default_targets_are_what_each_spec_can_take(tmp_path: Path) -> None:
    (tmp_path / "q").mkdir()
    float_spec = _write_specs(tmp_path, 1)[0]
    report = compile_many([float_spec], tmp_path / "out", Choice())
    assert report.failed == 0
    manifest = json.loads((tmp_path / "out" / "n0" / "manifest.json").read_text())
    assert manifest["targets"] == ["c"]
    assert write_project(tmp_path / "q").is_file()
