"""Handlers of the family qonnx: what QONNX quantizes while the network runs. Weights became codes before (see `codes`).

The numbers are those of QONNX's own execution: reals on a grid. Where one scale and no zero point make the grid, the
codes have a type of their own, and what follows may compute on them; else the grid is made step by step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import FloatData, IntAttr, TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, BipolarType, Rounding, shape_of, signed, unsigned
from hapir.importers.onnx.codes import quant_range
from hapir.importers.onnx.model import Array
from hapir.importers.onnx.nodes import QONNX_DOMAINS, Call, Handler, Unsupported, handles
from hapir.importers.onnx.quantized import affine, single_number

_ROUNDINGS = {
    "ROUND": Rounding.half_even,
    "HALF_EVEN": Rounding.half_even,
    "FLOOR": Rounding.floor,
}
"""The modes that conversions of the IR have; HALF_UP adds a half in f32, which may reach the next whole number."""


def _in_all_domains(*ops: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for domain in QONNX_DOMAINS:
            handles(*ops, domain=domain)(handler)
        return handler

    return register


@_in_all_domains("Quant", "IntQuant")
def quant(call: Call) -> SSAValue:
    """Reals on the grid of integers of some bits."""
    x, scale, zero_point, bits = call.tensor(0), call.constant(1), call.constant(2), _bits(call, 3)
    is_signed, narrow = bool(call.integer("signed", 1)), bool(call.integer("narrow", 0))
    mode = call.word("rounding_mode", "ROUND").upper()
    if bits == 1 and is_signed:
        return _sign_of(call, x, scale, zero_point)
    low, high = quant_range(bits, is_signed=is_signed, narrow=narrow)
    if scale.size == 1 and not zero_point.any() and mode in _ROUNDINGS and bits + is_signed > 1 and bits <= 16:
        element = affine((signed if is_signed else unsigned)(bits), float(scale.reshape(())), 0)
        result = TensorType(element, shape_of(x))
        codes = call.add(num.QuantizeOp(x, result, _ROUNDINGS[mode], call.sub("q"), single=True))
        if narrow:
            step = element.scale.data
            codes = call.add(nn.ClipOp(codes, low=low * step, high=high * step, layer=call.sub("narrow")))
        return call.add(num.DequantizeOp(codes, call.layer))
    whole = _steps(call, x, scale, zero_point)
    bounded = call.add(nn.ClipOp(whole, low=float(low), high=float(high), layer=call.sub("clamped")))
    return _reals(call, _rounded(call, bounded, mode), scale, zero_point)


@_in_all_domains("BipolarQuant")
def bipolar_quant(call: Call) -> SSAValue:
    """The sign of each number, times a scale."""
    return _sign_of(call, call.tensor(0), call.constant(1), np.zeros((), np.float32))


@_in_all_domains("Trunc")
def trunc(call: Call) -> SSAValue:
    """Reals on a grid of integers with their lowest bits cut off, of version 1 or 2 of the operator."""
    x, scale, zero_point = call.tensor(0), call.constant(1), call.constant(2)
    mode = call.word("rounding_mode", "FLOOR").upper()
    whole = call.add(nn.PointwiseOp("round", [_steps(call, x, scale, zero_point)], layer=call.sub("whole")))
    if call.count > 5:
        if scale.size != 1:
            raise Unsupported(f"the scale has shape {scale.shape}", "one number for the whole tensor")
        out_scale, out_bits = np.asarray(call.constant(4), np.float32), _bits(call, 5)
        factor = np.float32(2.0 ** np.round(np.log2(out_scale / scale))).reshape(())
        is_signed, narrow = bool(call.integer("signed", 1)), bool(call.integer("narrow", 0))
        low, high = quant_range(out_bits, is_signed=is_signed, narrow=narrow)
        shifted = _divided(call, whole, factor)
        cut = call.add(nn.ClipOp(shifted, low=float(low), high=float(high), layer=call.sub("clamped")))
        return _reals(call, _rounded(call, cut, mode), out_scale, zero_point / factor)
    factor = np.float32(2.0 ** (_bits(call, 3) - _bits(call, 4)))
    return _reals(call, _rounded(call, _divided(call, whole, factor), mode), scale, zero_point)


@_in_all_domains("MultiThreshold")
def multi_threshold(call: Call) -> SSAValue:
    """How many of its channel's thresholds each number has reached, times a scale and with a bias."""
    thresholds, layout = np.asarray(call.constant(1), np.float32), call.word("data_layout", "NCHW")
    shape = call.shape(0)
    if layout == "NHWC":
        raise Unsupported("its channels come last", "channels first: `data_layout` NCHW, NCW or NC")
    axis = min(1, len(shape) - 1)
    rows = [len(thresholds) if i == axis else 1 for i in range(len(shape))]
    levels = _parameter(call, "thresholds", thresholds.reshape(*rows, thresholds.shape[1]))
    wide = call.add(nn.ReshapeOp(call.tensor(0), (*shape[1:], 1), layer=call.sub("wide")))
    reached = call.add(nn.PointwiseOp("greater_equal", [wide, levels], layer=call.sub("reached")))
    ones = call.add(nn.CastOp(reached, f32, layer=call.sub("ones")))
    count = call.add(nn.ReduceOp("sum", ones, [len(shape)], layer=call.sub("count")))
    scale, bias = (np.asarray(call.real(name, default)) for name, default in (("out_scale", 1.0), ("out_bias", 0.0)))
    scaled = call.add(nn.MulOp(count, _parameter(call, "step", scale), layer=call.sub("scaled")))
    return call.add(nn.AddOp(scaled, _parameter(call, "start", bias), layer=call.layer))


