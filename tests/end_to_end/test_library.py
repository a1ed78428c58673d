"""The machines that hapir ships: each can be imported by name, checked, estimated and emitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import run_main, write_project

MACHINES = sorted(path.stem for path in (Path(__file__).resolve().parents[2] / "targets" / "machines").glob("*.hap"))


@pytest.mark.parametrize("machine", MACHINES)
def test_a_library_machine_runs_a_network(machine: str, tmp_path: Path):
    spec = write_project(tmp_path)
    text = spec.read_text(encoding="utf-8")
    assert "\nhap 1\n" in f"\n{text}"
    on_library = text.replace("hap 1\n", f'hap 1\nimport "machines/{machine}.hap"\n').replace(
        "small on m", f"small on {machine}"
    )
    other = tmp_path / "library.hap"
    other.write_text(on_library, encoding="utf-8")
    assert run_main("check", other).code == 0
    estimate = run_main("estimate", other, "--format", "json")
    assert estimate.code == 0, estimate.err
    assert estimate.json["machine"] == machine
    assert run_main("compile", other, "--target", "verilog", "-o", tmp_path / "out").code == 0


def test_there_are_machines_and_they_are_listed():
    assert len(MACHINES) >= 2
    assert {entry["name"] for entry in run_main("list", "machines", "--format", "json").json["machines"]} >= set(
        MACHINES
    )
