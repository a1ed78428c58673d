"""ABC-Net: weights as a sum of M binary bases.

Law: lossy; base m is `sign(w - mean + u_m std)` with u_m spread evenly over -1..1, and the factors are those of the
least squared error. More bases are no worse where their u_m contain those of the fewer: along 1, 3, 5 and along 2, 3,
not from 3 to 4. Rule and sources: `hapir/quantizers/abc_net.py`.

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `abc_net(bases = 3)`
```
%c = nn.weight "c1.weight.abc_net" {max_error = 0.2 : f64, sqnr_db = 9.1 : f64}
    : tensor<16x1x3x3x!num.planes<3, "c1.weight.abc_net.bases">>
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
from hapir.lowering.compress.binary_zeros import refuse_pruned
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import Granularity, WeightSlot
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.abc_net import abc_net
from hapir.quantizers.coded import Coded, Floats


@dataclass(frozen=True)
class AbcNetPass(ModulePass):
    """Weights as a sum of binary bases, one bit per base. Lossy; the loss of each parameter is written to the IR.

    Sums of signs have no zero in general, so weights that pruning made 0 would come back: a layer with more than 5 % of
    zeros is refused.

    `bases`: how many.
    `layers`: names of layers, or patterns like `c*`.
    `granularity`: bases and factors for a tensor (of a recurrent layer, for each gate), or for each output channel (of
        a transposed convolution, for each input channel).
    `zeros`: refuse layers with many weights of 0, or let zeros become what the fit makes of them.

    Example: `fold_batch_norm(); abc_net(bases = 3, layers = "c*")`
    """

    name = "abc_net"
    bases: int = field(default=3, metadata=bounded(at_least=1, at_most=8))
    layers: str | tuple[str, ...] = "*"
    granularity: Granularity = "tensor"
    zeros: Literal["refuse", "fit"] = "refuse"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError: HAP0530, and those of `code_weights`."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            code_weights(network, self.layers, context, self._rule, self.name)

    def _rule(self, w: Floats, slot: WeightSlot) -> Coded:
        if self.zeros == "refuse":
            refuse_pruned(w, slot)
        return abc_net(w, self.bases, slot.blocks(self.granularity))
