"""Write arithmetic with numbers in one way.

Law: bounded. A division by a number becomes a product with its reciprocal, which differs by rounding unless the number
is a power of two; sums and products of two numbers in a row are one, computed in double. All else is exact: constants
whose elements are all equal become numbers, a number stands on the right, a difference from a number is a sum, powers
of 1, 2, 1/2 and -1 are what they are, `1 / y` and products with it are quotients, and what changes nothing is gone.

```
%y = nn.pointwise div(%x, %six) : ...                   // %six = nn.weight "six" : tensor<1xf32>, which is 6
```
becomes
```
%c = nn.fill 0.16666667 : tensor<f32>
%y = nn.mul %x, %c : ...
```
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.dialects import nn
from hapir.dialects.num import is_float, shape_of
from hapir.lowering.canonical.arithmetic import function_of, is_function, with_number
from hapir.lowering.canonical.rewriting import Rewriter, Rules, holds, rewrite_networks


@dataclass(frozen=True)
class SimplifyArithmeticPass(ModulePass):
    """Write arithmetic with numbers in one way. Bounded: what was rounded twice is rounded once, or the other way.

    Comes first of the passes that recognize layers in pieces, which read numbers.

    Example: `simplify_arithmetic()`
    """

    name = "simplify_arithmetic"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_networks(ctx, op, RULES)


def fill_numbers(op: nn.LayerOp, rewriter: Rewriter) -> bool:
    """Constants of equal elements are numbers, where the result keeps its shape and a tensor behind says their type.

    That is the last operand that is none: of `where(c, 1, 2)` one number stays a constant, as c has no reals.
    """
    changed = False
    for index, value in enumerate(op.operands):
        others = [v for i, v in enumerate(op.operands) if i != index and not isinstance(v.owner, nn.FillOp)]
        number = rewriter.number(value) if isinstance(value.owner, nn.WeightOp) else None
        says = bool(others) and is_float(others[-1]) and shape_of(op.results[0]) in map(shape_of, others)
        if number is not None and says:
            op.operands[index] = rewriter.fill(op, number)
            changed = True
    return changed


def number_last(op: nn.BinaryOp, rewriter: Rewriter) -> bool:
    """The number of a sum or product is its second operand."""
    if not isinstance(op.operands[0].owner, nn.FillOp) or isinstance(op.operands[1].owner, nn.FillOp):
        return False
    return rewriter.replace(op, type(op)(op.operands[1], op.operands[0], layer=op.layer_name))


def no_differences(op: nn.SubOp, rewriter: Rewriter) -> bool:
    """x minus a number is x plus its negative."""
    number = rewriter.number(op.operands[1])
    if number is None or shape_of(op.operands[0]) != shape_of(op.result):
        return False
    return rewriter.replace(op, nn.AddOp(op.operands[0], rewriter.fill(op, -number)))


def no_quotients(op: nn.PointwiseOp, rewriter: Rewriter) -> bool:
    """x over a number is x times its reciprocal."""
    number = rewriter.number(op.operands[1]) if function_of(op) == "div" else None
    if not number or shape_of(op.operands[0]) != shape_of(op.result) or not holds(1 / number):
        return False
    return rewriter.replace(op, nn.MulOp(op.operands[0], rewriter.fill(op, 1 / number)))


def reciprocals(op: nn.PointwiseOp, rewriter: Rewriter) -> bool:
    """`1 / y` is a reciprocal."""
    if function_of(op) != "div" or rewriter.number(op.operands[0]) != 1:
        return False
    y = op.operands[1]
    return shape_of(y) == shape_of(op.result) and rewriter.replace(op, nn.PointwiseOp("reciprocal", [y]))


def quotients(op: nn.MulOp, rewriter: Rewriter) -> bool:
    """A product with a reciprocal is a quotient."""
    for x, y in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        if is_function(y, "reciprocal") and y.has_one_use() and rewriter.number(x) is None:
            assert isinstance(y.owner, nn.PointwiseOp)
            return rewriter.replace(op, nn.PointwiseOp("div", [x, y.owner.operands[0]]))
    return False


def powers(op: nn.PointwiseOp, rewriter: Rewriter) -> bool:
    """Powers that are other functions; those of integers stay, which have reals as exponents too."""
    if function_of(op) != "pow" or op.operands[0].type != op.result.type or not is_float(op.result):
        return False
    x, exponent = op.operands[0], rewriter.number(op.operands[1])
    if exponent == 1:
        return rewriter.replace(op, x)
    if exponent == 2:
        return rewriter.replace(op, nn.MulOp(x, x))
    if exponent in (0.5, -1):
        return rewriter.replace(op, nn.PointwiseOp("sqrt" if exponent == 0.5 else "reciprocal", [x]))
    return False


def neutral(op: nn.BinaryOp, rewriter: Rewriter) -> bool:
    """`x + 0` and `x * 1` are x."""
    found = with_number(op, rewriter)
    return found is not None and found[1] == isinstance(op, nn.MulOp) and rewriter.replace(op, found[0])


def one_number(op: nn.BinaryOp, rewriter: Rewriter) -> bool:
    """Sums, and products, with two numbers in a row have one."""
    found = with_number(op, rewriter)
    if found is None or not isinstance(found[0].owner, type(op)) or not found[0].has_one_use():
        return False
    inner = with_number(found[0].owner, rewriter)
    if inner is None:
        return False
    number = found[1] * inner[1] if isinstance(op, nn.MulOp) else found[1] + inner[1]
    return holds(number) and rewriter.replace(op, type(op)(inner[0], rewriter.fill(op, number)))


RULES: Rules = {
    nn.AddOp: (fill_numbers, number_last, neutral, one_number),
    nn.SubOp: (fill_numbers, no_differences),
    nn.MulOp: (fill_numbers, number_last, neutral, one_number, quotients),
    nn.PointwiseOp: (fill_numbers, powers, no_quotients, reciprocals),
}
