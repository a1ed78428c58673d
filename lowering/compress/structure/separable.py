"""Separable: a convolution becomes a depthwise one and a 1 x 1 one that mixes its channels.

Law: lossy; the best depthwise separable form of its rank, whose squared error is the sum over input channels of the
squared singular values that are dropped; rank min(K, RS) changes nothing but the rounding to f32. Each new `nn.weight`
says what the layer lost.

```
%y = nn.conv2d %x, %w window <3x3, pad 1 1 1 1> groups 1 layer "c2" : (..., tensor<32x16x3x3xf32>) -> ...
```
becomes with `separable(layers = "c2")`
```
%h = nn.conv2d %x, %d window <3x3, pad 1 1 1 1> groups 16 layer "c2.depthwise" : (..., tensor<16x1x3x3xf32>) -> ...
%y = nn.conv2d %h, %p window <1x1> groups 1 layer "c2" : (..., tensor<32x16x1x1xf32>) -> ...
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
from hapir.factorizations import separable
from hapir.lowering.compress.structure.factored_layers import Chain, Target, factor_layers
from hapir.lowering.network_edits import networks_of


@dataclass(frozen=True)
class SeparablePass(ModulePass):
    """Make convolutions depthwise separable. Lossy; the best form of its rank.

    `layers`: names of layers, or patterns like `c*`; of those the convolutions with a window and without groups are
        changed.
    `rank`: depthwise filters per input channel.
    `energy`: the least rank of each layer that keeps this share of its squared weights, instead of `rank`.
    `veto`: leave a layer as it is unless this gets less.

    Example: `separable(layers = "c2", rank = 2)`
    """

    name = "separable"
    layers: str | tuple[str, ...] = "*"
    rank: int = field(default=1, metadata=bounded(at_least=1))
    energy: float | None = field(default=None, metadata=bounded(above=0, at_most=1))
    veto: Literal["macs", "parameters", "none"] = "macs"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError as `factor_layers`."""
        for network in networks_of(op):
            factor_layers(network, self.layers, hapir_context(ctx).weights, self._chain, veto=self.veto)

    def _chain(self, target: Target) -> Chain | None:
        _, _, r, s = target.filters
        if r * s == 1:
            return None
        rank = self.rank if self.energy is None else separable.rank_for_energy(target.w, self.energy)
        return separable.separable(target.w, rank)
