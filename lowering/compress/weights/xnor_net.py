"""XNOR-Net: layers that multiply signs of activations by signs of weights.

Law: lossy; a layer of input x and weights w computes on `half * sign(x - threshold) + middle` and `scale * sign(w)`,
with `scale = mean |w|` of an output channel or tensor (Rastegari et al., XNOR-Net, ECCV 2016, section 3). `half` joins
the scale of the weights, and `middle` the bias, so that the layer itself sees signs alone.

The paper scales activations by a map K, one factor per position of the output, which no accumulator of integers can
hold. Here the factor is one number per layer: by calibration the mean of |x|, which has the least squared error, or 1.

```
%c = nn.conv2d %x, %w window <3x3> groups 1 layer "c2" : (tensor<1x16x8x8xf32>, tensor<32x16x3x3xf32>) -> ...
```
becomes
```
%s = nn.sign %x layer "c2.sign" : tensor<1x16x8x8xf32> -> tensor<1x16x8x8xf32>
%b = nn.weight "c2.weight.xnor_net" {max_error = 0.31 : f64, sqnr_db = 4.2 : f64}
    : tensor<32x16x3x3x!num.scaled<!num.bipolar<1>, "c2.weight.xnor_net.scale">>
%w = num.dequantize %b : ... -> tensor<32x16x3x3xf32>
%c = nn.conv2d %s, %w window <3x3> groups 1 layer "c2" : ...
```
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeGuard

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import HapirContext, hapir_context
from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.nn_products import ConvolutionOp, ProductOp, TransposedConvolutionOp
from hapir.dialects.num import shape_of
from hapir.lowering.compress.activation_types import preserves
from hapir.lowering.compress.binary_zeros import check_signs
from hapir.lowering.compress.coded_weights import insert_coded
from hapir.lowering.compress.observe_activations import calibration_data
from hapir.lowering.compress.two_levels import Levels, centred_levels, symmetric_levels
from hapir.lowering.compress.weight_slots import Granularity, WeightSlot, weight_slots
from hapir.lowering.network_edits import (
    as_f32,
    erase_unused_weights,
    insert_before,
    insert_weight,
    key_stem,
    layer_name,
    networks_of,
    real_weight_of,
    reject_fused,
    reject_quantized,
    weight_op_of,
)
from hapir.lowering.network_edits import replace as replace_op
from hapir.quantizers.bwn import bwn
from hapir.quantizers.coded import Floats
from hapir.quantizers.scale_groups import scale_shape
from hapir.weights import WeightStore

EPSILON = 1e-12
"""Of the batch norm that subtracts a threshold: `sqrt(1 + epsilon)` is 1 in f32."""


@dataclass(frozen=True)
class XnorNetPass(ModulePass):
    """Signs of weights and of activations, with one scale per filter. Lossy; for weights alone there is `bwn`.

    Inputs of layers that are signs already stay; recurrent layers get binary weights alone. Padding of a convolution
    stays 0, between the two signs. As in the paper, leave out the first and the last layer.

    `layers`: names of layers, or patterns like `c*`.
    `calibration`: an .npz or .safetensors file with arrays named like the network's inputs: the mean of |x| over it
        scales the signs of x. Without it they are -1 and 1.
    `center`: split x at its mean instead of at 0 and give each side its mean, for inputs that are never negative, as
        behind a ReLU; needs `calibration`.
    `granularity`: one scale of the weights for each output channel (of a transposed convolution, for each input
        channel), or one for a tensor (of a recurrent layer, for each gate).
    `zeros`: refuse layers with many weights of 0, or let all zeros become positive.
    `samples`: use only the first so many of the data.

    Example: `xnor_net(layers = "f1", calibration = "digits_calib.npz", center = true)`
    """

    name = "xnor_net"
    layers: str | tuple[str, ...] = "*"
    calibration: str | None = None
    center: bool = False
    granularity: Granularity = "channel"
    zeros: Literal["refuse", "positive"] = "refuse"
    samples: int | None = field(default=None, metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if self.center and self.calibration is None:
            raise ValueError("xnor_net has `center` and no `calibration`: data must show where the mean is")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place.

        Raises HapirError: HAP0530, HAP0531, HAP0533, HAP0534; HAP0401 and HAP0405 for the data; and as `code_weights`.
        """
        context = hapir_context(ctx)
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            slots = weight_slots(network, self.layers)
            levels = self._levels(network, slots, context)
            signs: dict[SSAValue, SSAValue] = {}
            for slot in slots:
                self._binarize(slot, levels, signs, context.weights)
            erase_unused_weights(network)

    def _levels(self, network: nn.NetworkOp, slots: list[WeightSlot], context: HapirContext) -> dict[SSAValue, Levels]:
        """What becomes of each input that layers shall read as signs."""
        readers = {slot.op.operands[0]: slot.op for slot in slots if _takes_signs(slot.op)}
        if self.calibration is None:
            levels = {x: Levels(0.0, 0.0 if _never_negative(x) else -1.0, 1.0) for x in readers}
        else:
            data = calibration_data(network, context.data_file(self.calibration), self.samples)
            find = centred_levels if self.center else symmetric_levels
            levels = find(network, context.weights, data, readers)
        for x, found in levels.items():
            if found.low == (found.high if self.center else 0):
                fail(
                    "HAP0533",
                    f"the input of `{layer_name(readers[x])}` is {'constant' if self.center else 'never negative'}: "
                    "its sign would say nothing",
                    at=readers[x],
                    help="leave this layer out"
                    if self.center
                    else "split it at its mean with `center = true`, or put a batch norm in the place of the relu",
                )
        return levels

    def _binarize(
        self, slot: WeightSlot, levels: dict[SSAValue, Levels], signs: dict[SSAValue, SSAValue], weights: WeightStore
    ) -> None:
        op, exact = slot.op, real_weight_of(slot.value, weights)
        groups = slot.blocks(self.granularity)
        check_signs(exact, slot, self.zeros, scale_shape(exact.shape, groups))
        coded = bwn(exact, groups)
        if not _takes_signs(op):
            op.operands[slot.index] = insert_coded(slot, coded, exact, weights, self.name)
            return
        x, found = op.operands[0], levels[op.operands[0]]
        if x not in signs:
            signs[x] = _insert_sign(op, x, found.threshold, weights)
        scaled = replace(coded, scales=as_f32(coded.scales * np.float64(found.half), key_stem(op), op))
        w = insert_coded(slot, scaled, exact * found.half, weights, self.name)
        if found.middle != 0:
            sums = coded.reals().reshape(len(exact), -1).sum(axis=1, dtype=np.float64)
            op = _with_offset(op, found.middle * sums, weights)
        op.operands[0], op.operands[1] = signs[x], w


