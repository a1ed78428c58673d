"""Binary weights: signs with one scale per output channel or per tensor.

Law: lossy; a weight becomes `scale * sign(w)` with `scale = mean |w|`, which no other scale beats in squared error.
sign(0) is +1. Coding the result again changes nothing. Rule and sources: `hapir/quantizers/bwn.py`.

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes
```
%c = nn.weight "c1.weight.bwn" {max_error = 0.31 : f64, sqnr_db = 4.2 : f64}
    : tensor<16x1x3x3x!num.scaled<!num.bipolar<1>, "c1.weight.bwn.scale">>
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.context import hapir_context
from hapir.lowering.compress.binary_zeros import check_signs
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import Granularity, WeightSlot
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.bwn import bwn
from hapir.quantizers.coded import Coded, Floats
from hapir.quantizers.scale_groups import scale_shape


@dataclass(frozen=True)
class BwnPass(ModulePass):
    """Binary weights, `mean |w| * sign(w)`, 1 bit each. Lossy; the loss of each parameter is written to the IR.

    Signs have no zero, so weights that pruning made 0 would come back: a layer with more than 5 % of zeros is refused.

    `layers`: names of layers, or patterns like `c*`.
    `granularity`: one scale for each output channel (of a transposed convolution, for each input channel), or one for
        a tensor (of a recurrent layer, for each gate).
    `zeros`: refuse layers with many weights of 0, or let all zeros become positive.

    Example: `fold_batch_norm(); bwn(layers = "c*", granularity = channel)`
    """

    name = "bwn"
    layers: str | tuple[str, ...] = "*"
    granularity: Granularity = "channel"
    zeros: Literal["refuse", "positive"] = "refuse"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError: HAP0530, HAP0531, and those of `code_weights`."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            code_weights(network, self.layers, context, self._rule, self.name)

    def _rule(self, w: Floats, slot: WeightSlot) -> Coded:
        groups = slot.blocks(self.granularity)
        check_signs(w, slot, self.zeros, scale_shape(w.shape, groups))
        return bwn(w, groups)
