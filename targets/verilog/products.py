"""Prints `rtl.mul`: both factors get one width and one sign, and the product's net has its full width.

A signed factor stands in `$signed`, an unsigned one with a signed partner gets a zero in front first. This keeps the
product `signed` in the text (tools build larger multipliers from sign bits that are spelled out) and every tool quiet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hapir.dialects import rtl
from hapir.targets.verilog import expressions as expr
from hapir.targets.verilog.expressions import Text

if TYPE_CHECKING:
    from hapir.targets.verilog.module_printer import ModulePrinter


def _signs(op: rtl.MulOp) -> tuple[bool, bool]:
    return op.lhs_signed is not None, op.rhs_signed is not None


def is_signed(op: rtl.MulOp) -> bool:
    """Whether the product's net is signed."""
    return any(_signs(op))


def sign_copies(op: rtl.MulOp, index: int) -> int:
    """How many copies of its sign bit a factor needs to be as wide as the other one; 0 for an unsigned factor."""
    return _factor_width(op) - rtl.width_of(op.operands[index]) if _signs(op)[index] else 0


def _factor_width(op: rtl.MulOp) -> int:
    """The common width of the factors; an unsigned one needs a bit more as soon as the other is signed."""
    either = is_signed(op)
    return max(rtl.width_of(x) + (either and not sign) for x, sign in zip(op.operands, _signs(op), strict=True))


def product(printer: ModulePrinter, op: rtl.MulOp) -> Text:
    """The expression of a product, for a net of its full width."""
    factors = [_factor(printer, op, index) for index in (0, 1)]
    reads = tuple(read for factor in factors for read in factor.reads)
    if is_signed(op):
        return Text(" * ".join(f"$signed({factor.code})" for factor in factors), "*", reads)
    # the product is wider than its factors: braces keep it from widening what is inside them
    parts = [f.code if f.form in ("atom", "concat") else f"{{{f.code}}}" for f in factors]
    return Text(" * ".join(parts), "*", reads)


def _factor(printer: ModulePrinter, op: rtl.MulOp, index: int) -> Text:
    x = op.operands[index]
    target, width, signed = _factor_width(op), rtl.width_of(x), _signs(op)[index]
    if x in printer.known:
        value = printer.known[x]
        return expr.constant(
            (value - (1 << width) if signed and value >> (width - 1) else value) % (1 << target), target
        )
    if target == width:
        return printer.text(x)
    if not signed:
        return expr.concat([expr.constant(0, target - width), printer.text(x)])
    sign = expr.select(printer.nets[x], x, width - 1, 1)
    return expr.concat([expr.replicate(sign, target - width), printer.text(x)])
