"""Handlers of the family quantized: conversions between reals and codes, and the operators that compute on codes.

Sums become codes by one f32 factor, rounded half to even, as onnxruntime does: see `quantized.rescaled`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import SI32, element_type, is_float, shape_of, unsigned
from hapir.importers.onnx.codes import along_axis, spread
from hapir.importers.onnx.model import Array
from hapir.importers.onnx.nodes import MICROSOFT, Call, Unsupported, axis_in, handles
from hapir.importers.onnx.quantized import (
    as_codes,
    as_integers,
    bias_sums,
    centred_input,
    codes_of,
    dequantized,
    grid,
    less,
    quantized,
    ratios_of,
    rescaled,
    to_integers,
    weight_codes,
)
from hapir.importers.onnx.windows import window_of, windows

_TYPES: dict[int, IntegerType] = {
    2: unsigned(8),
    3: num.signed(8),
    4: unsigned(16),
    5: num.signed(16),
    6: SI32,
    21: unsigned(4),
    22: num.signed(4),
    25: unsigned(2),
    26: num.signed(2),
}
"""TensorProto's numbers of integer types that codes may have."""


# --- conversions ------------------------------------------------------------------------------------------------------


@handles("QuantizeLinear")
def quantize(call: Call) -> SSAValue:
    """Reals to codes. One constant scale makes one op, others a division, a rounding, a sum and a cast."""
    x = call.tensor(0)
    if not is_float(x):
        x = call.add(nn.CastOp(x, f32, layer=call.sub("real")))
    codes = _target(call)
    if _is_number(call, 1) and _is_number(call, 2):
        return quantized(call, x, grid(call, 1, 2, codes))
    scale, zero_point = _spread(call, 1), _spread(call, 2) if call.has(2) else None
    quotient = call.add(nn.PointwiseOp("div", [x, scale], layer=call.sub("steps")))
    return to_integers(call, quotient, zero_point, codes)


def _target(call: Call) -> IntegerType:
    """The integers that a QuantizeLinear gives."""
    if call.has(2):
        return codes_of(call.element(2))
    number = call.integer("output_dtype", 0) or 2
    if number not in _TYPES:
        raise Unsupported(f"codes of element type {number}", "integers of 2 to 16 bits")
    return _TYPES[number]


def _is_number(call: Call, index: int) -> bool:
    """Whether an input is left out or one constant number."""
    return not call.has(index) or (call.is_constant(index) and call.constant(index).size == 1)


def _spread(call: Call, index: int) -> SSAValue:
    """A scale or zero point as f32 that broadcasts over the first input: one, one per index of `axis`, or per block."""
    shape, axis, block = call.shape(0), call.integer("axis", 1), call.integer("block_size")
    if not call.is_constant(index) and not block:
        value = call.tensor(index)
        value = value if is_float(value) else call.add(nn.CastOp(value, f32, layer=call.sub(f"input{index}")))
        sizes = spread(np.empty(shape_of(value), np.int8), shape, axis, 0).shape
        if sizes == shape_of(value):
            return value
        return call.add(nn.ReshapeOp(value, sizes, axis=0, layer=call.sub(f"spread{index}")))
    array = spread(call.constant(index), shape, axis, block)
    return call.parameter("scale" if index == 1 else "zero_point", array.astype(np.float32))


@handles("DequantizeLinear")
def dequantize(call: Call) -> SSAValue:
    """Codes to reals. One constant scale makes one op, others a cast, a difference and a product."""
    element = codes_of(call.element(0))
    if element.width.data <= 16 and _is_number(call, 1) and _is_number(call, 2):
        codes = as_codes(call, call.tensor(0), grid(call, 1, 2, element))
        return call.add(num.DequantizeOp(codes, call.layer))
    real = call.add(nn.CastOp(call.tensor(0), f32, layer=call.sub("real")))
    if call.has(2):
        real = call.add(nn.SubOp(real, _spread(call, 2), layer=call.sub("centred")))
    return call.add(nn.MulOp(real, _spread(call, 1), layer=call.layer))


