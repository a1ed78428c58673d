"""Rewrite a float network into the quantized form, given the type of each activation.

One rule per op. A value lives as integers, as floats, or as both: `_integers` and `_reals` make the missing one where
it is first needed, so float tails (softmax) and float results get their `num.dequantize` and nothing else does.
Invariants: new ops carry the location and layer name of the op they replace; the network verifies afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import FloatData, IntAttr, StringAttr, TensorType, f32
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import nn, num
from hapir.dialects.formats import Integer
from hapir.dialects.nn_shapes import Window, as_map
from hapir.dialects.num import (
    AffineType,
    PerChannelType,
    Rounding,
    code_range,
    element_type,
    integer_range,
    shape_of,
    signed,
)
from hapir.lowering.compress.accumulator_range import ACCUMULATOR_LIMIT, accumulator_bound, largest_magnitude
from hapir.lowering.compress.activation_types import preserves
from hapir.lowering.compress.annotations import asked_weight_width
from hapir.lowering.compress.coded_weights import codes_type, scaled_of, table_rows
from hapir.lowering.compress.kept_accumulators import (
    Accumulators,
    Ends,
    accumulator_type,
    keeps_accumulators,
    pooled,
    reals_of,
)
from hapir.lowering.compress.layer_parameters import IntegerParameters, keep_parameters, quantize_parameters
from hapir.lowering.compress.requantization import RatioError, common_scale, fixed_points
from hapir.lowering.compress.weight_blocks import Granularity, scale_blocks
from hapir.lowering.compress.weight_slots import WeightSlot
from hapir.lowering.constants import is_constant_op
from hapir.lowering.network_edits import (
    decoded_weight_of,
    erase_unused_weights,
    insert_before,
    insert_weight,
    key_stem,
    layer_name,
    parameter_key,
    set_type,
)
from hapir.quantizers.uniform import UniformRule
from hapir.reference.nn import window_sizes
from hapir.reference.values import dtype_of
from hapir.weights import WeightStore

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class IntegerFormat:
    """What the integers of weights and requantizers look like."""

    weights: UniformRule
    """How weights become integers that are not coded yet; its width is that of layers which ask for no other."""
    granularity: Granularity
    group: int
    multiplier_bits: int
    max_shift: int
    rounding: Rounding
    requantize: Literal["integer", "float"]
    ends: Ends
    """What a last layer of coded weights hands on."""


@dataclass
class IntegerRewrite:
    """The rewriting of one network. `types` holds the affine type of each float activation.

    `_accumulators` have reals but no codes; `_activations` are reals that have codes for whoever asks.
    """

    network: nn.NetworkOp
    weights: WeightStore
    types: dict[SSAValue, AffineType]
    format: IntegerFormat
    _as_integers: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    _as_reals: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    _accumulators: dict[SSAValue, Accumulators] = field(default_factory=dict[SSAValue, Accumulators])
    _activations: set[SSAValue] = field(default_factory=set[SSAValue])
    _replaced: list[Operation] = field(default_factory=list[Operation])

    def run(self) -> None:
        """Rewrite in program order, then drop the float ops. Raises HapirError (HAP0508, HAP0509) from the rules."""
        for op in list(self.network.body.block.ops):
            match op:
                case nn.WeightOp():
                    continue
                case _ if is_constant_op(op):
                    continue
                case nn.ProductOp() if keeps_accumulators(op, self.format.ends):
                    self._keep(op)
                    continue
                case nn.MaxPoolOp() | nn.GlobalMaxPoolOp() if op.x in self._accumulators:
                    self._accumulators[op.result] = pooled(op, self._accumulators[op.x])
                    self._replaced.append(op)
                    continue
                case nn.ProductOp():
                    results = [self._sum_of_products(op)]
                case nn.AddOp():
                    results = [self._add(op)]
                case nn.AvgPoolOp() | nn.GlobalAvgPoolOp() if self._has_integers(op):
                    results = [self._average(op)]
                case nn.ConcatOp() if self._has_integers(op):
                    results = [self._concat(op)]
                case nn.SplitOp() if self._has_integers(op):
                    results = self._same_integers(op)
                case nn.LayerOp() if preserves(op) and self._has_integers(op):
                    results = self._same_integers(op)
                case _:
                    for index, value in enumerate(op.operands):
                        op.operands[index] = self._reals(value, op)
                    if isinstance(op, nn.SignOp | nn.BatchNormOp):
                        self._activations.update(op.results)
                    continue
            for old, new in zip(op.results, results, strict=True):
                new.name_hint = old.name_hint
                self._as_integers[old] = new
            self._replaced.append(op)
        for op in reversed(self._replaced):
            op.detach()
            op.erase()
        erase_unused_weights(self.network)
        self.network.set_result_types()

    def _has_integers(self, op: nn.LayerOp) -> bool:
        """Whether every operand is integers already, or an input: pooling or moving floats gains nothing from them."""
        known = (self._as_integers, self._activations)
        return all(any(v in values for values in known) or not isinstance(v.owner, nn.LayerOp) for v in op.operands)

    def _integers(self, value: SSAValue, user: Operation) -> SSAValue:
        """The value as integers; quantized before `user` where it has none yet."""
        if value not in self._as_integers:
            if value not in self.types:
                fail("HAP0508", "this operand has no observed range: it is a parameter or an integer", at=user)
            type_ = TensorType(self.types[value], shape_of(value))
            quantize = num.QuantizeOp(value, type_, Rounding.half_even, layer_name(user))
            insert_before(user, [quantize])
            quantize.result.name_hint = value.name_hint
            self._as_integers[value] = quantize.result
        return self._as_integers[value]

    def _reals(self, value: SSAValue, user: Operation) -> SSAValue:
        """The value as floats; dequantized before `user` where only integers are left of it."""
        if value.owner not in self._replaced:
            return value
        if value in self._accumulators and value not in self._as_reals:
            self._as_reals[value] = reals_of(self._accumulators[value], user, self.weights)
            self._as_reals[value].name_hint = value.name_hint
        if value not in self._as_reals:
            owner = value.owner
            assert isinstance(owner, Operation)
            dequantize = num.DequantizeOp(self._as_integers[value], layer_name(owner))
            insert_before(user, [dequantize], owner)
            dequantize.result.name_hint = value.name_hint
            self._as_reals[value] = dequantize.result
        return self._as_reals[value]

    def _sum_of_products(self, op: nn.ProductOp) -> SSAValue:
        accumulators, parameters = self._accumulate(op, self._bias(op))
        return self._requantize(op, accumulators, parameters.ratios, self.types[op.result])

    def _accumulate(self, op: nn.ProductOp, bias: Reals | None) -> tuple[SSAValue, IntegerParameters]:
        """The sums of a layer in si32."""
        x, x_type, y_type = self._integers(op.x, op), self.types[op.x], self.types[op.result]
        parameters, codes = self._kept(op, bias, x_type, y_type) or self._rounded(op, bias, x_type, y_type)
        self._prove_fits(op, parameters, x_type)
        w, integer_bias = self._parameter_values(op, parameters, codes)
        accumulate = op.on(x, w, integer_bias)
        insert_before(op, [accumulate])
        return accumulate.result, parameters

    def _keep(self, op: nn.ProductOp) -> None:
        """A layer whose sums are read as reals; its bias stays real with them."""
        accumulators, parameters = self._accumulate(op, None)
        accumulators.name_hint = op.result.name_hint
        scales = self.types[op.x].scale.data * parameters.scales.astype(np.float64)
        element = accumulator_type(op, scales, self.weights)
        self._accumulators[op.result] = Accumulators(accumulators, element, self._bias(op), op)
        self._replaced.append(op)

    def _kept(
        self, op: nn.ProductOp, bias: Reals | None, x_type: AffineType, y_type: AffineType
    ) -> tuple[IntegerParameters, Attribute] | None:
        """The integers of weights that are coded already, and the set they are from; None where they cannot stay."""
        coded, asked = scaled_of(op.w, self.weights), asked_weight_width(op)
        if coded is None:
            return None
        scales = x_type.scale.data, y_type.scale.data
        parameters = keep_parameters(coded, bias, *scales)
        if parameters is None:
            return None
        if asked not in (None, coded.bits):
            what = f"these weights are to have {asked} bits, and are coded in {coded.bits} already"
            fail("HAP0529", what, at=op, help="ask for a format before the weights are coded, or not at all")
        unsigned = isinstance(coded.format, Integer) and not coded.format.signed
        return parameters, signed(coded.bits + 1) if unsigned else codes_type(coded.format)

    def _rounded(
        self, op: nn.ProductOp, bias: Reals | None, x_type: AffineType, y_type: AffineType
    ) -> tuple[IntegerParameters, Attribute]:
        """The integers nearest to real weights, of the width that the layer asks for.

        Weights from a table get one scale per row of it, so that they stay as few different numbers as they are.
        """
        width = asked_weight_width(op) or self.format.weights.width
        rule = replace(self.format.weights, width=width)
        blocks = scale_blocks(WeightSlot(op, 1), self.format.granularity, self.format.group)
        rows = table_rows(op.w, self.weights)
        if rows is not None:
            blocks = (rows, *blocks[1:])
        w, scales = decoded_weight_of(op.w, self.weights), (x_type.scale.data, y_type.scale.data)
        return quantize_parameters(w, bias, *scales, rule, blocks), signed(width)

    def _bias(self, op: nn.ProductOp) -> Reals | None:
        return None if op.bias is None else decoded_weight_of(op.bias, self.weights)

    def _prove_fits(self, op: nn.ProductOp, parameters: IntegerParameters, x_type: AffineType) -> None:
        bound = accumulator_bound(parameters.w, parameters.bias, _magnitude(x_type))
        if bound.max() >= ACCUMULATOR_LIMIT:
            channel = int(bound.argmax())
            fail(
                "HAP0509",
                f"the accumulator of output channel {channel} may reach {bound[channel]}, more than si32 holds",
                at=op,
                help="use fewer bits for weights or activations",
            )

    def _parameter_values(
        self, op: nn.ProductOp, parameters: IntegerParameters, codes: Attribute
    ) -> tuple[SSAValue, SSAValue | None]:
        key = parameter_key(op.w)
        one_channel = len(parameters.w) == 1 and self.format.granularity != "tensor"
        if len(parameters.scales) > 1 or one_channel:
            scale_key = self.weights.put_new(f"{key}.scale", parameters.scales)
            element: Attribute = PerChannelType(codes, IntAttr(0), StringAttr(scale_key))
        else:
            element = AffineType(codes, FloatData(float(parameters.scales[0])), IntAttr(0))
        stored = parameters.w.astype(dtype_of(element))
        w = insert_weight(op, f"{key}.integer", stored, element, self.weights, op.w.name_hint)
        if op.bias is None or parameters.bias is None:
            return w, None
        key = f"{parameter_key(op.bias)}.integer"
        bias = parameters.bias.astype(np.int32)
        return w, insert_weight(op, key, bias, signed(32), self.weights, op.bias.name_hint)

    def _requantize(
        self, op: Operation, accumulator: SSAValue, ratios: npt.NDArray[np.float64], y_type: AffineType
    ) -> SSAValue:
        """Bring accumulators to the output's type, by integer multipliers and shifts or by real scales."""
        if self.format.requantize == "float":
            return self._rescale(op, accumulator, ratios, y_type)
        try:
            multipliers, shifts = fixed_points(ratios, self.format.multiplier_bits, self.format.max_shift)
        except RatioError as error:
            fail("HAP0508", f"the output cannot be rescaled: {error}", at=op, help="use more `multiplier_bits`")
        width = 16 if self.format.multiplier_bits <= 16 else 32
        stored = multipliers.astype(np.dtype(f"uint{width}"))
        stem = key_stem(op)
        multiplier = insert_weight(op, f"{stem}.multiplier", stored, num.unsigned(width), self.weights)
        shift = insert_weight(op, f"{stem}.shift", shifts, num.UI8, self.weights)
        low, high = integer_range(y_type.storage)
        result = TensorType(y_type, shape_of(accumulator))
        requantize = num.RequantizeOp(
            accumulator,
            multiplier,
            shift,
            result,
            rounding=self.format.rounding,
            low=low,
            high=high,
            layer=layer_name(op),
        )
        insert_before(op, [requantize])
        return requantize.result

    def _rescale(
        self, op: Operation, accumulator: SSAValue, ratios: npt.NDArray[np.float64], y_type: AffineType
    ) -> SSAValue:
        scale = insert_weight(op, f"{key_stem(op)}.rescale", ratios, f32, self.weights)
        low, high = code_range(y_type)
        rescale = num.RescaleOp(
            accumulator,
            scale,
            TensorType(y_type, shape_of(accumulator)),
            rounding=self.format.rounding,
            low=low,
            high=high,
            layer=layer_name(op),
        )
        insert_before(op, [rescale])
        return rescale.result

    def _add(self, op: nn.AddOp) -> SSAValue:
        left, right = self._integers(op.lhs, op), self._integers(op.rhs, op)
        common = common_scale(self.types[op.lhs].scale.data, self.types[op.rhs].scale.data)
        wide = [num.WidenOp(left, common.left, op.layer_name), num.WidenOp(right, common.right, op.layer_name)]
        total = nn.AddOp(wide[0].result, wide[1].result, layer=op.layer_name)
        insert_before(op, [*wide, total])
        y_type = self.types[op.result]
        return self._requantize(op, total.result, np.array([common.scale / y_type.scale.data]), y_type)

    def _average(self, op: nn.AvgPoolOp | nn.GlobalAvgPoolOp) -> SSAValue:
        x, x_type, y_type = self._integers(op.x, op), self.types[op.x], self.types[op.result]
        if isinstance(op, nn.AvgPoolOp):
            window, divisor = op.window.window, _divisor(op)
        else:
            _, _, height, width = as_map(shape_of(op.x))
            window = Window((height, width))
            divisor = window.kernel[0] * window.kernel[1]
        reach = window.kernel[0] * window.kernel[1] * _magnitude(x_type)
        if reach >= ACCUMULATOR_LIMIT:
            fail("HAP0509", f"the sum over a window may reach {reach}, more than si32 holds", at=op)
        total = nn.SumPoolOp(x, window=window, layer=op.layer_name)
        insert_before(op, [total])
        ratio = x_type.scale.data / (divisor * y_type.scale.data)
        return self._requantize(op, total.result, np.array([ratio]), y_type)

    def _concat(self, op: nn.ConcatOp) -> SSAValue:
        y_type = self.types[op.result]
        inputs = [self._converted(self._integers(v, op), y_type, op) for v in op.inputs]
        joined = nn.ConcatOp(inputs, axis=op.axis.value.data, layer=op.layer_name)
        insert_before(op, [joined])
        return joined.result

    def _converted(self, value: SSAValue, y_type: AffineType, op: nn.LayerOp) -> SSAValue:
        """Integers of another affine type, by widening and requantizing; the same value where the type is the same."""
        x_type = element_type(value)
        assert isinstance(x_type, AffineType)
        if x_type == y_type:
            return value
        wide = num.WidenOp(value, 1, op.layer_name)
        insert_before(op, [wide])
        return self._requantize(op, wide.result, np.array([x_type.scale.data / y_type.scale.data]), y_type)

    def _same_integers(self, op: nn.LayerOp) -> list[SSAValue]:
        """Ops that mean the same on integers: cloned onto them, where need be by way of codes that have a zero."""
        integers = self._integers(op.operands[0], op)
        if op.results[0] in self.types and element_type(integers) != self.types[op.results[0]]:
            integers = self._with_zero(integers, self.types[op.results[0]], op)
        clone = op.clone({op.operands[0]: integers})
        for result, type_ in zip(clone.results, clone.implied_types(), strict=True):
            set_type(result, type_)
        insert_before(op, [clone])
        return list(clone.results)

    def _with_zero(self, value: SSAValue, type_: AffineType, op: nn.LayerOp) -> SSAValue:
        """Bipolar codes as codes of another type: the same integers where only their set is wider."""
        x_type = element_type(value)
        assert isinstance(x_type, AffineType)
        if (x_type.storage, x_type.scale, x_type.zero_point) != (type_.storage, type_.scale, type_.zero_point):
            return self._converted(value, type_, op)
        view = num.ViewOp(value, type_, op.layer_name)
        insert_before(op, [view])
        return view.result


def _magnitude(type_: AffineType) -> int:
    """The largest |q - zero_point| of an affine type."""
    low, high = code_range(type_)
    return largest_magnitude(low, high, type_.zero_point.data)


def _divisor(op: nn.AvgPoolOp) -> int:
    """The divisor of an average pool. Raises HapirError (HAP0508) where it differs from window to window."""
    window = op.window.window
    if op.count_include_pad.value.data:
        return window.kernel[0] * window.kernel[1]
    _, _, height, width = as_map(shape_of(op.x))
    sizes = window_sizes(height, width, window)
    if sizes.min() != sizes.max():
        fail(
            "HAP0508",
            f"the windows of this average pool hold {sizes.min()} to {sizes.max()} elements: one divisor is needed",
            at=op,
            help="set count_include_pad = true, or pool without padding",
        )
    return int(sizes.min())
