"""Which affine type each activation gets.

ReLU, clip, max pools and flatten keep their operand's integers, and concat joins integers of one type. So an activation
that only such an op reads takes the range of that op's result: values that the ReLU would cut need no codes (the zero
point of an unsigned ReLU output is 0), and the inputs of a concat are born in its type.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import FloatData, IntAttr, IntegerType
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.num import AffineType, integer_range
from hapir.lowering.compress.calibration import Method, Observed, affine_for, choose_range
from hapir.lowering.network_edits import sole_user

PRESERVING = (nn.ReluOp, nn.ClipOp, nn.MaxPoolOp, nn.GlobalMaxPoolOp, nn.FlattenOp)
"""Ops of one operand whose result has the operand's integers. All are monotone: saturating may come before or after."""


def range_source(value: SSAValue) -> SSAValue:
    """The activation whose observed range decides the type of `value`."""
    user = sole_user(value)
    while isinstance(user, (*PRESERVING, nn.ConcatOp)):
        value = user.results[0]
        user = sole_user(value)
    return value


def activation_types(
    network: nn.NetworkOp,
    seen: Mapping[SSAValue, Observed],
    storage: IntegerType,
    method: Method,
    percentile: float,
) -> dict[SSAValue, AffineType]:
    """The affine type of every float activation of a network, network inputs included."""
    first, last = integer_range(storage)
    chosen: dict[SSAValue, AffineType] = {}

    def from_range(value: SSAValue) -> AffineType:
        source = range_source(value)
        if source not in chosen:
            low, high = choose_range(seen[source], method, percentile, first, last)
            affine = affine_for(low, high, first, last)
            chosen[source] = AffineType(storage, FloatData(affine.scale), IntAttr(affine.zero_point))
        return chosen[source]

    types: dict[SSAValue, AffineType] = {}
    for argument in network.body.block.args:
        if argument in seen:
            types[argument] = from_range(argument)
    for op in network.body.block.ops:
        for result in op.results:
            if result in seen:
                types[result] = types[op.operands[0]] if _keeps_type(op, types) else from_range(result)
    return types


def _keeps_type(op: Operation, types: Mapping[SSAValue, AffineType]) -> bool:
    return isinstance(op, PRESERVING) and op.operands[0] in types
