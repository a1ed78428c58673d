"""Tucker-2, or canonical polyadic form: a convolution becomes 1 x 1, a small core, and 1 x 1.

Law: lossy; the squared error of a Tucker-2 layer is at most what the unfoldings along outputs and inputs drop in
singular values, and no round of HOOI raises it; full ranks change nothing but the rounding to f32. Each new `nn.weight`
says what the layer lost.

```
%y = nn.conv2d %x, %w window <3x3, pad 1 1 1 1> groups 1 layer "c2" : (..., tensor<32x16x3x3xf32>) -> ...
```
becomes with `tucker(layers = "c2", output_rank = 10, input_rank = 6)`
```
%a = nn.conv2d %x, %u window <1x1> groups 1 layer "c2.reduce" : (..., tensor<6x16x1x1xf32>) -> ...
%b = nn.conv2d %a, %g window <3x3, pad 1 1 1 1> groups 1 layer "c2.core" : (..., tensor<10x6x3x3xf32>) -> ...
%y = nn.conv2d %b, %v window <1x1> groups 1 layer "c2" : (..., tensor<32x10x1x1xf32>) -> ...
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
from hapir.factorizations.tucker import canonical_polyadic, ranks_for_energy, tucker2
from hapir.lowering.compress.structure.factored_layers import Chain, Target, factor_layers
from hapir.lowering.network_edits import networks_of


@dataclass(frozen=True)
class TuckerPass(ModulePass):
    """Factor convolutions along output and input channels at once. Lossy.

    `layers`: names of layers, or patterns like `c*`; of those the convolutions with a window and without groups are
        factored.
    `method`: a full core between the two 1 x 1 convolutions, or a depthwise one (canonical polyadic form).
    `energy`: the least ranks that keep this share of the squared singular values of each unfolding.
    `output_rank`: this rank along the output channels instead; of method cp the rank.
    `input_rank`: this rank along the input channels instead.
    `iterations`: rounds of alternating least squares after the first guess; method cp needs tens of them.
    `veto`: leave a layer as it is unless this gets less.

    Example: `tucker(layers = "c*", energy = 80 %)`
    """

    name = "tucker"
    layers: str | tuple[str, ...] = "*"
    method: Literal["tucker2", "cp"] = "tucker2"
    energy: float = field(default=0.9, metadata=bounded(above=0, at_most=1))
    output_rank: int | None = field(default=None, metadata=bounded(at_least=1))
    input_rank: int | None = field(default=None, metadata=bounded(at_least=1))
    iterations: int = field(default=2, metadata=bounded(at_least=0, at_most=1000))
    veto: Literal["macs", "parameters", "none"] = "macs"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if self.method == "cp" and self.input_rank is not None:
            raise ValueError("method cp of tucker has one rank: give `output_rank`")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError as `factor_layers`."""
        for network in networks_of(op):
            factor_layers(network, self.layers, hapir_context(ctx).weights, self._chain, veto=self.veto)

    def _chain(self, target: Target) -> Chain | None:
        k, c, r, s = target.filters
        if r * s == 1:
            return None
        output_rank, input_rank = self.output_rank, self.input_rank
        if output_rank is None or (input_rank is None and self.method == "tucker2"):
            by_energy = ranks_for_energy(target.w, self.energy)
            output_rank = output_rank or (max(by_energy) if self.method == "cp" else by_energy[0])
            input_rank = input_rank or by_energy[1]
        if self.method == "cp":
            return canonical_polyadic(target.w, output_rank, self.iterations)
        assert input_rank is not None
        return tucker2(target.w, (min(output_rank, k), min(input_rank, c)), self.iterations)
