"""The pages on writing plug-ins show the packages of `tests/plugins` as they are.

A fenced block stands under a marker: `<!-- file: PATH -->` for a whole file (`--update-golden` fills it in),
`<!-- part of: PATH -->` for consecutive lines of one, `<!-- run -->` for commands that the end-to-end tests run.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "pages" / "extending").glob("*.md"))
WHOLE = re.compile(r"^<!-- file: (\S+) -->\n(```+)(\w+)\n.*?^\2\n", re.DOTALL | re.MULTILINE)
PART = re.compile(r"^<!-- part of: (\S+) -->\n```\w+\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^([^\n]*)\n(```+)(\w+)\n(.*?)^\2\n", re.DOTALL | re.MULTILINE)
"""A fence is as long as the text needs that stands in it."""
PACKAGES = {
    "pass": "hapir_clip_outliers",
    "quantizer": "hapir_stochastic",
    "format": "hapir_posit",
    "encoding": "hapir_zero_blocks",
    "unit": "hapir_mitchell",
    "machine": "hapir_edge",
    "dataflow": "hapir_output_stationary",
}
"""The package that each page builds."""
WALKS = ("kernel", "operator")
"""Pages that walk through hapir's own files."""


def test_there_is_a_page_per_kind():
    assert {page.stem for page in PAGES} == {*PACKAGES, *WALKS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_are_shown_as_they_are(page: Path, request: pytest.FixtureRequest):
    text = page.read_text(encoding="utf-8")
    current = WHOLE.sub(
        lambda m: f"<!-- file: {m[1]} -->\n{m[2]}{m[3]}\n{(ROOT / m[1]).read_text(encoding='utf-8')}{m[2]}\n", text
    )
    if request.config.getoption("--update-golden"):
        page.write_text(current, encoding="utf-8")
    else:
        assert text == current


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_parts_stand_in_their_files(page: Path):
    for path, block in PART.findall(page.read_text(encoding="utf-8")):
        assert f"\n{block}" in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_code_is_checked(page: Path):
    """Only trees of files (`text`) and the installation (`pip`) stand without a marker."""
    text = page.read_text(encoding="utf-8")
    blocks = [(m[1], m[3], m[4]) for m in BLOCK.finditer(text)]
    assert len(blocks) >= 4
    for before, language, block in blocks:
        assert language == "text" or before.startswith("<!-- ") or block.startswith("pip install")
    if page.stem in WALKS:
        assert all(before.startswith(("<!-- part of: ", "<!-- run")) for before, _, _ in blocks)
        return
    for name in ("pyproject.toml", "example.hap"):
        assert f"<!-- file: tests/plugins/{PACKAGES[page.stem]}/{name} -->" in text
    modules = [p for p in (ROOT / "tests" / "plugins" / PACKAGES[page.stem]).rglob("*") if p.suffix in (".py", ".hap")]
    for module in modules:
        if not module.name.startswith("test_"):
            assert f"<!-- file: {module.relative_to(ROOT).as_posix()} -->" in text