@handles("DynamicQuantizeLinear")
def dynamic_quantize(call: Call) -> Sequence[SSAValue]:
    """uint8 codes over the range of the input, 0 in it, with their scale and zero point; a range of 0 has scale 1."""
    x = call.tensor(0)
    axes = range(len(shape_of(x)))

    def real(value: float) -> SSAValue:
        return call.add(nn.FillOp(value, f32))

    def of(function: str, *values: SSAValue, name: str) -> SSAValue:
        return call.add(nn.PointwiseOp(function, values, layer=call.sub(name)))

    low, high = (
        of(bound, call.add(nn.ReduceOp(end, x, axes, layer=call.sub(end))), real(0.0), name=name)
        for end, bound, name in (("min", "minimum", "low"), ("max", "maximum", "high"))
    )
    width = call.add(nn.SubOp(high, low, layer=call.sub("range")))
    empty = of("equal", high, low, name="empty")
    scale = of("where", empty, real(1.0), of("div", width, real(255.0), name="width"), name="scale")
    origin = call.add(nn.SubOp(real(0.0), of("div", low, scale, name="below"), layer=call.sub("origin")))
    zero = of("round", call.add(nn.ClipOp(origin, low=0.0, high=255.0, layer=call.sub("clamped"))), name="zero")
    codes = to_integers(call, of("div", x, scale, name="steps"), zero, unsigned(8))
    return codes, scale, call.add(nn.CastOp(zero, unsigned(8), layer=call.sub("zero_point")))


# --- products ---------------------------------------------------------------------------------------------------------


def _bounds(call: Call) -> tuple[int, int] | None:
    """The clamp bounds that an activation behind the operator left on it (see `qdq`)."""
    found = call.integers("hapir_bounds")
    return (found[0], found[1]) if found else None


def _convolved(call: Call, x: SSAValue, w: SSAValue, weights: int, bias: int | None) -> SSAValue:
    """The sums of a convolution of codes."""
    kernel = list(call.shape(weights)[2:])
    if len(kernel) not in (1, 2) or len(call.shape(0)) != len(kernel) + 2:
        raise Unsupported(f"windows slide along {len(call.shape(0)) - 2} axes", "signals N x C x L, maps N x C x H x W")
    window = window_of(windows(call, call.shape(0)[2:], kernel))
    op = nn.Conv1dOp if len(kernel) == 1 else nn.Conv2dOp
    b = None if bias is None else bias_sums(call, bias)
    return call.add(op(x, w, b, window=window, groups=call.integer("group", 1), layer=call.layer))


@handles("QLinearConv")
def qlinear_conv(call: Call) -> SSAValue:
    """A convolution of codes to codes; the scale of the weights is one, or one per output channel."""
    x_type, y_type = grid(call, 1, 2), grid(call, 6, 7)
    scales = call.constant(4).astype(np.float32)
    x, w = as_codes(call, call.tensor(0), x_type), weight_codes(call, 3, scales, 5)
    sums = _convolved(call, x, w, 3, 8 if call.has(8) else None)
    ratios = ratios_of(x_type.scale.data, scales, y_type.scale.data)
    return as_integers(call, rescaled(call, sums, ratios, y_type, _bounds(call)))


@handles("ConvInteger")
def conv_integer(call: Call) -> SSAValue:
    """A convolution of integers less their zero points, in int32."""
    x, w = centred_input(call, 0, 2), weight_codes(call, 1, np.ones(1, np.float32), 3)
    return _convolved(call, x, w, 1, None)


