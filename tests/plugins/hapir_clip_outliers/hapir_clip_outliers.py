"""Clip the weights that lie far from the rest of their layer, so that a quantizer need not make room for them.

Law: lossy; a weight changes only where it lies more than `deviations` standard deviations from its layer's mean, and
then becomes that bound.

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `clip_outliers(deviations = 2.5)`
```
%w = nn.weight "c1.weight.clipped" : tensor<16x1x3x3xf32>
```
"""

from dataclasses import dataclass, field

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.lowering.compress.selected_layers import selected_layers
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_weight,
    networks_of,
    real_weight_of,
    weight_op_of,
)
from hapir.universe import HapirUniverse


@dataclass(frozen=True)
class ClipOutliersPass(ModulePass):
    """Clip weights to a number of standard deviations round their layer's mean. Lossy.

    `deviations`: how many.
    `layers`: globs over layer names.

    Example: `clip_outliers(layers = "c*", deviations = 2.5)`
    """

    name = "clip_outliers"
    deviations: float = field(default=3.0, metadata=bounded(above=0))
    layers: str | tuple[str, ...] = "*"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (HAP0208) where a glob names no layer."""
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            for layer in selected_layers(network, self.layers):
                w = real_weight_of(layer.operands[1], weights)
                reach = self.deviations * w.std()
                clipped = np.clip(w, w.mean() - reach, w.mean() + reach).astype(np.float32)
                key = f"{weight_op_of(layer.operands[1]).key.data}.clipped"
                layer.operands[1] = insert_weight(layer, key, clipped, f32, weights)
            erase_unused_weights(network)


UNIVERSE = HapirUniverse(all_passes={"clip_outliers": lambda: ClipOutliersPass})
