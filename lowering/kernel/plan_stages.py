"""Pointwise ops as stages: what a kernel applies to each element before it is stored.

A stage sees one element and its channel; its constants are numbers or one table with an entry per channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import Float32Type, IntegerType
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, PerChannelType, element_type, integer_range, storage_of, zero_point_of
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import DTYPES, CType
from hapir.lowering.kernel.pack_weights import INT32_MAX
from hapir.lowering.kernel.plan_scaling import plan_scaling, plan_steps
from hapir.lowering.kernel.stages import (
    Apply,
    Clamp,
    Dequantize,
    Function,
    Join,
    Quantize,
    Requantize,
    Rescale,
    ScaleShift,
    Stage,
    Threshold,
    ToBf16,
    Widen,
)
from hapir.reference.num import check_ascending
from hapir.weights import GIVE_WEIGHTS, Array, WeightStore

POINTWISE = (
    num.RequantizeOp,
    num.RescaleOp,
    num.ThresholdOp,
    num.WidenOp,
    num.QuantizeOp,
    num.DequantizeOp,
    nn.ReluOp,
    nn.ClipOp,
    nn.BatchNormOp,
    *(nn.SigmoidOp, nn.SignOp, nn.TanhOp, nn.HardSwishOp, nn.SiluOp, nn.GeluOp, nn.LeakyReluOp, nn.HardSigmoidOp),
)
"""Ops with one activation operand (the first) that work element by element."""


_FUNCTIONS: dict[type[Operation], Function] = {
    nn.SigmoidOp: "sigmoid",
    nn.SignOp: "sign",
    nn.TanhOp: "tanh",
    nn.HardSwishOp: "hard_swish",
    nn.SiluOp: "silu",
    nn.GeluOp: "gelu",
}


def ctype_of(element: Attribute, at: Operation) -> CType:
    """The C type that holds an element type. Raises HapirError (HAP0701) where there is none."""
    if isinstance(element, Float32Type):
        return "float"
    storage = storage_of(element)
    if storage is None or storage.width.data > 64:
        fail("HAP0701", f"the C target has no type for {element}", at=at, help="use f32 or integers up to 64 bits")
    bits = next(bits for bits in (8, 16, 32, 64) if storage.width.data <= bits)
    return cast(CType, f"{'int' if num.is_signed(storage) else 'uint'}{bits}_t")


def range_of(element: Attribute) -> tuple[int, int] | None:
    """The range of an integer element type; None of floats."""
    storage = storage_of(element)
    return None if storage is None else integer_range(storage)


def stored(weights: WeightStore, key: str, at: Operation) -> Array:
    """An array of the store. Raises HapirError (HAP0423) where the key is missing."""
    if key not in weights:
        fail("HAP0423", f"there are no weights `{key}`", at=at, help=GIVE_WEIGHTS)
    return weights[key]


def constant(weights: WeightStore, value: SSAValue, at: Operation) -> Array:
    """The array behind a parameter operand, in the dtype of its type.

    Raises HapirError: HAP0703 where it is not an `nn.weight`, HAP0704 where a value is not finite.
    """
    owner = value.owner
    if not isinstance(owner, nn.WeightOp):
        fail("HAP0703", f"the C target needs constant parameters for {at.name}", at=at, help="use an `nn.weight`")
    array = stored(weights, owner.key.data, owner)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        fail("HAP0704", f"the weights `{owner.key.data}` hold values that are not finite", at=at)
    return array.astype(DTYPES[ctype_of(element_type(value), at)], copy=False).reshape(num.shape_of(value))


def activation_of(op: Operation) -> SSAValue:
    """The operand of a pointwise op that flows through the network."""
    return op.operands[0]


def stages_of(
    op: Operation, weights: WeightStore, role: str, bounds: tuple[int, int] | None = None
) -> tuple[Stage, ...]:
    """The stages of a pointwise op on integers within `bounds`; `role` names its tables.

    Raises HapirError as `constant` and `ctype_of` do.
    """
    match op:
        case num.RequantizeOp():
            return (_requantize(op, weights, role, bounds),)
        case num.ThresholdOp():
            return (_threshold(op, weights, role),)
        case num.RescaleOp():
            return (_rescale(op, weights, role),)
        case num.WidenOp():
            storage = storage_of(element_type(op.q))
            assert storage is not None
            return (Widen(zero_point_of(element_type(op.q)), op.multiplier.value.data, storage.width.data > 16),)
        case num.QuantizeOp():
            return (_quantize(op, weights, role),)
        case num.DequantizeOp():
            scale, zero_point = _scale(element_type(op.q), op, weights, role)
            return (Dequantize(scale, zero_point, _is_single(scale, zero_point, bounds)),)
        case nn.ReluOp():
            element = element_type(op.x)
            return (Clamp(zero_point_of(element), None, ctype_of(element, op)),)
        case nn.ClipOp():
            return (_clip(op),)
        case nn.BatchNormOp():
            return (_batch_norm(op, weights, role),)
        case nn.LeakyReluOp():
            return (Apply("leaky_relu", (op.slope.value.data,)),)
        case nn.HardSigmoidOp():
            return (Apply("hard_sigmoid", (op.slope.value.data, op.offset.value.data)),)
        case nn.FloatActivationOp() if type(op) in _FUNCTIONS:
            return (Apply(_FUNCTIONS[type(op)]),)
        case _:
            raise AssertionError(f"{op.name} is not pointwise")


def _requantize(op: num.RequantizeOp, weights: WeightStore, role: str, bounds: tuple[int, int] | None) -> Requantize:
    multiplier, shift = constant(weights, op.multiplier, op), constant(weights, op.shift, op)
    if int(shift.max()) > op.MAX_SHIFT:
        fail("HAP0705", f"a shift of {shift.max()} is past {op.MAX_SHIFT}", at=op)
    element = element_type(op.result)
    zero_point, rounding = zero_point_of(element), op.rounding.data
    scaled = plan_scaling(multiplier, shift, bounds or (-INT32_MAX - 1, INT32_MAX), rounding, zero_point)
    if scaled is not None:
        multiplier, shift = scaled.multiplier, scaled.shift
    return Requantize(
        multiplier=_number_or_table(multiplier, f"{role}.multiplier", _unsigned_for(multiplier)),
        shift=_number_or_table(shift, f"{role}.shift", "uint8_t"),
        rounding=rounding,
        zero_point=zero_point,
        low=op.low.value.data,
        high=op.high.value.data,
        narrow=int(multiplier.max()) < 1 << 31,
        ctype=ctype_of(element, op),
        scaling=scaled.form if scaled is not None else None,
    )


def _unsigned_for(values: Array) -> CType:
    """The smallest type for multipliers that are not negative."""
    largest = int(values.max())
    return "uint8_t" if largest < 1 << 8 else "uint16_t" if largest < 1 << 16 else "uint32_t"


def _is_single(scale: Table | float, zero_point: int, bounds: tuple[int, int] | None) -> bool:
    """Whether a float holds the scale and every difference: their product is then rounded once either way."""
    if bounds is None or isinstance(scale, Table) or float(np.float32(scale)) != scale:
        return False
    return max(abs(v - zero_point) for v in bounds) <= 1 << 24


def _threshold(op: num.ThresholdOp, weights: WeightStore, role: str) -> Threshold:
    thresholds, flips = constant(weights, op.thresholds, op), constant(weights, op.flips, op)
    check_ascending(thresholds, op)
    return Threshold(
        thresholds=Table(f"{role}.thresholds", ctype_of(element_type(op.thresholds), op), thresholds.T.reshape(-1)),
        flips=int(flips[0]) if (flips == flips[0]).all() else Table(f"{role}.flips", "uint8_t", flips),
        count=op.levels,
        shared=len(thresholds) == 1,
        low=op.low.value.data,
        step=op.step,
        ctype=ctype_of(element_type(op.result), op),
    )


def _rescale(op: num.RescaleOp, weights: WeightStore, role: str) -> Rescale:
    element, scale, single = element_type(op.result), constant(weights, op.scale, op), op.single is not None
    ctype: CType = "float" if single else "double"
    return Rescale(
        float(scale[0]) if (scale == scale[0]).all() else Table(f"{role}.scale", ctype, scale.astype(DTYPES[ctype])),
        op.rounding.data,
        zero_point_of(element),
        op.low.value.data,
        op.high.value.data,
        ctype_of(element, op),
        single,
    )


def _number_or_table(values: Array, role: str, ctype: CType) -> Table | int:
    flat = values.reshape(-1)
    return int(flat[0]) if (flat == flat[0]).all() else Table(role, ctype, flat.astype(DTYPES[ctype]))


def _quantize(op: num.QuantizeOp, weights: WeightStore, role: str) -> Quantize:
    element = element_type(op.result)
    scale, zero_point = _scale(element, op, weights, role)
    bounds = range_of(element)
    assert bounds is not None
    rounding, single = op.rounding.data, op.single is not None
    if single and isinstance(scale, Table):
        scale = Table(scale.role, "float", scale.values.astype(np.float32))
    steps = None if single or isinstance(scale, Table) else plan_steps(scale, zero_point, bounds, rounding)
    return Quantize(scale, zero_point, rounding, *bounds, ctype_of(element, op), steps, single)


def _scale(element: Attribute, op: Operation, weights: WeightStore, role: str) -> tuple[Table | float, int]:
    """The scale (a number, or a table over channels) and zero point of a quantized activation."""
    if isinstance(element, AffineType):
        return element.scale.data, element.zero_point.data
    assert isinstance(element, PerChannelType)
    if element.axis.data != 1:
        fail("HAP0706", f"the C target scales activations along axis 1, not {element.axis.data}", at=op)
    scales = stored(weights, element.scales.data, op).astype(np.float64).reshape(-1)
    return Table(f"{role}.scale", "double", scales), 0


def _clip(op: nn.ClipOp) -> Clamp:
    element, low, high = element_type(op.x), op.low.value.data, op.high.value.data
    ctype = ctype_of(element, op)
    if isinstance(element, AffineType):
        return Clamp(num.on_grid(element, low), num.on_grid(element, high), ctype)
    if isinstance(element, IntegerType):
        fail("HAP0707", "clip has no meaning on raw integers", at=op, help="requantize first")
    largest = float(np.finfo(np.float32).max)
    return Clamp(low if low >= -largest else None, high if high <= largest else None, ctype)


def _batch_norm(op: nn.BatchNormOp, weights: WeightStore, role: str) -> ScaleShift:
    gamma, beta, mean, variance = (
        constant(weights, v, op).astype(np.float64) for v in (op.gamma, op.beta, op.mean, op.variance)
    )
    deviation = np.sqrt(np.maximum(variance + op.epsilon.value.data, 0.0))
    if not deviation.all():
        fail("HAP0704", "a channel of this batch norm has no variance", at=op, help="raise epsilon")
    scale = gamma / deviation
    shift = beta - mean * scale
    return ScaleShift(
        Table(f"{role}.scale", "float", scale.astype(np.float32)),
        Table(f"{role}.shift", "float", shift.astype(np.float32)),
    )


def stage_tables(stages: tuple[Stage, ...]) -> list[Table]:
    """The tables that stages read, in order."""
    found: list[Table] = []
    for stage in stages:
        match stage:
            case Requantize():
                parameters: tuple[object, ...] = (stage.multiplier, stage.shift)
            case Threshold():
                parameters = (stage.thresholds, stage.flips)
            case Quantize() | Dequantize() | Rescale():
                parameters = (stage.scale,)
            case ScaleShift():
                parameters = (stage.scale, stage.shift)
            case Join():
                parameters = tuple(stage_tables(stage.stages))
            case Clamp() | Widen() | Apply() | ToBf16():
                parameters = ()
        found += [p for p in parameters if isinstance(p, Table)]
    return found


def rising(stages: Sequence[Stage]) -> bool:
    """Whether a larger number never gives a smaller result, so that a maximum may be taken before the stages."""

    def positive(scale: Table | float) -> bool:
        return bool(np.all(scale.values.astype(np.float64) > 0)) if isinstance(scale, Table) else scale > 0

    def rises(stage: Stage) -> bool:
        match stage:
            case Requantize() | Clamp():
                return True
            case Rescale() | Quantize() | Dequantize():
                return positive(stage.scale)
            case _:
                return False

    return all(map(rises, stages))