def _multiplied(call: Call, a: int, b: int, scales: Array, x_scale: float) -> tuple[SSAValue, bool]:
    """The sums of a product of matrices at these inputs, and whether their columns stand along axis 1.

    So they do where a constant matrix makes a dense layer of it, or of stacked matrices a convolution of width 1, whose
    result is still to be turned.
    """
    a_zero, b_zero = _zero_points(call, a, b)
    rows = len(call.shape(a))
    fits = call.is_constant(b) and len(call.shape(b)) == 2 and rows in (2, 3) and not call.is_constant(a)
    if fits and _is_number(call, a_zero) and (call.is_constant(b_zero) or not call.has(b_zero)):
        x = centred_input(call, a, a_zero, x_scale)
        if rows == 2:
            return call.add(nn.DenseOp(x, weight_codes(call, b, scales, b_zero, columns=True), layer=call.layer)), True
        turned = call.add(nn.TransposeOp(x, (0, 2, 1), layer=call.sub("turned")))
        w = weight_codes(call, b, scales, b_zero, columns=True, taps=True)
        return call.add(nn.Conv1dOp(turned, w, window=Window((1, 1)), layer=call.layer)), True
    left = _less_rows(call, a, a_zero)
    right = _less_columns(call, b, b_zero)
    return call.add(nn.MatmulOp(left, right, layer=call.layer)), False


def _turned_back(call: Call, value: SSAValue) -> SSAValue:
    """Columns behind rows again, where stacked matrices were convolved."""
    if len(shape_of(value)) == 2:
        return value
    return call.add(nn.TransposeOp(value, (0, 2, 1), layer=call.sub("back")))


def _zero_points(call: Call, a: int, b: int) -> tuple[int, int]:
    """Where the zero points of two matrices stand: behind both, or each behind its scale."""
    return (2, 3) if call.node.op == "MatMulInteger" else (a + 2, b + 2)


def _less_rows(call: Call, index: int, zero_point: int) -> SSAValue:
    """The left matrix in si32, less its zero point: one, or one per row."""
    if call.is_constant(index) or not call.has(zero_point) or not call.is_constant(zero_point):
        return less(call, index, zero_point, SI32)
    return _less(call, index, call.constant(zero_point), -2)


def _less_columns(call: Call, index: int, zero_point: int) -> SSAValue:
    """The right matrix in si32, less its zero point: one, or one per column."""
    if not call.has(zero_point) or not call.is_constant(zero_point):
        return less(call, index, zero_point, SI32)
    return _less(call, index, call.constant(zero_point), -1)


def _less(call: Call, index: int, zeros: Array, axis: int) -> SSAValue:
    shape = call.shape(index)
    offset = zeros.astype(np.int32)
    if offset.ndim == 1 and len(shape) > 1:
        offset = along_axis(offset, axis_in(axis, len(shape)), len(shape))
    if call.is_constant(index):
        return call.parameter(f"input{index}", call.constant(index).astype(np.int32) - offset)
    wide = call.add(nn.CastOp(call.tensor(index), SI32, layer=call.sub(f"input{index}_wide")))
    if not offset.any():
        return wide
    zero = call.parameter(f"zero{index}", offset if offset.size > 1 else offset.reshape(()))
    return call.add(nn.PointwiseOp("wrapping_sub", [wide, zero], layer=call.sub(f"input{index}_centred")))


@handles("MatMulInteger")
def matmul_integer(call: Call) -> SSAValue:
    """A product of integer matrices less their zero points, in int32."""
    sums, columns_first = _multiplied(call, 0, 1, np.ones(1, np.float32), 1.0)
    return _turned_back(call, sums) if columns_first else sums


def _product_ratios(scales: Array, rows: Array, y_scale: float) -> Array:
    """Ratios of a product of matrices, one per row and column."""
    product = rows.astype(np.float32).reshape(-1, 1) * scales.astype(np.float32).reshape(1, -1)
    return (product / np.float32(y_scale)).astype(np.float32)


