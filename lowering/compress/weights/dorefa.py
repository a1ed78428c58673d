"""DoReFa: weights of k bits without a zero, after tanh; activations of k bits in 0..1.

Law: lossy; with 1 bit `mean |w| * sign(w)` per layer, else one of the 2^k odd numbers of `bipolar(k)` times one scale
per layer, ordered as the weights are. Rule and sources: `hapir/quantizers/dorefa.py`. Activations are annotated, as
`precision` does it, and `quantize` carries that out: `q(clip(x, 0, 1))` with `q(r) = round((2^k - 1) r) / (2^k - 1)`
(Zhou et al., DoReFa-Net, 2016, eq. 11).

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `dorefa(bits = 2)`
```
%c = nn.weight "c1.weight.dorefa" {max_error = 0.21 : f64, sqnr_db = 8.1 : f64}
    : tensor<16x1x3x3x!num.scaled<!num.bipolar<2>, "c1.weight.dorefa.scale">>
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
from hapir.lowering.compress.annotations import ask_for
from hapir.lowering.compress.binary_zeros import check_signs
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import WeightSlot, weight_slots
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.coded import Coded, Floats
from hapir.quantizers.dorefa import dorefa
from hapir.quantizers.scale_groups import scale_shape


@dataclass(frozen=True)
class DorefaPass(ModulePass):
    """DoReFa weights of 1 to 8 bits, one scale per layer. Lossy; the loss of each parameter is written to the IR.

    The codes have no zero, so weights that pruning made 0 would come back: a layer with more than 5 % of zeros is
    refused.

    `bits`: of a weight.
    `layers`: names of layers, or patterns like `c*`.
    `scale`: how codes of 2 bits or more become reals: with the least squared error; with the largest magnitude of the
        layer as their end; or in -1..1, for networks that were trained with DoReFa's weights.
    `zeros`: refuse layers with many weights of 0, or let all zeros become positive.
    `activation_bits`: bits of what the layers give, which quantize shall clip to 0..`high` and round to multiples of
        `high / (2^bits - 1)`; leave out layers whose results may be negative, such as the last one.
    `high`: the end of that range; DoReFa trains networks for 1.

    Example: `fold_batch_norm(); dorefa(bits = 4, layers = "c*", activation_bits = 4, high = 6)`
    """

    name = "dorefa"
    bits: int = field(default=1, metadata=bounded(at_least=1, at_most=8))
    layers: str | tuple[str, ...] = "*"
    scale: Literal["least_squares", "maximum", "unit"] = "least_squares"
    zeros: Literal["refuse", "positive"] = "refuse"
    activation_bits: int | None = field(default=None, metadata=bounded(at_least=1, at_most=8))
    high: float = field(default=1.0, metadata=bounded(above=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError: HAP0530, HAP0531, and those of `code_weights`."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            code_weights(network, self.layers, context, self._rule, self.name)
            if self.activation_bits is not None:
                for layer in {slot.op: None for slot in weight_slots(network, self.layers)}:
                    ask_for(layer, activations=f"u{self.activation_bits}", range=(0.0, self.high))

    def _rule(self, w: Floats, slot: WeightSlot) -> Coded:
        check_signs(w, slot, self.zeros, scale_shape(w.shape))
        return dorefa(w, self.bits, self.scale)
