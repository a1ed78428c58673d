"""Tables as C: what compilers read back from numbers and from strings, of every element type, and their exact sizes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import DTYPES, CType
from hapir.targets.c.build import build_c_together
from hapir.targets.c.emit import emit_c
from hapir.targets.c.print_weights import LARGE_BYTES, before_tables, declare_table, is_string, linked_name, print_table
from tests.property.integer_networks import integer_networks
from tests.property.strategies import networks
from tests.property.test_c_machines import drawn

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")


def tables(count_bytes: int) -> list[Table]:
    """A table of each type from all bytes in turn, the ends of the type first; floats finite, one of them -0."""
    found: list[Table] = []
    for ctype, dtype in DTYPES.items():
        count = count_bytes // dtype.itemsize + 3
        if dtype.kind == "f":
            values = np.linspace(-1.5, 1.7, count).astype(dtype)
            limits = np.finfo(np.float32) if ctype == "float" else np.finfo(np.float64)
            values[:4] = [-0.0, float(limits.max), float(limits.tiny), float(limits.smallest_subnormal)]
        else:
            values = np.resize(np.arange(256, dtype=np.uint8), count * dtype.itemsize).view(dtype).copy()
            low = 0 if dtype.kind == "u" else -(1 << 8 * dtype.itemsize - 1)
            values[:2] = low, low + (1 << 8 * dtype.itemsize) - 1
        found.append(Table(f"t.{ctype}", ctype, values))
    return found


def symbol(ctype: CType) -> str:
    return f"table_{ctype}"


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("count_bytes", [64, LARGE_BYTES], ids=["numbers", "strings"])
def test_compilers_read_back_every_table(compiler: str, count_bytes: int, tmp_path: Path):
    printed = tables(count_bytes)
    assert {is_string(table) for table in printed} == {count_bytes == LARGE_BYTES}
    head = "#include <stdint.h>\n"
    unit = [head, before_tables(printed), *(print_table(t, symbol(t.ctype)) for t in printed)]
    # the unit that reads them declares the same types: link-time optimization would complain
    reads = [
        f"extern {t.ctype} read_{t.ctype}(int i);\n{t.ctype} read_{t.ctype}(int i) {{ return {symbol(t.ctype)}[i]; }}\n"
        for t in printed
    ]
    declarations = [declare_table(t, symbol(t.ctype)) for t in printed]
    (tmp_path / "weights.c").write_text("\n".join([*unit, ""]))
    (tmp_path / "reads.c").write_text("\n".join([head, *declarations, *reads, ""]))
    command = [compiler, "-std=c11", "-O1", *WARNINGS, "-shared", "-fPIC", "-o", "tables.so", "weights.c", "reads.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "tables.so"))
    for table in printed:
        found = (ctypes.c_char * table.size_bytes).in_dll(library, linked_name(table, symbol(table.ctype)))
        assert bytes(found) == table.values.tobytes()
        assert ctypes.addressof(found) % 64 == 0


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.skipif(shutil.which("nm") is None, reason="`nm` is not installed")
def test_symbols_have_the_sizes_of_their_tables(compiler: str, tmp_path: Path):
    printed = [*tables(64), *(Table(f"l.{t.ctype}", t.ctype, t.values) for t in tables(LARGE_BYTES))]
    names = {f"t{i}": table for i, table in enumerate(printed)}
    definitions = [print_table(table, name) for name, table in names.items()]
    (tmp_path / "w.c").write_text("\n".join(["#include <stdint.h>", before_tables(printed), *definitions]))
    subprocess.run([compiler, "-std=c11", "-c", "w.c"], cwd=tmp_path, check=True)
    lines = subprocess.run(["nm", "-S", "w.o"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    sizes = {name: int(size, 16) for _, size, _, name in (line.split() for line in lines.splitlines())}
    assert sizes == {linked_name(table, name): table.size_bytes for name, table in names.items()}


def test_networks_whose_tables_are_all_strings(monkeypatch: pytest.MonkeyPatch):
    integers = [(s.network, s.weights, s.inputs(2)) for s in drawn(integer_networks(max_layers=4), 5, 13)]
    floats = [(s.network, s.weights, dict(s.inputs(2))) for s in drawn(networks(max_layers=4), 3, 13)]
    jobs = [*integers, *floats]
    plain = [emit_c(network, weights, f"a{i}") for i, (network, weights, _) in enumerate(jobs)]
    monkeypatch.setattr("hapir.targets.c.print_weights.LARGE_BYTES", 1)
    strings = [emit_c(network, weights, f"b{i}") for i, (network, weights, _) in enumerate(jobs)]
    assert any("__data.values" in artefact.files[f"{artefact.name}.c"] for artefact in strings)
    modules = build_c_together(
        [*plain, *strings], flags=("-std=c11", "-O1", "-ffp-contract=off", *WARNINGS), cache=False
    )
    for (_, _, inputs), one, other in zip(jobs, modules[: len(jobs)], modules[len(jobs) :], strict=True):
        for name, array in one.run(inputs).items():
            np.testing.assert_array_equal(other.run(inputs)[name], array)
