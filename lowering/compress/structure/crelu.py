"""CReLU sharing: of two opposite filters one is computed, and its negated output stands for the other one.

Law: lossy; exact up to float rounding where the filters of each pair are opposite up to a factor, else the squared
error of a shared filter is at most `tolerance` of its squared weights. The negation is a depthwise 1 x 1 convolution,
which also carries the shared filters' biases, so every target knows it. The shared channels move behind the others: the
parameters of what reads them are reordered, through batch norms, activations, pools, flatten and depthwise layers.
Layers whose readers cannot be reordered (an add, a concat, the result) stay.

```
%y = nn.conv2d %x, %w window <3x3> groups 1 layer "c1" : (..., tensor<16x1x3x3xf32>) -> tensor<1x16x6x6xf32>
```
becomes, with 5 pairs,
```
%c = nn.conv2d %x, %k window <3x3> groups 1 layer "c1.shared" : (..., tensor<11x1x3x3xf32>) -> tensor<1x11x6x6xf32>
%a, %r = nn.split %c axis 1 into [5, 6] layer "c1.split" : ... -> (tensor<1x5x6x6xf32>, tensor<1x6x6x6xf32>)
%n = nn.conv2d %a, %f window <1x1> groups 5 layer "c1.negated" : (..., tensor<5x1x1x1xf32>) -> tensor<1x5x6x6xf32>
%y = nn.concat %c, %n axis 1 layer "c1" : ... -> tensor<1x16x6x6xf32>
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr, f32
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.factorizations.crelu import Pair, opposite_pairs
from hapir.factorizations.stages import Floats
from hapir.lowering.compress.coded_weights import losses
from hapir.lowering.compress.structure.channel_order import Reader, readers_in_order, reorder
from hapir.lowering.compress.structure.factored_layers import ungrouped_layers
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_before,
    insert_weight,
    key_stem,
    layer_name,
    networks_of,
    parameter_key,
    real_weight_of,
    reject_fused,
    reject_quantized,
    replace,
    unused_name,
    weight_op_of,
)
from hapir.weights import WeightStore


@dataclass(frozen=True)
class CreluPass(ModulePass):
    """Share the filters of convolutions that are opposite (Shang et al., ICML 2016). Lossy within a tolerance.

    `layers`: names of layers, or patterns like `c*`; of those the convolutions without groups are searched for pairs.
    `tolerance`: the largest squared relative error of a shared filter; 1 pairs all that point away from each other.
    `share`: the largest share of a layer's filters that may be in pairs, the best pairs first.

    Example: `crelu(layers = "c1", tolerance = 30 %)`
    """

    name = "crelu"
    layers: str | tuple[str, ...] = "*"
    tolerance: float = field(default=0.01, metadata=bounded(at_least=0, at_most=1))
    share: float = field(default=1.0, metadata=bounded(above=0, at_most=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError: HAP0208, HAP0404, HAP0506, HAP0516, HAP0570, HAP0595,
        and HAP0574 where no selected layer has a pair, or no place for the shared channels."""
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            selected = ungrouped_layers(network, self.layers)
            shared = [layer for layer in selected if self._share(network, layer, weights)]
            if not shared:
                what = "no selected layer has opposite filters that may be shared"
                help = "raise `tolerance`, or select convolutions that only convolutions and dense layers read"
                fail("HAP0574", what, at=selected[0] if selected else network, help=help)
            erase_unused_weights(network)

    def _share(self, network: nn.NetworkOp, op: nn.ProductOp, weights: WeightStore) -> bool:
        """Share the pairs of a layer; whether there are any and its readers can be reordered."""
        if not isinstance(op, nn.Conv2dOp):
            return False
        w = real_weight_of(op.w, weights)
        pairs = opposite_pairs(w, self.share, self.tolerance)
        readers = readers_in_order(op.result, _order(pairs, len(w)))
        if not pairs or readers is None:
            return False
        share_filters(network, op, pairs, readers, weights)
        return True


def _order(pairs: Sequence[Pair], filters: int) -> list[int]:
    """The filters as they lie afterwards: those with a partner, those without, the partners."""
    kept, shared = [pair.kept for pair in pairs], [pair.shared for pair in pairs]
    return [*kept, *(i for i in range(filters) if i not in {*kept, *shared}), *shared]


def share_filters(
    network: nn.NetworkOp, op: nn.Conv2dOp, pairs: Sequence[Pair], readers: Sequence[Reader], weights: WeightStore
) -> None:
    """Compute the first filter of each pair only, and reorder what reads the layer."""
    w = real_weight_of(op.w, weights)
    bias = None if op.bias is None else real_weight_of(op.bias, weights)
    names = {name for each in network.body.walk() if (name := layer_name(each))}
    order, factors = _order(pairs, len(w)), np.array([pair.factor for pair in pairs])
    computed, shared = order[: len(w) - len(pairs)], order[len(w) - len(pairs) :]
    rebuilt = w.copy()
    rebuilt[shared] = -factors[:, np.newaxis, np.newaxis, np.newaxis] * w[computed[: len(pairs)]]
    key, stem = parameter_key(op.w), key_stem(op)

    def parameter(array: Floats, suffix: str) -> nn.WeightOp:
        return weight_op_of(insert_weight(op, suffix, array, f32, weights))

    kept_w = parameter(w[computed], f"{key}.shared")
    negating = parameter(-factors.reshape(-1, 1, 1, 1), f"{key}.negated")
    for made in (kept_w, negating):
        made.attributes.update(losses(w, rebuilt))
    kept_bias = shared_bias = None
    if op.bias is not None and bias is not None:
        bias_key = parameter_key(op.bias)
        kept_bias = parameter(bias[computed], f"{bias_key}.shared").result
        offsets = bias[shared] + factors * bias[computed[: len(pairs)]]
        shared_bias = parameter(offsets, f"{bias_key}.negated").result
    made = op.on(op.x, kept_w.result, kept_bias)
    made.layer = StringAttr(unused_name(f"{stem}.shared", names))
    insert_before(op, [made])
    first = made.result
    rest = len(computed) - len(pairs)
    if rest:
        split = nn.SplitOp(first, [len(pairs), rest], axis=1, layer=unused_name(f"{stem}.split", names))
        insert_before(op, [split])
        first = split.outputs[0]
    name = unused_name(f"{stem}.negated", names)
    negated = nn.Conv2dOp(first, negating.result, shared_bias, window=Window((1, 1)), groups=len(pairs), layer=name)
    insert_before(op, [negated])
    reorder(readers, weights)
    replace(op, nn.ConcatOp([made.result, negated.result], axis=1, layer=op.layer_name))
