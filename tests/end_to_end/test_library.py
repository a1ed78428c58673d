"""The machines that hapir ships: each can be imported and checked; those that it builds, estimated and emitted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hapir
from tests.projects import run_main, write_project

FOLDER = Path(__file__).resolve().parents[2] / "targets" / "machines"
MACHINES = sorted(path.stem for path in FOLDER.glob("*.hap"))
EMITTED = ["ws", "ws_32x32", "ws_8x8"]
"""The machines that hapir builds."""


def on_library(machine: str, folder: Path) -> Path:
    """A project whose schedule is on a machine of the library."""
    spec = write_project(folder)
    text = spec.read_text(encoding="utf-8")
    assert "\nhap 1\n" in f"\n{text}"
    changed = text.replace("hap 1\n", f'hap 1\nimport "machines/{machine}.hap"\n').replace(
        "small on m", f"small on {machine}"
    )
    other = folder / "library.hap"
    other.write_text(changed, encoding="utf-8")
    return other


@pytest.mark.parametrize("machine", EMITTED)
def test_a_machine_that_hapir_builds_runs_a_network(machine: str, tmp_path: Path):
    spec = on_library(machine, tmp_path)
    assert run_main("check", spec).code == 0
    estimate = run_main("estimate", spec, "--format", "json")
    assert estimate.code == 0, estimate.err
    assert estimate.json["machine"] == machine
    assert run_main("compile", spec, "--target", "verilog", "-o", tmp_path / "out").code == 0


@pytest.mark.parametrize("machine", [name for name in MACHINES if name not in EMITTED])
def test_a_machine_that_hapir_does_not_build_is_refused_in_words(machine: str, tmp_path: Path):
    spec = on_library(machine, tmp_path)
    check = run_main("check", spec)
    assert (check.code, check.err) == (0, "")
    for command in (["estimate", spec], ["compile", spec, "--target", "verilog", "-o", tmp_path / "out"]):
        refused = run_main(*command)
        assert refused.code == 1
        assert re.search(r"^error\[HAP06\d\d\]: ", refused.err), refused.err
        assert "help:" in refused.err
    assert run_main("compile", spec, "--target", "c", "-o", tmp_path / "c").code == 0


def test_there_are_machines_and_they_are_listed():
    assert set(EMITTED) < set(MACHINES)
    listed = {entry["name"]: entry for entry in run_main("list", "machines", "--format", "json").json["machines"]}
    assert set(listed) >= set(MACHINES)
    for machine in MACHINES:
        first = (FOLDER / f"{machine}.hap").read_text(encoding="utf-8").splitlines()[0]
        assert listed[machine]["summary"].endswith((".", "`")), f"{machine}: the first line is a sentence"
        assert first.removeprefix("// ").startswith(listed[machine]["summary"][:40])


@pytest.mark.parametrize("machine", [name for name in MACHINES if name not in EMITTED])
def test_a_machine_says_where_its_numbers_come_from(machine: str):
    text = (FOLDER / f"{machine}.hap").read_text(encoding="utf-8")
    head = text.partition("\nhap 1\n")[0]
    assert "\n// Source: " in head
    assert re.search(r"^// (Published|Measured): ", head, re.MULTILINE)


@pytest.mark.parametrize("machine", [name for name in MACHINES if name not in EMITTED])
def test_a_machine_marks_the_settings_that_it_assumes(machine: str):
    head, _, body = (FOLDER / f"{machine}.hap").read_text(encoding="utf-8").partition("\nhap 1\n")
    assert ("\n// Assumed: " in head) == ("  // assumed" in body)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_file_of_a_machine_has_its_name(machine: str):
    assert hapir.load(FOLDER / f"{machine}.hap").machines[-1] == machine


@pytest.mark.parametrize(
    ("device", "memory", "fits"),
    [("zcu104", "4 MiB", True), ("zcu104", "6 MiB", False), ("pynq_z1", "600 KiB", True), ("pynq_z1", "1 MiB", False)],
)
def test_a_board_is_extended_by_a_machine_that_must_fit(device: str, memory: str, fits: bool, tmp_path: Path):
    spec = tmp_path / "mine.hap"
    spec.write_text(
        f'hap 1\nimport "machines/{device}.hap"\nmachine mine extends {device} {{\n'
        f"    clock = 100 MHz\n    memory dram {{ bandwidth = 8 B/cycle }}\n    memory maps {{ size = {memory} }}\n"
        "}\n",
        encoding="utf-8",
    )
    outcome = run_main("check", spec)
    assert outcome.code == (0 if fits else 1), outcome.err
    assert ("error[HAP0609]" in outcome.err) is not fits
