"""A network whose weights are being tried out: which arrays differ so far, who scores them, and what was decided.

A search changes arrays only; the IR is rewritten once, when it is over. What scores depend on is the network, the
decisions taken and the one that is tried: their text is the key of the score in the journal, so a search that was
stopped asks the same questions again and is answered from there.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np

import hapir
from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp
from hapir.lowering.compress.search.judge import Judge
from hapir.pipeline import ir_text
from hapir.progress import Progress
from hapir.search.journal import Journal
from hapir.weights import Array, WeightStore

Score = Callable[[NetworkOp, Mapping[str, Array]], float]
"""A network and its arrays to how good it is; larger is better. Deterministic."""


@dataclass
class Trial:
    """What a search has decided about one network. `asked` counts the scores it wanted, known or not."""

    network: NetworkOp
    weights: Mapping[str, Array]
    measure: Score
    floor: float
    """The least score that is good enough."""
    journal: Journal = field(default_factory=Journal)
    progress: Progress | None = None
    arrays: dict[str, Array] = field(default_factory=dict[str, Array])
    decisions: list[str] = field(default_factory=list[str])
    asked: int = 0

    def score(self, decision: str, changed: Mapping[str, Array], network: NetworkOp | None = None) -> float:
        """How good the network is with one more decision, which replaces arrays by `changed`.

        `network` is what the decision makes of it where that is more than other arrays.
        """
        arrays = ChainMap(dict(changed), self.arrays, dict(self.weights))
        key = "; ".join((*self.decisions, decision))
        score = self.journal.score(key, lambda: self.measure(network or self.network, arrays))
        self.asked += 1
        if self.progress is not None:
            self.progress.step()
        return score

    def begin(self) -> None:
        """Score the network as it is. Raises HapirError (HAP0583) where that is not good enough."""
        first = self.score("as it is", {})
        if first < self.floor:
            what = f"the network scores {first:.4g} before the search, at least {self.floor:.4g} is asked for"
            fail("HAP0583", what, at=self.network, help="allow more, or put the search before what costs so much")

    def accepts(self, decision: str, changed: Mapping[str, Array], network: NetworkOp | None = None) -> bool:
        """Whether the network is still good enough with one more decision, as `score` takes it."""
        return self.score(decision, changed, network) >= self.floor

    def take(self, decision: str, changed: Mapping[str, Array]) -> None:
        """Decide so."""
        self.decisions.append(decision)
        self.arrays.update(changed)


def journal_of(network: NetworkOp, weights: WeightStore, judge: Judge, options: str) -> Journal:
    """The journal of a search by a judge; `options` is the text of the pass.

    Raises HapirError (HAP0844) where the cache cannot be written.
    """
    return Journal.open((ir_text(network), weights.digest(), judge.digest(), options, code_digest()))


@cache
def code_digest() -> str:
    """A hash of the code that makes scores: hapir's, numpy's and that of the plug-ins."""
    modules = {point.module.partition(".")[0] for point in entry_points(group="xdsl.universe")}
    places = [_source_of(module) for module in sorted(modules - {"hapir", "xdsl"})]
    own = Path(hapir.__file__).parent
    parts = sorted(path for path in own.iterdir() if path.is_dir())  # two are links, which `rglob` does not follow
    return digest_of_sources([*sorted(own.glob("*.py")), *parts, *places], np.__version__)


def digest_of_sources(places: Iterable[Path | None], *versions: str) -> str:
    """A hash of source files and of all those in folders, in order, and of versions."""
    state = hashlib.sha256("|".join(versions).encode())
    for place in places:
        if place is not None:
            for path in sorted(place.rglob("*.py")) if place.is_dir() else (place,):
                state.update(f"|{path.relative_to(place.parent).as_posix()}|{path.stat().st_size}|".encode())
                state.update(path.read_bytes())
    return state.hexdigest()


def _source_of(module: str) -> Path | None:
    """The file of a module, or the folder of a package; None for what has no file or cannot be found."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin)
    return path.parent if found.submodule_search_locations else path
