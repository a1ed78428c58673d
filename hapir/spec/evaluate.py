"""Expressions: constants put in, arithmetic done, so that what reads a value sees a number, a quantity or a word.

Law: exact. Decimal fractions count as they are written (`0.1 + 0.2` is `0.3`), whole results are integers, quantities
keep their dimension. A name that is no constant stays a name (`weight_stationary`, `u8`), a product of formats stays a
product; only where a number is needed is an unknown name an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from hapir.diagnostics import Findings, Label, Span, did_you_mean
from hapir.spec import syntax
from hapir.spec.foreign import OPTIONS, suggest
from hapir.spec.twice import defined_twice, given_twice
from hapir.spec.units import MAXIMUM_MAGNITUDE, UNITS
from hapir.spec.values import integer_format, show

RESERVED = ("true", "false", "none")
"""Words that cannot name a constant."""
EXACT_BITS = 256
"""Fractions with longer denominators are rounded to floats, or chains of products would grow without end."""


@dataclass(frozen=True)
class Function:
    """A function of expressions: how it is called, what it gives, and the exact arithmetic."""

    signature: str
    text: str
    arity: int | None
    """How many arguments it takes; None: one or more."""
    apply: Callable[[Sequence[Fraction]], Fraction]
    measures: bool = False
    """Whether it takes quantities of one dimension as well, and gives one."""


def _square_root(values: Sequence[Fraction]) -> Fraction:
    if values[0] < 0:
        raise ValueError("a negative number has no square root")
    numerator, denominator = math.isqrt(values[0].numerator), math.isqrt(values[0].denominator)
    exact = Fraction(numerator, denominator)
    return exact if exact**2 == values[0] else Fraction(repr(math.sqrt(values[0])))


def _log2(values: Sequence[Fraction]) -> Fraction:
    if values[0] <= 0:
        raise ValueError("only numbers above 0 have a logarithm")
    return Fraction(repr(math.log2(values[0])))


def _modulo(values: Sequence[Fraction]) -> Fraction:
    if values[1] == 0:
        raise ValueError("division by zero")
    return values[0] % values[1]


FUNCTIONS: dict[str, Function] = {
    "min": Function("min(a, b, ...)", "the smallest", None, min, measures=True),
    "max": Function("max(a, b, ...)", "the largest", None, max, measures=True),
    "floor": Function("floor(a)", "the next integer below", 1, lambda v: Fraction(math.floor(v[0]))),
    "ceil": Function("ceil(a)", "the next integer above", 1, lambda v: Fraction(math.ceil(v[0]))),
    "round": Function("round(a)", "the closest integer, ties to even", 1, lambda v: Fraction(round(v[0]))),
    "abs": Function("abs(a)", "the magnitude", 1, lambda v: abs(v[0]), measures=True),
    "mod": Function("mod(a, b)", "the remainder, with the sign of b", 2, _modulo),
    "sqrt": Function("sqrt(a)", "the square root, exact where it is rational", 1, _square_root),
    "log2": Function("log2(a)", "the logarithm to base 2", 1, _log2),
}
"""The functions of expressions by name. Networks and blocks have `size(tensor, axis)` as well."""
SIZE = "size"


@dataclass(frozen=True)
class Constant:
    """A constant's value, evaluated (None after an error in it), and where it is defined."""

    value: syntax.Value | None
    span: Span


