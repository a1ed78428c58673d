"""Uniform weights in a float network: codes with a scale per tensor, channel or group; activations stay as they are.

Law: lossy; every weight is the code nearest to it, no further than half a step where the codes reach it, and each new
`nn.weight` says what it lost. `precision` may ask for other formats layer by layer. A later `quantize` keeps the codes
and scales where each output channel has one scale, so this is also the way to correct biases between the two. Layers
whose weights are coded already stay as they are.

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `quantize_weights(weights = i4)`
```
%c = nn.weight "c1.weight.codes" {max_error = 0.04 : f64, sqnr_db = 18.2 : f64}
    : tensor<16x1x3x3x!num.scaled<si4, "c1.weight.codes.scale">>
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
from hapir.dialects.nn import WeightOp
from hapir.lowering.compress.annotations import WEIGHT_FORMAT, WeightFormat, asked_weight_width, drop_annotations
from hapir.lowering.compress.coded_weights import insert_coded, warn_of_norms
from hapir.lowering.compress.weight_blocks import Granularity, scale_blocks
from hapir.lowering.compress.weight_slots import WeightSlot, weight_slots
from hapir.lowering.network_edits import (
    erase_unused_weights,
    networks_of,
    real_weight_of,
    reject_fused,
    reject_quantized,
)
from hapir.quantizers.coded import Floats, Scaled
from hapir.quantizers.uniform import UniformRule, WeightMethod, uniform_codes


@dataclass(frozen=True)
class QuantizeWeightsPass(ModulePass):
    """Quantize weights only, to uniform codes. Lossy; the loss of each parameter is written to the IR.

    `layers`: names of layers, or patterns like `c*`.
    `weights`: the format of the codes, for layers that no annotation asks another one for.
    `granularity`: one scale per tensor, per output channel, per group of output channels, or per output channel and
        group of input channels.
    `group`: how many channels a group has, or the next smaller number that divides them.
    `method`: how much of the weights the codes cover: all, a percentile of the magnitudes, what maximizes the
        signal-to-quantization-noise ratio over 64 clipping points, or that refined to the least squared error.
    `percentile`: the share of magnitudes that is covered, in per cent; of method percentile.

    Example: `quantize_weights(weights = i4, granularity = input_group, group = 8, method = mse)`
    """

    name = "quantize_weights"
    layers: str | tuple[str, ...] = "*"
    weights: WeightFormat = "i8"
    granularity: Granularity = "channel"
    group: int = field(default=4, metadata=bounded(at_least=1))
    method: WeightMethod = "min_max"
    percentile: float = field(default=99.99, metadata=bounded(above=50, at_most=100))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Code the weights of every network. Raises HapirError (HAP0208, HAP0404, HAP0506, HAP0526)."""
        context = hapir_context(ctx)
        weights = context.weights
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            warn_of_norms(network, self.layers, context)
            for slot in weight_slots(network, self.layers):
                if isinstance(slot.value.owner, WeightOp):
                    exact = real_weight_of(slot.value, weights)
                    slot.op.operands[slot.index] = insert_coded(slot, self._coded(exact, slot), exact, weights, "codes")
            for slot in weight_slots(network, self.layers):
                drop_annotations(slot.op, [WEIGHT_FORMAT])
            erase_unused_weights(network)

    def _coded(self, exact: Floats, slot: WeightSlot) -> Scaled:
        width = asked_weight_width(slot.op) or int(self.weights[1:])
        rule = UniformRule(width, self.method, self.percentile)
        return uniform_codes(exact, scale_blocks(slot, self.granularity, self.group), rule)
