"""Ternary weight networks: -1, 0 and 1 with one scale per tensor or per output channel.

Law: lossy; a weight becomes 0 up to a threshold, else `scale * sign(w)`, with the scale of the least squared error.
Weights of 0 stay 0. Coding the result again changes nothing. Rule and sources: `hapir/quantizers/twn.py`.

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes
```
%c = nn.weight "c1.weight.twn" {max_error = 0.21 : f64, sqnr_db = 7.1 : f64}
    : tensor<16x1x3x3x!num.scaled<!num.ternary, "c1.weight.twn.scale">>
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import Granularity
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.twn import twn


@dataclass(frozen=True)
class TwnPass(ModulePass):
    """Ternary weights with one scale, 2 bits each. Lossy; the loss of each parameter is written to the IR.

    `layers`: names of layers, or patterns like `c*`.
    `granularity`: a threshold and a scale for a tensor (of a recurrent layer, for each gate), or for each output
        channel (of a transposed convolution, for each input channel).
    `threshold`: a factor times the mean magnitude, or the one of the least squared error, found by sorting.
    `factor`: of threshold mean.
    `tie`: what a magnitude equal to the threshold becomes; of threshold mean.

    Example: `fold_batch_norm(); twn(layers = "c*", threshold = optimal)`
    """

    name = "twn"
    layers: str | tuple[str, ...] = "*"
    granularity: Granularity = "tensor"
    threshold: Literal["mean", "optimal"] = "mean"
    factor: float = field(default=0.7, metadata=bounded(at_least=0))
    tie: Literal["zero", "nonzero"] = "zero"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError as `code_weights` does."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            code_weights(
                network,
                self.layers,
                context,
                lambda w, slot: twn(w, slot.blocks(self.granularity), self.threshold, self.factor, self.tie),
                self.name,
            )
