"""Convolutions, dense layers and matrix products: of floats, and of codes in each style."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, code_bits, element_type, shape_of
from hapir.exporters.onnx import exact, proto
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.conversions import BIASES, put_sums, quant
from hapir.exporters.onnx.elementwise import give_cast
from hapir.exporters.onnx.forms import WIDE_OPSET, dequantize_linear, reals_of
from hapir.exporters.onnx.styles import Style, Unit, Unsayable, carried_dtype
from hapir.exporters.onnx.units import plain


def window_attributes(window: Window, rank: int, *, dilated: bool = True) -> dict[str, Any]:
    """A window as attributes; over a sequence (rank 3) it is its row."""
    first = 4 - rank
    top, left, bottom, right = window.padding
    pads = [left, right] if rank == 3 else [top, left, bottom, right]
    attributes: dict[str, Any] = {
        "kernel_shape": list(window.kernel[first:]),
        "strides": list(window.stride[first:]),
        "pads": pads,
    }
    return attributes | ({"dilations": list(window.dilation[first:])} if dilated else {})


@writes(nn.Conv2dOp, nn.Conv1dOp)
def convolution(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.ConvolutionOp)
    attributes: dict[str, Any] = {**window_attributes(op.window.window, len(call.shape())), "group": op.filter_groups}
    if call.is_float:
        call.give("Conv", *_parameters(call), **attributes)
    else:
        _integer_product(call, op, attributes)


def _parameters(call: Call) -> list[str]:
    return [call.x(i) for i in range(len(call.op.operands))]


@writes(nn.DenseOp)
def dense(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.DenseOp)
    if call.is_float:
        call.give("Gemm", *_parameters(call), transB=1)
    else:
        _integer_product(call, op, None)


def _integer_product(call: Call, op: nn.ProductOp, attributes: dict[str, Any] | None) -> None:
    """A product of codes; without attributes it is a dense layer."""
    if op.multiplier is not None:
        what = f"the multiplier model `{op.multiplier_text}` is no function of ONNX"
        raise Unsayable(what, "leave use_multiplier() out: the network then multiplies exactly")
    if call.style == Style.INTEGER:
        exact.product(call, op, attributes)
        return
    element = element_type(op.x)
    assert isinstance(element, AffineType)
    unit = call.builder.units[op.result]
    scale = plain(np.asarray(unit / element.scale.data))
    inputs = [reals_of(call.builder, op.x), _weights(call, op.w, scale)]
    if op.bias is not None:
        inputs.append(_bias(call, op.bias, unit))
    output = call.builder.unused(f"{call.layer}/sums")
    kind = "Gemm" if attributes is None else "Conv"
    options: dict[str, Any] = {"transB": 1} if attributes is None else attributes
    call.builder.node(kind, inputs, [output], name=call.layer, at=op, **options)
    put_sums(call, output)


def _weights(call: Call, w: SSAValue, scale: Unit) -> str:
    """The reals of weight codes under a scale, a number or one per filter."""
    codes, element, rank = call.builder.stored(w), element_type(w), len(shape_of(w))
    key = w.owner.key.data if isinstance(w.owner, nn.WeightOp) else call.layer
    if call.style == Style.QONNX:
        shaped = scale.reshape(-1, *(1,) * (rank - 1)) if scale.ndim else scale
        reals = call.builder.array(key, (codes * shaped).astype(np.float32))
        return _quantized(call, key, reals, shaped, element)
    four_bits = call.opset >= WIDE_OPSET and code_bits(element) == 4
    name = call.builder.array(key, codes, four_bits=four_bits)
    if four_bits:
        return _dequantize_four_bits(call, name, key, scale, codes.dtype)
    return dequantize_linear(call.builder, name, key, scale, 0, codes.dtype, 0, at=call.op)


def _dequantize_four_bits(call: Call, name: str, key: str, scale: Unit, dtype: np.dtype[Any]) -> str:
    """DequantizeLinear of int4 or uint4; without a zero point, which is 0."""
    output = call.builder.unused(f"{key}/reals")
    scales = call.builder.array(f"{key}/scale", scale.astype(np.float32))
    axis = 0 if scale.ndim else None
    call.builder.node("DequantizeLinear", [name, scales], [output], name=f"{key}/dequantize", at=call.op, axis=axis)
    return output


def _bias(call: Call, bias: SSAValue, unit: Unit) -> str:
    """The reals of a bias in si32."""
    codes, element = call.builder.stored(bias), element_type(bias)
    key = bias.owner.key.data if isinstance(bias.owner, nn.WeightOp) else call.layer
    if call.style == Style.QONNX:
        reals = call.builder.array(key, (codes * unit).astype(np.float32))
        bits = 1 + max(int(codes.max(initial=0)), -1 - int(codes.min(initial=0))).bit_length()
        # of more bits f32 holds what is near them, as a bias that nobody quantized
        return reals if bits > BIASES else _quantized(call, key, reals, unit, element, bits)
    name = call.builder.array(key, codes)
    return dequantize_linear(call.builder, name, key, unit, 0, codes.dtype, 0, at=call.op)


def _quantized(call: Call, key: str, reals: str, scale: Unit, element: Attribute, bits: int | None = None) -> str:
    output = call.builder.unused(f"{key}/quant")
    quant(call, output, reals, output, scale, element, bits=bits)
    return output


@writes(nn.TransposedConv2dOp, nn.TransposedConv1dOp)
def transposed_convolution(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.TransposedConvolutionOp)
    rank = len(call.shape())
    attributes: dict[str, Any] = {**window_attributes(op.window.window, rank), "group": op.groups.value.data}
    extra = list(op.extra_sizes)[4 - rank :]
    call.give("ConvTranspose", *_parameters(call), output_padding=extra if any(extra) else None, **attributes)


@writes(nn.LinearOp)
def linear(call: Call) -> None:
    """MatMul with the weights C x K, as the exporters of others have it."""
    op = call.op
    assert isinstance(op, nn.LinearOp)
    if isinstance(op.w.owner, nn.WeightOp):
        weights = call.builder.array(op.w.owner.key.data, call.stored(1).T)
    else:
        weights = call.node("Transpose", call.x(1), perm=[1, 0])
    if op.bias is None:
        call.give("MatMul", call.x(), weights)
    else:
        call.give("Add", call.node("MatMul", call.x(), weights), call.x(2))


@writes(nn.MatmulOp)
def matmul(call: Call) -> None:
    """MatMul; integers that it does not take are multiplied in 32 bits, whose low bits are the same."""
    op = call.op
    assert isinstance(op, nn.MatmulOp)
    dtype = carried_dtype(element_type(op.lhs))
    if proto.takes("MatMul", call.opset, 0, dtype):
        call.give("MatMul", call.x(0), call.x(1))
        return
    if dtype.kind == "b":
        raise Unsayable("MatMul does not take ui1", "cast to si32 before it")
    wide = np.dtype(np.int32 if dtype.kind == "i" else np.uint32)
    give_cast(call, call.node("MatMul", call.cast(call.x(0), wide), call.cast(call.x(1), wide)), dtype)
