"""Accumulators that are read as reals, without a requantization between: in front of a batch norm or a sign, and at
the end of a network of coded weights.

The reals are exact (one scale per channel, in f64), so what follows decides their codes: `threshold` makes a batch norm
and a sign one comparison. A bias would have to be rounded to the accumulator's scale, which is coarse where weights and
activations are +-1; it stays real and becomes a batch norm of its own, `x + bias`.

```
%a = nn.dense %q, %w layer "f1" : (tensor<1x64x!a>, tensor<32x64x!num.per_channel<!num.bipolar<1>, 0, "s">>) -> ...
%v = num.view %a layer "f1" : tensor<1x32xsi32> -> tensor<1x32x!num.per_channel<si32, 1, "f1.accumulator.scale">>
%x = num.dequantize %v layer "f1" : ... -> tensor<1x32xf32>
%n = nn.batch_norm %x, ... layer "n1" : ...
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import IntAttr, StringAttr, TensorType, f32
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn, num
from hapir.dialects.num import SI32, PerChannelType, shape_of
from hapir.lowering.compress.activation_types import preserves
from hapir.lowering.constants import is_constant
from hapir.lowering.network_edits import insert_before, insert_weight, key_stem, layer_name, set_type, sole_user
from hapir.weights import WeightStore

Floats = npt.NDArray[np.float64]

Ends = Literal["sums", "codes"]

_ON_INTEGERS = (nn.ProductOp, nn.AddOp, nn.AvgPoolOp, nn.GlobalAvgPoolOp, nn.ConcatOp, nn.SplitOp)
"""Ops that read codes wherever they stand."""


@dataclass(frozen=True)
class Accumulators:
    """Integers of a layer, the type that gives them their scale, and its bias, where it has one."""

    value: SSAValue
    element: PerChannelType
    bias: Floats | None
    layer: Operation


def is_coded(w: SSAValue) -> bool:
    """Whether a weight is decoded from codes."""
    return is_constant(w) and not isinstance(w.owner, nn.WeightOp)


def stays_real(norm: nn.BatchNormOp) -> bool:
    """Whether a batch norm is left for thresholds: in front of a sign, or behind weights that take no factor."""
    producer = norm.x.owner
    coded = isinstance(producer, nn.ProductOp) and is_coded(producer.w)
    return coded or isinstance(sole_user(norm.result), nn.SignOp)


def keeps_accumulators(op: nn.ProductOp, ends: Ends) -> bool:
    """Whether a layer's sums are read as reals, perhaps after max pools; batch norms are those that `stays_real`.

    Where only floats follow, coded weights on signs keep them if `ends` says so. Others get codes like all layers: an
    array writes bytes, and must run weights that were coded before.
    """
    value: SSAValue = op.result
    user = sole_user(value)
    while isinstance(user, nn.MaxPoolOp | nn.GlobalMaxPoolOp):
        value = user.results[0]
        user = sole_user(value)
    if isinstance(user, nn.SignOp):
        return True
    if isinstance(user, nn.BatchNormOp):
        return ends == "sums" or _has_codes(user.result)
    return ends == "sums" and is_coded(op.w) and _are_signs(op.x) and not _has_codes(op.result)


def _are_signs(value: SSAValue) -> bool:
    """Whether a value is made of signs, perhaps moved, pooled or joined."""
    owner = value.owner
    while preserves(owner) or isinstance(owner, nn.ConcatOp):
        owner = owner.operands[0].owner
    return isinstance(owner, nn.SignOp)


def _has_codes(value: SSAValue) -> bool:
    """Whether someone reads a value as integers."""
    users = [use.operation for use in value.uses]
    return any(isinstance(u, (nn.SignOp, *_ON_INTEGERS)) or preserves(u) for u in users)


def reals_of(kept: Accumulators, user: Operation, weights: WeightStore) -> SSAValue:
    """The accumulators as reals, made before `user`."""
    name = layer_name(kept.layer)
    view = num.ViewOp(kept.value, kept.element, name)
    dequantize = num.DequantizeOp(view.result, name)
    insert_before(user, [view, dequantize], kept.layer)
    if kept.bias is None:
        return dequantize.result
    one, nothing = np.ones(len(kept.bias), np.float32), np.zeros(len(kept.bias), np.float32)
    stem, bias = key_stem(kept.layer), kept.bias.astype(np.float32)
    gamma, beta, mean, variance = (
        insert_weight(user, f"{stem}.{suffix}", array, f32, weights)
        for suffix, array in (("gamma", one), ("beta", bias), ("mean", nothing), ("variance", one))
    )
    norm = nn.BatchNormOp(dequantize.result, gamma, beta, mean, variance, epsilon=0.0, layer=name)
    insert_before(user, [norm], kept.layer)
    return norm.result


def accumulator_type(op: nn.ProductOp, scales: Floats, weights: WeightStore) -> PerChannelType:
    """The type of a layer's accumulators; its scales (K, or one for all) go into the store."""
    channels = shape_of(op.result)[1]
    key = weights.put_new(f"{key_stem(op)}.accumulator.scale", np.broadcast_to(scales, (channels,)).copy())
    return PerChannelType(SI32, IntAttr(1), StringAttr(key))


def pooled(pool: nn.LayerOp, kept: Accumulators) -> Accumulators:
    """A max pool on the accumulators themselves: it commutes with scale and bias."""
    clone = pool.clone({pool.operands[0]: kept.value})
    set_type(clone.results[0], TensorType(SI32, shape_of(pool.results[0])))
    insert_before(pool, [clone])
    return Accumulators(clone.results[0], kept.element, kept.bias, kept.layer)
