"""N-ary quantization: weights become 0 or the mean of one of a few clusters on either side of it.

Law: lossy; every weight is a level of its codebook, 0 is one of them, and each other level is the mean of the weights
that take it. The thresholds need no training: each is the mean of what lies beyond the one before, and `t` widens the
band of zeros, hence the sparsity (Schindler, "Compressing and Mapping Deep Neural Networks on Edge Computing Systems",
Heidelberg 2021, section 5.5; recurrent layers have a codebook for each gate).

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `n_ary(kind = quinary)`
```
%c = nn.weight "c1.weight.n_ary" {max_error = 0.27 : f64, sqnr_db = 11.9 : f64}
    : tensor<16x1x3x3x!num.codebook<ui3, "c1.weight.n_ary.levels">>
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
from hapir.lowering.compress.weight_slots import Granularity, WeightSlot
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.codebooks import by_rows
from hapir.quantizers.coded import Coded
from hapir.quantizers.n_ary import LARGEST, NAry, Thresholds, binary, n_ary
from hapir.quantizers.sorted_values import Floats

Kind = Literal["ternary", "quaternary_plus", "quaternary_minus", "quinary", "binary", "custom"]
LEVELS: dict[Kind, tuple[int, int]] = {
    "ternary": (1, 1),
    "quaternary_plus": (2, 1),
    "quaternary_minus": (1, 2),
    "quinary": (2, 2),
}
"""Levels above and below 0 (Heidelberg, Table 5.8)."""


@dataclass(frozen=True)
class NAryPass(ModulePass):
    """N-ary codebooks from nested means. Lossy; the loss of each parameter is written to the IR.

    `kind`: how many levels lie above and below 0: 1 and 1 (ternary), 2 and 1 (quaternary_plus), 1 and 2
    (quaternary_minus), 2 and 2 (quinary), `positive` and `negative` (custom); binary has one on either side and no 0.
    `t`: what the innermost thresholds are multiplied by; more makes more zeros. 1 where it is not given; with
    `thresholds = max` it is the share of the largest magnitude, 0.05 where it is not given.
    `thresholds`: nested_means; max: the innermost at t times the largest magnitude, the outer ones nested means;
    quantile: where a normal distribution with the weights' mean and deviation puts the `shares`.
    `shares`: for `thresholds = quantile`: the share of the weights of each level, from the lowest to the highest.
    `positive`: levels above 0, for `kind = custom`.
    `negative`: levels below 0, for `kind = custom`.
    `granularity`: one codebook for a tensor (of a recurrent layer, for each gate), or for each output channel.
    `layers`: names of layers, or patterns like `c*`.

    Example: `n_ary(kind = quinary, t = 1.4)`
    """

    name = "n_ary"
    kind: Kind = "ternary"
    t: float | None = field(default=None, metadata=bounded(above=0))
    thresholds: Thresholds = "nested_means"
    shares: tuple[float, ...] = ()
    positive: int = field(default=1, metadata=bounded(at_least=0, at_most=LARGEST))
    negative: int = field(default=1, metadata=bounded(at_least=0, at_most=LARGEST))
    granularity: Granularity = "tensor"
    layers: str | tuple[str, ...] = "*"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if self.kind != "custom" and (self.positive, self.negative) != (1, 1):
            raise ValueError(f"`positive` and `negative` are those of `kind = custom`, not of {self.kind}")
        if self.kind == "binary" and (self.t is not None or self.thresholds != "nested_means"):
            raise ValueError("binary weights have one threshold, 0: leave `t` and `thresholds` out")
        if self.thresholds == "quantile" and self.t is not None:
            raise ValueError("`t` does not move quantiles: leave it out")
        _ = self._clusters

    @property
    def _clusters(self) -> NAry:
        """The rule. Raises ValueError where options do not fit together."""
        positive, negative = LEVELS.get(self.kind, (self.positive, self.negative))
        t = self.t if self.t is not None else 0.05 if self.thresholds == "max" else 1.0
        return NAry(positive, negative, self.thresholds, t, self.shares)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (see `code_weights`)."""
        for network in networks_of(op):
            code_weights(network, self.layers, hapir_context(ctx), self._coded, self.name)

    def _coded(self, w: Floats, slot: WeightSlot) -> Coded:
        clusters, blocks = self._clusters, slot.blocks(self.granularity)
        if self.kind == "binary":
            return by_rows(w, blocks, binary)
        return by_rows(w, blocks, lambda block: n_ary(block, clusters))
