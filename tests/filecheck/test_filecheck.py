"""The `// RUN:` lines of every .mlir and .hap file below this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.filecheck.runner import run_file

FOLDER = Path(__file__).parent
FILES = sorted(p for p in FOLDER.rglob("*") if p.suffix in (".mlir", ".hap"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(FOLDER)))
def test_run_lines(path: Path, tmp_path: Path) -> None:
    run_file(path, tmp_path)
