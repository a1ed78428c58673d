"""What the documentation shows is what happens: every file is written, every command run, every output compared.

`pytest tests/end_to_end/test_doc_pages.py --update-golden` writes the outputs anew; read the difference.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.doc_pages import ROOT, commands, fences, matches, run_page

PAGES = sorted(
    path
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if "```console" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_a_page_tells_the_truth(page: Path, tmp_path: Path, request: pytest.FixtureRequest):
    folder = tmp_path / "page"
    folder.mkdir()
    if page.parent == ROOT:  # its commands start at the root of the repository
        shutil.copytree(ROOT / "spec_examples", folder / "spec_examples")
    text = page.read_text(encoding="utf-8")
    corrected, wrong = run_page(text, folder)
    if request.config.getoption("--update-golden"):
        page.write_text(corrected, encoding="utf-8")
        return
    assert wrong == [], "\n\n".join(wrong)


def test_the_tutorial_and_the_readme_are_among_them():
    assert {ROOT / "docs" / "pages" / "tutorial.md", ROOT / "README.md"} <= set(PAGES)


def test_pages_are_read_as_they_are_meant(tmp_path: Path):
    files = "a\n<!-- file: x/y.txt -->\n```text\none\n```\n<!-- append: x/y.txt -->\n```\ntwo\n```\n"
    text = files + "```console\n$ cat x/y.txt\none\n...\n$ false\n```\n"
    assert [fence.mark for fence in fences(text)] == ["file", "append", ""]
    assert [c.line for c in commands("$ a\nb\n$ c\n")] == ["a", "c"]
    folder = tmp_path / "page"
    folder.mkdir()
    corrected, wrong = run_page(text, folder)
    assert (folder / "x" / "y.txt").read_text() == "one\ntwo\n"
    assert len(wrong) == 1
    assert corrected == text.replace("$ false\n", "$ false\n[exit 1]\n")
    assert run_page(corrected, folder)[1] == []


def test_dots_stand_for_any_text():
    assert matches("a ... c\n", "a b\nb c\n")
    assert not matches("a ... c\n", "a b d\n")
    assert not matches("a\n", "a\nb\n")
