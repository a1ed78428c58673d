"""What integers can be after an op, from what its operands can be: the proof that sums fit 32 bits."""

from __future__ import annotations

from math import prod

from xdsl.dialects.builtin import Float32Type
from xdsl.ir import Attribute, Operation

from hapir.diagnostics import fail
from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, element_type, on_grid, zero_point_of
from hapir.lowering.kernel.pack_weights import INT32_MAX
from hapir.lowering.kernel.plan_stages import range_of


def bounds_after(op: Operation, before: tuple[int, int] | None, element: Attribute) -> tuple[int, int] | None:
    """What an integer can be after a pointwise op."""
    if isinstance(element, Float32Type):
        return None
    if isinstance(op, num.RequantizeOp | num.RescaleOp):
        return op.low.value.data, op.high.value.data
    if isinstance(op, num.ThresholdOp):
        return op.code_bounds
    if isinstance(op, num.WidenOp) and before is not None:
        zero_point, factor = zero_point_of(element_type(op.q)), op.multiplier.value.data
        ends = [(v - zero_point) * factor for v in before]
        return min(ends), max(ends)
    if isinstance(op, nn.ReluOp) and before is not None:
        floor = zero_point_of(element)
        return max(before[0], floor), max(before[1], floor)
    if isinstance(op, nn.ClipOp) and before is not None and isinstance(element, AffineType):
        floor, ceiling = on_grid(element, op.low.value.data), on_grid(element, op.high.value.data)
        return min(max(before[0], floor), ceiling), min(max(before[1], floor), ceiling)
    return range_of(element)


def sum_bounds(op: nn.AddOp, left: tuple[int, int] | None, right: tuple[int, int] | None) -> tuple[int, int] | None:
    """The range of an integer sum. Raises HapirError (HAP0710) where it is not proven to fit si32."""
    if left is None or right is None:
        return None
    low, high = left[0] + right[0], left[1] + right[1]
    if low < -INT32_MAX - 1 or high > INT32_MAX:
        fail(
            "HAP0710",
            f"this sum can reach {low if -low > high else high}, more than si32 holds",
            at=op,
            help="requantize or widen the operands by smaller factors first",
        )
    return low, high


def pool_bounds(
    op: Operation, before: tuple[int, int] | None, zero_point: int, window: Window
) -> tuple[int, int] | None:
    """The range of a sum over a window. Raises HapirError (HAP0710) where it is not proven to fit si32."""
    if before is None:
        return None
    count = prod(window.kernel)
    low, high = min(0, before[0] - zero_point) * count, max(0, before[1] - zero_point) * count
    if low < -INT32_MAX - 1 or high > INT32_MAX:
        fail("HAP0710", f"a window of {count} elements can sum to more than si32 holds", at=op, help="pool twice")
    return low, high
