"""Ternary weights with a scale for each sign, by the rule of trained ternary quantization.

Law: lossy; with `delta = threshold * max |w|` of the layer, weights above delta become their mean, those below -delta
theirs, the others 0. Weights of 0 stay 0, and a higher threshold has no fewer zeros. Coding the result again changes
nothing. Rule and sources: `hapir/quantizers/ttq.py`.

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes
```
%c = nn.weight "c1.weight.ttq" {max_error = 0.32 : f64, sqnr_db = 5.6 : f64}
    : tensor<16x1x3x3x!num.codebook<ui2, "c1.weight.ttq.levels">>
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
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.ttq import ttq


@dataclass(frozen=True)
class TtqPass(ModulePass):
    """Ternary weights -Wn, 0, Wp per layer, 2 bits each. Lossy; the loss of each parameter is written to the IR.

    Without training, Wp and Wn are the mean magnitudes of what they stand for.

    `threshold`: the share of the largest magnitude up to which weights become 0; 0 keeps all, 1 none.
    `layers`: names of layers, or patterns like `c*`.
    `symmetric`: one scale for both signs, which integer layers can keep, instead of one each.
    `tie`: what a magnitude equal to the threshold becomes.

    Example: `fold_batch_norm(); ttq(threshold = 0.3, layers = "c*")`
    """

    name = "ttq"
    threshold: float = field(default=0.05, metadata=bounded(at_least=0))
    layers: str | tuple[str, ...] = "*"
    symmetric: bool = False
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
                lambda w, _: ttq(w, self.threshold, symmetric=self.symmetric, tie=self.tie),
                self.name,
            )
