"""Post-training quantization: the float network becomes integers with float edges.

Law: lossy, deterministic; `sqnr_per_layer` reports what each layer lost. Weights are symmetric, activations affine over
the range that calibration data shows; accumulators are proven to fit si32 from the actual weights, never assumed.
Softmax, argmax and every op without an integer form stay float, between a dequantization and, where integers follow,
a quantization; so do ReLU, pools, concat and what moves data, where they come behind such floats. A batch norm must be
folded first; one that stands alone becomes a depthwise convolution.

```
%c = nn.conv2d %x, %w bias %b window <3x3> groups 1 layer "c1" : (tensor<1x1x8x8xf32>, ...) -> tensor<1x4x6x6xf32>
%r = nn.relu %c layer "r1" : tensor<1x4x6x6xf32> -> tensor<1x4x6x6xf32>
```
becomes, with `!a` and `!b` affine types on ui8,
```
%q = num.quantize %x half_even layer "c1" : tensor<1x1x8x8xf32> -> tensor<1x1x8x8x!a>
%a = nn.conv2d %q, %wq bias %bq window <3x3> groups 1 layer "c1" : (tensor<1x1x8x8x!a>,
    tensor<4x1x3x3x!num.per_channel<si8, 0, "c1.weight.scale">>, tensor<4xsi32>) -> tensor<1x4x6x6xsi32>
%c = num.requantize %a, %m, %s half_up bounds 0, 255 layer "c1" : ... -> tensor<1x4x6x6x!b>
%r = nn.relu %c layer "r1" : tensor<1x4x6x6x!b> -> tensor<1x4x6x6x!b>
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import HapirContext, hapir_context
from hapir.diagnostics import fail
from hapir.dialects import num
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import Rounding
from hapir.lowering.compress.activation_types import activation_types
from hapir.lowering.compress.annotations import ActivationFormat, WeightFormat, drop_annotations, storage_named
from hapir.lowering.compress.calibration import Method, RangeRule
from hapir.lowering.compress.fold_batch_norm import (
    batch_norm_to_convolution,
    batch_norms,
    fold_into,
    fold_target,
)
from hapir.lowering.compress.integer_rewrite import IntegerFormat, IntegerRewrite
from hapir.lowering.compress.kept_accumulators import Ends, stays_real
from hapir.lowering.compress.observe_activations import calibration_data, observe_activations
from hapir.lowering.network_edits import networks_of, reject_encoded, reject_fused, reject_quantized
from hapir.quantizers.uniform import UniformRule, WeightMethod
from hapir.weights import WeightStore


@dataclass(frozen=True)
class QuantizePass(ModulePass):
    """Post-training quantization from calibration data. Lossy; accumulators proven to fit.

    Annotations (see `precision`) go before `weights`, `activations` and `method`, layer by layer.

    `calibration`: an .npz or .safetensors file with arrays named like the network's inputs, relative to the spec.
    `weights`: the format of weights; those that are coded already, with a scale per output channel or tensor, keep
        their codes, and those of a codebook get a scale per codebook, so that they stay as few different numbers.
    `activations`: the format of activations.
    `granularity`: one weight scale per output channel, per group of output channels, or per tensor.
    `group`: how many output channels a group has, or the next smaller number that divides them.
    `weight_method`: how much of the weights the codes cover: extremes, a percentile of the magnitudes, the clipping
        that maximizes the signal-to-quantization-noise ratio, or that refined to the least squared error.
    `method`: how the range of activations is chosen: extremes, two-sided percentile, the clipping that maximizes the
        signal-to-quantization-noise ratio, that refined to the least squared error, or gamma, mean and standard
        deviation of what a layer gives before its ReLU.
    `percentile`: the share of the values that a range covers, in per cent; of method percentile.
    `sigmas`: how many standard deviations method gamma covers; what suits the number of bits where it is not given.
    `requantize`: accumulators become codes by an integer factor and a shift, as hardware does, or by an f32 scale, as
        processors with a floating-point unit may.
    `multiplier_bits`: the width of the factor of the target's requantizer.
    `max_shift`: how far that requantizer can shift right.
    `rounding`: how that requantizer rounds.
    `ends`: what a last layer of coded weights on signs, or one in front of a batch norm that is not folded, hands on to
        the floats behind it: its sums as they are, or codes.
    `samples`: use only the first so many of the data.

    Example: `fold_batch_norm(); quantize(weights = i8, activations = u8, calibration = "digits_calib.npz")`
    """

    name = "quantize"
    calibration: str
    weights: WeightFormat = "i8"
    activations: ActivationFormat = "u8"
    granularity: Literal["channel", "tensor", "group"] = "channel"
    group: int = field(default=4, metadata=bounded(at_least=1))
    weight_method: WeightMethod = "min_max"
    method: Method = "min_max"
    percentile: float = field(default=99.99, metadata=bounded(above=50, at_most=100))
    sigmas: float | None = field(default=None, metadata=bounded(above=0))
    requantize: Literal["integer", "float"] = "integer"
    multiplier_bits: int = field(default=16, metadata=bounded(at_least=2, at_most=31))
    max_shift: int = field(default=47, metadata=bounded(at_least=0, at_most=num.RequantizeOp.MAX_SHIFT))
    rounding: Literal["half_even", "half_up", "half_away", "floor"] = "half_up"
    ends: Ends = "sums"
    samples: int | None = field(default=None, metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        context = hapir_context(ctx)
        for network in networks_of(op):
            self._quantize(network, context)

    def _quantize(self, network: NetworkOp, context: HapirContext) -> None:
        reject_fused(network)
        reject_quantized(network)
        reject_encoded(network)
        convert_batch_norms(network, context.weights)
        data = calibration_data(network, context.data_file(self.calibration), self.samples)
        rule = RangeRule(self.method, self.percentile, self.sigmas)
        seen = observe_activations(network, context.weights, data, histograms=rule.needs_histogram)
        types = activation_types(network, seen, storage_named(self.activations), rule)
        integer_format = IntegerFormat(
            weights=UniformRule(int(self.weights[1:]), self.weight_method, self.percentile),
            granularity=self.granularity,
            group=self.group,
            multiplier_bits=self.multiplier_bits,
            max_shift=self.max_shift,
            rounding=Rounding(self.rounding),
            requantize=self.requantize,
            ends=self.ends,
        )
        IntegerRewrite(network, context.weights, types, integer_format).run()
        for op in network.walk():
            drop_annotations(op)


def convert_batch_norms(network: NetworkOp, weights: WeightStore) -> None:
    """Make batch norms that stand alone convolutions, and fold those that follow them, but for those that stay real.

    Raises HapirError (HAP0507) where one could have been folded into a layer of the spec.
    """
    norms = [norm for norm in batch_norms(network) if not stays_real(norm)]
    for norm in norms:
        if fold_target(norm) is not None:
            what = "this batch norm is not folded into the layer before it"
            fail("HAP0507", what, at=norm, help="call fold_batch_norm() before quantize")
    for norm in norms:
        layer = fold_target(norm)
        if layer is None:
            batch_norm_to_convolution(norm, weights)
        else:
            fold_into(layer, norm, weights)
