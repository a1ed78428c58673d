"""Journals: what was measured is not measured again, and a file that was cut short loses one score at the most."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

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
    journal.path.write_text('["a"]\n{"a": 1}\n["a", "b"]\n[1, 2]\n"a"\n["b", 7]\n', encoding="utf-8")
    again = Journal.open(("n",))
    assert again.score("b", refuse) == 7
    assert again.score("a", lambda: 1.0) == 1


def test_without_a_file_scores_last_as_long_as_the_journal() -> None:
    journal = Journal()
    assert journal.score("a", lambda: 1.0) == 1
    assert journal.score("a", refuse) == 1


def test_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="no number for a"):
        Journal().score("a", lambda: math.nan)
