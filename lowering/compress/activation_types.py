"""Which affine type each activation gets.

ReLU, clip, max pools and the ops that move data keep their operand's integers, and concat joins integers of one type.
So an activation that only such an op reads takes the range of that op's result: values that the ReLU would cut need no
codes (the zero point of an unsigned ReLU output is 0), and the inputs of a concat are born in its type. The pieces of a
split all have the type of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

from xdsl.dialects.builtin import FloatData, IntAttr, IntegerType
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.num import AffineType, integer_range
from hapir.lowering.compress.calibration import Method, Observed, affine_for, choose_range
from hapir.lowering.network_edits import sole_user

_PRESERVING = (
    *(nn.ReluOp, nn.ClipOp, nn.MaxPoolOp, nn.GlobalMaxPoolOp),
    *(nn.FlattenOp, nn.ReshapeOp, nn.TransposeOp, nn.GatherTapsOp),
)


def preserves(op: object) -> TypeGuard[nn.LayerOp]:
    """Whether an op has one activation (the first operand) and one result, which has that activation's integers.

    All of them are monotone: saturating may come before or after. Every range holds 0, so padding with 0 is among them;
    other values may have no code.
    """
    match op:
        case nn.PadOp():
            return op.mode.data != nn.PadMode.constant or op.value.value.data == 0
        case nn.ResizeOp():
            return op.mode.data == nn.ResizeMode.nearest
        case _:
            return isinstance(op, _PRESERVING)


def range_source(value: SSAValue) -> SSAValue:
    """The activation whose observed range decides the type of `value`."""
    user = sole_user(value)
    while preserves(user) or isinstance(user, nn.ConcatOp):
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
    return (preserves(op) or isinstance(op, nn.SplitOp)) and op.operands[0] in types
