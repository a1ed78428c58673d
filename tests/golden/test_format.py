"""The style of `hapir fmt`, and that everything shown in the project is written in it.

`pytest tests/golden/test_format.py --update-golden` writes the expected texts anew; read the difference.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hapir.spec.format import format_text

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "format"
CASES = sorted(path.stem for path in FOLDER.glob("*.hap"))
SPECS = sorted(
    path for folder in ("spec_examples", "targets", "tests/filecheck") for path in (ROOT / folder).rglob("*.hap")
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCES = re.compile(r"^( *)```hap\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", CASES)
def test_style(name: str, request: pytest.FixtureRequest):
    # read as bytes, so that line ends and byte order marks are those of the file
    formatted = format_text((FOLDER / f"{name}.hap").read_bytes().decode("utf-8"), f"{name}.hap")
    expected = FOLDER / f"{name}.expected"
    if request.config.getoption("--update-golden"):
        expected.write_text(formatted, encoding="utf-8")
    assert formatted == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_specs_of_the_project_are_formatted(path: Path):
    text = path.read_bytes().decode("utf-8")
    assert format_text(text, path.name) == text


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_specs_in_the_documentation_are_formatted(page: Path):
    """Pieces of specs begin without a version line; what is no whole statement is marked as another language."""
    for margin, written in FENCES.findall(page.read_text(encoding="utf-8")):
        text = re.sub(rf"^{margin}", "", written, flags=re.MULTILINE)
        head = "" if re.search(r"^hap 1$", text, re.MULTILINE) else "hap 1\n"
        formatted = format_text(head + text, page.name).removeprefix(head)
        assert formatted.strip("\n") == text.strip("\n")
