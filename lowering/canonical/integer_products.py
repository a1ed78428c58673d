"""Multiply codes, where a network multiplies the reals behind them.

Law: bounded. Sums of products of codes are exact, and become reals once, by the product of both scales; the sums of
floats that they stand for were rounded at each step. A bias stays real, and becomes a batch norm of its own, `x + bias`
(see `kept_accumulators`). Max pools and what moves data, between codes and a layer, work on the codes. So networks that
were trained with quantization in the loop (QONNX) run on integers, and `threshold` makes comparisons of the batch norms
and activations behind their layers. Products whose sums may leave si32, or whose codes have a scale for something else
than a filter, stay floats.

```
%x = num.dequantize %q : tensor<1x3x8x8x!num.affine<ui2, 0.5 : 0>> -> tensor<1x3x8x8xf32>
%w = num.dequantize %c : tensor<4x3x3x3x!num.per_channel<si4, 0, "c1.weight.scale">> -> tensor<4x3x3x3xf32>
%y = nn.conv2d %x, %w window <3x3> groups 1 layer "c1" : ...
```
becomes
```
%a = nn.conv2d %q, %c window <3x3> groups 1 layer "c1" : ... -> tensor<1x4x6x6xsi32>
%v = num.view %a layer "c1" : ... -> tensor<1x4x6x6x!num.per_channel<si32, 1, "c1.accumulator.scale">>
%y = num.dequantize %v layer "c1" : ... -> tensor<1x4x6x6xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, SSAValue
from xdsl.passes import ModulePass

from hapir.context import hapir_context
from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, PerChannelType, code_range, element_type, is_float
from hapir.lowering.canonical.read_codes import move_behind
from hapir.lowering.compress.accumulator_range import ACCUMULATOR_LIMIT, accumulator_bound, largest_magnitude
from hapir.lowering.compress.kept_accumulators import Accumulators, accumulator_type, reals_of
from hapir.lowering.constants import constant_value, is_constant
from hapir.lowering.network_edits import erase_dead, insert_before, networks_of, real_weight_of
from hapir.weights import WeightStore


@dataclass(frozen=True)
class IntegerProductsPass(ModulePass):
    """Make convolutions and dense layers multiply codes where both operands are dequantized from some. Bounded.

    Example: `integer_products(); threshold(max_bits = 3)`
    """

    name = "integer_products"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            for layer in list(network.body.block.ops):
                if isinstance(layer, nn.ProductOp) and is_float(layer.x):
                    _on_codes(layer, weights)
                elif isinstance(layer, nn.LayerOp):
                    move_behind(layer, _activation_codes, lambda result, _: num.DequantizeOp(result))
            erase_dead(network)


def _on_codes(op: nn.ProductOp, weights: WeightStore) -> None:
    """One layer, where it can."""
    q, w = _codes_behind(op.x), _codes_behind(op.w)
    if q is None or w is None or not is_constant(w) or not (op.bias is None or is_constant(op.bias)):
        return
    x_type, w_type = element_type(q), element_type(w)
    scales = _filter_scales(w_type, weights)
    if not isinstance(x_type, AffineType) or scales is None:
        return
    codes = constant_value(w, weights).astype(np.int64)
    reach = largest_magnitude(*code_range(x_type), x_type.zero_point.data)
    if accumulator_bound(codes, None, reach).max(initial=0) >= ACCUMULATOR_LIMIT:
        return
    accumulate = op.on(q, w, None)
    insert_before(op, [accumulate])
    element = accumulator_type(op, x_type.scale.data * scales, weights)
    bias = None if op.bias is None else real_weight_of(op.bias, weights)
    reals = reals_of(Accumulators(accumulate.result, element, bias, op), op, weights)
    reals.name_hint = op.result.name_hint
    op.result.replace_all_uses_with(reals)
    op.detach()
    op.erase()


def _filter_scales(element: Attribute, weights: WeightStore) -> npt.NDArray[np.float64] | None:
    """The scale of codes, or one for each index of axis 0; None for others, and where 0 does not stand for 0."""
    if isinstance(element, AffineType):
        return None if element.zero_point.data else np.array([float(element.scale.data)])
    if isinstance(element, PerChannelType) and element.axis.data == 0:
        return weights[element.scales.data].astype(np.float64)
    return None


def _activation_codes(value: SSAValue) -> SSAValue | None:
    q = _codes_behind(value)
    return q if q is not None and isinstance(element_type(q), AffineType) and not is_constant(q) else None


def _codes_behind(value: SSAValue) -> SSAValue | None:
    owner = value.owner
    return owner.q if isinstance(owner, num.DequantizeOp) else None
