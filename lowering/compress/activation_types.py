"""Which affine type each activation gets.

ReLU, clip, max pools and the ops that move data keep their operand's integers, and concat joins integers of one type.
So an activation that only such an op reads takes the range of that op's result: values that the ReLU would cut need no
codes (the zero point of an unsigned ReLU output is 0), and the inputs of a concat are born in its type. The pieces of a
split all have the type of the whole. Annotations (see `annotations`) ask for integers and a range of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from xdsl.dialects.builtin import FloatData, IntAttr, IntegerType
from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.num import AffineType, BipolarType, TernaryType, integer_range
from hapir.lowering.compress.annotations import Request, asked_of
from hapir.lowering.compress.calibration import Observed, RangeRule, affine_for
from hapir.lowering.network_edits import sole_user

SIGNS = AffineType(BipolarType(IntAttr(1)), FloatData(1.0), IntAttr(0))
"""What a sign gives: -1 and 1, exactly. A convolution behind it pads with 0, as that of floats does."""
TERNARY_SIGNS = AffineType(TernaryType(), FloatData(1.0), IntAttr(0))
"""Signs that went through an op that may give 0."""

_PRESERVING = (
    *(nn.ReluOp, nn.ClipOp, nn.MaxPoolOp, nn.GlobalMaxPoolOp),
    *(nn.FlattenOp, nn.ReshapeOp, nn.TransposeOp, nn.GatherTapsOp, nn.SliceOp, nn.TileOp, nn.GatherOp),
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
        case nn.ResampleOp():
            return op.mode.data == nn.SampleMode.nearest and op.coordinates.data != nn.Coordinates.crop
        case _:
            return isinstance(op, _PRESERVING)


def keeps_integers(op: Operation) -> bool:
    """Whether all results of an op have its operand's integers."""
    return preserves(op) or isinstance(op, nn.SplitOp)


@dataclass(frozen=True)
class _Line:
    """Values of one type, each made from the one before by an op that keeps integers.

    `first` is what a layer gives, `last` has the range that decides, `request` is what annotations along it ask for.
    """

    first: SSAValue
    last: SSAValue
    request: Request


def line_from(value: SSAValue) -> _Line:
    """The line that begins with a value. Raises HapirError (HAP0525) where annotations along it contradict each other.

    It goes on through a concat, unless the value's own annotations ask for what the concat's do not grant.
    """
    first, request = value, _asked(value)
    user = sole_user(value)
    while preserves(user):
        value = user.results[0]
        request = _joined(request, _asked(value), user)
        user = sole_user(value)
    if isinstance(user, nn.ConcatOp):
        joined = line_from(user.results[0])
        if request.fits(joined.request):
            return joined
    return _Line(first, value, request)


def _asked(value: SSAValue) -> Request:
    """What is asked of a value by the op that makes it, of an input by the network."""
    owner = value.owner if isinstance(value.owner, Operation) else value.owner.parent_op()
    return Request() if owner is None else asked_of(owner)


def _joined(first: Request, second: Request, op: Operation) -> Request:
    """What both ask for. Raises HapirError (HAP0525) where they differ."""
    both = Request(first.storage or second.storage, first.range or second.range)
    if not (first.fits(both) and second.fits(both)):
        what = "this op keeps the integers of its operand, and the two are annotated with different ones"
        fail("HAP0525", what, at=op, help="annotate the layer, or what follows it, not both")
    return both


def activation_types(
    network: nn.NetworkOp, seen: Mapping[SSAValue, Observed], storage: IntegerType, rule: RangeRule
) -> dict[SSAValue, AffineType]:
    """The affine type of every float activation of a network, network inputs included.

    Annotations go before `storage` and `rule`. Raises HapirError (HAP0525, HAP0526) where they cannot be granted.
    """
    chosen: dict[SSAValue, AffineType] = {}
    granted: dict[SSAValue, Request] = {}

    def from_line(value: SSAValue) -> AffineType:
        line = line_from(value)
        granted[value] = line.request
        if line.last not in chosen:
            integers = line.request.storage or storage
            first, last = integer_range(integers)
            low, high = line.request.range or rule.range_of(seen[line.first], seen[line.last], first, last)
            affine = affine_for(low, high, first, last)
            chosen[line.last] = AffineType(integers, FloatData(affine.scale), IntAttr(affine.zero_point))
        return chosen[line.last]

    types: dict[SSAValue, AffineType] = {}
    for argument in network.body.block.args:
        if argument in seen:
            types[argument] = from_line(argument)
    for op in network.body.block.ops:
        for result in op.results:
            if result not in seen:
                continue
            fixed = _type_from_operands(op, types)
            if isinstance(op, nn.SignOp):
                types[result], granted[result] = SIGNS, asked_of(op)  # one bit, whatever the others have
            elif fixed is not None:
                types[result], granted[result] = fixed, granted[op.operands[0]]
            else:
                types[result] = from_line(result)
            if not asked_of(op).fits(granted[result]):
                what = "this op keeps the integers of its operand, which another layer reads too"
                fail("HAP0525", what, at=op, help="annotate the layer that makes the operand")
    return types


def _type_from_operands(op: Operation, types: Mapping[SSAValue, AffineType]) -> AffineType | None:
    """The type of a result that no range decides: most ops that move data keep their codes.

    ReLU and padding may give a 0, which signs lack: they go on in ternary codes.
    """
    if isinstance(op, nn.ConcatOp):
        joined = {types.get(v) for v in op.operands}
        return joined.pop() if len(joined) == 1 and joined <= {SIGNS, TERNARY_SIGNS} else None
    if not keeps_integers(op) or op.operands[0] not in types:
        return None
    kept = types[op.operands[0]]
    if kept != SIGNS:
        return kept
    match op:
        case nn.ClipOp():
            return None
        case nn.ReluOp():
            return TERNARY_SIGNS
        case nn.PadOp() if op.mode.data == nn.PadMode.constant:
            return TERNARY_SIGNS
        case _:
            return kept
