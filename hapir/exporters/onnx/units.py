"""What 1 of an accumulator stands for where reals carry it.

ONNX's `Conv` between DequantizeLinear and QuantizeLinear computes on reals, hapir's on integers whose sums a multiplier
`m / 2^shift` brings to the next codes. If 1 of the sums is taken for `scale * m / 2^shift`, with the scale of those
next codes, then QuantizeLinear gives `round(sum * m / 2^shift)`: hapir's number but for the rounding of floats and of
ties, whatever the scales in the types were rounded from. Weights get the scale `unit / scale of the input`.

The unit follows from who reads the sums. Where readers differ, or want integers, it is 1.
"""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn, num
from hapir.dialects.num import SI32, AffineType, PerChannelType, element_type, is_float
from hapir.exporters.onnx.styles import Unit
from hapir.weights import WeightStore


def accumulator_units(network: nn.NetworkOp, weights: WeightStore) -> dict[SSAValue, Unit]:
    """The unit of each accumulator of a network, by value; a number or one per index of axis 1."""
    ops = list(network.body.block.ops)
    sums: set[SSAValue] = set()
    for op in ops:
        if _accumulates(op, sums):
            sums.update(op.results)
    units: dict[SSAValue, Unit] = {}
    for op in reversed(ops):
        for result in op.results:
            if result in sums:
                units[result] = _unit(result, units, weights)
    return units


def _accumulates(op: Operation, sums: set[SSAValue]) -> bool:
    match op:
        case nn.ProductOp():
            return not is_float(op.x)
        case nn.SumPoolOp() | num.WidenOp():
            return True
        case nn.AddOp():
            same = op.lhs.type == op.rhs.type
            return same and element_type(op.lhs) == SI32 and op.lhs in sums and op.rhs in sums
        case _:
            return False


def _unit(value: SSAValue, units: dict[SSAValue, Unit], weights: WeightStore) -> Unit:
    wanted = [_wanted(use.operation, use.index, units, weights) for use in value.uses]
    first = wanted[0] if wanted else None
    if first is None or any(w is None or not np.array_equal(first, w) for w in wanted):
        return np.ones(())
    return first


def _wanted(op: Operation, index: int, units: dict[SSAValue, Unit], weights: WeightStore) -> Unit | None:
    """The unit that a reader wants; None for one that reads integers."""
    match op:
        case nn.AddOp():
            return units.get(op.result)
        case num.RequantizeOp() | num.RescaleOp() if index == 0:
            return rescaling(op, weights)
        case num.ViewOp():
            return scale_of(op.result, weights)
        case _:
            return None


def rescaling(op: num.RequantizeOp | num.RescaleOp, weights: WeightStore) -> Unit | None:
    """What a reader of sums multiplies them with, times the scale of its codes; None where that is computed."""
    element = element_type(op.result)
    assert isinstance(element, AffineType)
    parameters = (op.multiplier, op.shift) if isinstance(op, num.RequantizeOp) else (op.scale,)
    if not all(isinstance(p.owner, nn.WeightOp) and p.owner.key.data in weights for p in parameters):
        return None
    arrays = [weights[p.owner.key.data] for p in parameters if isinstance(p.owner, nn.WeightOp)]
    factor = arrays[0].astype(np.float64)
    if len(arrays) == 2:
        factor = np.ldexp(factor, -arrays[1].astype(np.int64))
    return plain(factor * element.scale.data)


def scale_of(value: SSAValue, weights: WeightStore) -> Unit | None:
    """The scale of a value's codes: a number, or one per index of axis 1; None for any other."""
    element = element_type(value)
    if isinstance(element, AffineType):
        return np.asarray(element.scale.data) if element.zero_point.data == 0 else None
    if not isinstance(element, PerChannelType) or element.axis.data != 1 or element.scales.data not in weights:
        return None
    return plain(weights[element.scales.data].astype(np.float64))


def plain(unit: Unit) -> Unit:
    """A unit of one number as a number."""
    return unit.reshape(()) if unit.size == 1 else unit
