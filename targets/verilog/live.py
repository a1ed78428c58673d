"""What of a circuit is printed: values that are known constants, and the ops that outputs or instances depend on.

Lint tools complain about logic that nobody reads and about comparisons that cannot go either way, and rightly so; both
arise when a parametrized generator meets small parameters. This analysis finds them, the printer leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from math import prod
from operator import eq, ge, gt, le, lt, ne

from xdsl.dialects import comb, hw
from xdsl.ir import Block, Operation, SSAValue

from hapir.dialects import rtl


def constants(block: Block) -> dict[SSAValue, int]:
    """The values that are constants whatever the inputs are, as unsigned integers."""
    known: dict[SSAValue, int] = {}
    for op in block.ops:
        if len(op.results) == 1 and not isinstance(op.results[0].type, rtl.MemoryType):
            value = _constant(op, known)
            if value is not None:
                known[op.results[0]] = value % (1 << rtl.width_of(op.results[0]))
    return known


def _constant(op: Operation, known: dict[SSAValue, int]) -> int | None:
    """One op's value, where the constants among its operands settle it; not yet cut to its width."""
    values = [known.get(operand) for operand in op.operands]
    match op:
        case hw.ConstantOp():
            return op.value.value.data
        case comb.ICmpOp():
            return _trivial_comparison(op, known)
        case comb.MuxOp():
            if values[0] is not None:
                return values[1] if values[0] else values[2]
            return values[1] if values[1] == values[2] else None
        case comb.AndOp() | comb.MulOp() | rtl.MulOp() if 0 in values:
            return 0
        case comb.OrOp() if (1 << rtl.width_of(op.result)) - 1 in values:
            return -1
        case comb.ShlOp() | comb.ShrUOp() if values[0] == 0 or (values[1] or 0) >= rtl.width_of(op.result):
            return 0
        case comb.ModUOp() | comb.ModSOp() if values[1] == 1:
            return 0
        case rtl.RomOp() if op.address in known:
            table = op.table
            return table[known[op.address]] if known[op.address] < len(table) else 0
        case _:
            pass
    settled = [value for value in values if value is not None]
    return _arithmetic(op, settled) if len(settled) == len(values) else None


def _arithmetic(op: Operation, values: list[int]) -> int | None:
    """The value of an op on constants; None for ops that are not worth the trouble."""
    match op:
        case comb.ExtractOp():
            return values[0] >> op.low_bit.value.data
        case comb.ReplicateOp():
            width = rtl.width_of(op.input)
            return _joined([(values[0], width)] * (rtl.width_of(op.result) // width))
        case comb.ConcatOp():
            return _joined(zip(values, map(rtl.width_of, op.inputs), strict=True))
        case comb.AddOp():
            return sum(values)
        case comb.SubOp():
            return values[0] - values[1]
        case comb.MulOp():
            return prod(values)
        case comb.AndOp():
            return reduce(int.__and__, values)
        case comb.OrOp():
            return reduce(int.__or__, values)
        case comb.XorOp():
            return reduce(int.__xor__, values)
        case comb.ParityOp():
            return values[0].bit_count() & 1
        case comb.ShlOp() | comb.ShrUOp() | comb.ShrSOp():
            width = rtl.width_of(op.result)
            amount = min(values[1], width)
            if isinstance(op, comb.ShlOp):
                return values[0] << amount
            return (_signed(values[0], width) if isinstance(op, comb.ShrSOp) else values[0]) >> amount
        case comb.DivUOp() if values[1]:
            return values[0] // values[1]
        case comb.ModUOp() if values[1]:
            return values[0] % values[1]
        case rtl.MulOp():
            signs = (op.lhs_signed is not None, op.rhs_signed is not None)
            widths = map(rtl.width_of, (op.lhs, op.rhs))
            return prod(_signed(v, w) if s else v for v, w, s in zip(values, widths, signs, strict=True))
        case _:
            return None


def _signed(value: int, width: int) -> int:
    """An unsigned number read as two's complement."""
    return value - (1 << width) if value >> (width - 1) else value


def _joined(parts: Iterable[tuple[int, int]]) -> int:
    """Parts side by side, given as value and width, the first at the high end."""
    result = 0
    for value, width in parts:
        result = result << width | value
    return result


_MIRRORED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


_RELATIONS = {"eq": eq, "ne": ne, "lt": lt, "le": le, "gt": gt, "ge": ge}


def _trivial_comparison(op: comb.ICmpOp, known: dict[SSAValue, int]) -> int | None:
    """The outcome of a comparison of constants, or of an order test against the least or the greatest number."""
    predicate = comb.ICMP_COMPARISON_OPERATIONS[op.predicate.value.data]
    order = predicate if predicate in ("eq", "ne") else predicate[1:]
    width = rtl.width_of(op.lhs)
    if op.lhs in known and op.rhs in known:
        pair = [known[op.lhs], known[op.rhs]]
        return int(_RELATIONS[order](*(_signed(x, width) for x in pair) if predicate[0] == "s" else pair))
    if order in ("eq", "ne"):
        return None
    limit = known.get(op.rhs)
    if limit is None:
        limit, order = known.get(op.lhs), _MIRRORED[order]
    least, greatest = (1 << width - 1, (1 << width - 1) - 1) if predicate[0] == "s" else (0, (1 << width) - 1)
    match order:
        case "lt" if limit == least:
            return 0
        case "ge" if limit == least:
            return 1
        case "gt" if limit == greatest:
            return 0
        case "le" if limit == greatest:
            return 1
        case _:
            return None


def live_ops(block: Block, known: dict[SSAValue, int]) -> set[Operation]:
    """The ops that the module's outputs and instances depend on; constants depend on nothing."""
    live: set[Operation] = set()
    waiting: list[Operation] = [op for op in block.ops if isinstance(op, (hw.OutputOp, hw.InstanceOp))]
    while waiting:
        op = waiting.pop()
        if op in live:
            continue
        live.add(op)
        for operand in op.operands:
            if operand not in known and isinstance(operand.owner, Operation):
                waiting.append(operand.owner)
        if isinstance(op, (rtl.RegOp, rtl.WireOp, rtl.MemoryOp)):
            drivers = (rtl.NextOp, rtl.AssignOp, rtl.WriteOp)
            waiting.extend(
                use.operation for use in op.results[0].uses if use.index == 0 and isinstance(use.operation, drivers)
            )
    return live