@dataclass
class Scope:
    """The constants that can be seen at a place: its own and those of the scope around it.

    `size` tells the size of a tensor along an axis where there are tensors; it reports what is wrong itself.
    """

    outer: Scope | None = None
    own: dict[str, Constant] = field(default_factory=dict[str, Constant])
    size: Callable[[syntax.Call, Findings], int | None] | None = None

    def find(self, name: str) -> Constant | None:
        """The constant of this name, the innermost one."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.own:
                return scope.own[name]
            scope = scope.outer
        return None

    def names(self) -> Iterator[str]:
        """All names that can be seen."""
        scope: Scope | None = self
        while scope is not None:
            yield from scope.own
            scope = scope.outer

    def let(self, statement: syntax.Let, findings: Findings) -> None:
        """Take in a constant; a name that is taken in this very scope is an error with both places."""
        self.bind(statement.name, evaluate(statement.value, self, findings), findings)

    def bind(self, name: syntax.Name, value: syntax.Value | None, findings: Findings) -> None:
        """Take in a name for a value; what is computed with a None is an error that is told already."""
        if name.text in RESERVED:
            findings.error("HAP0223", f"a constant cannot be called `{name.text}`", at=name.span, help="rename it")
        elif name.text in self.own:
            help = "a constant keeps its value: give this one another name"
            defined_twice(f"`{name.text}`", name.span, self.own[name.text].span, findings, help=help)
        else:
            self.own[name.text] = Constant(value, name.span)


def evaluate(value: syntax.Value, scope: Scope, findings: Findings) -> syntax.Value | None:
    """A value without constants and arithmetic; None where there are errors, which are then among the findings."""
    if findings.enough:
        return None
    try:
        return _evaluate(value, scope, findings)
    except _Wrong as wrong:
        if wrong.code:
            findings.error(wrong.code, str(wrong), at=wrong.at, help=wrong.help)
        return None


def evaluate_step(call: syntax.Call, scope: Scope, findings: Findings) -> syntax.Call | None:
    """`evaluate` for a step of a recipe, which is a pass even where a function has its name (`log2`)."""
    if findings.enough:
        return None
    try:
        return _with_plain_parts(call, scope, findings)
    except _Wrong as wrong:
        if wrong.code:
            findings.error(wrong.code, str(wrong), at=wrong.at, help=wrong.help)
        return None


class _Wrong(Exception):
    """An expression without a value; an empty code says that it is among the findings already."""

    def __init__(self, code: str, message: str, at: Span, help: str | None = None):
        super().__init__(message)
        self.code, self.at, self.help = code, at, help


def _evaluate(value: syntax.Value, scope: Scope, findings: Findings) -> syntax.Value:
    match value:
        case syntax.Name():
            return _constant(value, scope)
        case syntax.Binary():
            left = _evaluate(value.left, scope, findings)
            return _binary(value, left, _evaluate(value.right, scope, findings), scope)
        case syntax.Negative():
            operand = _evaluate(value.operand, scope, findings)
            amount, dimension = _amount(operand, scope)
            return _measured(-amount, dimension, operand, value.span)
        case syntax.Call():
            return _call(value, scope, findings)
        case syntax.Sequence():
            return replace(value, elements=_elements(value.elements, scope, findings))
        case syntax.Tensor():
            return replace(value, dimensions=_elements(value.dimensions, scope, findings))
        case _:
            return value


def _elements(
    elements: Sequence[syntax.Value | syntax.Pair], scope: Scope, findings: Findings
) -> tuple[syntax.Value | syntax.Pair, ...]:
    return tuple(
        replace(e, value=_evaluate(e.value, scope, findings))
        if isinstance(e, syntax.Pair)
        else _evaluate(e, scope, findings)
        for e in elements
    )


def _constant(name: syntax.Name, scope: Scope) -> syntax.Value:
    found = scope.find(name.text)
    if found is None:
        return name
    match found.value:
        case None:
            raise _Wrong("", "", name.span)
        case syntax.Number() | syntax.Quantity() | syntax.Text():
            return replace(found.value, span=name.span, origin=syntax.Origin(name.text, found.span))
        case _:
            return replace(found.value, span=name.span)


def _with_plain_parts(call: syntax.Call, scope: Scope, findings: Findings) -> syntax.Call:
    return replace(
        call,
        arguments=tuple(_evaluate(a, scope, findings) for a in call.arguments),
        options=tuple(replace(o, value=_evaluate(o.value, scope, findings)) for o in call.options),
    )


def _call(call: syntax.Call, scope: Scope, findings: Findings) -> syntax.Value:
    name = call.function.text
    if name == SIZE and scope.size is not None:
        size = scope.size(call, findings)
        if size is None:
            raise _Wrong("", "", call.span)
        return syntax.Number(size, call.span)
    function = FUNCTIONS.get(name)
    if function is None:
        return _with_plain_parts(call, scope, findings)
    given = len(call.arguments)
    if call.options or not given or given != (function.arity or given):
        raise _Wrong(
            "HAP0205", f"`{name}` is called as `{function.signature}`", call.span, "its arguments have no names"
        )
    arguments = [_evaluate(a, scope, findings) for a in call.arguments]
    amounts = [_amount(a, scope) for a in arguments]
    dimension = amounts[0][1]
    for argument, (_, other) in zip(arguments, amounts, strict=True):
        if other != dimension or (dimension and not function.measures):
            wanted = "numbers without a unit" if not function.measures else "numbers, or quantities of one dimension"
            help = f"`{function.signature}` is {function.text}"
            raise _Wrong("HAP0307", f"`{name}` takes {wanted}, not {show(argument)}", argument.span, help)
    try:
        result = function.apply([amount for amount, _ in amounts])
    except (ValueError, OverflowError) as error:
        help = f"`{function.signature}` is {function.text}"
        raise _Wrong("HAP0308", f"`{name}` has no value here: {error}", call.span, help) from error
    return _measured(result, dimension, arguments[0], call.span)


def _binary(value: syntax.Binary, left: syntax.Value, right: syntax.Value, scope: Scope) -> syntax.Value:
    if value.operator == "*" and all(_is_format(side) for side in (left, right)):
        factors = (*(left.factors if isinstance(left, syntax.Product) else (left,)), right)
        return syntax.Product(factors, value.span)
    (a, first), (b, second) = _amount(left, scope), _amount(right, scope)
    match value.operator:
        case "+" | "-" if first == second or {first, second} == {None, "ratio"}:
            dimension = first if first == second else None
            return _measured(a + b if value.operator == "+" else a - b, dimension, left, value.span)
        case "*" if first is None or second is None or first == "ratio" or second == "ratio":
            like = right if first is None or (first == "ratio" and second is not None) else left
            return _measured(a * b, second if like is right else first, like, value.span)
        case "/" if second is None or first == second:
            if b == 0:
                raise _Wrong("HAP0308", "division by zero", value.right.span, "divide by a number other than 0")
            return _measured(a / b, first if second is None else None, left, value.span)
        case _:
            words = {"+": "added", "-": "subtracted", "*": "multiplied", "/": "divided"}[value.operator]
            what = f"{show(left)} and {show(right)} cannot be {words}"
            raise _Wrong("HAP0307", what, value.span, "both must measure the same thing, or one be a plain number")


def _is_format(value: syntax.Value) -> bool:
    """Whether a value names a number format, alone or as a product of several."""
    return isinstance(value, syntax.Product | syntax.Call) or integer_format(value) is not None


def _amount(value: syntax.Value, scope: Scope) -> tuple[Fraction, str | None]:
    """A number as it is, or a quantity in hapir's own unit with its dimension."""
    if isinstance(value, syntax.Number):
        return value.exact or Fraction(str(value.value)), None
    if isinstance(value, syntax.Quantity):
        unit = UNITS[value.unit]
        return (value.exact or Fraction(str(value.value))) * unit.factor, unit.dimension
    if isinstance(value, syntax.Name) and value.text not in RESERVED:
        known = list(scope.names())
        help = did_you_mean(value.text, known) or (
            f"the constants here are {', '.join(dict.fromkeys(known))}" if known else "define it: `let name = value`"
        )
        raise _Wrong("HAP0224", f"there is no constant `{value.text}`", value.span, help)
    raise _Wrong("HAP0307", f"{show(value)} cannot be computed with", value.span, "numbers and quantities can")


