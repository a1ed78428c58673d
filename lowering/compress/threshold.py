"""Activations of few levels become comparisons of the accumulator with thresholds.

Law: exact. (a) A requantization, by integers or by a real scale, whose codes have at most `max_bits` bits gives the
same code for every accumulator, by one comparison per level instead of a multiplication. (b) Reals between integers,
`dequantize`, a batch norm, a sign, ReLU or clip, `quantize`, become comparisons too, so the float island is gone (FINN,
Umuroglu et al., FPGA 2017, section 4.2.2): its thresholds are those of real arithmetic on the stored parameters, ties
included, gamma of either sign or 0; where f32 would have rounded a value across a bound they differ from the island by
that rounding. The range of an accumulator is proven from the weights, and thresholds take the narrowest integers that
hold it. Where comparisons alone read a layer's sums, nothing reads the scales of its weights any more: they leave, and
the codes mean themselves.

```
%v = num.view %a : tensor<1x32xsi32> -> tensor<1x32x!num.per_channel<si32, 1, "f1.accumulator.scale">>
%x = num.dequantize %v : ... -> tensor<1x32xf32>
%n = nn.batch_norm %x, %gamma, %beta, %mean, %variance epsilon 1.0e-05 layer "n1" : ...
%s = nn.sign %n layer "a1" : tensor<1x32xf32> -> tensor<1x32xf32>
%q = num.quantize %s half_even : tensor<1x32xf32> -> tensor<1x32x!num.affine<!num.bipolar<1>, 1.0 : 0>>
```
becomes
```
%t = nn.weight "a1.thresholds" : tensor<32x1xsi8>
%f = nn.weight "a1.flips" : tensor<32xui1>
%q = num.threshold %a, %t, %f from -1 layer "a1" : tensor<1x32xsi32>, ... -> tensor<1x32x!num.affine<...>>
```
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import FloatData, IntAttr, ModuleOp, TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.diagnostics import did_you_mean, fail, some
from hapir.dialects import num
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.nn_products import ProductOp
from hapir.dialects.num import AffineType, PerChannelType, element_type, shape_of, signed, unsigned
from hapir.lowering.compress.accumulator_range import integers_within
from hapir.lowering.compress.activation_types import preserves
from hapir.lowering.compress.float_islands import Island, bounds_of, island_before, lines_of
from hapir.lowering.compress.requantized_signs import requantize_signs
from hapir.lowering.compress.selected_layers import globs_of
from hapir.lowering.constants import is_constant_op
from hapir.lowering.network_edits import (
    erase_dead,
    insert_before,
    insert_weight,
    key_stem,
    layer_name,
    networks_of,
    reject_fused,
    set_type,
    weight_of,
)
from hapir.quantizers.thresholds import Line, Thresholds, narrowest_width, rounding_bounds, thresholds_of
from hapir.reference.num import rescale
from hapir.selectors import matches
from hapir.weights import WeightStore

Requantization = num.RequantizeOp | num.RescaleOp

EXACT_PRODUCTS = 1 << 29
"""Accumulators of so much, times an f32 scale, are exact in a double; rescaling larger ones rounds twice, and stays."""


@dataclass(frozen=True)
class ThresholdPass(ModulePass):
    """Make activations of few levels comparisons with thresholds. Exact; comes after `quantize`.

    A binarized network needs it: the batch norm and the sign between two layers of integers have no other integer form.
    One with activations of few bits gets rid of its multiplications. Float islands of more levels than `max_bits` says
    are an error, requantizations of more levels stay.

    `max_bits`: bits of the widest codes that become thresholds; k bits take 2^k - 1 comparisons.
    `layers`: names or patterns like `c*` of the layers whose requantizations become thresholds; islands always do.
    `signs`: compare, or double the weights and let a requantizer tell the sign, which is exact too: for machines that
        have no comparators. Thresholds of several levels, and those behind a pool, stay comparisons.

    Example: `fold_batch_norm(); quantize(activations = u2, calibration = "digits_calib.npz"); threshold(max_bits = 2)`
    """

    name = "threshold"
    max_bits: int = field(default=4, metadata=bounded(at_least=1, at_most=8))
    layers: str | tuple[str, ...] = "*"
    signs: Literal["compare", "requantize"] = "compare"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            self._check_globs(network)
            _reject_floats(network)
            for old in list(network.body.block.ops):
                if isinstance(old, num.QuantizeOp) and (island := island_before(old)):
                    self._replace_island(island, weights)
                elif isinstance(old, Requantization) and self._selects(old):
                    self._replace_requantization(old, weights)
            erase_dead(network)
            _drop_unread_scales(network)
            if self.signs == "requantize":
                requantize_signs(network, weights)
                erase_dead(network)

    def _check_globs(self, network: NetworkOp) -> None:
        """Raise HapirError (HAP0208) for a glob that names no layer with a requantization."""
        names = [layer_name(op) or "" for op in network.body.block.ops if isinstance(op, Requantization)]
        for pattern in globs_of(self.layers):
            if pattern != "*" and not any(matches(name, pattern) for name in names):
                what = f"`{pattern}` selects no requantized layer of `{network.sym_name.data}`"
                known = some([f"`{name}`" for name in names if name]) or "none: call quantize() first"
                fail("HAP0208", what, at=network, help=did_you_mean(pattern, names) or f"it has {known}")

    def _selects(self, op: Requantization) -> bool:
        levels = op.high.value.data - op.low.value.data
        named = any(matches(layer_name(op) or "", pattern) for pattern in globs_of(self.layers))
        return named and 1 <= levels < 1 << self.max_bits

    def _replace_requantization(self, op: Requantization, weights: WeightStore) -> None:
        if isinstance(op, num.RescaleOp) and op.single is not None:
            if weight_of(op.scale, weights).astype(np.float32).min() > 0:
                _insert(op, op.acc, lambda first, last: _searched(op, weights, first, last), op.low.value.data, weights)
            return
        if isinstance(op, num.RescaleOp):
            first, last = integers_within(op.acc, weights)
            if max(-first, last) > EXACT_PRODUCTS:
                return
            lines = [Line(Fraction(scale)) for scale in weight_of(op.scale, weights).astype(np.float64).tolist()]
        else:
            multiplier, shift = (weight_of(v, weights).tolist() for v in (op.multiplier, op.shift))
            count = max(len(multiplier), len(shift))
            lines = [Line(Fraction(multiplier[i % len(multiplier)], 1 << shift[i % len(shift)])) for i in range(count)]
        low, zero_point = op.low.value.data, num.zero_point_of(element_type(op.result))
        codes = range(low + 1, op.high.value.data + 1)
        bounds = rounding_bounds(codes, Fraction(1), zero_point, op.rounding.data)
        _insert(op, op.acc, lambda first, last: thresholds_of(lines, bounds, first, last), low, weights)

    def _replace_island(self, island: Island, weights: WeightStore) -> None:
        low, bounds = bounds_of(island)
        if len(bounds) >= 1 << self.max_bits:
            fail(
                "HAP0541",
                f"this activation has {len(bounds) + 1} levels, thresholds are made for {1 << self.max_bits} at most",
                at=island.named,
                help=f"quantize to fewer bits, or threshold(max_bits = {len(bounds).bit_length()})",
            )
        lines = lines_of(island, weights)

        def crossings(first: int, last: int) -> Thresholds:
            return thresholds_of(lines, bounds, first, last)

        _insert(island.quantize, island.codes, crossings, low, weights, island.named)


def _searched(op: num.RescaleOp, weights: WeightStore, first: int, last: int) -> Thresholds:
    """The thresholds of a product in f32, by bisection: it rises with the accumulator, and ties where no line says."""
    low, high = op.low.value.data, op.high.value.data
    scale = weight_of(op.scale, weights).astype(np.float32)[:, np.newaxis]
    codes = np.arange(low + 1, high + 1)[np.newaxis, :]
    zero_point, rounding = num.zero_point_of(element_type(op.result)), op.rounding.data
    below = np.full((len(scale), codes.size), first - 1, np.int64)
    above = np.full_like(below, last + 1)
    while (above - below > 1).any():
        middle = (below + above) >> 1
        reached = rescale(middle, scale, zero_point, (low, high), rounding, single=True) >= codes
        below, above = np.where(reached, below, middle), np.where(reached, middle, above)
    return Thresholds(above, np.zeros(len(scale), np.bool_))


def _reject_floats(network: NetworkOp) -> None:
    """Raise HapirError (HAP0544) for a network without any integers, coded weights aside."""
    computing = (op for op in network.body.block.ops if not isinstance(op, WeightOp) and not is_constant_op(op))
    activations = [*network.body.block.args, *(result for op in computing for result in op.results)]
    if all(num.is_float(value) for value in activations):
        what = "the network computes on floats, and thresholds compare integers"
        fail("HAP0544", what, at=network, help="call quantize() before threshold()")


def _insert(
    old: Requantization | num.QuantizeOp,
    acc: SSAValue,
    thresholds_within: Callable[[int, int], Thresholds],
    low: int,
    weights: WeightStore,
    named: Operation | None = None,
) -> None:
    """Put a threshold in the place of an op; its parameters are named after `named`, else after the op.

    `thresholds_within` gives the thresholds for accumulators from the first to the last of the two it takes.
    """
    first, last = integers_within(acc, weights)
    width = narrowest_width(first, last)
    if width > 32:
        fail(
            "HAP0542",
            f"the accumulator may reach {last}, and no threshold of 32 bits lies above",
            at=named or old,
            help="use fewer bits for weights or activations",
        )
    found = thresholds_within(first, last)
    stem, dtype = key_stem(named or old), next(d for d in (np.int8, np.int16, np.int32) if width <= np.iinfo(d).bits)
    thresholds = insert_weight(old, f"{stem}.thresholds", found.levels.astype(dtype), signed(width), weights)
    flips = insert_weight(old, f"{stem}.flips", found.flips.astype(np.uint8), unsigned(1), weights)
    new = num.ThresholdOp(acc, thresholds, flips, old.result.type, low=low, layer=layer_name(named or old))
    insert_before(old, [new], named)
    new.result.name_hint = old.result.name_hint
    old.result.replace_all_uses_with(new.result)
    old.detach()
    old.erase()


def _drop_unread_scales(network: NetworkOp) -> None:
    """Give weights one scale of 1 where all that reads them are layers whose sums are compared and nothing else."""
    for op in network.body.walk():
        if not (isinstance(op, ProductOp) and isinstance(element := element_type(op.w), PerChannelType)):
            continue
        readers = [use.operation for use in op.w.uses]
        if all(isinstance(reader, ProductOp) and _is_only_compared(reader.result) for reader in readers):
            set_type(op.w, TensorType(AffineType(element.codes, FloatData(1.0), IntAttr(0)), shape_of(op.w)))


def _is_only_compared(value: SSAValue) -> bool:
    """Whether thresholds alone read sums, perhaps pooled or moved before."""
    readers = [use.operation for use in value.uses]
    return all(
        isinstance(op, num.ThresholdOp) or (preserves(op) and _is_only_compared(op.results[0])) for op in readers
    )
