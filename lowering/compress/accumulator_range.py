"""How large integers can get, from the actual weights and the types: what proves that sums fit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from xdsl.ir import SSAValue

from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import code_range, element_type, zero_point_of
from hapir.lowering.network_edits import weight_of
from hapir.weights import WeightStore

ACCUMULATOR_LIMIT = 1 << 31
"""Magnitudes below this fit si32."""


def largest_magnitude(low: int, high: int, zero_point: int) -> int:
    """The largest |q - zero_point| for q in low..high."""
    return max(abs(low - zero_point), abs(high - zero_point))


def accumulator_bound(
    w: npt.NDArray[np.integer], bias: npt.NDArray[np.integer] | None, input_magnitude: int
) -> npt.NDArray[np.int64]:
    """Per output channel (axis 0 of w), a bound of every partial sum: `sum |w| * input_magnitude + |bias|`.

    It holds for every order of accumulation, so hardware that starts with the bias or with a tile is safe too.
    """
    total = np.abs(w.astype(np.int64)).reshape(w.shape[0], -1).sum(axis=1) * input_magnitude
    return total if bias is None else total + np.abs(bias.astype(np.int64))


def integers_within(value: SSAValue, weights: WeightStore) -> tuple[int, int]:
    """The least and the greatest integer that a value can hold: proven from weights where it is a sum of products.

    Raises HapirError (HAP0402) where the weights of a layer are missing.
    """
    match value.owner:
        case nn.ProductOp() as op:
            low, high = code_range(element_type(op.x))
            reach = largest_magnitude(low, high, zero_point_of(element_type(op.x)))
            w, bias = (None if v is None else weight_of(v, weights).astype(np.int64) for v in (op.w, op.bias))
            assert w is not None
            most = int(accumulator_bound(w, bias, reach).max())
            return -most, most
        case nn.SumPoolOp() as op:
            low, high = code_range(element_type(op.x))
            zero_point, count = zero_point_of(element_type(op.x)), _size(op.window.window)
            return min(0, low - zero_point) * count, max(0, high - zero_point) * count
        case num.WidenOp() as op:
            zero_point, factor = zero_point_of(element_type(op.q)), op.multiplier.value.data
            ends = [(q - zero_point) * factor for q in code_range(element_type(op.q))]
            return min(ends), max(ends)
        case nn.AddOp() as op:
            left, right = integers_within(op.lhs, weights), integers_within(op.rhs, weights)
            return left[0] + right[0], left[1] + right[1]
        case num.ViewOp() | nn.MaxPoolOp() | nn.GlobalMaxPoolOp() as op:
            return integers_within(op.operands[0], weights)
        case _:
            return code_range(element_type(value))


def _size(window: Window) -> int:
    return window.kernel[0] * window.kernel[1]
