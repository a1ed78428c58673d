"""Journals: what was measured is not measured again, and a file that was cut short loses one score at the most."""

from __future__ import annotations

import math
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import hapir
from hapir.diagnostics import HapirError
from hapir.lowering.compress.search import trial
from hapir.lowering.compress.search.trial import digest_of_sources
from hapir.search.journal import Journal


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path))
    monkeypatch.delenv("HAPIR_NO_CACHE", raising=False)
    return tmp_path


def refuse() -> float:
    raise AssertionError("measured again")


def test_scores_outlive_the_run() -> None:
    first = Journal.open(("network", "options"))
    scores = {"a": 0.1 + 0.2, "b": math.inf, "c": -math.inf}
    for key, score in scores.items():
        assert first.score(key, lambda score=score: score) == score
    again = Journal.open(("network", "options"))
    assert {key: again.score(key, refuse) for key in scores} == scores
    assert (first.measured, again.measured, again.known) == (3, 0, 3)
    assert Journal.open(("network", "other options")).score("a", lambda: 5.0) == 5.0


def test_a_line_that_was_cut_short_is_measured_again() -> None:
    journal = Journal.open(("n",))
    assert journal.path is not None
    for key in "abc":
        journal.score(key, lambda: 1.5)
    text = journal.path.read_text(encoding="utf-8").rstrip("\n")
    journal.path.write_text(text[:-3], encoding="utf-8")
    again = Journal.open(("n",))
    assert again.score("b", refuse) == 1.5
    assert again.score("c", lambda: 2.5) == 2.5
    last = Journal.open(("n",))
    assert (last.score("a", refuse), last.score("c", refuse)) == (1.5, 2.5)


def test_lines_that_are_no_scores_are_passed_over() -> None:
    journal = Journal.open(("n",))
    assert journal.path is not None
    wrong = (b'["a"]', b'{"a": 1.0}', b'["a", "b"]', b"[1.0, 2.0]", b'"a"', b'["a", NaN]', b'["a", true]', b"\xff\x00[")
    deep = b"[" * 10_000
    journal.path.write_bytes(b"\n".join((*wrong, b'["a", 1' + b"0" * 400 + b"]", deep, b'["b", 7.0]', b"")))
    again = Journal.open(("n",))
    assert again.score("b", refuse) == 7
    assert again.score("a", lambda: 1.0) == 1


def test_without_a_file_scores_last_as_long_as_the_journal() -> None:
    journal = Journal()
    assert journal.score("a", lambda: 1.0) == 1
    assert journal.score("a", refuse) == 1


def test_a_cache_that_goes_away_is_said() -> None:
    journal = Journal.open(("n",))
    assert journal.path is not None
    journal.path.unlink()
    journal.path.parent.rmdir()
    with pytest.raises(HapirError, match="HAP0844: cannot use the cache"):
        journal.score("a", lambda: 1.0)


def test_other_code_is_another_digest(tmp_path: Path) -> None:
    """Files, what they are called, what is in them, and versions all count; hapir's own subfolders are among them."""
    package, module = tmp_path / "plug", tmp_path / "alone.py"
    (package / "deep").mkdir(parents=True)
    inner = package / "deep" / "a.py"
    inner.write_text("x = 1", encoding="utf-8")
    module.write_text("y = 1", encoding="utf-8")

    def digest(*versions: str) -> str:
        return digest_of_sources([package, module, None], *versions)

    found = [digest("1"), digest("2")]
    inner.write_text("x = 2", encoding="utf-8")
    found.append(digest("1"))
    module.write_text("y = 2", encoding="utf-8")
    found.append(digest("1"))
    inner.rename(package / "deep" / "b.py")
    found += [digest("1"), digest_of_sources([package], "1")]
    assert len(set(found)) == len(found)
    inner.with_name("b.py").rename(inner)
    assert digest("1") == found[3]


def test_all_code_that_makes_scores_is_in_the_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plugin = tmp_path / "my_evaluators.py"
    plugin.write_text("", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    read: list[Path] = []
    read_bytes = Path.read_bytes

    def noting(path: Path) -> bytes:
        read.append(path)
        return read_bytes(path)

    points = [EntryPoint("mine", "my_evaluators:U", "xdsl.universe"), EntryPoint("gone", "no.such:U", "xdsl.universe")]

    def installed(*, group: str) -> list[EntryPoint]:
        return points if group == "xdsl.universe" else []

    monkeypatch.setattr(trial, "entry_points", installed)
    monkeypatch.setattr(Path, "read_bytes", noting)
    trial.code_digest.cache_clear()
    try:
        trial.code_digest()
    finally:
        trial.code_digest.cache_clear()
    assert plugin in read
    folder = Path(hapir.__file__).parent
    assert {path.relative_to(folder).parts[0] for path in read if folder in path.parents} >= {
        *("dialects", "lowering", "reference", "search", "pruners", "quantizers", "weights.py")
    }


def test_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="no number for a"):
        Journal().score("a", lambda: math.nan)
