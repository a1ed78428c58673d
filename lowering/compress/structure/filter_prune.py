"""Remove whole filters by their quantization error, in numbers that the processing elements divide.

Law: lossy; the order is that of `filter_worth`, of equals the lower index first; the count is exact, and what is left
in each selected layer is a multiple of `multiple_of`. The smaller network equals the one in which the same filters are
zero; nothing gets more multiplications. With a `budget` the layer that costs most loses a `step` of its filters, again
and again, until the network costs at most that share of what it did: the layer that owns the scarce resource is pruned,
not the most insensitive one (Sydney thesis, section 4.3, L930 to L1028; FPL 2018). With `within` or `at_least` the
same steps go on as long as an evaluator allows: a step that scores too low is not taken, and its layer is left alone
from then on. Every step that is taken was itself measured good enough, so the bound holds with any evaluator.

```
%c = nn.conv2d %x, %w window <3x3> groups 1 layer "c1" : (..., tensor<96x3x3x3xf32>) -> tensor<1x96x6x6xf32>
```
becomes with `filter_prune(layers = "c1", sparsity = 40 %, multiple_of = 4)`, and what reads it shrinks too,
```
%c = nn.conv2d %x, %v window <3x3> groups 1 layer "c1" : (..., tensor<60x3x3x3xf32>) -> tensor<1x60x6x6xf32>
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal, TypeAlias

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.diagnostics import HapirError, fail
from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.lowering.compress.channel_choice import Choice, RoundTo, Worth, choose_groups
from hapir.lowering.compress.channel_groups import Removal, channel_groups
from hapir.lowering.compress.quantize import reject_quantized
from hapir.lowering.compress.remove_channels import mask_channels, remove_channels
from hapir.lowering.compress.search.judge import Bound, Judge
from hapir.lowering.compress.search.trial import Trial, journal_of
from hapir.lowering.compress.selected_layers import globs_of, selected_layers
from hapir.lowering.network_edits import erase_unused_weights, networks_of, reject_fused
from hapir.pipeline import pass_text
from hapir.progress import Progress
from hapir.pruners.filters import Criterion, filter_worth
from hapir.pruners.magnitude import Floats, pruned_count
from hapir.registered import EVALUATOR, EvaluatorText, canonical
from hapir.weights import WeightStore

Constraint: TypeAlias = Literal["macs", "parameters", "memory"]


@dataclass(frozen=True)
class FilterPrunePass(ModulePass):
    """Prune filters ranked by quantization error, magnitude or at random. Lossy; counts are multiples of the PEs.

    `sparsity`: the share of the filters that goes, of each selected layer.
    `layers`: names of layers, or patterns like `c*`; convolutions and dense layers among them are pruned.
    `criterion`: what goes first: the highest mean squared quantization error, the least magnitude (l1 norm), or what
        the seed says.
    `bits`: the weight format that the error is of: 1 is the sign times a mean, more are symmetric integers.
    `multiple_of`: the filters that stay in each layer are a multiple of this, the number of processing elements.
    `rounding`: whether to keep the next multiple down, up, or the nearest.
    `budget`: instead of a sparsity, the share of its cost that the network may still have.
    `constraint`: the cost: multiplications, parameters, or bits of weights and of the maps that layers give.
    `step`: the share of its filters that the costliest layer loses at once, under a budget or a bound.
    `activation_bits`: the format of the maps, of constraint memory.
    `shrink`: whether filters leave the network or become zero in it; under a budget or a bound they leave.
    `seed`: the order of criterion random.
    `within`: instead of a sparsity, how far the score may fall below the float network's; for shares of images, 1 point
        is 0.01, and less than 5 images gives a warning (HAP0585). A run that is stopped goes on where it was.
    `at_least`: instead of a sparsity, the score that must be kept, such as `95 %` or `25 dB`.
    `data`: for a bound, a file with the network's inputs, and an integer array `label` where the evaluator needs one,
        relative to the spec.
    `evaluator`: what is scored for a bound.
    `samples`: use only the first so many of the data.

    Example: `filter_prune(sparsity = 25 %, layers = "c*", multiple_of = 8)`
    """

    name = "filter_prune"
    sparsity: float | None = field(default=None, metadata=bounded(at_least=0, below=1))
    layers: str | tuple[str, ...] = "*"
    criterion: Criterion = "msqe"
    bits: int = field(default=1, metadata=bounded(at_least=1, at_most=8))
    multiple_of: int = field(default=1, metadata=bounded(at_least=1))
    rounding: RoundTo = "up"
    budget: float | None = field(default=None, metadata=bounded(above=0, at_most=1))
    constraint: Constraint = "macs"
    step: float = field(default=0.1, metadata=bounded(above=0, below=1))
    activation_bits: int = field(default=8, metadata=bounded(at_least=1))
    shrink: bool = True
    seed: int = field(default=0, metadata=bounded(at_least=0))
    within: float | None = field(default=None, metadata=bounded(at_least=0))
    at_least: float | None = None
    data: str | None = None
    evaluator: EvaluatorText = "accuracy"
    samples: int | None = field(default=None, metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        object.__setattr__(self, "evaluator", canonical(self.evaluator, EVALUATOR))
        scored = self.within is not None or self.at_least is not None
        if (self.sparsity is not None) + (self.budget is not None) + scored != 1:
            raise ValueError(
                "say how much to prune, by `sparsity`, by the `budget` of the network, or by a bound on its score "
                "(`within`, `at_least`): one of the three"
            )
        if self.sparsity is None and not self.shrink:
            raise ValueError(
                "a `budget` or a bound counts what is left: zeros in the network save nothing, leave `shrink` out"
            )
        if scored == (self.data is None):
            raise ValueError("`data` is what `within` and `at_least` are scored on: give both, or neither")
        if scored:
            self._bound.check(self.name, self.evaluator)

    @property
    def _bound(self) -> Bound:
        return Bound(self.within, self.at_least)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (HAP0208, HAP0506, HAP0512, HAP0562, HAP0563), and for a
        bound HAP0583 and what `Judge` raises."""
        context = hapir_context(ctx)
        weights = context.weights
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            layers = selected_layers(network, self.layers)
            if self.data is not None:
                judge = Judge.of(network, context, self.evaluator, self.data, self.samples)
                journal = journal_of(network, weights, judge, pass_text(self))
                floor = judge.floor(self._bound, context)
                self.search(Trial(network, weights, judge.score, floor, journal), weights)
            elif self.budget is not None:
                self._fit_budget(network, layers, weights)
            else:
                choice = self._choice(self.sparsity or 0.0, named=True)
                prune_filters(network, layers, choice, weights, shrink=self.shrink)
            erase_unused_weights(network)

    def _choice(self, sparsity: float, *, named: bool) -> Choice:
        return Choice(
            side="output",
            sparsity=sparsity,
            scope="layer",
            named=frozenset(globs_of(self.layers)) if named else frozenset(),
            worth=worth_by_error(self.criterion, self.bits, self.seed),
            multiple_of=self.multiple_of,
            rounding=self.rounding,
        )

    def _fit_budget(self, network: nn.NetworkOp, layers: Sequence[nn.ProductOp], weights: WeightStore) -> None:
        """Prune the costliest layer until the network fits. Raises HapirError (HAP0563) where it cannot."""
        assert self.budget is not None
        self._to_multiples(network, layers, weights)
        at_first = self._cost(network)
        open_ = list(layers)
        while (left := self._cost(network)) > self.budget * at_first:
            if not open_:
                what = f"the network still costs {left / at_first:.1%} of its {self.constraint}, the budget is "
                fail("HAP0563", f"{what}{self.budget:.1%}", at=network, help="select more layers, or allow more")
            layer = max(open_, key=self._cost_of)
            if not self._lose_some(network, layer, weights):
                open_.remove(layer)

    def search(self, trial: Trial, weights: WeightStore) -> None:
        """Find by a trial which steps are good enough, then take them in its network.

        Raises HapirError (HAP0583) where the network, or its multiples, are not good enough before the first step.
        """
        network = trial.network
        layers = selected_layers(network, self.layers)
        groups = channel_groups(network)
        most = 2 + sum(self._most_steps(len(groups.free(op.result))) for op in layers)
        taken: list[int] = []
        with Progress(most, f"evaluations of {self.name}") as trial.progress:
            trial.begin()
            now, now_weights = network.clone(), weights.copy()
            self._to_multiples(now, selected_layers(now, self.layers), now_weights)
            if self.multiple_of > 1:
                decision = f"multiples of {self.multiple_of}"
                if not trial.accepts(decision, now_weights, now):
                    what = f"the network misses the bound with filters in {decision}"
                    fail("HAP0583", what, at=network, help="use fewer processing elements, or allow more")
                trial.take(decision, {})
            open_ = list(range(len(layers)))
            while open_:
                costs = {i: self._cost_of(selected_layers(now, self.layers)[i]) for i in open_}
                place = max(open_, key=lambda i: costs[i])
                next_, next_weights = now.clone(), now_weights.copy()
                layer = selected_layers(next_, self.layers)[place]
                lost = self._lose_some(next_, layer, next_weights)
                decision = f"{layer.layer_name or place} keeps {shape_of(layer.w)[0]}"
                if lost and trial.accepts(decision, next_weights, next_):
                    trial.take(decision, {})
                    taken.append(place)
                    erase_unused_weights(next_)
                    now, now_weights = next_, next_weights
                else:
                    open_.remove(place)
        trial.progress = None
        self._to_multiples(network, layers, weights)
        for place in taken:
            self._lose_some(network, layers[place], weights)

    def _to_multiples(self, network: nn.NetworkOp, layers: Sequence[nn.ProductOp], weights: WeightStore) -> None:
        """What comes before the steps: as few filters go as leave multiples."""
        prune_filters(network, layers, self._choice(0.0, named=True), weights)

    def _most_steps(self, free: int) -> int:
        """How many steps a layer of so many free channels can lose, and one that is refused."""
        steps = 1
        while free > self.multiple_of:
            free -= max(pruned_count(free, self._share(free)), self.multiple_of)
            steps += 1
        return steps

    def _share(self, free: int) -> float:
        """The share of a layer's free channels that goes in a step: at least one of them."""
        return max(self.step, 1 / free)

    def _lose_some(self, network: nn.NetworkOp, layer: nn.ProductOp, weights: WeightStore) -> bool:
        """Take a step of filters out of one layer, at least one multiple; whether there was one to take.

        Coupled filters, as those that a grouped convolution reads, go together and are one free channel.
        """
        filters, free = shape_of(layer.w)[0], len(channel_groups(network).free(layer.result))
        if not free:
            return False
        choice = replace(self._choice(self._share(free), named=True), rounding="down")
        try:
            prune_filters(network, [layer], choice, weights)
        except HapirError:
            return False  # its last multiple would leave
        return shape_of(layer.w)[0] < filters

    def _cost(self, network: nn.NetworkOp) -> int:
        return sum(self._cost_of(op) for op in network.body.block.ops if isinstance(op, nn.ProductOp))

    def _cost_of(self, op: nn.ProductOp) -> int:
        return layer_cost(op, self.constraint, self.bits, self.activation_bits)


def layer_cost(op: nn.ProductOp, constraint: Constraint, bits: int, activation_bits: int) -> int:
    """MACs; weights; or the bits of its weights and of the map it gives (Sydney thesis, table 4.1, L1043)."""
    weights, results = prod(shape_of(op.w)), prod(shape_of(op.result))
    match constraint:
        case "macs":
            return results * prod(shape_of(op.w)[1:])
        case "parameters":
            return weights
        case "memory":
            return weights * bits + results * activation_bits


def worth_by_error(criterion: Criterion, bits: int, seed: int) -> Worth:
    """A criterion over filters x weights; random orders differ from layer to layer."""
    draw = np.random.default_rng(seed)

    def worth(weights: Floats) -> Floats:
        return filter_worth(weights, criterion, bits, draw)

    return worth


def prune_filters(
    network: nn.NetworkOp,
    layers: Sequence[nn.ProductOp],
    choice: Choice,
    weights: WeightStore,
    *,
    shrink: bool = True,
) -> None:
    """Take filters out of layers, and out of what reads them; `choice` says which and how many."""
    groups = channel_groups(network)
    chosen = choose_groups(network, groups, layers, choice, weights)
    change = remove_channels if shrink else mask_channels
    change(network, Removal(groups, chosen), weights)
