"""Verilog text of single operations, from the texts of their operands.

Invariants: every operand of an operator is as wide as its result (comparisons: as the other operand), so no context
ever extends or truncates; everything signed stands inside `$signed`/`$unsigned`, which end a context, so an expression
means the same wherever it is pasted; and every operand that is not a name, a constant, a selection or a call has
parentheses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import comb
from xdsl.ir import Operation, SSAValue

from hapir.dialects import rtl


@dataclass(frozen=True)
class Read:
    """Bits `low` to `low + width - 1` of a net are read."""

    value: SSAValue
    low: int
    width: int


@dataclass(frozen=True)
class Text:
    """An expression.

    `form` is `atom`, `unary`, `concat`, `?`, or the operator at the root. `arms` holds the (condition, value) pairs of
    a chain of `?:`, and `last` what follows them, so that a statement can be laid out over several lines.
    """

    code: str
    form: str = "atom"
    reads: tuple[Read, ...] = ()
    arms: tuple[tuple[str, str], ...] = ()
    last: str = ""


def constant(value: int, width: int) -> Text:
    """A sized constant, decimal where that is short."""
    if width == 1:
        return Text(f"1'b{value}")
    return Text(f"{width}'d{value}" if value < 1024 else f"{width}'h{value:x}")


def closed(text: Text, *same: str) -> str:
    """The text as an operand: in parentheses unless it binds tightest or is one of the forms in `same`."""
    return text.code if text.form in ("atom", "unary", "concat", *same) else f"({text.code})"


def _reads(operands: Sequence[Text]) -> tuple[Read, ...]:
    return tuple(read for operand in operands for read in operand.reads)


def select(name: str, value: SSAValue, low: int, width: int) -> Text:
    """Bits of a named net."""
    whole = rtl.width_of(value)
    reads = (Read(value, low, width),)
    if whole == width:
        return Text(name, reads=reads)
    return Text(f"{name}[{low}]" if width == 1 else f"{name}[{low + width - 1}:{low}]", reads=reads)


def concat(operands: Sequence[Text]) -> Text:
    """Side by side, the first at the high end."""
    parts = [operand.code[1:-1] if operand.form == "concat" else operand.code for operand in operands]
    return Text(f"{{{', '.join(parts)}}}", "concat", _reads(operands))


def replicate(operand: Text, times: int) -> Text:
    """Several times side by side."""
    if times == 1:
        return operand
    inner = operand.code if operand.form == "concat" else f"{{{operand.code}}}"
    return Text(f"{{{times}{inner}}}", reads=operand.reads)


def invert(operand: Text) -> Text:
    """Every bit inverted."""
    return Text(f"~{_unary_operand(operand)}", "unary", operand.reads)


def _unary_operand(operand: Text) -> str:
    # two unary operators side by side can fuse into another one (`&`, `~&`)
    return operand.code if operand.form in ("atom", "concat") else f"({operand.code})"


_CHAINED: dict[type[Operation], str] = {
    comb.AddOp: "+",
    comb.MulOp: "*",
    comb.AndOp: "&",
    comb.OrOp: "|",
    comb.XorOp: "^",
}
_BINARY: dict[type[Operation], str] = {comb.SubOp: "-", comb.DivUOp: "/", comb.ModUOp: "%"}
_SIGNED: dict[type[Operation], str] = {comb.DivSOp: "/", comb.ModSOp: "%"}
_SHIFTS: dict[type[Operation], str] = {comb.ShlOp: "<<", comb.ShrUOp: ">>", comb.ShrSOp: ">>>"}
_RELATIONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

SHIFTS = tuple(_SHIFTS)


def operation(op: Operation, operands: Sequence[Text]) -> Text | None:
    """The expression of a `comb` op whose operands are all plain texts; None for any other op."""
    reads = _reads(operands)
    kind = type(op)
    if kind in _CHAINED:
        symbol = _CHAINED[kind]
        if len(operands) == 1:
            return operands[0]
        return Text(f" {symbol} ".join(closed(operand, symbol) for operand in operands), symbol, reads)
    if kind in _BINARY:
        symbol = _BINARY[kind]
        return Text(f"{closed(operands[0])} {symbol} {closed(operands[1])}", symbol, reads)
    if kind in _SIGNED:
        return Text(f"$unsigned($signed({operands[0].code}) {_SIGNED[kind]} $signed({operands[1].code}))", reads=reads)
    if isinstance(op, comb.ICmpOp):
        predicate = comb.ICMP_COMPARISON_OPERATIONS[op.predicate.value.data]
        symbol = _RELATIONS[predicate if predicate in ("eq", "ne") else predicate[1:]]
        if predicate.startswith("s"):
            return Text(f"$signed({operands[0].code}) {symbol} $signed({operands[1].code})", symbol, reads)
        return Text(f"{closed(operands[0])} {symbol} {closed(operands[1])}", symbol, reads)
    if isinstance(op, comb.ParityOp):
        return Text(f"^{_unary_operand(operands[0])}", "parity", reads)
    if isinstance(op, comb.ReplicateOp):
        return replicate(operands[0], rtl.width_of(op.result) // rtl.width_of(op.input))
    if isinstance(op, comb.ConcatOp):
        return concat(operands)
    if isinstance(op, comb.MuxOp):
        return _mux(operands[0], operands[1], operands[2])
    return None


def _mux(condition: Text, then: Text, otherwise: Text) -> Text:
    arm = (closed(condition), closed(then))
    code = f"{arm[0]} ? {arm[1]} : {closed(otherwise, '?')}"
    arms = (arm, *otherwise.arms) if otherwise.form == "?" else (arm,)
    last = otherwise.last if otherwise.form == "?" else closed(otherwise)
    return Text(code, "?", _reads((condition, then, otherwise)), arms, last)


def shift(op: Operation, x: Text, amount: Text) -> Text:
    """A shift by an amount of at most 32 bits (wider ones are unknown to tools)."""
    symbol = _SHIFTS[type(op)]
    reads = (*x.reads, *amount.reads)
    if isinstance(op, comb.ShrSOp):
        return Text(f"$unsigned($signed({x.code}) >>> {closed(amount)})", reads=reads)
    return Text(f"{closed(x)} {symbol} {closed(amount)}", symbol, reads)
