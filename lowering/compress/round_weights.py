"""Round the parameters of layers to the reals that a number format holds.

Law: lossy; every rounded parameter is a value of the format, the nearest one, and rounding twice changes nothing. The
network still computes in f32: this shows what a format costs, whatever hardware may come of it. Each new `nn.weight`
says what it lost: the largest error and the signal-to-quantization-noise ratio in dB.

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `round_weights(format = fixed(2, 6))`
```
%w = nn.weight "c1.weight.rounded" {format = "fixed(integer = 2, fraction = 6)", max_error = 0.0078 : f64,
    sqnr_db = 33.9 : f64} : tensor<16x1x3x3xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr, f32
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects.formats import NumberFormat
from hapir.dialects.nn_products import ProductOp
from hapir.lowering.compress.coded_weights import losses
from hapir.lowering.compress.selected_layers import selected_layers
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_weight,
    networks_of,
    real_weight_of,
    reject_fused,
    reject_quantized,
    weight_op_of,
)
from hapir.plugin_failures import at_work
from hapir.registered import FORMAT, FormatText, spell, value_of
from hapir.weights import WeightStore


@dataclass(frozen=True)
class RoundWeightsPass(ModulePass):
    """Round weights to a number format. Lossy; the loss of each parameter is written to the IR.

    `format`: a number format of the registry.
    `layers`: names of layers, or patterns like `c*`.
    `parameters`: the weights alone, or the biases too.

    Example: `round_weights(format = fixed(2, 6), layers = "c*")`
    """

    name = "round_weights"
    format: FormatText
    layers: str | tuple[str, ...] = "*"
    parameters: Literal["weights", "all"] = "weights"

    def __post_init__(self) -> None:
        object.__setattr__(self, "format", spell(self.number_format))

    @property
    def number_format(self) -> NumberFormat:
        """The format. Raises HapirError (HAP0232, HAP0305) where the option names none."""
        return value_of(self.format, FORMAT)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (HAP0208, HAP0506, HAP0518)."""
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            for layer in selected_layers(network, self.layers):
                for index in range(1, len(layer.operands) if self.parameters == "all" else 2):
                    layer.operands[index] = self._rounded(layer, layer.operands[index], weights)
            erase_unused_weights(network)

    def _rounded(self, layer: ProductOp, parameter: SSAValue, weights: WeightStore) -> SSAValue:
        """A new parameter with the rounded values and what they lost."""
        exact = real_weight_of(parameter, weights)
        key = weight_op_of(parameter).key.data
        format = self.number_format
        with at_work("formats", format.name, layer):
            values = format.round(exact)
        stored = values.astype(np.float32)
        if (stored != values).any():
            fail(
                "HAP0518",
                f"values of `{self.format}` for `{key}` need more digits than f32 has",
                at=layer,
                help="parameters are stored in f32: choose a format of at most 24 significant bits",
            )
        value = insert_weight(layer, f"{key}.rounded", stored, f32, weights, parameter.name_hint)
        weight_op_of(value).attributes.update({"format": StringAttr(self.format), **losses(exact, values)})
        return value
