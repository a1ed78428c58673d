"""Make constants that are added to what a layer with weights gives the layer's bias.

Law: bounded. The bias is added where the layer adds it, so sums are rounded in another order; two biases become one,
rounded once. What is taken away before a product is no bias but the mean of a batch norm, and stays.

```
%c = nn.conv2d %x, %w window <3x3> groups 1 : ...
%y = nn.add %c, %b layer "y" : ...                      // %b = nn.weight "b" : tensor<16x1x1xf32>
```
becomes
```
%y = nn.conv2d %x, %w bias %b window <3x3> groups 1 layer "y" : ...
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.lowering.canonical.arithmetic import either
from hapir.lowering.canonical.channel_constants import along, features_of
from hapir.lowering.canonical.rewriting import Rewriter, Rules, rewrite_networks
from hapir.lowering.network_edits import key_stem, sole_user


@dataclass(frozen=True)
class JoinBiasesPass(ModulePass):
    """Make constants that are added to what a layer with weights gives the layer's bias. Bounded: sums round otherwise.

    Comes before `fold_batch_norm` and passes that quantize, which know biases.

    Example: `join_biases()`
    """

    name = "join_biases"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_networks(ctx, op, RULES)


def added_to_layer(op: nn.AddOp | nn.SubOp, rewriter: Rewriter) -> bool:
    """A layer whose only user adds or takes away a constant along its channels or features."""
    if isinstance(op, nn.SubOp) and _is_centred(op, rewriter):
        return False
    pairs = either(op) if isinstance(op, nn.AddOp) else iter([(op.lhs, op.rhs)])
    for made, constant in pairs:
        layer, axis = made.owner, features_of(made.owner)
        if axis is None or not made.has_one_use() or shape_of(made) != shape_of(op.result):
            continue
        numbers = along(constant, shape_of(made), axis, rewriter)
        found = None if numbers is None else _biased(layer, numbers if isinstance(op, nn.AddOp) else -numbers, rewriter)
        if found is not None:
            return rewriter.replace(op, found)
    return False


def _is_centred(op: nn.SubOp, rewriter: Rewriter) -> bool:
    """Whether what is taken away is the mean of a batch norm: a product along the same axis is all that follows."""
    axis, scaled = features_of(op.lhs.owner), sole_user(op.result)
    if axis is None or not isinstance(scaled, nn.MulOp):
        return False
    factor = scaled.rhs if scaled.lhs is op.result else scaled.lhs
    return rewriter.number(factor) is None and along(factor, shape_of(op.result), axis, rewriter) is not None


def _biased(layer: Any, numbers: Any, rewriter: Rewriter) -> nn.LayerOp | None:
    """The layer with these numbers added to its bias; None where its own bias is computed."""
    old: SSAValue | None = layer.bias
    if old is not None:
        array = rewriter.array(old)
        if array is None:
            return None
        numbers = (array.astype(np.float64) + numbers).astype(np.float32)
    key = f"{key_stem(cast(Operation, layer))}.bias"
    bias = rewriter.parameter(layer, key, numbers)
    if isinstance(layer, nn.LinearOp):
        return nn.LinearOp(layer.x, layer.w, bias)
    return layer.on(layer.x, layer.w, bias)


RULES: Rules = {nn.AddOp: (added_to_layer,), nn.SubOp: (added_to_layer,)}