@handles("QLinearMatMul")
def qlinear_matmul(call: Call) -> SSAValue:
    """A product of matrices of codes to codes; scales are one, one per row on the left, one per column on the right."""
    y_type, rows, scales = grid(call, 6, 7), call.constant(1), call.constant(4)
    if rows.size != 1 and call.is_constant(3):
        raise Unsupported("each row of the first matrix has a scale of its own", "one scale for all rows")
    sums, columns_first = _multiplied(call, 0, 3, scales.astype(np.float32), float(rows.reshape(-1)[0]))
    ratios = _product_ratios(scales, rows, y_type.scale.data)
    if columns_first:
        y = as_integers(call, rescaled(call, sums, ratios.reshape(-1), y_type, _bounds(call)))
        return _turned_back(call, y)
    if len(call.shape(3)) == 1:  # a column: the rows come last
        ratios = ratios.T
    if len(shape_of(sums)) == 1:
        ratios = ratios.reshape(-1)
    return as_integers(call, rescaled(call, sums, ratios, y_type, _bounds(call)))


@handles("QGemm", domain=MICROSOFT)
def qgemm(call: Call) -> SSAValue:
    """A dense layer of codes with constant weights, to codes or, without a scale of the result, to reals."""
    if call.integer("transA") or len(call.shape(0)) != 2:
        raise Unsupported("its first matrix is turned", "transA = 0")
    alpha, scales = np.float32(call.real("alpha", 1.0)), call.constant(4).astype(np.float32)
    x_type = grid(call, 1, 2, codes_of(call.element(0)))
    x = as_codes(call, call.tensor(0), x_type)
    if not call.is_constant(3):
        raise Unsupported("its weights are computed", "an initializer")
    w = weight_codes(call, 3, scales, 5, columns=not call.integer("transB"))
    sums = call.add(nn.DenseOp(x, w, bias_sums(call, 6, shape_of(w)[0]), layer=call.layer))
    factors = np.float32(x_type.scale.data) * scales.reshape(-1) * alpha
    if not call.has(7):
        real = call.add(nn.CastOp(sums, f32, layer=call.sub("real")))
        factor = call.parameter("scale", factors if factors.size > 1 else factors.reshape(()))
        return call.add(nn.MulOp(real, factor, layer=call.sub("scaled")))
    y_type = grid(call, 7, 8)
    ratios = factors / np.float32(y_type.scale.data)
    return as_integers(call, rescaled(call, sums, ratios, y_type, _bounds(call)))


# --- operators of onnxruntime on codes --------------------------------------------------------------------------------


@handles("QLinearConcat", domain=MICROSOFT)
def qlinear_concat(call: Call) -> SSAValue:
    """Tensors of codes of several scales, joined on the scale of the result."""
    y_type = grid(call, 0, 1)
    parts: list[SSAValue] = []
    for index in range(2, call.count, 3):
        value = call.tensor(index)
        if grid(call, index + 1, index + 2, codes_of(element_type(value))) == y_type:
            parts.append(value)
        else:
            real = dequantized(call, index, index + 1, index + 2)
            parts.append(quantized(call, real, y_type, call.sub(f"part{index // 3}")))
    axis = axis_in(call.integer("axis"), len(shape_of(parts[0])))
    return call.add(nn.ConcatOp(parts, axis=axis, layer=call.layer))


@handles("QLinearGlobalAveragePool", domain=MICROSOFT)
def qlinear_global_average_pool(call: Call) -> SSAValue:
    """The mean of the codes of each channel, as codes of another scale."""
    shape = call.shape(0)
    if call.integer("channels_last"):
        raise Unsupported("channels stand last", "channels_last = 0")
    if len(shape) not in (3, 4):
        raise Unsupported(f"it takes the mean over {len(shape) - 2} axes", "signals N x C x L, maps N x C x H x W")
    x_type, y_type = grid(call, 1, 2, codes_of(call.element(0))), grid(call, 3, 4, codes_of(call.element(0)))
    kernel = (shape[2], shape[3]) if len(shape) == 4 else (1, shape[2])
    x = as_codes(call, call.tensor(0), x_type)
    sums = call.add(nn.SumPoolOp(x, window=Window(kernel), layer=call.layer))
    size = np.float32(kernel[0] * kernel[1])
    ratio = np.float32(x_type.scale.data) / (np.float32(y_type.scale.data) * size)
    return as_integers(call, rescaled(call, sums, np.array([ratio], np.float32), y_type))
