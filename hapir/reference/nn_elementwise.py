"""What the elementwise ops of `nn` compute: activations of one array, sums and products of two.

Every operation that a formula writes down is rounded to f32, but gelu, which is computed in double and rounded once.
Constants are rounded to f32 first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.num import AffineType, element_type, on_grid, zero_point_of
from hapir.reference.values import Array, Meaning, Setting, single, to_si32

Reals = npt.NDArray[np.float32]

_erf: Any = np.frompyfunc(math.erf, 1, 1)


def relu(x: Array, zero_point: int = 0) -> Array:
    """`max(x, zero_point)`."""
    return np.maximum(x, x.dtype.type(zero_point))


def clip(x: Array, low: float, high: float) -> Array:
    """`min(max(x, low), high)` in the type of x."""
    return np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high))


def add(a: Array, b: Array) -> Array:
    """Sum of equal shapes; of integers exact. Raises OverflowError where an int32 sum leaves si32."""
    return a + b if a.dtype.kind == "f" else to_si32(a.astype(np.int64) + b)


def leaky_relu(x: Array, slope: float) -> Reals:
    """x where it is not negative, else `slope * x`."""
    return np.where(x >= 0, x, x * np.float32(slope))


def sigmoid(x: Array) -> Reals:
    """`1 / (1 + e)` with `e = exp(-x)`; for negative x `e / (1 + e)` with `e = exp(x)`, so that nothing overflows."""
    e = np.exp(-np.abs(x))
    return np.divide(np.where(x >= 0, np.float32(1), e), 1 + e, dtype=np.float32)


def sign(x: Array) -> Reals:
    """1 where x >= 0, else -1; a zero of either sign gives 1."""
    return np.where(x >= 0, np.float32(1), np.float32(-1))


def hard_sigmoid(x: Array, slope: float, offset: float) -> Reals:
    """`min(max(x * slope + offset, 0), 1)`."""
    return clip(x * np.float32(slope) + np.float32(offset), 0, 1)


def hard_swish(x: Array) -> Reals:
    """`x * min(max(x * (1/6) + 1/2, 0), 1)`."""
    return x * hard_sigmoid(x, 1 / 6, 0.5)


def silu(x: Array) -> Reals:
    """`x * sigmoid(x)`."""
    return x * sigmoid(x)


def gelu(x: Array) -> Reals:
    """`x / 2 * (1 + erf(x / sqrt(2)))`, in double and rounded once."""
    wide = x.astype(np.float64)
    erf = np.asarray(_erf(wide / math.sqrt(2)), np.float64)
    return (wide / 2 * (1 + erf)).astype(np.float32)


def _clip_op(op: nn.ClipOp, operands: Sequence[Array], _: Setting) -> Array:
    low, high, element = op.low.value.data, op.high.value.data, element_type(op.x)
    if isinstance(element, AffineType):
        return clip(operands[0], on_grid(element, low), on_grid(element, high))
    return clip(operands[0], low, high)


MEANINGS: dict[type[Operation], Meaning] = dict(
    (
        single(nn.ReluOp, lambda op, v, _: relu(v[0], zero_point_of(element_type(op.x)))),
        single(nn.LeakyReluOp, lambda op, v, _: leaky_relu(v[0], op.slope.value.data)),
        single(nn.ClipOp, _clip_op),
        single(nn.SigmoidOp, lambda _, v, __: sigmoid(v[0])),
        single(nn.SignOp, lambda _, v, __: sign(v[0])),
        single(nn.TanhOp, lambda _, v, __: np.tanh(v[0])),
        single(nn.HardSigmoidOp, lambda op, v, _: hard_sigmoid(v[0], op.slope.value.data, op.offset.value.data)),
        single(nn.HardSwishOp, lambda _, v, __: hard_swish(v[0])),
        single(nn.SiluOp, lambda _, v, __: silu(v[0])),
        single(nn.GeluOp, lambda _, v, __: gelu(v[0])),
        single(nn.AddOp, lambda _, v, __: add(v[0], v[1])),
        single(nn.SubOp, lambda _, v, __: v[0] - v[1]),
        single(nn.MulOp, lambda _, v, __: v[0] * v[1]),
    )
)
"""The elementwise op classes of `nn`."""
