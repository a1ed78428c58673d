"""Bits of weights and activations layer by layer, under a budget or a bound: a knapsack over measured sensitivities.

Law: exact (the float network computes what it did); the annotations that `precision` writes by hand are chosen, and
`quantize` carries them out. The weights of each layer, and each line of activations that layers read, are narrowed
alone to each width they may have, and the evaluator says what that loses. Losses are taken to add up (for `sqnr` the
noise does, for shares the drop), and costs add up exactly. So the best choice under a budget is a multiple-choice
knapsack, solved exactly (for as many plans as `hapir.search.allocation` keeps) or by greedy steps.

Losses add up while they are small; near 2 bits they do not. So that plan is one of a few: it is measured as a whole
beside those without the narrowest formats, the greedy ones, and the widest format for all that fits. The best of them
is improved once, layer by layer, again measured as a whole, so the plan that is kept scores at least as well as each of
these, and it is never over the budget. With `within` or `at_least` instead of a budget, plans are measured as a whole,
by binary search from cheap to dear, and the plan that is kept was itself measured good enough.

Costs: memory is the bits of all codes in whole bytes, and of one scale in f32 per output channel, which is what
quantize and then `encode(encoding = dense)` store (without `encode` each code takes a byte); performance is
`multiply-accumulates * bits of weight * bits of activation`, the bit operations of a bit-serial machine. Ranges of
activations are those of quantize's method min_max.

```
%c = nn.conv2d %x, %w ... layer "c1" : ...
```
becomes with `mixed_precision(data = "digits_calib.npz", average_bits = 4)`
```
%c = nn.conv2d %x, %w ... layer "c1" {weight_format = "i6"} : ...
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds, whole_share
from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp
from hapir.lowering.compress.annotations import WeightFormat, ask_for
from hapir.lowering.compress.observe_activations import observe_activations
from hapir.lowering.compress.search.judge import Bound, Judge
from hapir.lowering.compress.search.precision_trial import Line, Part, find_lines, parts_of, with_narrow_lines
from hapir.lowering.compress.search.trial import Trial, journal_of
from hapir.lowering.network_edits import networks_of, reject_fused, reject_quantized
from hapir.pipeline import pass_text
from hapir.progress import Progress
from hapir.registered import EVALUATOR, EvaluatorText, canonical, value_of
from hapir.search.allocation import Frontier, combined, either, greedy, options
from hapir.search.evaluator import Evaluator
from hapir.search.half_interval import integer_evaluations, smallest_accepted
from hapir.weights import WeightStore

Picks = dict[str, int]
"""A plan: the bits of each part and line by name."""
ActivationWidth = Literal["u2", "u3", "u4", "u5", "u6", "u7", "u8"]
TIE = 1e-3
"""What noise per signal of the rounded values counts beside the drop of a score that is a share."""
FULL = 8
"""Bits of activations that are not chosen, and of what a share of bit operations counts from."""


@dataclass(frozen=True)
class MixedPrecisionPass(ModulePass):
    """Choose the bits of each layer's weights and activations for quantize. Exact: only annotations are written.

    Give one of `size`, `average_bits` and `bit_operations`, or a bound by `within` or `at_least`. Under a budget the
    plan that is kept was measured as a whole and scores no worse than each uniform format that fits: losses of single
    layers do not add up near 2 bits.

    `data`: a file with the network's inputs, and an integer array `label` where the evaluator needs one, relative to
        the spec.
    `size`: what all chosen weights may take in bytes, scales included, once `encode` packs them.
    `average_bits`: the bits that a weight may take on average, scales not counted.
    `bit_operations`: the share of the bit operations with 8-bit weights and activations that may be left.
    `within`: instead of a budget, how far the score may fall below the float network's; a share worth fewer than 5
        images gives a warning (HAP0585).
    `at_least`: instead of a budget, the score that must be kept, such as `95 %` or `25 dB`.
    `goal`: what a bound is met with the least of: bytes of weights, or bit operations.
    `weights`: the formats that weights may have.
    `activations`: the formats that the layers' inputs may have; all stay as quantize has them where none is given.
    `layers`: names of layers, or patterns like `c*`.
    `method`: the best choice, or greedy steps down from the widest; the plan that measuring starts from.
    `evaluator`: what is scored.
    `samples`: use only the first so many of the data.

    Example: `fold_batch_norm(); mixed_precision(data = "digits_calib.npz", average_bits = 4, samples = 32)`
    """

    name = "mixed_precision"
    data: str
    size: int | None = field(default=None, metadata=bounded(at_least=1))
    average_bits: float | None = field(default=None, metadata=bounded(above=0, at_most=8))
    bit_operations: float | None = field(default=None, metadata=bounded(above=0, at_most=1))
    within: float | None = field(default=None, metadata=bounded(at_least=0))
    at_least: float | None = None
    goal: Literal["memory", "performance"] = "memory"
    weights: tuple[WeightFormat, ...] = ("i2", "i3", "i4", "i5", "i6", "i7", "i8")
    activations: tuple[ActivationWidth, ...] = ()
    layers: str | tuple[str, ...] = "*"
    method: Literal["exact", "greedy"] = "exact"
    evaluator: EvaluatorText = "sqnr"
    samples: int | None = field(default=None, metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        object.__setattr__(self, "evaluator", canonical(self.evaluator, EVALUATOR))
        budgets = [name for name in ("size", "average_bits", "bit_operations") if getattr(self, name) is not None]
        bounded_by_score = self.within is not None or self.at_least is not None
        if len(budgets) + bounded_by_score != 1:
            raise ValueError(
                "mixed_precision needs one of `size`, `average_bits` and `bit_operations`, or `within` or `at_least`"
            )
        if bounded_by_score:
            Bound(self.within, self.at_least).check(self.name, self.evaluator)
        if not self.weights:
            raise ValueError("mixed_precision has no formats to choose from: `weights` is empty")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Annotate every network. Raises HapirError: HAP0583, and what `Judge` and `weight_slots` raise."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            judge = Judge.of(network, context, self.evaluator, self.data, self.samples)
            journal = journal_of(network, context.weights, judge, pass_text(self))
            bound = Bound(self.within, self.at_least)
            trial = Trial(network, context.weights, judge.score, judge.floor(bound, context), journal)
            _Allocation.of(self, trial, judge.inputs, context.weights).run()


@dataclass(eq=False)
class _Allocation:
    """The parts and lines of one network, and what each loses at each width."""

    options: MixedPrecisionPass
    trial: Trial
    parts: list[Part]
    lines: list[Line]
    first: float = 0.0
    """The score of the network as it is."""
    losses: dict[str, dict[int, float]] = field(default_factory=dict[str, dict[int, float]])
    """What each part and each line loses alone, by its bits."""

    @staticmethod
    def of(
        options: MixedPrecisionPass, trial: Trial, inputs: Mapping[str, np.ndarray], weights: WeightStore
    ) -> _Allocation:
        parts = parts_of(trial.network, options.layers, weights)
        seen = observe_activations(trial.network, weights, inputs, histograms=False)
        lines = find_lines(trial.network, parts, seen)
        return _Allocation(options, trial, parts, lines if options.activations else [])

    @property
    def _widths(self) -> list[int]:
        return sorted({int(name[1:]) for name in self.options.weights})

    @property
    def _activation_widths(self) -> list[int]:
        return sorted({int(name[1:]) for name in self.options.activations})

    @property
    def _choices(self) -> dict[str, list[int]]:
        """The widths of each part and line, by name."""
        parts = {part.name: self._widths for part in self.parts}
        return parts | {line.name: self._activation_widths for line in self.lines}

    def run(self) -> None:
        single = sum(map(len, self._choices.values()))
        with Progress(1 + single, f"evaluations of {self.options.name}") as self.trial.progress:
            self.first = self.trial.score("as it is", {})
            self._measure()
        picks = self._cheapest() if self._budget is None else self._best(self._budget)
        for part in self.parts:
            for slot in part.slots:
                ask_for(slot.op, weights=f"i{picks[part.name]}")
        for line in self.lines:
            for maker in line.makers:
                ask_for(maker, activations=f"u{picks[line.name]}")

    @property
    def _budget(self) -> int | None:
        """The most that the cost may be."""
        given = self.options
        if given.size is not None:
            return 8 * given.size
        if given.average_bits is not None:
            return whole_share(given.average_bits, sum(part.size for part in self.parts))
        if given.bit_operations is not None:
            return whole_share(given.bit_operations, FULL * FULL * sum(part.macs() for part in self.parts))
        return None

    def _cost(self, part: Part, width: int, activation_width: int) -> int:
        given = self.options
        if given.average_bits is not None:
            return part.size * width
        if given.bit_operations is not None or (self._budget is None and given.goal == "performance"):
            return part.macs() * width * activation_width
        return part.stored_bits(width)

    def _measure(self) -> None:
        """Narrow each part, then each line, alone to each of its widths."""
        for part in self.parts:
            self.losses[part.name] = {w: self._loss(f"{part.name} {w}", {part: w}, {}) for w in self._widths}
        for line in self.lines:
            widths = self._activation_widths
            self.losses[line.name] = {a: self._loss(f"{line.name} {a}", {}, {line: a}) for a in widths}

    def _frontiers(self, widths: Sequence[int]) -> list[Frontier]:
        """The plans of each line with the parts that read it: their bit operations depend on each other.

        `widths` are those that weights may have.
        """

        def of_part(part: Part, activation_width: int) -> Frontier:
            found = self.losses[part.name]
            return options(part.name, {w: (self._cost(part, w, activation_width), found[w]) for w in widths})

        chosen = set(self.lines)
        frontiers = [of_part(part, FULL) for part in self.parts if part.line not in chosen]
        for line in self.lines:
            readers = [part for part in self.parts if part.line is line]
            alternatives: dict[int, Frontier] = {}
            for a in self._activation_widths:
                narrow = options("", {0: (0, self.losses[line.name][a])})
                alternatives[a] = combined([narrow, *(of_part(part, a) for part in readers)])
            frontiers.append(either(line.name, alternatives))
        return frontiers

    def _loss(self, decision: str, parts: Mapping[Part, int], lines: Mapping[Line, int]) -> float:
        """What one narrowing loses: noise per signal for a ratio in dB, else how far the score falls.

        Shares of few samples are often equal; of two equal ones, more rounding counts as a little more.
        """
        score = self._score(decision, parts, lines)
        evaluator: Evaluator = value_of(self.options.evaluator, EVALUATOR)
        if evaluator.unit == "dB":
            return 10 ** (-score / 10)
        noises = [*(part.noise(width) for part, width in parts.items()), *(4.0**-width for width in lines.values())]
        return max(0.0, self.first - score) + TIE * sum(noises)

    def _score(self, decision: str, parts: Mapping[Part, int], lines: Mapping[Line, int]) -> float:
        arrays = {key: array for part, width in parts.items() for key, array in part.narrowed(width).items()}
        network: NetworkOp | None = with_narrow_lines(self.trial.network, lines) if lines else None
        return self.trial.score(decision, arrays, network)

    def _best(self, budget: int) -> Picks:
        """The plan that scores best as a whole, of those within the budget that are tried.

        The best of `_plans` is improved once: each part and line in turn gets the width that scores best, the others
        staying as they are. Of equal plans the first is taken. Raises HapirError (HAP0583) where none fits.
        """
        plans = self._plans(budget)
        if not plans:
            least = sum(int(frontier.costs[0]) for frontier in self._frontiers(self._widths))
            fail("HAP0583", self._too_small(least), at=self.trial.network, help="allow more, or narrower formats")
        most = len(plans) + sum(map(len, self._choices.values()))
        with Progress(most, "plans measured") as self.trial.progress:
            best = max(plans, key=self._score_of)
            for name, widths in self._choices.items():
                others = (best | {name: width} for width in widths if width != best[name])
                best = max((best, *(p for p in others if self._cost_of(p) <= budget)), key=self._score_of)
        return best

    def _plans(self, budget: int) -> list[Picks]:
        """The plans within a budget that are compared as a whole, each once: the first is the one of the method.

        Its own and the greedy ones, of all widths and then of those without the narrowest, and those of one width.
        """
        widths = self._widths
        found: list[Picks | None] = []
        for narrowest in range(len(widths)):
            frontiers = self._frontiers(widths[narrowest:])
            if self.options.method == "exact":
                plans = combined(frontiers, budget)
                place = plans.within(budget)
                found.append(None if place is None else plans.picks(place))
            found.append(greedy(frontiers, budget))
        for activation_width in self._activation_widths or [FULL]:
            lines = {line.name: activation_width for line in self.lines}
            alike = [lines | {part.name: width for part in self.parts} for width in reversed(widths)]
            found.append(next((picks for picks in alike if self._cost_of(picks) <= budget), None))
        unique: dict[tuple[tuple[str, int], ...], Picks] = {}
        for picks in found:
            if picks is not None:
                unique.setdefault(tuple(sorted((n, w) for n, w in picks.items() if n)), picks)
        return list(unique.values())

    def _cost_of(self, picks: Picks) -> int:
        return sum(
            self._cost(part, picks[part.name], FULL if part.line is None else picks.get(part.line.name, FULL))
            for part in self.parts
        )

    def _score_of(self, picks: Picks) -> float:
        """The score of a plan as a whole."""
        narrow = {part: picks[part.name] for part in self.parts}
        values = {line: picks[line.name] for line in self.lines}
        decision = ", ".join(f"{name} {width}" for name, width in sorted(picks.items()) if name)
        return self._score(f"plan {decision}", narrow, values)

    def _too_small(self, least: int) -> str:
        if self.options.size is not None:
            return f"the least that these formats can take is {-(-least // 8)} bytes, not {self.options.size}"
        if self.options.average_bits is not None:
            weights = sum(part.size for part in self.parts)
            return (
                f"the narrowest formats take {least / weights:.4g} bits per weight, not {self.options.average_bits:g}"
            )
        all_of_it = FULL * FULL * sum(part.macs() for part in self.parts)
        return f"the narrowest formats leave {100 * least / all_of_it:.3g} % of the bit operations"

    def _cheapest(self) -> Picks:
        """The cheapest plan that is measured good enough. Raises HapirError (HAP0583) where none is."""
        plans = combined(self._frontiers(self._widths))

        def accepts(place: int) -> bool:
            return self._score_of(plans.picks(place)) >= self.trial.floor

        with Progress(integer_evaluations(0, len(plans) - 1), "plans measured") as self.trial.progress:
            place = smallest_accepted(accepts, 0, len(plans) - 1)
        if place is None:
            what = "even the plan that loses least misses the bound"
            fail("HAP0583", what, at=self.trial.network, help="allow more, or wider formats")
        return plans.picks(place)