def _bits(call: Call, index: int) -> int:
    bits = single_number(call, index, "number of bits")
    if bits != int(bits) or not 1 <= bits <= 24:
        raise Unsupported(f"there are {bits} bits", "a whole number of 1 to 24 bits")
    return int(bits)


def _steps(call: Call, x: SSAValue, scale: Array, zero_point: Array) -> SSAValue:
    """`x / scale + zero_point`."""
    steps = call.add(nn.PointwiseOp("div", [x, _parameter(call, "scale", scale)], layer=call.sub("steps")))
    if not zero_point.any():
        return steps
    return call.add(nn.AddOp(steps, _parameter(call, "zero_point", zero_point), layer=call.sub("shifted")))


def _divided(call: Call, x: SSAValue, factor: npt.ArrayLike) -> SSAValue:
    return call.add(nn.PointwiseOp("div", [x, _parameter(call, "factor", factor)], layer=call.sub("divided")))


def _reals(call: Call, whole: SSAValue, scale: Array, zero_point: Array) -> SSAValue:
    """`(whole - zero_point) * scale`."""
    if zero_point.any():
        offset = _parameter(call, "offset", zero_point)
        whole = call.add(nn.SubOp(whole, offset, layer=call.sub("centred")))
    return call.add(nn.MulOp(whole, _parameter(call, "step", scale), layer=call.layer))


def _sign_of(call: Call, x: SSAValue, scale: Array, zero_point: Array) -> SSAValue:
    """`sign(x / scale + zero_point)` on the grid; of a positive scale and no zero point the sign of x."""
    if zero_point.any() or not (scale > 0).all():
        x = _steps(call, x, scale, zero_point)
    sign = call.add(nn.SignOp(x, layer=call.sub("sign")))
    if zero_point.any() or scale.size != 1 or not scale.reshape(()) > 0:
        return _reals(call, sign, scale, zero_point)
    signs = AffineType(BipolarType(1), FloatData(1.0), IntAttr(0))
    codes = call.add(num.QuantizeOp(sign, TensorType(signs, shape_of(x)), layer=call.sub("q"), single=True))
    if scale.reshape(()) != 1:
        scaled = AffineType(BipolarType(1), FloatData(float(scale.reshape(()))), IntAttr(0))
        codes = call.add(num.ViewOp(codes, scaled, call.sub("scaled")))
    return call.add(num.DequantizeOp(codes, call.layer))


def _rounded(call: Call, x: SSAValue, mode: str) -> SSAValue:
    """Numbers rounded by one of QONNX's modes; those that go by magnitude take the sign apart."""

    def of(function: str, *values: SSAValue, name: str) -> SSAValue:
        return call.add(nn.PointwiseOp(function, values, layer=call.sub(name)))

    if mode in ("ROUND", "HALF_EVEN", "FLOOR", "CEIL"):
        return of({"FLOOR": "floor", "CEIL": "ceil"}.get(mode, "round"), x, name="rounded")
    size = of("abs", x, name="size")
    half = _parameter(call, "half", np.float32(0.5))
    match mode:
        case "UP":
            size = of("ceil", size, name="whole")
        case "DOWN":
            size = of("floor", size, name="whole")
        case "HALF_UP":
            size = of("floor", call.add(nn.AddOp(size, half, layer=call.sub("more"))), name="whole")
        case "HALF_DOWN":
            size = of("ceil", call.add(nn.SubOp(size, half, layer=call.sub("less"))), name="whole")
        case _:
            raise Unsupported(f"the rounding mode is `{mode}`", "ROUND, CEIL, FLOOR, UP, DOWN, HALF_UP or HALF_DOWN")
    return call.add(nn.MulOp(of("signum", x, name="side"), size, layer=call.sub("rounded")))


def _parameter(call: Call, suffix: str, array: npt.ArrayLike) -> SSAValue:
    values = np.asarray(array, np.float32)
    return call.parameter(suffix, values.reshape(()) if values.size == 1 else values, f32)
