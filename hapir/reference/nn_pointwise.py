"""What the functions of `nn.pointwise` compute, `nn.cast` and `nn.fill`.

Functions of f32 are numpy's in f32, every operation rounded; erf is computed in double and rounded once. Where a result
is not finite, it is so as IEEE 754 says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from xdsl.ir import Attribute, Operation

from hapir.dialects import nn
from hapir.dialects.nn_functions import BOOLEAN
from hapir.dialects.num import element_type, integer_range, shape_of, storage_of
from hapir.reference.values import Array, Meaning, Setting, dtype_of, single

_erf: Any = np.frompyfunc(math.erf, 1, 1)
Compute = Callable[..., Array]
"""Takes the operands' arrays, then the parameters as numbers of f32."""


def erf(x: Array) -> Array:
    """The error function."""
    return np.asarray(_erf(x.astype(np.float64)), np.float64).astype(np.float32)


def softplus(x: Array) -> Array:
    """`log(1 + exp(x))`."""
    return np.maximum(x, np.float32(0)) + np.log1p(np.exp(-np.abs(x)))


def _elu(x: Array, alpha: Array) -> Array:
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, np.float32(0))) - np.float32(1)))


def _celu(x: Array, alpha: Array) -> Array:
    zero = np.float32(0)
    return np.maximum(x, zero) + np.minimum(alpha * (np.exp(np.minimum(x / alpha, zero)) - np.float32(1)), zero)


def _above(x: Array, alpha: Array) -> Array:
    return np.where(x > alpha, x, np.float32(0))


def _shrink(x: Array, bias: Array, limit: Array) -> Array:
    return np.where(x < -limit, x + bias, np.where(x > limit, x - bias, np.float32(0)))


def _gelu_tanh(x: Array) -> Array:
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * (x * x * x))
    return x * np.float32(0.5) * (np.float32(1) + np.tanh(inner))


