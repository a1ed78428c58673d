"""The documentation: it builds without a warning, and every entry of the catalogue is in it."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hapir.catalogue import KINDS, Entry, entries
from hapir.catalogue.markdown import anchor, entry_section, literal, prose, table
from hapir.catalogue.pages import page_of, reference_pages, titles
from hapir.catalogue.topics import TOPICS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "-f",
        "docs/mkdocs.yml",
        "-d",
        str(folder),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_is_on_its_page(site: Path, kind: str) -> None:
    text = (site / page_of(kind)).with_suffix(".html").read_text(encoding="utf-8")
    missing = [entry.name for entry in entries(kind) if f'id="{html.escape(anchor(entry))}"' not in text]
    assert missing == []


def test_every_page_is_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    for page in (*titles(), "tutorial.md", "mistakes.md", "opt.md", "extending/pass.md"):
        assert f'href="{Path(page).with_suffix(".html").as_posix()}"' in home


def test_no_page_shows_raw_markdown(site: Path) -> None:
    for page in sorted(site.rglob("*.html")):
        body = re.sub(r"<(pre|code|script)\b.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        words = html.unescape(re.sub(r"<[^>]+>", "", body))
        assert not re.search(r"\{: ?#|```|\*\*|&lt;|^\|.*\|$", words, re.MULTILINE), page.name


def test_nothing_is_loaded_from_other_places(site: Path) -> None:
    for page in sorted(site.rglob("*.html")):
        loaded = re.findall(
            r"<(?:script|link|img)[^>]*(?:src|href)=\"(https?:[^\"]*)", page.read_text(encoding="utf-8")
        )
        assert loaded == [], page.name


def test_the_language_page_has_the_topics_in_their_order() -> None:
    text = reference_pages()["language.md"]
    assert re.findall(r"^## `(\w+)`", text, re.MULTILINE) == list(TOPICS)


def test_docstrings_become_markdown_that_means_the_same() -> None:
    text = "One < two, a*b `c*d < e`:\n- first\n  goes on\n- second\n\nbecomes\n```\nx < *y*\n```\nend"
    assert prose(text) == (
        "One &lt; two, a\\*b `c*d < e`:\n\n- first\n  goes on\n- second\n\nbecomes\n\n```\nx < *y*\n```\n\nend"
    )
    assert prose("A:\n\n    x <= *y*\n\nB < C") == "A:\n\n    x <= *y*\n\nB &lt; C"
    assert table(("a", "b"), [("1 | 2", "`3 | 4`")]) == "| a | b |\n| --- | --- |\n| 1 \\| 2 | `3 | 4` |"
    assert literal("a`b") == "`` a`b ``"


def test_a_section_links_what_is_related() -> None:
    one, other = Entry("pass", "one", "Does `other`.", defined="here.One"), Entry("IR op", "nn.other", "Is.")
    text = entry_section(one, [other], lambda entry: f"x.md#{anchor(entry)}")
    assert text.startswith("## `one` {: #one }\n\nDoes `other`.")
    law = entry_section(Entry("pass", "p", "Is.", "Law: bounded by 2 * eps.", law="bounded"), [], anchor)
    assert law == "## `p` {: #p }\n\nIs.\n\n**Law: bounded** by 2 \\* eps."
    assert text.endswith("Defined in `here.One`. See also [`nn.other`](x.md#nn.other).")
