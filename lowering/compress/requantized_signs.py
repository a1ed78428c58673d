"""Signs by a requantizer: a threshold of one level as a requantization, for machines that have no comparators.

Law: exact. With weights and biases doubled and the threshold taken into the bias, `e = 2 * (acc - t) + 1` is odd, so it
is never 0, and `clamp(e * 1 / 2^0 + 1, 0, 2)` is 2 where `acc >= t`, else 0: the codes of 1 and -1 in integers whose
zero point is 1. Channels that flip have their weights negated. Padding inserts that zero point, a real 0, as before.

```
%a = nn.dense %x, %w layer "f1" : (..., tensor<4x8x!num.per_channel<!num.bipolar<1>, 0, "s">>) -> tensor<1x4xsi32>
%q = num.threshold %a, %t, %f from -1 : ... -> tensor<1x4x!num.affine<!num.bipolar<1>, 1.0 : 0>>
```
becomes
```
%a = nn.dense %x, %w2 bias %b2 layer "f1" : (..., tensor<4x8x!num.per_channel<si3, 0, "s2">>, ...) -> tensor<1x4xsi32>
%q = num.requantize %a, %one, %zero half_up bounds 0, 2 : ... -> tensor<1x4x!num.affine<ui2, 1.0 : 1>>
```
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import FloatData, IntAttr, StringAttr, TensorType
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.dialects import nn, num
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import AffineType, PerChannelType, Rounding, element_type, shape_of, signed, unsigned
from hapir.lowering.compress.activation_types import SIGNS, preserves
from hapir.lowering.network_edits import insert_before, insert_weight, key_stem, set_type, weight_of
from hapir.weights import WeightStore

CODES = AffineType(unsigned(2), FloatData(1.0), IntAttr(1))
"""Signs as integers that requantizers give: 0 and 2 for -1 and 1, and 1 for the 0 of padding."""

LARGEST_WEIGHT = 63
"""Weights of so much can be doubled within 8 bits."""


def requantize_signs(network: NetworkOp, weights: WeightStore) -> None:
    """Replace the thresholds that follow a layer directly and give signs, where all who read them can read `CODES`."""
    rounding = next((op.rounding.data for op in network.body.walk() if isinstance(op, num.RequantizeOp)), None)
    for op in list(network.body.block.ops):
        if isinstance(op, num.ThresholdOp) and element_type(op.result) == SIGNS and op.levels == 1:
            layer = op.acc.owner
            if isinstance(layer, nn.ProductOp) and op.acc.has_one_use() and _all_may_change(op.result):
                _replace(op, layer, rounding or Rounding.half_up, weights)


def _all_may_change(value: SSAValue) -> bool:
    """Whether every reader of a value takes codes of any affine type."""
    return all(_may_change(use.operation) for use in value.uses)


def _may_change(user: Operation) -> bool:
    if isinstance(user, num.ViewOp) or preserves(user):
        return _all_may_change(user.results[0])
    return isinstance(user, nn.ProductOp | nn.SumPoolOp | num.WidenOp | num.DequantizeOp)


def _replace(op: num.ThresholdOp, layer: nn.ProductOp, rounding: Rounding, weights: WeightStore) -> None:
    w = weight_of(layer.w, weights).astype(np.int64)
    if np.abs(w).max() > LARGEST_WEIGHT:
        return
    bias = 0 if layer.bias is None else weight_of(layer.bias, weights).astype(np.int64)
    orders = np.where(weight_of(op.flips, weights) == 1, -1, 1)
    e = orders * (2 * (bias - weight_of(op.thresholds, weights).astype(np.int64)[:, 0]) + 1)
    doubled = 2 * w * np.broadcast_to(orders, len(w)).reshape(-1, *[1] * (w.ndim - 1))
    stem, width = key_stem(layer), int(np.abs(doubled).max()).bit_length() + 1
    element = _halved(element_type(layer.w), width, stem, weights)
    new_w = insert_weight(layer, f"{stem}.weight.doubled", doubled.astype(np.int8), element, weights, layer.w.name_hint)
    new_bias = np.broadcast_to(e, len(w)).astype(np.int32)
    new_layer = layer.on(layer.x, new_w, insert_weight(layer, f"{stem}.bias.threshold", new_bias, signed(32), weights))
    one = insert_weight(op, f"{stem}.multiplier", np.ones(1, np.uint16), unsigned(16), weights)
    zero = insert_weight(op, f"{stem}.shift", np.zeros(1, np.uint8), unsigned(8), weights)
    result = TensorType(CODES, shape_of(op.result))
    requantize = num.RequantizeOp(
        new_layer.result,
        one,
        zero,
        result,
        rounding=rounding,
        low=0,
        high=2,
        layer=None if op.layer is None else op.layer.data,
    )
    insert_before(layer, [new_layer])
    insert_before(op, [requantize])
    new_layer.result.name_hint, requantize.result.name_hint = layer.result.name_hint, op.result.name_hint
    op.result.replace_all_uses_with(requantize.result)
    for old in (op, layer):
        old.detach()
        old.erase()
    _retype_users(requantize.result)


def _halved(element: Attribute, width: int, stem: str, weights: WeightStore) -> Attribute:
    """The type of doubled weights: the same reals."""
    if isinstance(element, AffineType):
        return AffineType(signed(width), FloatData(element.scale.data / 2), IntAttr(0))
    assert isinstance(element, PerChannelType)
    key = weights.put_new(f"{stem}.weight.doubled.scale", weights[element.scales.data].astype(np.float64) / 2)
    return PerChannelType(signed(width), element.axis, StringAttr(key))


def _retype_users(value: SSAValue) -> None:
    """Let the readers of a value follow its type; a view that gave signs a zero is no longer needed."""
    for user in [use.operation for use in value.uses]:
        if isinstance(user, num.ViewOp):
            user.result.replace_all_uses_with(value)
            user.detach()
            user.erase()
            _retype_users(value)
        elif isinstance(user, nn.LayerOp) and preserves(user):
            (type_,) = user.implied_types()
            set_type(user.results[0], type_)
            _retype_users(user.results[0])
