"""A recipe step that changes nothing and stops where compression cost too much.

Law: exact (the IR is not touched). The float network that the recipe started from (`HapirContext.original`) and the
network as it is now run on the same data and are scored by an evaluator; a score below what the options ask for is an
error at the recipe's step.

```
nn.network @digits ...        // quantized
```
stays as it is, or is refused: `HAP0514: accuracy fell from 0.982 to 0.941, by more than 0.010`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.lowering.compress.search.judge import Bound, Judge
from hapir.lowering.network_edits import networks_of
from hapir.registered import EVALUATOR, EvaluatorText, canonical


@dataclass(frozen=True)
class KeepAccuracyPass(ModulePass):
    """Refuse the network when it got worse than allowed since the recipe began. Changes nothing.

    Give `within`, `at_least` or both.

    `data`: a file with the network's inputs, and an integer array `label` where the evaluator needs one, relative to
        the spec.
    `within`: how far the score may fall below the float network's; for shares of images, 1 point is 0.01, and
        where that is fewer than 5 images there is a warning (HAP0585).
    `at_least`: the score that must be kept, such as `95 %` or `25 dB`.
    `evaluator`: what is scored.
    `samples`: use only the first so many of the data.

    Example: `fold_batch_norm(); keep_accuracy(within = 1 point, data = "digits_calib.npz", samples = 32)`
    """

    name = "keep_accuracy"
    data: str
    within: float | None = field(default=None, metadata=bounded(at_least=0))
    at_least: float | None = None
    evaluator: EvaluatorText = "accuracy"
    samples: int | None = field(default=None, metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        object.__setattr__(self, "evaluator", canonical(self.evaluator, EVALUATOR))
        self._bound.check(self.name, self.evaluator)

    @property
    def _bound(self) -> Bound:
        return Bound(self.within, self.at_least)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Score every network. Raises HapirError: HAP0514, and what `Judge` raises."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            judge = Judge.of(network, context, self.evaluator, self.data, self.samples)
            floor = judge.floor(self._bound, context)
            now = judge.score(network, context.weights)
            if now < floor:
                name, shown = judge.evaluator.name, judge.evaluator.text
                before, after = shown(judge.baseline), shown(now)
                what = f"{name} fell from {before} to {after}" if now < judge.baseline else f"{name} is {after}"
                if self.at_least is not None and now < self.at_least:
                    what += f", at least {shown(self.at_least)} was asked for"
                elif self.within is not None:
                    what += f", by more than {shown(self.within)}"
                help = "prune less, calibrate with more data or another method, or allow more"
                fail("HAP0514", what, at=network, help=help)
