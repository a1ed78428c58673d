"""The functions of `nn.pointwise`: name, operands, real parameters, and the element types that they take and give.

One entry is one function of numbers, applied element by element. Arithmetic of integers wraps modulo 2^width, as two's
complement does; the names say so (`wrapping_add`). Division of integers truncates towards 0, and a division by 0 gives
0. Comparisons and logic give `ui1`, which is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import Float32Type, IntegerType, f32
from xdsl.ir import Attribute

from hapir.dialects.num_types import signed, unsigned

BOOLEAN = unsigned(1)
"""0 or 1."""

Rule = Callable[[Sequence[Attribute]], Attribute]
"""The element type of the result for those of the operands. Raises ValueError where the function has none."""


@dataclass(frozen=True)
class Function:
    """A function of `arity` numbers. `parameters` are its real constants, with their defaults.

    `words` say in a line what it computes of x, y and z.
    """

    arity: int
    words: str
    rule: Rule
    parameters: Mapping[str, float]


def _same(*kinds: type[Attribute]) -> Rule:
    """All operands have one type of these kinds, which the result has too."""

    def rule(elements: Sequence[Attribute]) -> Attribute:
        first = elements[0]
        if any(e != first for e in elements) or not isinstance(first, kinds):
            wanted = " or ".join("f32" if kind is Float32Type else "integers" for kind in kinds)
            raise ValueError(f"takes {wanted} of one type, got {', '.join(map(str, elements))}")
        return first

    return rule


_real, _whole, _any = _same(Float32Type), _same(IntegerType), _same(Float32Type, IntegerType)


def _compare(elements: Sequence[Attribute]) -> Attribute:
    _any(elements)
    return BOOLEAN


def _logic(elements: Sequence[Attribute]) -> Attribute:
    if any(e != BOOLEAN for e in elements):
        raise ValueError(f"takes ui1, got {', '.join(map(str, elements))}")
    return BOOLEAN


def _test(elements: Sequence[Attribute]) -> Attribute:
    _real(elements)
    return BOOLEAN


def _select(elements: Sequence[Attribute]) -> Attribute:
    if elements[0] != BOOLEAN:
        raise ValueError(f"chooses by ui1, got {elements[0]}")
    return _any(elements[1:])


def _bits(elements: Sequence[Attribute]) -> Attribute:
    _real(elements)
    return signed(32)


def _from_bits(elements: Sequence[Attribute]) -> Attribute:
    if elements[0] != signed(32):
        raise ValueError(f"takes si32, got {elements[0]}")
    return f32


def _power(elements: Sequence[Attribute]) -> Attribute:
    base, exponent = elements
    if not (isinstance(base, Float32Type | IntegerType) and isinstance(exponent, Float32Type | IntegerType)):
        raise ValueError(f"takes f32 or integers, got {base} and {exponent}")
    return elements[0]


def _one(words: str, rule: Rule = _real, **parameters: float) -> Function:
    return Function(1, words, rule, parameters)


def _two(words: str, rule: Rule = _real) -> Function:
    return Function(2, words, rule, {})


FUNCTIONS: Mapping[str, Function] = {
    # of one real number
    "exp": _one("e to the power of x"),
    "log": _one("natural logarithm of x"),
    "sqrt": _one("square root of x"),
    "reciprocal": _one("1 / x"),
    "erf": _one("error function of x, computed in double and rounded once"),
    "floor": _one("largest whole number not above x"),
    "ceil": _one("smallest whole number not below x"),
    "round": _one("nearest whole number, ties to even"),
    "sin": _one("sine of x radians"),
    "cos": _one("cosine of x radians"),
    "tan": _one("tangent of x radians"),
    "asin": _one("arc sine of x, in radians"),
    "acos": _one("arc cosine of x, in radians"),
    "atan": _one("arc tangent of x, in radians"),
    "sinh": _one("hyperbolic sine of x"),
    "cosh": _one("hyperbolic cosine of x"),
    "asinh": _one("inverse hyperbolic sine of x"),
    "acosh": _one("inverse hyperbolic cosine of x"),
    "atanh": _one("inverse hyperbolic tangent of x"),
    "elu": _one("x where it is positive, else `alpha * (exp(x) - 1)` (Clevert et al., ICLR 2016)", alpha=1.0),
    "selu": _one(
        "`gamma * x` where x is positive, else `gamma * alpha * (exp(x) - 1)` (Klambauer et al., NIPS 2017)",
        alpha=1.6732632423543772,
        gamma=1.0507009873554805,
    ),
    "celu": _one("`max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)` (Barron, 2017)", alpha=1.0),
    "thresholded_relu": _one("x where it is above `alpha`, else 0", alpha=1.0),
    "shrink": _one("`x + bias` below `-limit`, `x - bias` above `limit`, else 0", bias=0.0, limit=0.5),
    "softplus": _one("log(1 + exp(x)), computed as `max(x, 0) + log1p(exp(-|x|))`"),
    "softsign": _one("`x / (1 + |x|)`"),
    "mish": _one("`x * tanh(softplus(x))` (Misra, BMVC 2020)"),
    "gelu_tanh": _one("`x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))` (Hendrycks and Gimpel, 2016)"),
    "is_nan": _one("whether x is no number", _test),
    "is_infinite": _one("whether x is infinite", _test),
    # of one number of any type
    "abs": _one("magnitude of x", _any),
    "neg": _one("-x", _any),
    "signum": _one("-1, 0 or 1: the sign of x", _any),
    "logical_not": _one("1 where x is 0", _logic),
    "bit_not": _one("x with all its bits turned", _whole),
    # of the bits of one
    "bits": _one("the 32 bits of x as IEEE 754 holds it, as an integer", _bits),
    "from_bits": _one("the real number whose 32 bits are those of x", _from_bits),
    # of two
    "div": _two("x / y; of integers truncated towards 0, and 0 where y is 0", _any),
    "floor_mod": _two("what is left of x by y, with the sign of y; of integers 0 where y is 0", _any),
    "fmod": _two("what is left of x by y, with the sign of x; of integers 0 where y is 0", _any),
    "pow": _two("x to the power of y, in the type of x; y may be of another type", _power),
    "prelu": _two("x where it is not negative, else `x * y` (He et al., ICCV 2015)", _any),
    "minimum": _two("the smaller of x and y", _any),
    "maximum": _two("the larger of x and y", _any),
    "wrapping_add": _two("x + y modulo 2^width", _whole),
    "wrapping_sub": _two("x - y modulo 2^width", _whole),
    "wrapping_mul": _two("x * y modulo 2^width", _whole),
    "equal": _two("whether x is y", _compare),
    "less": _two("whether x is below y", _compare),
    "less_equal": _two("whether x is not above y", _compare),
    "greater": _two("whether x is above y", _compare),
    "greater_equal": _two("whether x is not below y", _compare),
    "logical_and": _two("whether x and y are both 1", _logic),
    "logical_or": _two("whether x or y is 1", _logic),
    "logical_xor": _two("whether one of x and y is 1", _logic),
    "bit_and": _two("the bits that x and y share", _whole),
    "bit_or": _two("the bits of x and of y", _whole),
    "bit_xor": _two("the bits that x and y do not share", _whole),
    "shift_left": _two("`x * 2^y` modulo 2^width; 0 where y is negative, the width or more", _whole),
    "shift_right": _two("`x / 2^y` rounded down; 0, of negative x -1, where y is negative, the width or more", _whole),
    # of three
    "where": Function(3, "y where x is 1, else z", _select, {}),
}
"""All functions, in the order in which a page lists them."""
