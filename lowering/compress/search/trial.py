"""A network whose weights are being tried out: which arrays differ so far, who scores them, and what was decided.

A search changes arrays only; the IR is rewritten once, when it is over. What scores depend on is the network, the
decisions taken and the one that is tried: their text is the key of the score in the journal, so a search that was
stopped asks the same questions again and is answered from there.
"""

from __future__ import annotations

import hashlib
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import hapir
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

    def accepts(self, decision: str, changed: Mapping[str, Array]) -> bool:
        """Whether the network is still good enough with one more decision."""
        return self.score(decision, changed) >= self.floor

    def take(self, decision: str, changed: Mapping[str, Array]) -> None:
        """Decide so."""
        self.decisions.append(decision)
        self.arrays.update(changed)


def journal_of(network: NetworkOp, weights: WeightStore, judge: Judge, options: str) -> Journal:
    """The journal of a search by a judge; `options` is the text of the pass.

    Raises HapirError (HAP0844) where the cache cannot be written.
    """
    return Journal.open((ir_text(network), weights.digest(), judge.digest(), options, own_sources()))


@cache
def own_sources() -> str:
    """A hash of hapir's own source files: a score that another hapir measured is not one of this one."""
    state = hashlib.sha256()
    package = Path(hapir.__file__).parent
    for part in ("dialects", "lowering", "quantizers", "reference", "search"):
        for path in sorted((package / part).rglob("*.py")):
            state.update(f"{path.relative_to(package).as_posix()}|".encode())
            state.update(path.read_bytes())
    return state.hexdigest()
