"""Data flows one way: spec -> IR -> lowering -> targets. Nobody imports what follows it; the oracle stands alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {
    "dialects": ("lowering", "targets", "reference", "spec", "cli", "driver", "report"),
    "lowering": ("targets", "spec", "cli", "driver", "report"),
    "targets": ("spec", "cli", "driver", "report"),
    "hapir/reference": ("lowering", "targets", "spec", "cli", "driver", "report"),
    "hapir/spec": ("lowering", "targets", "reference", "cli", "driver", "report"),
}


def imported(path: Path) -> set[str]:
    """The parts of hapir that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "hapir":
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            found.update(n.split(".")[1] for n in names if n.startswith("hapir."))
        elif isinstance(node, ast.Import):
            found.update(alias.name.split(".")[1] for alias in node.names if alias.name.startswith("hapir."))
    return found


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_nothing_imports_what_comes_after_it(folder: str):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = {
        str(path.relative_to(ROOT)): sorted(imported(path) & set(FORBIDDEN[folder]))
        for path in files
        if imported(path) & set(FORBIDDEN[folder])
    }
    assert wrong == {}


def test_the_scan_sees_imports(tmp_path: Path):
    file = tmp_path / "x.py"
    file.write_text(
        "from hapir import driver\ndef f():\n    from hapir.spec.parse import parse\nimport hapir.cli.main\n"
    )
    assert imported(file) == {"driver", "spec", "cli"}
