"""Handlers of the family products: convolutions, fully connected layers, products of matrices."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.assembly import shortest
from hapir.dialects.num import element_type, is_float, shape_of
from hapir.importers.onnx.nodes import Call, Unsupported, handles
from hapir.importers.onnx.windows import transposed_windows, window_of, windows

_AXES = "one or two: signals N x C x L and maps N x C x H x W"


def given(call: Call, index: int, suffix: str) -> SSAValue:
    """A parameter of the layer: its own where it is constant, else the value that the network computes."""
    return call.parameter(suffix, call.constant(index)) if call.is_constant(index) else call.tensor(index)


def _kernel(call: Call) -> list[int]:
    """The kernel's sizes, which the weights say too."""
    sizes = list(call.shape(1)[2:])
    said = call.integers("kernel_shape", sizes)
    if said != sizes:
        raise Unsupported(f"the kernel is said to be {said}, the weights are {sizes}", "weights of that kernel")
    if len(call.shape(0)) != len(sizes) + 2 or len(sizes) not in (1, 2):
        raise Unsupported(f"windows slide along {len(call.shape(0)) - 2} axes", _AXES)
    return sizes


@handles("Conv")
def conv(call: Call) -> SSAValue:
    """Convolutions of signals and maps."""
    kernel = _kernel(call)
    window = window_of(windows(call, call.shape(0)[2:], kernel))
    weight = call.weight(1)
    bias = given(call, 2, "bias") if call.has(2) else None
    op = nn.Conv1dOp if len(kernel) == 1 else nn.Conv2dOp
    return call.add(op(call.tensor(0), weight, bias, window=window, groups=call.integer("group", 1), layer=call.layer))


@handles("ConvTranspose")
def conv_transpose(call: Call) -> SSAValue:
    """Transposed convolutions of signals and maps."""
    kernel = _kernel(call)
    found, extra = transposed_windows(call, call.shape(0)[2:], kernel)
    weight = given(call, 1, "weight")
    bias = given(call, 2, "bias") if call.has(2) else None
    op = nn.TransposedConv1dOp if len(kernel) == 1 else nn.TransposedConv2dOp
    return call.add(
        op(
            call.tensor(0),
            weight,
            bias,
            window=window_of(found),
            extra=(0, extra[0]) if len(extra) == 1 else (extra[0], extra[1]),
            groups=call.integer("group", 1),
            layer=call.layer,
        )
    )


@handles("Gemm")
def gemm(call: Call) -> SSAValue:
    """`alpha * A B + beta * C`: a dense layer where B and C are constant and A is not turned."""
    alpha, beta = call.real("alpha", 1.0), call.real("beta", 1.0)
    turned = bool(call.integer("transA")), bool(call.integer("transB"))
    a, b = call.tensor(0), call.shape(1)
    if len(shape_of(a)) != 2 or len(b) != 2:
        raise Unsupported(f"it multiplies shapes of {len(shape_of(a))} and {len(b)} axes", "two matrices")
    if not is_float(a):
        raise Unsupported(f"it multiplies {element_type(a)}", "f32, or MatMul of integers")
    outputs = b[0] if turned[1] else b[1]
    if not turned[0] and call.is_constant(1) and (not call.has(2) or _is_bias(call, outputs)):
        if alpha == 1:
            weight = call.weight(1, turned=not turned[1])
        else:
            array = call.constant(1) if turned[1] else call.constant(1).T
            weight = call.parameter("weight", np.ascontiguousarray(array * np.float32(alpha)))
        bias = None
        if call.has(2):
            offset = np.broadcast_to(call.constant(2).reshape(-1), (outputs,))
            bias = call.parameter("bias", np.ascontiguousarray(offset if beta == 1 else offset * np.float32(beta)))
        return call.add(nn.DenseOp(a, weight, bias, layer=call.layer))
    return _by_parts(call, alpha, beta, turned)


def _is_bias(call: Call, outputs: int) -> bool:
    """Whether C is the same for all rows, and constant."""
    shape = call.shape(2)
    return call.is_constant(2) and len(shape) <= 2 and shape[:-1] in ((), (1,)) and shape[-1:] in ((), (1,), (outputs,))


def _by_parts(call: Call, alpha: float, beta: float, turned: tuple[bool, bool]) -> SSAValue:
    """The same as a product of matrices, factors and a sum."""
    steps = [name for name, is_one in (("scaled", alpha == 1), ("sum", not call.has(2))) if not is_one]

    def layer(step: str) -> str:
        return call.layer if ([*steps] or ["product"])[-1] == step else call.sub(step)

    left, right = (
        call.add(nn.TransposeOp(call.tensor(i), (1, 0), layer=call.sub(name))) if turn else call.tensor(i)
        for i, (turn, name) in enumerate(zip(turned, ("rows", "columns"), strict=True))
    )
    y = call.add(nn.MatmulOp(left, right, layer=layer("product")))
    if alpha != 1:
        y = call.add(nn.MulOp(y, _number(call, alpha, y), layer=layer("scaled")))
    if call.has(2):
        offset = call.tensor(2)
        if beta != 1:
            offset = call.add(nn.MulOp(offset, _number(call, beta, y), layer=call.sub("offset")))
        y = call.add(nn.AddOp(y, offset, layer=layer("sum")))
    return y


def _number(call: Call, value: float, like: SSAValue) -> SSAValue:
    return call.add(nn.FillOp(shortest(value), element_type(like)))


@handles("MatMul")
def matmul(call: Call) -> SSAValue:
    """Products of matrices; those of an activation and a constant matrix are dense layers."""
    constant = call.is_constant(1) and not call.is_constant(0) and len(call.shape(1)) == 2
    if constant and len(call.shape(0)) > 1 and is_float(call.tensor(0)):
        weight = call.weight(1, turned=True)
        op = nn.DenseOp if len(call.shape(0)) == 2 else nn.LinearOp
        return call.add(op(call.tensor(0), weight, layer=call.layer))
    return call.add(nn.MatmulOp(call.tensor(0), call.tensor(1), layer=call.layer))
