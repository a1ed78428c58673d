"""Resource-aware optimization: prune and cluster each layer as far as an evaluator allows.

Law: lossy; the result scores at least what `within` and `at_least` ask for, with any evaluator, because every decision
that is kept was itself measured good enough. Layer by layer, in the order of the goal:

1. half-interval search for the largest share of the layer's weights that can be 0, least magnitudes first; of n weights
   exactly `floor(share * n)`, ties by index. `ceil(log2(1 / eps))` evaluations per layer, 7 for `eps = 1/128`, where a
   search over all layers together takes `(1 / eps)^L`;
2. then, again layer by layer, binary search for the fewest bits b so that at most 2^b shared values (k-means) stand for
   the weights that are left, each value rounded to fixed point of `value_bits` bits. A layer keeps its own values where
   no number of bits is good enough, or where indices and shared values would take no less.

After RAO, resource-aware optimization (CRV 2019; Frickenstein, HAPPi-Net, TUM 2021). There a fine-tuning follows each
step; hapir does not train, so accuracy bounds the compression earlier. Further steps of the flow are passes of their
own: `quantize` for the activations, `encode` for the sparse storage.

```
%w = nn.weight "f1.weight" : tensor<10x128xf32>
```
becomes with `rao(data = "digits_calib.npz", within = 1 point)`
```
%c = nn.weight "f1.weight.rao" {bits = 2 : i64, max_error = 0.2 : f64, sparsity = 0.76 : f64, sqnr_db = 9.1 : f64}
    : tensor<10x128x!num.codebook<ui3, "f1.weight.rao.levels">>
%w = num.dequantize %c : ... -> tensor<10x128xf32>
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, ModuleOp, f32, f64, i64
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.nn_macs import macs
from hapir.lowering.compress.coded_weights import insert_coded, losses, warn_of_norms
from hapir.lowering.compress.quantize import reject_quantized
from hapir.lowering.compress.search.judge import Bound, Judge
from hapir.lowering.compress.search.trial import Score, Trial, journal_of
from hapir.lowering.compress.selected_layers import globs_of
from hapir.lowering.compress.weight_slots import WeightSlot, weight_slots
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_weight,
    layer_name,
    networks_of,
    real_weight_of,
    reject_fused,
    weight_op_of,
)
from hapir.pipeline import pass_text
from hapir.progress import Progress
from hapir.pruners.magnitude import pruned_count
from hapir.quantizers.coded import Codebook, Floats
from hapir.quantizers.fixed_point import choose_fixed, fixed_codes
from hapir.quantizers.k_means import KMeans, k_means
from hapir.registered import EVALUATOR, EvaluatorText, canonical
from hapir.search.half_interval import (
    half_interval_evaluations,
    integer_evaluations,
    largest_accepted,
    smallest_accepted,
)
from hapir.selectors import matches
from hapir.weights import Array, WeightStore

PROBE = 0.5
"""The share that the order `sensitivity` prunes of each layer alone to see how much it hurts."""


@dataclass(frozen=True)
class RaoPass(ModulePass):
    """Prune and cluster layer by layer as far as the score allows. Lossy; the bound holds for any evaluator.

    Give `within`, `at_least` or both. Progress is shown on a terminal; a run that is stopped goes on where it was.

    `data`: a file with the network's inputs, and an integer array `label` where the evaluator needs one, relative to
        the spec.
    `within`: how far the score may fall below the float network's; for shares of images, 1 point is 0.01, and
        where that is fewer than 5 images there is a warning (HAP0585).
    `at_least`: the score that must be kept, such as `95 %` or `25 dB`.
    `evaluator`: what is scored.
    `samples`: use only the first so many of the data.
    `layers`: names of layers, or patterns like `c*`.
    `goal`: what is saved first: memory (layers with the most weights first) or time (the most multiply-accumulates).
    `order`: the layers in the order of the goal, or those that pruning hurts least first, or as `layers` names them.
    `eps`: how finely the share of pruned weights is searched.
    `cluster`: whether shared values follow the pruning.
    `min_bits`: the fewest bits of an index of shared values.
    `max_bits`: the most bits of such an index; a layer that needs more keeps its own values.
    `value_bits`: the bits of a shared value in fixed point.
    `start`: where the clustering starts: evenly between the ends, evenly over the ranks, or drawn at random.
    `seed`: for drawing at random.

    Example: `rao(data = "digits_calib.npz", within = 1 point, samples = 64)`
    """

    name = "rao"
    data: str
    within: float | None = field(default=None, metadata=bounded(at_least=0))
    at_least: float | None = None
    evaluator: EvaluatorText = "accuracy"
    samples: int | None = field(default=None, metadata=bounded(at_least=1))
    layers: str | tuple[str, ...] = "*"
    goal: Literal["memory", "performance"] = "memory"
    order: Literal["goal", "sensitivity", "given"] = "goal"
    eps: float = field(default=1 / 128, metadata=bounded(above=0, at_most=0.5))
    cluster: bool = True
    min_bits: int = field(default=1, metadata=bounded(at_least=1, at_most=8))
    max_bits: int = field(default=8, metadata=bounded(at_least=1, at_most=8))
    value_bits: int = field(default=16, metadata=bounded(at_least=2, at_most=24))
    start: Literal["linear", "density", "random"] = "linear"
    seed: int = field(default=0, metadata=bounded(at_least=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if self.min_bits > self.max_bits:
            raise ValueError(f"`min_bits` of rao is {self.min_bits}, more than its `max_bits` of {self.max_bits}")
        object.__setattr__(self, "evaluator", canonical(self.evaluator, EVALUATOR))
        self._bound.check(self.name, self.evaluator)

    @property
    def _bound(self) -> Bound:
        return Bound(self.within, self.at_least)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Compress every network. Raises HapirError: HAP0583, and what `Judge` and `weight_slots` raise."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            judge = Judge.of(network, context, self.evaluator, self.data, self.samples)
            journal = journal_of(network, context.weights, judge, pass_text(self))
            trial = Trial(network, context.weights, judge.score, judge.floor(self._bound, context), journal)
            if self.cluster:
                warn_of_norms(network, self.layers, context)
            self.search(trial, context.weights)

    def compress(self, network: NetworkOp, weights: WeightStore, score: Score, floor: float) -> Trial:
        """Compress one network by any score: for callers in Python. Nothing is kept between runs.

        `score(network, arrays)` must be deterministic; the result scores at least `floor`. Raises HapirError (HAP0583)
        where the network itself does not.
        """
        trial = Trial(network, weights, score, floor)
        self.search(trial, weights)
        return trial

    def search(self, trial: Trial, weights: WeightStore) -> None:
        """Decide by a trial, then rewrite its network."""
        network = trial.network
        reject_fused(network)
        reject_quantized(network)
        units = _units(network, self.layers, weights)
        per_layer = half_interval_evaluations(self.eps) + (
            integer_evaluations(self.min_bits, self.max_bits) if self.cluster else 0
        )
        total = 1 + len(units) * (per_layer + (self.order == "sensitivity"))
        with Progress(total, f"evaluations of {self.name}") as trial.progress:
            trial.begin()
            for unit in self._ordered(units, trial):
                unit.prune(trial, self.eps)
            if self.cluster:
                for unit in units:
                    unit.share(trial, self)
        trial.progress = None
        for unit in units:
            unit.write(weights)
        erase_unused_weights(network)

    def _ordered(self, units: list[_Unit], trial: Trial) -> list[_Unit]:
        """The layers in the order in which they are pruned; of equal ones the first of the network is first."""
        if self.order == "given":
            globs = globs_of(self.layers)
            return sorted(units, key=lambda unit: next(i for i, g in enumerate(globs) if matches(unit.layer, g)))
        by_goal = sorted(units, key=lambda unit: unit.exact.size if self.goal == "memory" else unit.macs, reverse=True)
        if self.order == "goal":
            return by_goal
        scores = {unit.key: unit.probe(trial) for unit in by_goal}
        return sorted(by_goal, key=lambda unit: scores[unit.key], reverse=True)


@dataclass(eq=False)
class _Unit:
    """One weight array, with all layers that read it, and what was decided about it."""

    key: str
    slots: list[WeightSlot]
    exact: Floats
    kept: Floats = field(init=False)
    """The array after pruning."""
    codes: Codebook | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        self.kept = self.exact

    @property
    def layer(self) -> str:
        return layer_name(self.slots[0].op) or ""

    @property
    def macs(self) -> int:
        return sum(macs(slot.op) for slot in self.slots)

    def ranks(self) -> npt.NDArray[np.int64]:
        """The place of each weight in the order of magnitudes, ties by index: sorted once, a share is a comparison."""
        found = np.empty(self.exact.size, np.int64)
        found[np.argsort(np.abs(self.exact), axis=None, kind="stable")] = np.arange(self.exact.size)
        return found.reshape(self.exact.shape)

    def pruned(self, share: float, ranks: npt.NDArray[np.int64]) -> Floats:
        """The weights with the share of least magnitude at 0."""
        return np.where(ranks < pruned_count(self.exact.size, share), 0.0, self.exact)

    def probe(self, trial: Trial) -> float:
        """The score with half of this layer pruned, and nothing else."""
        return trial.score(f"probe {self.key} {PROBE}", self._stored(self.pruned(PROBE, self.ranks())))

    def prune(self, trial: Trial, eps: float) -> None:
        """Take the largest share that is good enough."""

        def text(share: float) -> str:
            return f"prune {self.key} {share}"

        ranks = self.ranks()
        best = largest_accepted(lambda p: trial.accepts(text(p), self._stored(self.pruned(p, ranks))), eps)
        if best is not None:
            self.kept = self.pruned(best, ranks)
            trial.take(text(best), self._stored(self.kept))

    def share(self, trial: Trial, options: RaoPass) -> None:
        """Take the fewest bits whose shared values are good enough."""
        tried: dict[int, Codebook] = {}

        def accepts(bits: int) -> bool:
            tried[bits] = shared_values(self.kept, bits, options)
            return trial.accepts(f"share {self.key} {bits}", {self.key: tried[bits].reals()})

        best = smallest_accepted(accepts, options.min_bits, min(options.max_bits, self._most_bits(options.value_bits)))
        if best is not None:
            self.codes, self.bits = tried[best], best
            trial.take(f"share {self.key} {best}", {self.key: self.codes.reals()})

    def _most_bits(self, value_bits: int) -> int:
        """The most bits of an index with which indices and shared values take less than the weights that are left."""
        left = np.count_nonzero(self.kept)
        return max((b for b in range(1, 9) if left * b + (value_bits << b) < 32 * left), default=0)

    def _stored(self, values: Floats) -> dict[str, Array]:
        return {self.key: values.astype(np.float32)}

    def write(self, weights: WeightStore) -> None:
        """Put what was decided into the IR; the layers that shared the array go on sharing it."""
        first = self.slots[0]
        if self.codes is not None:
            value = insert_coded(first, self.codes, self.exact, weights, "rao")
            stored = _weight_behind(value)
        elif self.kept is not self.exact:
            array = self.kept.astype(np.float32)
            value = insert_weight(first.op, f"{self.key}.rao", array, f32, weights, first.value.name_hint)
            stored = weight_op_of(value)
            stored.attributes.update(losses(self.exact, array))
        else:
            return
        zeros = np.count_nonzero(self.kept == 0) / self.kept.size
        stored.attributes["sparsity"] = FloatAttr(zeros, f64)
        if self.bits is not None:
            stored.attributes["bits"] = IntegerAttr(self.bits, i64)
        for slot in self.slots:
            slot.op.operands[slot.index] = value


def _units(network: NetworkOp, layers: str | Sequence[str], weights: WeightStore) -> list[_Unit]:
    """The weight arrays of the layers that globs name, in program order. Raises HapirError (HAP0208, HAP0595)."""
    units: dict[SSAValue, _Unit] = {}
    for slot in weight_slots(network, layers):
        if slot.value in units:
            units[slot.value].slots.append(slot)
        else:
            exact = real_weight_of(slot.value, weights)
            units[slot.value] = _Unit(weight_op_of(slot.value).key.data, [slot], exact)
    return list(units.values())


def shared_values(kept: Floats, bits: int, options: RaoPass) -> Codebook:
    """At most `2^bits` shared values for the weights that are not 0, rounded to fixed point; zeros stay 0."""
    clustered = k_means(kept, KMeans(bits, options.start, options.seed))
    format = choose_fixed(clustered.levels.astype(np.float64), None, options.value_bits, "max_abs", np.rint)
    codes = fixed_codes(clustered.levels.astype(np.float64), format, np.rint)
    rounded = (codes * 2.0**-format.fraction).astype(np.float32)
    levels, index = np.unique(rounded, return_inverse=True)
    return Codebook(index.astype(clustered.codes.dtype)[clustered.codes], levels)


def _weight_behind(value: SSAValue) -> WeightOp:
    """The stored codes behind decoded weights."""
    owner = value.owner
    assert isinstance(owner, Operation)
    return weight_op_of(owner.operands[0])
