"""Let layers of a quantized network multiply by a model instead of exactly.

Law: lossy; the layers' sums become those of the model (see `hapir.multipliers.model`), nothing else changes, and with
`exact` it is the identity. Sums are proven to fit si32 from the actual weights and all products of the model. Every
witness computes the same integers: the reference by the model's numpy meaning, C by its C text, a machine whose `mac`
has the same multiplier by its circuit.

```
%a = nn.conv2d %q, %w bias %b window <3x3> groups 1 layer "c1" : (...) -> tensor<1x4x6x6xsi32>
```
becomes with `use_multiplier(multiplier = truncated(bits = 2))`
```
%a = nn.conv2d %q, %w bias %b window <3x3> groups 1 layer "c1" {multiplier = "truncated(bits = 2)"} : (...)
    -> tensor<1x4x6x6xsi32>
```
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import VerifyException

from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects.nn_products import ProductOp, operand_formats
from hapir.dialects.num import element_type, zero_point_of
from hapir.lowering.compress.accumulator_range import ACCUMULATOR_LIMIT
from hapir.lowering.compress.selected_layers import selected_layers
from hapir.lowering.network_edits import networks_of, reject_fused, weight_of
from hapir.multipliers.model import Multiplier, modelled_bound, product_table
from hapir.registered import MULTIPLIER, MultiplierText, spell, value_of
from hapir.weights import WeightStore


@dataclass(frozen=True)
class UseMultiplierPass(ModulePass):
    """Multiply by a model of a multiplier in the layers of a quantized network. Lossy; sums proven to fit.

    `multiplier`: a multiplier of the registry.
    `layers`: names of layers, or patterns like `c*`.

    Example: `use_multiplier(multiplier = truncated(bits = 2), layers = "c*")`
    """

    name = "use_multiplier"
    multiplier: MultiplierText
    layers: str | tuple[str, ...] = "*"

    def __post_init__(self) -> None:
        object.__setattr__(self, "multiplier", spell(value_of(self.multiplier, MULTIPLIER)))

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Mark the layers of every network. Raises HapirError (HAP0208, HAP0509, HAP0519)."""
        weights = hapir_context(ctx).weights
        model: Multiplier = value_of(self.multiplier, MULTIPLIER)
        for network in networks_of(op):
            reject_fused(network)
            for layer in selected_layers(network, self.layers):
                _prove_fits(layer, model, weights)
                layer.multiplier = None if self.multiplier == "exact" else StringAttr(self.multiplier)


def _prove_fits(layer: ProductOp, model: Multiplier, weights: WeightStore) -> None:
    """Raise HapirError where the model cannot multiply the operands, or where a sum may leave si32."""
    try:
        formats = operand_formats(layer)
    except VerifyException as error:
        fail("HAP0519", str(error), at=layer, help="quantize to at most 8 bits before use_multiplier")
    try:
        table = product_table(model, *formats)
    except ValueError as error:
        fail("HAP0519", f"`{spell(model)}` cannot multiply {formats[0]} by {formats[1]}: {error}", at=layer)
    w = weight_of(layer.w, weights).astype(np.int64)
    bias = np.zeros(len(w), np.int64) if layer.bias is None else weight_of(layer.bias, weights).astype(np.int64)
    bound = modelled_bound(table, formats[1], zero_point_of(element_type(layer.x)), w) + np.abs(bias)
    if bound.max() >= ACCUMULATOR_LIMIT:
        channel = int(bound.argmax())
        fail(
            "HAP0509",
            f"the accumulator of output channel {channel} may reach {bound[channel]}, more than si32 holds",
            at=layer,
            help="use fewer bits for weights or activations",
        )
