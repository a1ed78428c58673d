"""What of a circuit is printed: values that are known constants, and the ops that outputs or instances depend on.

Lint tools complain about logic that nobody reads and about comparisons that cannot go either way, and rightly so; both
arise when a parametrized generator meets small parameters. This analysis finds them, the printer leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable

from xdsl.dialects import comb, hw
from xdsl.ir import Block, Operation, SSAValue

from hapir.dialects import rtl


def constants(block: Block) -> dict[SSAValue, int]:
    """The values that are constants by their form (not by arithmetic), as unsigned integers."""
    known: dict[SSAValue, int] = {}
    for op in block.ops:
        value = _constant(op, known)
        if value is not None:
            known[op.results[0]] = value
    return known


def _constant(op: Operation, known: dict[SSAValue, int]) -> int | None:
    match op:
        case hw.ConstantOp():
            return op.value.value.data % (1 << rtl.width_of(op.result))
        case comb.ExtractOp() if op.input in known:
            return known[op.input] >> op.low_bit.value.data & (1 << rtl.width_of(op.result)) - 1
        case comb.ReplicateOp() if op.input in known:
            width = rtl.width_of(op.input)
            return _joined([(known[op.input], width)] * (rtl.width_of(op.result) // width))
        case comb.ConcatOp() if all(part in known for part in op.inputs):
            return _joined([(known[part], rtl.width_of(part)) for part in op.inputs])
        case rtl.RomOp() if op.address in known:
            table = op.table
            return table[known[op.address]] if known[op.address] < len(table) else 0
        case comb.ICmpOp():
            return _trivial_comparison(op, known)
        case _:
            return None


def _joined(parts: Iterable[tuple[int, int]]) -> int:
    """Parts side by side, given as value and width, the first at the high end."""
    result = 0
    for value, width in parts:
        result = result << width | value
    return result


_MIRRORED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


def _trivial_comparison(op: comb.ICmpOp, known: dict[SSAValue, int]) -> int | None:
    """The outcome of an order test against the least or the greatest number, where that settles it."""
    predicate = comb.ICMP_COMPARISON_OPERATIONS[op.predicate.value.data]
    if predicate in ("eq", "ne"):
        return None
    sign, order = predicate[0], predicate[1:]
    limit = known.get(op.rhs)
    if limit is None:
        limit, order = known.get(op.lhs), _MIRRORED[order]
    width = rtl.width_of(op.lhs)
    least, greatest = (1 << width - 1, (1 << width - 1) - 1) if sign == "s" else (0, (1 << width) - 1)
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