def _takes_signs(op: Operation) -> TypeGuard[ProductOp | TransposedConvolutionOp]:
    """Whether a layer reads one input, which is no sign yet."""
    return isinstance(op, ProductOp | TransposedConvolutionOp) and not isinstance(op.x.owner, nn.SignOp)


def _never_negative(value: SSAValue) -> bool:
    """Whether an activation comes from a ReLU, or a clip from 0 on, through nothing but moves and max pools."""
    while preserves(op := value.owner):
        if isinstance(op, nn.ReluOp) or (isinstance(op, nn.ClipOp) and op.low.value.data >= 0):
            return True
        value = op.operands[0]
    return False


def _insert_sign(user: Operation, x: SSAValue, threshold: float, weights: WeightStore) -> SSAValue:
    """The sign of `x - threshold` in front of a layer; the difference is a batch norm, which quantize can fold."""
    stem = key_stem(user)
    if threshold != 0:
        channels = shape_of(x)[1]
        parameters = {"gamma": 1.0, "beta": 0.0, "mean": threshold, "variance": 1.0}
        values = [
            insert_weight(user, f"{stem}.center.{name}", np.full(channels, number, np.float32), f32, weights)
            for name, number in parameters.items()
        ]
        norm = nn.BatchNormOp(x, *values, epsilon=EPSILON, layer=f"{stem}.center")
        insert_before(user, [norm])
        x = norm.result
    sign = nn.SignOp(x, layer=f"{stem}.sign")
    insert_before(user, [sign])
    return sign.results[0]


def _with_offset(op: Operation, offset: Floats, weights: WeightStore) -> ProductOp:
    """The layer with numbers added to its bias, one per filter. Raises HapirError (HAP0534) for a padded one."""
    if not isinstance(op, ProductOp) or (isinstance(op, ConvolutionOp) and any(op.window.window.padding)):
        fail(
            "HAP0534",
            f"the padding of `{layer_name(op)}` is 0, which is neither of the two levels",
            at=op,
            help="leave this layer out, or pad its input first",
        )
    old = 0.0 if op.bias is None else real_weight_of(op.bias, weights)
    key = f"{key_stem(op)}.bias" if op.bias is None else weight_op_of(op.bias).key.data
    bias = insert_weight(op, f"{key}.xnor_net", old + offset, f32, weights)
    new = op.on(op.x, op.w, bias)
    new.attributes.update(op.attributes)
    replace_op(op, new)
    return new
