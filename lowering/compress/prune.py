"""Magnitude pruning: set the weights of least magnitude to zero, or remove whole channels.

Law: lossy; exactly `floor(sparsity * n)` of the n groups of a scope are pruned, ties by index. Grains:
- weight, kernel: single weights, or R x S kernels, become 0; shapes stay.
- filter: output channels of the selected layers leave the network; channel: their input channels do. What is coupled
  through add, depthwise and grouped convolutions leaves with them, and its magnitudes count in the score.

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

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.dialects import nn
from hapir.lowering.compress.channel_choice import Choice, choose_groups
from hapir.lowering.compress.channel_groups import Removal, channel_groups
from hapir.lowering.compress.quantize import reject_quantized
from hapir.lowering.compress.remove_channels import mask_channels, remove_channels
from hapir.lowering.compress.selected_layers import globs_of, selected_layers
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_weight,
    networks_of,
    real_weight_of,
    reject_fused,
    weight_op_of,
)
from hapir.pruners.magnitude import smallest
from hapir.weights import WeightStore


@dataclass(frozen=True)
class PrunePass(ModulePass):
    """Magnitude pruning at four grains. Lossy; the number of pruned groups is exact.

    `sparsity`: the share to prune.
    `layers`: globs over layer names; convolutions and dense layers among them are pruned.
    `grain`: what is pruned as one: single weights, kernels, input channels, or filters (output channels).
    `criterion`: what is pruned first: the least magnitude.
    `scope`: the share holds in each layer, or over all selected layers together.
    `shrink`: whether the channels of grains channel and filter leave the network or become zero in it.

    Example: `prune(layers = "c*", sparsity = 50 %, grain = weight)`
    """

    name = "prune"
    sparsity: float = field(metadata=bounded(at_least=0, below=1))
    layers: str | tuple[str, ...] = "*"
    grain: Literal["weight", "kernel", "channel", "filter"] = "weight"
    criterion: Literal["magnitude"] = "magnitude"
    scope: Literal["layer", "global"] = "layer"
    shrink: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            selected = selected_layers(network, self.layers)
            if self.grain in ("weight", "kernel"):
                prune_weights(selected, weights, self.sparsity, kernels=self.grain == "kernel", scope=self.scope)
            else:
                groups = channel_groups(network)
                side = "output" if self.grain == "filter" else "input"
                choice = Choice(side, self.sparsity, self.scope, frozenset(globs_of(self.layers)))
                chosen = choose_groups(network, groups, selected, choice, weights)
                change = remove_channels if self.shrink else mask_channels
                change(network, Removal(groups, chosen), weights)
            erase_unused_weights(network)


def prune_weights(
    layers: Sequence[nn.ProductOp],
    weights: WeightStore,
    sparsity: float,
    *,
    kernels: bool,
    scope: Literal["layer", "global"],
) -> None:
    """Zero the weights, or the R x S kernels, of least magnitude and store them under new keys."""
    arrays = [real_weight_of(op.w, weights) for op in layers]
    scores = [_kernel_scores(w) if kernels else np.abs(w).ravel() for w in arrays]
    if scope == "global":
        pruned = np.split(smallest(np.concatenate(scores), sparsity), np.cumsum([len(s) for s in scores])[:-1])
    else:
        pruned = [smallest(s, sparsity) for s in scores]
    for op, w, mask in zip(layers, arrays, pruned, strict=True):
        kept = ~mask.reshape(*w.shape[:2], *[1] * (w.ndim - 2)) if kernels else ~mask.reshape(w.shape)
        key = f"{weight_op_of(op.w).key.data}.pruned"
        array = np.where(kept, w, 0.0).astype(np.float32)
        op.operands[1] = insert_weight(op, key, array, f32, weights, op.w.name_hint)


def _kernel_scores(w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The summed magnitude of each kernel, in the order of the first two axes; a dense layer's are single weights."""
    return np.abs(w).reshape(w.shape[0] * w.shape[1], -1).sum(axis=1)
