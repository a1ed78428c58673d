"""Fixed-point formats per layer: choose where the binary point of weights, and of results, lies.

Law: lossy; every weight is a value of its format, no further from it than one step (half of one by the half modes,
below the end of the range). Weights become codes with one scale `2^-FB` per layer; a float network computes with their
reals, and a later `quantize` keeps them. With `activation_bits` each layer's result, and the network's inputs, are
annotated for that `quantize` with formats whose scales are powers of two as well, so that requantization is a shift.
Calibration data show the ranges; a result behind a ReLU is unsigned and has no sign bit.

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `fixed_point(bits = 8)`, where the largest magnitude is 0.8
```
%c = nn.weight "c1.weight.fixed" {format = "fixed(integer = 1, fraction = 7)", max_error = 0.0039 : f64,
    sqnr_db = 40.1 : f64} : tensor<16x1x3x3x!num.scaled<si8, "c1.weight.fixed.scale">>
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import HapirContext, hapir_context
from hapir.dialects import nn
from hapir.dialects.formats import Fixed, Integer
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import DequantizeOp, Rounding
from hapir.lowering.compress.activation_types import line_from
from hapir.lowering.compress.annotations import ask_for, asked_of
from hapir.lowering.compress.calibration import Observed
from hapir.lowering.compress.coded_weights import insert_coded, warn_of_norms
from hapir.lowering.compress.observe_activations import calibration_data, observe_activations
from hapir.lowering.compress.selected_layers import selected_ops
from hapir.lowering.compress.weight_slots import WeightSlot, weight_slots
from hapir.lowering.network_edits import (
    erase_unused_weights,
    networks_of,
    real_weight_of,
    reject_fused,
    reject_quantized,
    weight_op_of,
)
from hapir.quantizers.coded import Scaled
from hapir.quantizers.fixed_point import Floats, PointMethod, choose_fixed, fixed_codes, format_for
from hapir.reference.num import round_real
from hapir.registered import spell
from hapir.weights import WeightStore

_MAKES_INTEGERS = (nn.ProductOp, nn.AddOp, nn.AvgPoolOp, nn.GlobalAvgPoolOp, nn.ConcatOp)
"""The ops that quantize gives integers of their own; all others pass them on, or stay floats."""


@dataclass(frozen=True)
class FixedPointPass(ModulePass):
    """Give each layer a fixed-point format of its own. Lossy; the loss of each parameter is written to the IR.

    `bits`: of a weight, the sign among them.
    `layers`: names of layers, or patterns like `c*`.
    `method`: the point is as far left as all values fit, or where the signal-to-quantization-noise ratio is best.
    `rounding`: of weights.
    `activation_bits`: bits of the layers' results and of the inputs; without it they are left to quantize.
    `calibration`: what shows the ranges of results: an .npz or .safetensors file with arrays named like the network's
        inputs, relative to the spec. Needed for `activation_bits`.
    `samples`: use only the first so many of the data.

    Example: `fixed_point(bits = 6, method = sqnr)`
    """

    name = "fixed_point"
    bits: int = field(default=8, metadata=bounded(at_least=2, at_most=16))
    layers: str | tuple[str, ...] = "*"
    method: PointMethod = "max_abs"
    rounding: Literal["half_even", "half_up", "half_away", "floor"] = "half_even"
    activation_bits: int | None = field(default=None, metadata=bounded(at_least=1, at_most=8))
    calibration: str | None = None
    samples: int | None = field(default=None, metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if (self.activation_bits is None) != (self.calibration is None):
            raise ValueError("`activation_bits` and `calibration` need each other: data show the ranges of results")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (HAP0208, HAP0404, HAP0405, HAP0506, HAP0595)."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            warn_of_norms(network, self.layers, context)
            slots = weight_slots(network, self.layers)
            if self.activation_bits is not None:
                self._annotate(network, context, self.activation_bits)
            for slot in slots:
                self._code(slot, context.weights)
            erase_unused_weights(network)

    def _round(self, values: Floats) -> Floats:
        return round_real(values, Rounding(self.rounding))

    def _code(self, slot: WeightSlot, weights: WeightStore) -> None:
        """Codes in the place of one weight."""
        exact = real_weight_of(slot.value, weights)
        format = choose_fixed(exact.ravel(), None, self.bits, self.method, self._round)
        codes = fixed_codes(exact, format, self._round).astype(np.int8 if self.bits <= 8 else np.int16)
        scales = np.full([1] * exact.ndim, 2.0**-format.fraction, np.float32)
        value = insert_coded(slot, Scaled(codes, Integer(self.bits), scales), exact, weights, "fixed")
        assert isinstance(value.owner, DequantizeOp)
        weight_op_of(value.owner.q).attributes["format"] = StringAttr(spell(format))
        slot.op.operands[slot.index] = value

    def _annotate(self, network: NetworkOp, context: HapirContext, bits: int) -> None:
        """Ask for formats of the layers' results, and of the network's inputs, which share one."""
        assert self.calibration is not None
        data = calibration_data(network, context.data_file(self.calibration), self.samples)
        seen = observe_activations(network, context.weights, data, histograms=self.method == "sqnr")
        layers = [op for op in selected_ops(network, self.layers) if isinstance(op, _MAKES_INTEGERS)]
        lines = {op: line_from(op.results[0]) for op in layers}
        for op, line in lines.items():
            if not line.request:
                self._ask(op, self._format_of(seen[line.last], bits), bits)
        inputs = [self._format_of(seen[value], bits) for value in network.body.block.args if value in seen]
        if inputs and not asked_of(network):
            signed, point = any(f.signed for f in inputs), max(f.integer - f.signed for f in inputs)
            self._ask(network, format_for(point, bits, signed=signed), bits)

    def _ask(self, op: Operation, format: Fixed, bits: int) -> None:
        ask_for(op, activations=f"{'i' if format.signed else 'u'}{bits}", range=format.range)

    def _format_of(self, seen: Observed, bits: int) -> Fixed:
        signed = seen.low < 0 and bits > 1
        if seen.counts is None:
            values, counts = np.array([min(seen.low, 0.0), seen.high]), None
        else:
            values, counts = seen.centres(), seen.counts
        if not signed:
            values = np.maximum(values, 0.0)
        return choose_fixed(values, counts, bits, self.method, np.rint, signed=signed)
