"""Learned bases: a weight is a sum of a few numbers with the signs that its code says.

Law: lossy; every weight takes the nearest of the 2^bits sums, and no step of the search raises the squared error. A dot
product needs a binary one for each base (Zhang, Yang, Ye, Hua, "LQ-Nets", ECCV 2018, algorithm 1).

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `lq_net(bits = 2)`
```
%c = nn.weight "c1.weight.lq_net" {max_error = 0.19 : f64, sqnr_db = 10.2 : f64}
    : tensor<16x1x3x3x!num.planes<2, "c1.weight.lq_net.bases">>
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import Granularity, WeightSlot
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.coded import Coded
from hapir.quantizers.lq_net import ITERATIONS, lq_net
from hapir.quantizers.sorted_values import Floats


@dataclass(frozen=True)
class LqNetPass(ModulePass):
    """Bases by alternating least squares. Lossy; the loss of each parameter is written to the IR.

    `bits`: how many bases.
    `iterations`: at most so many turns of codes and bases; it ends before where no weight changes its code.
    `granularity`: bases for a tensor (of a recurrent layer, for each gate), or for each output channel.
    `layers`: names of layers, or patterns like `c*`.

    Example: `lq_net(bits = 2, granularity = channel)`
    """

    name = "lq_net"
    bits: int = field(default=2, metadata=bounded(at_least=1, at_most=8))
    iterations: int = field(default=ITERATIONS, metadata=bounded(at_least=0))
    granularity: Granularity = "tensor"
    layers: str | tuple[str, ...] = "*"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (see `code_weights`)."""
        for network in networks_of(op):
            code_weights(network, self.layers, hapir_context(ctx), self._coded, self.name)

    def _coded(self, w: Floats, slot: WeightSlot) -> Coded:
        return lq_net(w, self.bits, slot.blocks(self.granularity), self.iterations)
