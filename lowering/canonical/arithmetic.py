"""Elementwise arithmetic seen through the ops that write it: functions by name, polynomials, products of factors.

Numbers are those that `Rewriter.number` knows; they repeat over the other operand, whose shape the result has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.lowering.canonical.rewriting import Rewriter

MOST_TERMS = 24
"""How many ops of a formula are looked at."""
CLOSE = 2e-4
"""Relative difference of constants that are meant to be equal: exporters round sqrt(2) and the like to few digits."""

Polynomial = dict[int, float]
"""Coefficients by powers; none is 0."""


def function_of(op: Operation) -> str | None:
    """The name of an elementwise function: that of the table `nn_functions`, or `add`, `sigmoid` and the like."""
    match op:
        case nn.PointwiseOp():
            return op.function.data
        case nn.BinaryOp() | nn.FloatActivationOp() | nn.ReluOp() | nn.ClipOp():
            return op.name.removeprefix("nn.")
        case _:
            return None


def is_function(value: SSAValue, name: str) -> bool:
    """Whether a value is made by this function."""
    return isinstance(value.owner, Operation) and function_of(value.owner) == name


def operand(value: SSAValue, index: int = 0) -> SSAValue:
    """An operand of the op that makes a value."""
    assert isinstance(value.owner, Operation)
    return value.owner.operands[index]


def either(op: Operation) -> Iterator[tuple[SSAValue, SSAValue]]:
    """The two operands of an op in both orders."""
    a, b = op.operands
    yield a, b
    yield b, a


def with_number(op: Operation, rewriter: Rewriter) -> tuple[SSAValue, float] | None:
    """The operand of two that is no number, and the number; None where not just one is, or the shape grows."""
    for x, other in either(op):
        number = rewriter.number(other)
        if number is not None and rewriter.number(x) is None and shape_of(x) == shape_of(op.results[0]):
            return x, number
    return None


def close(a: float, b: float) -> bool:
    """Whether two constants are meant to be the same."""
    return abs(a - b) <= CLOSE * max(abs(a), abs(b), 1e-30)


def same(polynomial: Polynomial | None, expected: Polynomial) -> bool:
    """Whether a polynomial has these coefficients, about."""
    return (
        polynomial is not None
        and polynomial.keys() == expected.keys()
        and all(close(polynomial[power], c) for power, c in expected.items())
    )


# --- polynomials ------------------------------------------------------------------------------------------------------


def polynomial(value: SSAValue, base: SSAValue, rewriter: Rewriter) -> Polynomial | None:
    """A value as a polynomial of another; None where it is none of degree up to 3, or has another shape."""
    if shape_of(value) != shape_of(base):
        return None
    return _polynomial(value, base, rewriter, [MOST_TERMS])


def _polynomial(value: SSAValue, base: SSAValue, rewriter: Rewriter, left: list[int]) -> Polynomial | None:
    if value is base:
        return {1: 1.0}
    number = rewriter.number(value)
    if number is not None:
        return _kept({0: number})
    left[0] -= 1
    if left[0] < 0 or not isinstance(value.owner, Operation):
        return None
    name = function_of(value.owner)
    if name not in ("add", "sub", "mul", "div", "pow", "neg"):
        return None
    found = [_polynomial(v, base, rewriter, left) for v in value.owner.operands]
    terms = [term for term in found if term is not None]
    return _combined(name, terms) if len(terms) == len(found) else None


def _combined(name: str, terms: list[Polynomial]) -> Polynomial | None:
    a, b = terms[0], terms[-1]
    constant = b.get(0, 0.0) if not b.keys() - {0} else None
    match name:
        case "neg":
            return {power: -c for power, c in a.items()}
        case "add" | "sub":
            sign = 1 if name == "add" else -1
            return _kept({power: a.get(power, 0.0) + sign * b.get(power, 0.0) for power in {*a, *b}})
        case "mul":
            return _times(a, b)
        case "div" if constant:
            return _kept({power: c / constant for power, c in a.items()})
        case "pow" if constant in (1, 2, 3):
            result: Polynomial | None = {0: 1.0}
            for _ in range(int(constant)):
                result = None if result is None else _times(result, a)
            return result
        case _:
            return None


def _times(a: Polynomial, b: Polynomial) -> Polynomial | None:
    product: Polynomial = {}
    for i, c in a.items():
        for j, d in b.items():
            product[i + j] = product.get(i + j, 0.0) + c * d
    return _kept(product) if max(product, default=0) <= 3 else None


def _kept(terms: Polynomial) -> Polynomial:
    return {power: c for power, c in terms.items() if c != 0}


@dataclass(frozen=True)
class Affine:
    """`scale * base + offset`."""

    base: SSAValue
    scale: float
    offset: float


def affine(value: SSAValue, rewriter: Rewriter, until: str | None = None) -> Affine | None:
    """A value as an affine function of another.

    Ops with numbers are taken off one by one: down to the function `until`, and None where it is not there; or as far
    as nothing else reads what is between.
    """
    scale, offset = 1.0, 0.0
    for _ in range(MOST_TERMS):
        if until is not None and is_function(value, until):
            return Affine(value, scale, offset)
        step = _step(value, rewriter)
        if step is None or (until is None and not value.has_one_use()):
            break
        value, factor, addend = step
        offset += scale * addend
        scale *= factor
    return Affine(value, scale, offset) if until is None else None


def _step(value: SSAValue, rewriter: Rewriter) -> tuple[SSAValue, float, float] | None:
    """A value as a factor times an operand plus an addend."""
    op = value.owner
    if not isinstance(op, Operation):
        return None
    name = function_of(op)
    if name == "neg":
        return op.operands[0], -1.0, 0.0
    found = with_number(op, rewriter) if name in ("add", "sub", "mul", "div") else None
    if found is None:
        return None
    x, number = found
    first = x is op.operands[0]
    match name:
        case "add":
            return x, 1.0, number
        case "sub":
            return (x, 1.0, -number) if first else (x, -1.0, number)
        case "mul" if number:
            return x, number, 0.0
        case "div" if first and number:
            return x, 1 / number, 0.0
        case _:
            return None


# --- products ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Product:
    """A number times factors of one shape."""

    number: float
    factors: tuple[SSAValue, ...]


def product(value: SSAValue, rewriter: Rewriter) -> Product:
    """A value as a product: through multiplications, and divisions by numbers."""
    left = [MOST_TERMS]
    number, factors = _product(value, rewriter, left)
    return Product(number, tuple(factors))


def _product(value: SSAValue, rewriter: Rewriter, left: list[int]) -> tuple[float, list[SSAValue]]:
    known = rewriter.number(value)
    if known is not None:
        return known, []
    left[0] -= 1
    op = value.owner
    if left[0] < 0 or not isinstance(op, Operation):
        return 1.0, [value]
    name = function_of(op)
    if name in ("mul", "div"):
        found = with_number(op, rewriter)
        if found is not None and (name == "mul" or (found[0] is op.operands[0] and found[1])):
            number, factors = _product(found[0], rewriter, left)
            return (number * found[1] if name == "mul" else number / found[1]), factors
    if name == "mul" and shape_of(op.operands[0]) == shape_of(op.operands[1]):
        (a, first), (b, second) = (_product(v, rewriter, left) for v in op.operands)
        return a * b, [*first, *second]
    return 1.0, [value]
