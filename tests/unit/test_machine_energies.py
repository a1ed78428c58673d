"""What a machine says of energies comes before the technology table, and the report tells so."""

from __future__ import annotations

from pathlib import Path

import pytest

import hapir
from hapir.diagnostics import HapirError
from hapir.targets.estimate import EstimateReport
from tests.projects import write_project


def estimate(folder: Path, *changes: tuple[str, str]) -> EstimateReport:
    """The estimate of the project with parts of its spec replaced."""
    spec = write_project(folder)
    text = spec.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    spec.write_text(text, encoding="utf-8")
    return hapir.load(spec).schedule().estimate()


def energy(report: EstimateReport, component: str) -> float:
    """Picojoules of one component over all layers."""
    return sum(layer.energy_pj[component] for layer in report.layers)


def accesses(report: EstimateReport, memory: str) -> tuple[int, int]:
    """Reads and writes of a memory over all layers."""
    found = [a for layer in report.layers for a in layer.accesses if a.memory == memory]
    return sum(a.reads for a in found), sum(a.writes for a in found)


def test_a_replaced_entry_holds_at_every_size(tmp_path: Path):
    before = estimate(tmp_path)
    after = estimate(tmp_path, ("technology = cmos45", "technology = cmos45(sram_access = 8 pJ, dram_access = 640 pJ)"))
    constants = {c.name: c for c in after.constants}
    for name, value in (("access of dram", 640.0), ("access of a bank of activations", 8.0)):
        assert (constants[name].value, constants[name].standing) == (value, "given")
        assert constants[name].source == "machine m"
    # a row of the accumulators is 128 bit wide, the table speaks of 64
    assert constants["access of a row of accumulator"].value == 16.0
    assert constants["access of a weight register"].standing == "assumed"
    assert energy(after, "mac") == energy(before, "mac")
    assert energy(after, "dram") == pytest.approx(energy(before, "dram") * 640 / 1950)


def test_a_memory_says_its_own_energies(tmp_path: Path):
    own = "memory weights { width = 16 b, read_energy = 3 pJ, write_energy = 5 pJ,"
    report = estimate(tmp_path, ("memory weights {", own))
    reads, writes = accesses(report, "weights")
    assert reads > 0
    # a row of the array is 4 bytes: two accesses of 16 bit
    assert energy(report, "weights") == pytest.approx(2 * (3 * reads + 5 * writes))
    given = [(c.name, c.value, c.source) for c in report.constants if c.standing == "given"]
    assert given == [
        ("read of weights", 6.0, "machine m: weights"),
        ("write of weights", 10.0, "machine m: weights"),
    ]


def test_one_way_alone_leaves_the_other_to_the_table(tmp_path: Path):
    before = {c.name: c.value for c in estimate(tmp_path).constants}
    own = ("memory weight_reg {", "memory registers { width = 8 b, write_energy = 1 pJ,")
    report = estimate(tmp_path, own)
    reads, writes = accesses(report, "registers")
    table = before["access of a weight register"]
    assert energy(report, "registers") == pytest.approx(table * reads + writes)


def test_without_a_technology_there_is_no_estimate_but_verilog(tmp_path: Path):
    with pytest.raises(HapirError) as raised:
        estimate(tmp_path, ("    technology = cmos45\n", ""))
    (found,) = raised.value.diagnostics
    assert found.code == "HAP0605"
    assert found.message == "machine `m` names no technology, so there are no energies and areas"
    assert found.span is not None
    assert hapir.load(tmp_path / "tiny.hap").schedule().lower("verilog", tmp_path / "out")