def _div(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.divide(x, y)
    floor = np.floor_divide(x, y, out=np.zeros(np.broadcast_shapes(x.shape, y.shape), x.dtype), where=y != 0)
    if x.dtype.kind == "u":
        return floor
    left = x - floor * y
    return floor + ((left != 0) & ((x < 0) != (y < 0)) & (y != 0)).astype(x.dtype)


def _left_over(function: Any) -> Compute:
    def compute(x: Array, y: Array) -> Array:
        if x.dtype.kind == "f":
            return function(x, y)
        shape = np.broadcast_shapes(x.shape, y.shape)
        return function(x, y, out=np.zeros(shape, x.dtype), where=y != 0)

    return compute


def _pow(x: Array, y: Array) -> Array:
    """Of reals in double. Integers to whole powers modulo 2^width, to negative ones truncated towards 0 (0 gives 0); to
    real powers truncated, and kept in range.
    """
    if x.dtype.kind == "f" or y.dtype.kind == "f":
        power = np.power(x.astype(np.float64), y.astype(np.float64))
        return power.astype(np.float32) if x.dtype.kind == "f" else truncated(power, x.dtype)
    base, left = (np.array(v).astype(np.uint64) for v in np.broadcast_arrays(x, np.maximum(y, 0)))
    power = np.ones_like(base)
    while left.any():
        power *= np.where(left % 2 == 1, base, np.uint64(1))
        base, left = base * base, left // 2
    power = power.astype(x.dtype)
    if y.dtype.kind == "u":
        return power
    unit = np.where(x == 1, 1, np.where((x.dtype.kind == "i") & (x + 1 == 0), 1 - y % 2 * 2, 0))
    return np.where(y < 0, unit.astype(x.dtype), power)


def truncated(x: Array, dtype: np.dtype[Any], low: int | None = None, high: int | None = None) -> Array:
    """Doubles as integers, cut off towards 0 and kept between two bounds or in the range of the type; NaN is 0."""
    limits = np.iinfo(dtype)
    low, high = limits.min if low is None else low, limits.max if high is None else high
    whole = np.nan_to_num(np.trunc(x), nan=0.0, posinf=np.inf, neginf=-np.inf)
    reached = whole >= high  # 2^63 - 1 is no double: what reaches the top is put there
    return np.where(reached, dtype.type(high), np.where(reached, 0, np.maximum(whole, low)).astype(dtype))


def _shifted(x: Array, y: Array, *, left: bool) -> Array:
    last = x.dtype.type(8 * x.dtype.itemsize - 1)
    inside = (y >= 0) & (y <= last)
    bits = np.where(inside, y, last)
    if left:
        return np.where(inside, np.left_shift(x, bits), x.dtype.type(0))
    moved = np.right_shift(x, bits)
    return moved if x.dtype.kind == "i" else np.where(inside, moved, x.dtype.type(0))


def _prelu(x: Array, slope: Array) -> Array:
    return np.where(x >= 0, x, x * slope)


def _where(c: Array, x: Array, y: Array) -> Array:
    return np.where(c != 0, x, y)


def _bool(function: Callable[..., Any]) -> Compute:
    return lambda *v: np.asarray(function(*v)).astype(np.uint8)


_NUMPY: dict[str, Compute] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}
_ONE: dict[str, Callable[[Any], Array]] = {
    "reciprocal": lambda x: np.float32(1) / x,
    "erf": erf,
    "softplus": softplus,
    "softsign": lambda x: x / (np.float32(1) + np.abs(x)),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "gelu_tanh": _gelu_tanh,
    "bits": lambda x: x.view(np.int32),
    "from_bits": lambda x: x.view(np.float32),
    "is_nan": _bool(np.isnan),
    "is_infinite": _bool(np.isinf),
    "abs": np.abs,
    "neg": np.negative,
    "signum": np.sign,
    "logical_not": _bool(np.logical_not),
    "bit_not": np.bitwise_not,
}
_TWO: dict[str, Callable[[Any, Any], Array]] = {
    "elu": _elu,
    "celu": _celu,
    "thresholded_relu": _above,
    "div": _div,
    "floor_mod": _left_over(np.mod),
    "fmod": _left_over(np.fmod),
    "pow": _pow,
    "prelu": _prelu,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "wrapping_add": np.add,
    "wrapping_sub": np.subtract,
    "wrapping_mul": np.multiply,
    "equal": _bool(np.equal),
    "less": _bool(np.less),
    "less_equal": _bool(np.less_equal),
    "greater": _bool(np.greater),
    "greater_equal": _bool(np.greater_equal),
    "logical_and": _bool(np.logical_and),
    "logical_or": _bool(np.logical_or),
    "logical_xor": _bool(np.logical_xor),
    "bit_and": np.bitwise_and,
    "bit_or": np.bitwise_or,
    "bit_xor": np.bitwise_xor,
    "shift_left": lambda x, y: _shifted(x, y, left=True),
    "shift_right": lambda x, y: _shifted(x, y, left=False),
}
_THREE: dict[str, Callable[[Any, Any, Any], Array]] = {
    "selu": lambda x, alpha, gamma: gamma * _elu(x, alpha),
    "shrink": _shrink,
    "where": _where,
}
COMPUTE: Mapping[str, Compute] = {**_NUMPY, **_ONE, **_TWO, **_THREE}
"""Each function of the table `nn_functions` in numpy."""


def cast(x: Array, element: Attribute) -> Array:
    """Numbers in another element type, as `nn.cast` states it."""
    dtype, storage = dtype_of(element), storage_of(element)
    if storage is None:
        return x.astype(dtype)
    if element == BOOLEAN:
        return (x != 0).astype(dtype)
    if x.dtype.kind == "f":
        return truncated(x.astype(np.float64), dtype, *integer_range(storage))
    # numpy keeps the low bits; of an odd width they are kept here
    spare = 8 * dtype.itemsize - storage.width.data
    kept = x.astype(dtype)
    return np.right_shift(np.left_shift(kept, spare), spare) if spare else kept


def _pointwise(op: nn.PointwiseOp, operands: Sequence[Array], _: Setting) -> Array:
    result = COMPUTE[op.function.data](*operands, *map(np.float32, op.constants))
    return np.asarray(result)


def _fill(op: nn.FillOp, _: Sequence[Array], __: Setting) -> Array:
    return np.full(shape_of(op.result), op.value.value.data, dtype_of(element_type(op.result)))


MEANINGS: dict[type[Operation], Meaning] = dict(
    (
        single(nn.PointwiseOp, _pointwise),
        single(nn.CastOp, lambda op, v, _: cast(v[0], element_type(op.result))),
        single(nn.FillOp, _fill),
    )
)
"""The op classes of this file."""