def _measured(amount: Fraction, dimension: str | None, like: syntax.Value, at: Span) -> syntax.Value:
    """A result as a number, or as a quantity in the unit of an operand."""
    unit = like.unit if dimension is not None and isinstance(like, syntax.Quantity) else None
    value = amount if unit is None else amount / UNITS[unit].factor
    if max(abs(value), abs(amount)) > MAXIMUM_MAGNITUDE:
        raise _Wrong("HAP0308", "the result is too large for a 64-bit float", at, "no size or rate is so large")
    number = value.numerator if value.denominator == 1 else float(value)
    exact = value if value.denominator.bit_length() <= EXACT_BITS and Fraction(str(number)) != value else None
    return syntax.Number(number, at, exact=exact) if unit is None else syntax.Quantity(number, unit, at, exact=exact)


def file_scope(constants: Sequence[syntax.Let], findings: Findings) -> Scope:
    """The constants at the top of a file, in the order written."""
    scope = Scope()
    for statement in constants:
        scope.let(statement, findings)
    return scope


def match_arguments(
    call: syntax.Instance | syntax.Call,
    parameters: Sequence[syntax.Parameter],
    *,
    what: str,
    at: Span,
    findings: Findings,
) -> dict[str, syntax.Value] | None:
    """The expression given for each parameter, positional ones first; None where the arguments do not fit.

    `what` names the definition in messages (``machine `ws` ``), `at` is its place. Only blocks, which are called in
    networks, may lack a default; of other definitions that is reported where they are declared.
    """
    known = {p.name.text: p for p in parameters if p.name is not None}
    labels = [Label(at, "defined here")]
    good = True
    if len(call.arguments) > len(known):
        count = f"{len(known)} parameter{'s' * (len(known) != 1)}" if known else "no parameters"
        help = f"its parameters are {', '.join(known)}" if known else "leave the arguments out"
        message = f"{what} has {count}, {len(call.arguments)} argument{'s' * (len(call.arguments) != 1)} given"
        findings.error("HAP0205", message, at=call.arguments[len(known)].span, labels=labels, help=help)
        good = False
    given = dict(zip(known, call.arguments, strict=False))
    for option in call.options:
        name = option.name.text
        if name not in known:
            help = suggest(name, known, OPTIONS) or (
                f"its parameters are {', '.join(known)}" if known else "leave it out: it has none"
            )
            findings.error(
                "HAP0204", f"{what} has no parameter `{name}`", at=option.name.span, labels=labels, help=help
            )
            good = False
        elif name in given:
            given_twice(name, option.name.span, given[name].span, findings)
            good = False
        else:
            given[name] = option.value
    for name, parameter in known.items():
        if name not in given and parameter.default is None and isinstance(call, syntax.Call):
            labels = [Label(parameter.span, "it has no default")]
            help = f"add `{name} = ...`, or give it a default where it is defined"
            findings.error("HAP0206", f"{what} needs `{name}`", at=call.span, labels=labels, help=help)
            good = False
    later = set(known)
    for name, parameter in known.items():
        later.remove(name)
        if name not in given and isinstance(parameter.default, syntax.Name) and parameter.default.text in later:
            used = parameter.default
            message = f"the default of `{name}` is `{used.text}`, which comes after it"
            findings.error("HAP0224", message, at=used.span, help=f"put `{used.text}` before `{name}`")
            good = False
    return given if good else None


def bind_constants(
    call: syntax.Instance | syntax.Call,
    parameters: Sequence[syntax.Parameter],
    caller: Scope,
    scope: Scope,
    *,
    what: str,
    at: Span,
    findings: Findings,
) -> bool:
    """Bind parameters in `scope`: to arguments evaluated in the caller's scope, or to their defaults, in order.

    Whether the arguments fit; what does not is among the findings.
    """
    given = match_arguments(call, parameters, what=what, at=at, findings=findings)
    for parameter in parameters:
        assert parameter.name is not None
        name = parameter.name
        if given is not None and name.text in given:
            scope.bind(name, evaluate(given[name.text], caller, findings), findings)
        elif parameter.default is not None:
            scope.bind(name, evaluate(parameter.default, scope, findings), findings)
        else:
            scope.bind(name, None, findings)
    return given is not None
