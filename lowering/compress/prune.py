"""Set the weights of least magnitude to zero, or remove whole channels.

Law: lossy; exactly `floor(sparsity * n)` of the n groups of a scope are pruned, ties by index, and a higher sparsity
prunes what a lower one does too. Grains:
- weight, kernel, block: single weights, R x S kernels, or blocks of the matrix K x (C R S) become 0; shapes stay.
- n_of_m: all but the n largest of each m consecutive input channels become 0, for each filter and kernel position.
- filter: output channels of the selected layers leave the network; channel: their input channels do. What is coupled
  through add, depthwise and grouped convolutions leaves with them, and its magnitudes count in the score.
With a threshold t instead of a sparsity, the weights between t times the mean of the negative ones and t times the mean
of the positive ones become 0: the zero band of the n-ary rule (Heidelberg thesis, section 5.3, L1141).

Removing channels equals masking them: with `shrink = false` the parameters of the same channels become 0 instead, and
the two networks agree up to the order of float sums. Network inputs and outputs keep their channels, and no layer loses
all of them.

```
%c = nn.conv2d %x, %w window <3x3> groups 1 layer "c1" : (..., tensor<16x1x3x3xf32>) -> tensor<1x16x6x6xf32>
%d = nn.conv2d %c, %v window <3x3> groups 1 layer "c2" : (..., tensor<8x16x3x3xf32>) -> tensor<1x8x4x4xf32>
```
becomes with `prune(layers = "c1", sparsity = 25 %, grain = filter)`
```
%c = nn.conv2d %x, %w' window <3x3> groups 1 layer "c1" : (..., tensor<12x1x3x3xf32>) -> tensor<1x12x6x6xf32>
%d = nn.conv2d %c, %v' window <3x3> groups 1 layer "c2" : (..., tensor<8x12x3x3xf32>) -> tensor<1x8x4x4xf32>
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.dialects import nn
from hapir.lowering.compress.channel_choice import Choice, choose_groups
from hapir.lowering.compress.channel_groups import Removal, channel_groups
from hapir.lowering.compress.channel_worth import JOINED, worth_by
from hapir.lowering.compress.remove_channels import mask_channels, remove_channels
from hapir.lowering.compress.selected_layers import globs_of, selected_layers
from hapir.lowering.compress.weight_slots import WeightSlot, weight_slots
from hapir.lowering.compress.zero_weights import zero_weights
from hapir.lowering.network_edits import (
    erase_unused_weights,
    networks_of,
    real_weight_of,
    reject_fused,
    reject_quantized,
)
from hapir.pruners.magnitude import Floats, Mask, score, smallest
from hapir.pruners.masks import block_mask, block_scores, n_of_m, zero_band
from hapir.weights import WeightStore

T = TypeVar("T", bound=np.generic)
Reals: TypeAlias = npt.NDArray[np.floating]


@dataclass(frozen=True)
class PrunePass(ModulePass):
    """Pruning by magnitude at six grains. Lossy; the number of pruned groups is exact.

    `sparsity`: the share to prune; not of grain n_of_m, and not beside a threshold.
    `layers`: names of layers, or patterns like `c*`; layers with weights among them are pruned, of grains channel and
        filter the convolutions and dense layers.
    `grain`: what is pruned as one: single weights, kernels, input channels, filters (output channels) or blocks; or
        what n of m input channels leave.
    `criterion`: what is pruned first: the least magnitude (l1 norm), the least l2 norm, or what the seed says.
    `scope`: the share holds in each layer, or over all selected layers together.
    `shrink`: whether the channels of grains channel and filter leave the network or become zero in it.
    `threshold`: instead of a sparsity, how many mean magnitudes the band of single weights reaches that becomes zero.
    `n`: how many of `m` input channels stay, of grain n_of_m.
    `m`: how many consecutive input channels compete, of grain n_of_m.
    `block`: the rows (filters) and columns (weights of a filter, in their order) of a block, of grain block.
    `seed`: the order of criterion random.

    Example: `prune(layers = "c*", sparsity = 50 %, grain = weight)`
    """

    name = "prune"
    sparsity: float | None = field(default=None, metadata=bounded(at_least=0, below=1))
    layers: str | tuple[str, ...] = "*"
    grain: Literal["weight", "kernel", "channel", "filter", "n_of_m", "block"] = "weight"
    criterion: Literal["magnitude", "l2", "random"] = "magnitude"
    scope: Literal["layer", "global"] = "layer"
    shrink: bool = True
    threshold: float | None = field(default=None, metadata=bounded(above=0))
    n: int = field(default=2, metadata=bounded(at_least=1))
    m: int = field(default=4, metadata=bounded(at_least=1))
    block: tuple[int, int] = field(default=(4, 4), metadata=bounded(at_least=1))
    seed: int = field(default=0, metadata=bounded(at_least=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        given = [name for name in ("sparsity", "threshold") if getattr(self, name) is not None]
        if self.grain == "n_of_m":
            if given:
                raise ValueError(f"grain n_of_m leaves n of m: `{given[0]}` has no meaning beside it")
            if self.n > self.m:
                raise ValueError(f"{self.n} of {self.m} cannot stay: `n` is at most m")
        elif len(given) != 1:
            raise ValueError("say how much to prune, by `sparsity` or by the threshold of a band: one of the two")
        elif self.threshold is not None and self.grain != "weight":
            raise ValueError(f"a `threshold` is for single weights, not for the grain {self.grain}")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            if self.grain in ("filter", "channel"):
                self._prune_channels(network, weights)
            else:
                self._prune_weights(weight_slots(network, self.layers), weights)
            erase_unused_weights(network)

    def _prune_channels(self, network: nn.NetworkOp, weights: WeightStore) -> None:
        groups, selected = channel_groups(network), selected_layers(network, self.layers)
        assert self.sparsity is not None
        choice = Choice(
            side="output" if self.grain == "filter" else "input",
            sparsity=self.sparsity,
            scope=self.scope,
            named=frozenset(globs_of(self.layers)),
            worth=worth_by(self.criterion, self.seed),
            joined=JOINED[self.criterion],
        )
        chosen = choose_groups(network, groups, selected, choice, weights)
        change = remove_channels if self.shrink else mask_channels
        change(network, Removal(groups, chosen), weights)

    def _prune_weights(self, slots: Sequence[WeightSlot], weights: WeightStore) -> None:
        """Zero weights and store them under new keys. The weights of one layer at a time are held as f64."""
        for slot, pruned in zip(slots, self._masks(slots, weights), strict=True):
            zero_weights(slot, real_weight_of(slot.value, weights), _filters_first(slot, pruned), weights)

    def _masks(self, slots: Sequence[WeightSlot], weights: WeightStore) -> Iterator[Mask]:
        """What each layer loses, of its weights as K x C x ...."""
        arrays = (_filters_first(slot, real_weight_of(slot.value, weights)) for slot in slots)
        draw = np.random.default_rng(self.seed)
        if self.scope == "global" and self.sparsity is not None:
            shapes: list[tuple[int, ...]] = []
            scores: list[Reals] = []
            for w in arrays:
                shapes.append(w.shape)
                scores.append(self._scores_to_keep(w, draw))
            ends = np.cumsum([len(part) for part in scores])[:-1]
            for part, shape in zip(np.split(_smallest_of(scores, self.sparsity), ends), shapes, strict=True):
                yield self._spread(part, shape)
        else:
            for w in arrays:
                yield self._mask(w, draw)

    def _mask(self, w: Floats, draw: np.random.Generator) -> Mask:
        """What a layer loses that shares its sparsity with no other."""
        if self.grain == "n_of_m":
            return n_of_m(w, self.n, self.m)
        if self.threshold is not None:
            return zero_band(w, self.threshold)
        assert self.sparsity is not None
        return self._spread(smallest(self._scores(w, draw), self.sparsity), w.shape)

    def _scores(self, w: Floats, draw: np.random.Generator) -> Floats:
        """The scores of a layer's groups, in their order."""
        if self.grain == "block":
            return block_scores(w, *self.block, self.criterion, draw)
        groups = w.size if self.grain == "weight" else w.shape[0] * w.shape[1]  # a dense layer's kernels are weights
        return score(w.reshape(groups, -1), (1,), self.criterion, draw)

    def _scores_to_keep(self, w: Floats, draw: np.random.Generator) -> Reals:
        """The scores of a layer in as few bytes as hold them: the magnitude of one f32 weight is an f32."""
        scores = self._scores(w, draw)
        return scores.astype(np.float32) if self.grain == "weight" and self.criterion != "random" else scores

    def _spread(self, pruned: Mask, shape: tuple[int, ...]) -> Mask:
        """A mask over groups as one over weights."""
        if self.grain == "block":
            return block_mask(pruned, shape, *self.block)
        return pruned.repeat(prod(shape) // len(pruned)).reshape(shape)


def _smallest_of(scores: list[Reals], sparsity: float) -> Mask:
    """A mask of the smallest of all scores; the list is emptied, as a large network's scores are not held twice."""
    joined = np.concatenate(scores)
    scores.clear()
    return smallest(joined, sparsity)


def _filters_first(slot: WeightSlot, array: npt.NDArray[T]) -> npt.NDArray[T]:
    """The weights of a transposed convolution, C x K/G, as K/G x C, or back; those of other layers as they are."""
    return array.swapaxes(0, 1) if isinstance(slot.op, nn.TransposedConvolutionOp) else array
