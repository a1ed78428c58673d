"""What a search has measured so far, on disk: a search that was stopped goes on where it was.

A search is a deterministic function of the scores it asks for, so keeping the scores is keeping the search: run again,
it asks the same questions and gets the answers that are known at once. The result is the same as that of a search that
was never stopped. A journal is a file of lines `["key", score]` in the cache, under a hash of everything that scores
depend on (network, weights, data, options, hapir itself); each score is written as soon as it is known. Whatever else
the file may hold is passed over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hapir.cache import kept_file, usable

KIND = "search"
"""The folder of the cache."""


@dataclass
class Journal:
    """Scores by key; `path` is None where nothing is kept between runs.

    `measured` counts the scores that this run had to measure, `known` those that it found.
    """

    path: Path | None = None
    measured: int = 0
    known: int = 0
    _scores: dict[str, float] = field(default_factory=dict[str, float])

    @staticmethod
    def open(parts: Iterable[str]) -> Journal:
        """The journal of a search; `parts` are all that its scores depend on.

        Raises HapirError (HAP0844) where the cache cannot be written.
        """
        path = kept_file(KIND, parts, ".jsonl")
        return Journal(path, _scores=_read(path))

    def score(self, key: str, measure: Callable[[], float]) -> float:
        """The score of a key: the one that is known, or else what `measure` gives, which is then kept.

        Raises ValueError for a score that is no number, HapirError (HAP0844) where the cache cannot be written.
        """
        if key in self._scores:
            self.known += 1
            return self._scores[key]
        score = float(measure())
        if math.isnan(score):
            raise ValueError(f"the evaluator gave no number for {key}")
        self._scores[key] = score
        self.measured += 1
        if self.path is not None:
            # one short write to a file opened for appending: two runs of one search do not tear each other's lines;
            # the line break in front ends a line that an earlier run could not finish
            with usable(self.path.parent), self.path.open("a", encoding="utf-8") as file:
                file.write(f"\n{json.dumps([key, score])}\n")
        return score


def _read(path: Path) -> dict[str, float]:
    """The scores of a journal; a line that was cut short, or that something else wrote, is not one."""
    scores: dict[str, float] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            entry = _entry(line)
            if entry is not None:
                scores[entry[0]] = entry[1]
    return scores


def _entry(line: str) -> tuple[str, float] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(entry, list) and len(cast("list[Any]", entry)) == 2:
        key, score = cast("list[Any]", entry)
        if isinstance(key, str) and isinstance(score, float) and not math.isnan(score):
            return key, score
    return None
