"""The report of memory is exact: its sums, what compilers make of it, and the laws of its rows on random networks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hapir.lowering.kernel.plan_program import plan_program
from hapir.report.memory import memory_json, memory_text
from hapir.targets.c.emit import CArtefact, emit_c, print_program
from hapir.targets.c.options import DEFAULT, COptions
from tests.property.integer_networks import integer_networks
from tests.property.test_c_machines import drawn
from tests.property.test_c_reference import grouped

COMPILERS = [name for name in ("gcc", "clang", "aarch64-linux-gnu-gcc", "riscv64-linux-gnu-gcc") if shutil.which(name)]


def artefacts(options: COptions = DEFAULT) -> list[CArtefact]:
    """Random networks, fused."""
    samples = drawn(integer_networks(max_layers=5), 10, 7)
    return [emit_c(grouped(s.network, s.weights), s.weights, f"net{i}", options=options) for i, s in enumerate(samples)]


def test_the_rows_add_up():
    for sample in drawn(integer_networks(max_layers=5), 10, 7):
        program = plan_program(grouped(sample.network, sample.weights), sample.weights)
        artefact = print_program(program)
        assert sum(row.weight_bytes for row in artefact.layers) == artefact.weight_bytes
        assert sum(table.bytes for table in artefact.tables) == artefact.weight_bytes == program.weight_bytes
        assert max(row.live_bytes for row in artefact.layers) == artefact.live_bytes
        assert all(row.arena_bytes <= row.live_bytes <= artefact.arena_bytes for row in artefact.layers)


def test_tables_in_a_file_are_no_constants():
    for plain, artefact in zip(artefacts(), artefacts(COptions(weights_file=True)), strict=True):
        assert sum(row.weight_bytes for row in artefact.layers) == artefact.weight_bytes
        in_file = sum(row.loaded_bytes for row in artefact.layers)
        assert in_file + artefact.weight_bytes == plain.weight_bytes
        assert in_file <= artefact.file_bytes == sum(map(len, artefact.data.values()))


def sections(folder: Path, file: str) -> dict[str, tuple[int, str]]:
    """Size and kind of each symbol of an object file."""
    lines = subprocess.run(["nm", "-S", file], cwd=folder, check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in lines.splitlines()]
    return {row[3]: (int(row[1], 16), row[2]) for row in rows if len(row) == 4}


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("options", [COptions(), COptions(weights_file=True)], ids=["constants", "file"])
@pytest.mark.skipif(shutil.which("nm") is None, reason="`nm` is not installed")
def test_compilers_agree_with_the_report(compiler: str, options: COptions, tmp_path: Path):
    for artefact in artefacts(options)[3:6]:
        name = artefact.name
        for file, text in artefact.files.items():
            (tmp_path / file).write_text(text)
        (tmp_path / "ram.c").write_text(f'#include "{name}.h"\nstruct {name}_ctx context;\n')
        for unit in (*artefact.units, "ram.c"):
            subprocess.run([compiler, "-std=c11", "-O1", "-c", unit, "-o", f"{unit}.o"], cwd=tmp_path, check=True)
        assert sections(tmp_path, "ram.c.o")["context"][0] == artefact.context_bytes
        constants = sections(tmp_path, f"{name}_weights.c.o")
        constants.pop(f"{name}_no_weights", None)
        assert {symbol: size for symbol, (size, _) in constants.items()} == {t.symbol: t.bytes for t in artefact.tables}
        # the code keeps nothing between calls
        kinds = {kind for _, kind in sections(tmp_path, f"{name}.c.o").values()}
        assert kinds.isdisjoint("dDbBC"), kinds


def test_the_report_as_text_and_json():
    (artefact,) = artefacts()[4:5]
    found = memory_json(artefact)
    assert found["context_bytes"] == artefact.context_bytes
    text = memory_text(artefact)
    for row in artefact.tables:
        assert any(line.split()[0] == row.symbol for line in text.splitlines() if line)
