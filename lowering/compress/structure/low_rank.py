"""Low rank: a layer becomes two, of the rank that its singular values or a budget allow.

Law: lossy; the squared error of a layer's weights is the sum of the squares of the singular values that are dropped,
and full rank changes nothing but the rounding to f32. Each new `nn.weight` says what the layer lost.

```
%y = nn.conv2d %x, %w window <3x3, pad 1 1 1 1> groups 1 layer "c2" : (..., tensor<32x16x3x3xf32>) -> ...
```
becomes with `low_rank(layers = "c2", rank = 8)`
```
%h = nn.conv2d %x, %u window <3x3, pad 1 1 1 1> groups 1 layer "c2.basis" : (..., tensor<8x16x3x3xf32>) -> ...
%y = nn.conv2d %h, %v window <1x1> groups 1 layer "c2" : (..., tensor<32x8x1x1xf32>) -> ...
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds, whole_share
from hapir.context import hapir_context
from hapir.factorizations import svd
from hapir.factorizations.stages import cost_of
from hapir.factorizations.svd import Svd
from hapir.lowering.compress.structure.factored_layers import Chain, Target, factor_layers
from hapir.lowering.network_edits import networks_of


@dataclass(frozen=True)
class LowRankPass(ModulePass):
    """Factor layers by a truncated singular value decomposition. Lossy; the best approximation of its rank.

    `layers`: names of layers, or patterns like `c*`; convolutions without groups and dense layers among them are
        factored.
    `split`: how a convolution is taken apart: its filters and then 1 x 1 to the outputs, 1 x 1 from the inputs and then
        the filters, or a column of R x 1 and then a row of 1 x S. Dense layers have one way only.
    `energy`: the least rank that keeps this share of the squared singular values.
    `rank`: this rank in every layer, instead of `energy`.
    `budget`: the largest rank whose multiply-accumulates are at most this share of the layer's, instead of `energy`;
        rank 1 where even that takes more.
    `veto`: leave a layer as it is unless this gets less.

    Example: `low_rank(layers = "c*", energy = 90 %)`
    """

    name = "low_rank"
    layers: str | tuple[str, ...] = "*"
    split: Literal["output", "input", "spatial"] = "output"
    energy: float = field(default=0.9, metadata=bounded(above=0, at_most=1))
    rank: int | None = field(default=None, metadata=bounded(at_least=1))
    budget: float | None = field(default=None, metadata=bounded(above=0))
    veto: Literal["macs", "parameters", "none"] = "macs"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if self.rank is not None and self.budget is not None:
            raise ValueError("low_rank takes `rank` or `budget`, not both")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError as `factor_layers`."""
        for network in networks_of(op):
            factor_layers(network, self.layers, hapir_context(ctx).weights, self._chain, veto=self.veto)

    def _chain(self, target: Target) -> Chain:
        found = Svd.of(svd.matrix_of(target.w, self.split))
        return svd.chain(target.filters, self.split, found, min(self._rank(target, found), len(found.values)))

    def _rank(self, target: Target, found: Svd) -> int:
        if self.rank is not None:
            return self.rank
        if self.budget is None:
            return found.rank_for_energy(self.energy)
        one = cost_of(svd.chain_shape(target.filters, self.split, 1), target.maps).macs
        return max(1, whole_share(self.budget, target.cost.macs) // one)
