"""Typed options: values of the syntax read as the fields of a dataclass.

One reader serves passes, layers, units, dataflows and memories. A field's annotation decides: int, float, bool, str,
Literal, an Enum of strings, `IntegerType` (`u8`, `i32`), `Measure` (a quantity), what the registry holds
(`FormatText`, `MultiplierText`), tuples of these, and unions. A field's metadata may hold `units`: the dimensions that
a number of this field is measured in. Without it a float takes ratios and decibels (`50 %` is 0.5) and an int takes no
unit at all.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from xdsl.dialects.builtin import IntegerType
from xdsl.utils.exceptions import VerifyException

from hapir.bounds import bounds_of
from hapir.diagnostics import Findings, HapirError, Label, Span, did_you_mean
from hapir.registered import Registered
from hapir.spec import foreign, syntax
from hapir.spec.foreign import suggest
from hapir.spec.twice import given_twice
from hapir.spec.units import EXAMPLES, UNITS, Dimension, magnitude
from hapir.spec.values import integer_format, show, word

T = TypeVar("T")
MAXIMUM_RANGE = 1_000_000
"""Values that one `range(...)` may stand for."""


@dataclass(frozen=True)
class Measure:
    """A quantity in hapir's own unit of its dimension (see `units.py`)."""

    value: Fraction
    dimension: Dimension


def measured_in(*units: Dimension) -> dict[str, tuple[Dimension, ...]]:
    """The metadata of a dataclass field that takes quantities of these dimensions."""
    return {"units": units}


class Mismatch(Exception):
    """A value that its option does not take: the code and the message of the diagnostic."""

    def __init__(self, code: str, message: str, at: Span, help: str | None = None):
        super().__init__(message)
        self.code, self.message, self.at, self.help = code, message, at, help


@cache
def option_types(cls: type[Any]) -> dict[str, Any]:
    """The annotation of each option of a dataclass, evaluated."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}


def read_options(
    cls: type[T],
    given: Iterable[syntax.Option | syntax.Assign],
    *,
    at: Span,
    what: str,
    findings: Findings,
    constants: Callable[[], Iterable[str]] = tuple,
) -> T | None:
    """An instance of `cls` with the given options; None where there are errors, which are then among the findings.

    `what` names the statement in messages (``pass `prune` ``), `at` is its place, `constants` the names that may have
    been meant where a word stands for a number.
    """
    given = tuple(given)
    known, values, places = option_types(cls), dict[str, Any](), dict[str, syntax.Option | syntax.Assign]()
    metadata = {f.name: f.metadata for f in dataclasses.fields(cast(Any, cls))}
    bad = False
    meant = ""  # the help lines of unknown options: what they name is not missing
    for option in given:
        name = option.name.text
        if name not in known:
            help = suggest(name, known, foreign.OPTIONS, foreign.NO_OPTIONS) or (
                f"its options are {', '.join(known)}" if known else f"{what} has no options: leave it out"
            )
            findings.error("HAP0204", f"{what} has no option `{name}`", at=option.name.span, help=help)
            meant += help
            bad = True
        elif name in places:
            given_twice(name, option.name.span, places[name].name.span, findings)
            bad = True
        else:
            places[name] = option
            units = metadata[name].get("units")
            try:
                values[name] = convert(option.value, known[name], name, units)
            except Mismatch as mismatch:
                help = mismatch.help or _meant(option, known[name], units, constants)
                findings.error(
                    mismatch.code, mismatch.message, at=mismatch.at, labels=origins([option.value]), help=help
                )
                bad = True
            except HapirError as error:
                findings.add(error.diagnostics)
                bad = True
    for missing in (f for f in dataclasses.fields(cast(Any, cls)) if f.init and f.name not in places and _required(f)):
        bad = True
        if f"`{missing.name}`" not in meant:
            help = _example(cls, missing, known[missing.name])
            findings.error("HAP0206", f"{what} needs `{missing.name}`", at=at, help=help)
    labels = origins(option.value for option in given)
    return None if bad else construct(cls, values, at=at, what=what, findings=findings, labels=labels, given=given)


def origins(values: Iterable[syntax.Value]) -> list[Label]:
    """Where the constants behind values are defined, as second places of a message."""
    found = [v for v in values if isinstance(v, syntax.Number | syntax.Quantity | syntax.Text) and v.origin is not None]
    return [Label(v.origin.span, f"`{v.origin.name}` is {show(replace(v, origin=None))}") for v in found if v.origin]


def _meant(
    option: syntax.Option | syntax.Assign,
    hint: Any,
    units: tuple[Dimension, ...] | None,
    constants: Callable[[], Iterable[str]],
) -> str:
    """A help line for a value that its option does not take: hapir's spelling of it, a constant, or an example."""
    name, value = option.name.text, option.value
    written = word(value) or (value.value if isinstance(value, syntax.Text) else None)

    def accepts(text: str) -> bool:
        try:
            convert(syntax.Name(text, value.span), hint, name, units)
        except (Mismatch, HapirError):
            return False
        return True

    if written is not None:
        known = did_you_mean(written, constants()) if isinstance(value, syntax.Name) else None
        found = foreign.suggest_value(name, written, accepts) or known
        if found is not None:
            return found
    if isinstance(value, syntax.Number) and units:
        return f"say the unit, as in `{name} = {EXAMPLES[units[0]]}`"
    if {int, float} & {hint, *get_args(hint)}:
        number = _number_meant(name, value, hint)
        if number is not None:
            return number
    return f"for example `{name} = {example(hint, units)}`"


def _number_meant(name: str, value: syntax.Value, hint: Any) -> str | None:
    """A help line for what stands where a number is taken; None where an example tells as much."""
    match value:
        case syntax.Name():
            return f"write a number, or define the constant: `let {value.text} = {example(hint)}`"
        case syntax.Number() if value.value == int(value.value):
            return f"write `{name} = {int(value.value)}`"
        case syntax.Number():
            return "`floor`, `ceil` and `round` make integers of numbers"
        case syntax.Call():
            from hapir.spec.evaluate import FUNCTIONS, SIZE  # it imports this module; only errors ask it

            functions = (*FUNCTIONS, SIZE)
            return did_you_mean(value.function.text, functions) or f"the functions are {', '.join(functions)}"
        case _:
            return None


def example(hint: Any, units: tuple[Dimension, ...] | None = None) -> str:
    """A value that an annotation takes, as a spec writes it."""
    if units:
        return EXAMPLES[units[0]]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return str(arguments[0])
    if _is_enum(hint):
        return str(next(iter(hint)).value)
    if origin is tuple and IntegerType in arguments:
        return "u8 * i8"
    if origin is tuple:
        parts = arguments[:1] if arguments[-1] is Ellipsis else arguments
        return f"[{', '.join(example(part) for part in parts)}]"
    if origin in (Union, types.UnionType):
        return example(next(a for a in arguments if a is not type(None)))
    simple = {int: "1", float: "0.5", bool: "true", str: '"name"', IntegerType: "i8", Measure: "1 KiB"}
    return simple.get(hint, "...")


def construct(
    cls: type[T],
    values: dict[str, Any],
    *,
    at: Span,
    what: str,
    findings: Findings,
    labels: Sequence[Label] = (),
    given: Sequence[syntax.Option | syntax.Assign] = (),
) -> T | None:
    """`cls(**values)`; what its own checks refuse becomes a diagnostic HAP0305.

    It is placed at the value of the option that the refusal speaks of, where it names just one of those `given`, and
    else at `at`.
    """
    try:
        return cls(**values)
    except HapirError as error:
        findings.add(d if d.span else replace(d, span=at) for d in error.diagnostics)
    except (ValueError, VerifyException) as error:
        named = [option for option in given if re.search(rf"\b{re.escape(option.name.text)}\b", str(error))]
        place = named[0].value.span if len(named) == 1 else at
        help = _in_range(cls, named[0]) if len(named) == 1 else None
        findings.error("HAP0305", f"{what}: {error}", at=place, labels=labels,
                       help=help or _other_value(cls, str(error), named, given))  # fmt: skip
    return None


def _other_value(
    cls: type[Any],
    refusal: str,
    named: Sequence[syntax.Option | syntax.Assign],
    given: Sequence[syntax.Option | syntax.Assign],
) -> str:
    """A help line for options that do not fit together: those that are `named` in the refusal, or left out."""
    there = {option.name.text for option in given}
    absent = " or ".join(f"`{name}`" for name in option_types(cls) if f"`{name}`" in refusal and name not in there)
    if absent and not named:
        return f"give {absent}"
    names = " or ".join(f"`{option.name.text}`" for option in named or given)
    if not names:
        return "choose values that fit"
    return f"choose another {names}" + (f", or give {absent}" if absent else "")


def _in_range(cls: type[Any], option: syntax.Option | syntax.Assign) -> str | None:
    """A help line for a value that is out of range: a share may lack its `%`."""
    name, value = option.name.text, option.value
    hint = option_types(cls)[name]
    if not (float in (hint, *get_args(hint)) and isinstance(value, syntax.Number) and 1 <= value.value < 100):
        return None
    bounds = bounds_of(next(f for f in dataclasses.fields(cls) if f.name == name))
    if bounds is None or value.value / 100 in bounds:
        return f"for a share write `{option.name.text} = {show(replace(value, origin=None))} %`"
    return None


def _required(option: dataclasses.Field[Any]) -> bool:
    return option.default is MISSING and option.default_factory is MISSING


def _example(cls: type[Any], option: dataclasses.Field[Any], hint: Any) -> str:
    """A help line for an option that is missing: an example of a quantity, or what its docstring says it is."""
    units: tuple[Dimension, ...] | None = option.metadata.get("units")
    if units:
        return f"for example `{option.name} = {EXAMPLES[units[0]]}`"
    from hapir.catalogue.docstrings import option_descriptions  # the catalogue imports this module; only errors ask it

    says = option_descriptions(cls).get(option.name, "").rstrip(".")
    choice = f" ({describe(hint)})" if get_origin(hint) is Literal or _is_enum(hint) else ""
    return f"add `{option.name} = ...`: {says}{choice}" if says else f"add `{option.name} = ...`: {describe(hint)}"


def describe(hint: Any) -> str:
    """What an annotation takes, in words."""
    simple = {int: "an integer", float: "a number", bool: "true or false", str: "a name or a string"}
    if hint in simple:
        return simple[hint]
    if hint is type(None):
        return "none"
    if hint is IntegerType:
        return "an integer format like u8 or i32"
    if hint is Measure:
        return "a quantity"
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _described_registered(hint)
    if origin is Literal:
        return f"one of {', '.join(str(a) for a in arguments)}"
    if _is_enum(hint):
        return f"one of {', '.join(m.value for m in hint)}"
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return f"a list, each {describe(arguments[0])}"
    if origin is tuple and set(arguments) == {IntegerType}:
        return "a product of integer formats like " + " * ".join(("u8", "i8", "i8", "i8")[: len(arguments)])
    if origin is tuple:
        plural = {(int,): f"{len(arguments)} integers", (float,): f"{len(arguments)} numbers"}.get(
            tuple(set(arguments))
        )
        return f"a list of {plural or ' and '.join(describe(a) for a in arguments)}"
    if origin in (Union, types.UnionType) and {*arguments} - {type(None)} == {str, tuple[str, ...]}:
        return 'a name, a string like "c*", or a list of these'
    if origin in (Union, types.UnionType):
        return _alternatives([describe(a) for a in arguments if a is not type(None)])
    return str(hint)


def _described_registered(hint: Any) -> str:
    registered: Registered = hint.__metadata__[0]
    return f"{registered.one} like {registered.example}"


def _alternatives(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def convert(value: syntax.Value, hint: Any, name: str, units: tuple[Dimension, ...] | None = None) -> Any:
    """A value as what an annotation asks for. Raises Mismatch, or HapirError from the parts of a value."""
    origin = get_origin(hint)
    if origin is Annotated:
        from hapir.spec.registered_values import registered_text  # which reads options itself

        return registered_text(value, hint.__metadata__[0], name)
    if origin in (Union, types.UnionType):
        return _convert_union(value, get_args(hint), name, units)
    if origin is tuple:
        return _convert_tuple(value, hint, name, units)
    if origin is Literal or _is_enum(hint):
        return _convert_choice(value, hint, name)
    converter = _CONVERTERS.get(hint)
    if converter is None:
        raise TypeError(f"option `{name}` has the type {hint}, which the spec language cannot write")
    if isinstance(value, syntax.Quantity) and hint is not str:
        return _convert_quantity(value, hint, name, units)
    result = converter(value)
    if result is None:
        wanted = describe(hint) if hint is not Measure else f"a quantity like {EXAMPLES[units[0]]}" if units else ""
        raise Mismatch("HAP0304", f"`{name}` takes {wanted}, not {show(value)}", value.span)
    return result


def _integer(value: syntax.Value) -> int | None:
    return value.value if isinstance(value, syntax.Number) and isinstance(value.value, int) else None


def _float(value: syntax.Value) -> float | None:
    return float(value.value) if isinstance(value, syntax.Number) else None


def _bool(value: syntax.Value) -> bool | None:
    return {"true": True, "false": False}.get(word(value) or "")


def _word(value: syntax.Value) -> str | None:
    return value.value if isinstance(value, syntax.Text) else word(value)


def _unmeasured(value: syntax.Value) -> None:
    """Only quantities measure; they never come here."""


_CONVERTERS: dict[Any, Callable[[syntax.Value], Any]] = {
    int: _integer,
    float: _float,
    bool: _bool,
    str: _word,
    IntegerType: integer_format,
    Measure: _unmeasured,
}


def _convert_quantity(value: syntax.Quantity, hint: Any, name: str, units: tuple[Dimension, ...] | None) -> Any:
    allowed: tuple[Dimension, ...] = units or (("ratio", "decibel") if hint is float else ())
    dimension = UNITS[value.unit].dimension
    if dimension not in allowed:
        found = f"{show(value)} ({_with_article(dimension)})"
        if allowed and hint in (float, Measure):
            wanted = " or ".join(EXAMPLES[a] for a in allowed)
            raise Mismatch(
                "HAP0302",
                f"`{name}` is {_with_article(allowed[0])}, not {found}",
                value.span,
                f"write it like {wanted}",
            )
        bare = f"leave the unit out: `{name} = {value.value}`"
        raise Mismatch("HAP0302", f"`{name}` takes {describe(hint)} without a unit, not {found}", value.span, bare)
    amount = magnitude(value.value, value.unit)
    if hint is Measure:
        return Measure(amount, dimension)
    if hint is float:
        return float(amount)
    if hint is int and amount.denominator == 1:
        return int(amount)
    raise Mismatch("HAP0304", f"`{name}` takes {describe(hint)}, not {show(value)}", value.span)


def _with_article(dimension: Dimension) -> str:
    plural = {"words": "a number of words", "cycles": "a number of cycles", "decibel": "a number of decibels"}
    return plural.get(dimension) or f"{'an' if dimension[0] in 'aeiou' else 'a'} {dimension}"


def _convert_choice(value: syntax.Value, hint: Any, name: str) -> Any:
    members: dict[str, Any] = (
        {m.value: m for m in hint} if _is_enum(hint) else {str(choice): choice for choice in get_args(hint)}
    )
    spellings = [word(value), str(value.value) if isinstance(value, syntax.Number | syntax.Text) else None]
    written = next((s for s in spellings if s in members), spellings[1] or spellings[0])
    if written in members:
        return members[written]
    help = did_you_mean(written, members) if written else None
    raise Mismatch("HAP0304", f"`{name}` takes {describe(hint)}, not {show(value)}", value.span, help)


def _convert_union(value: syntax.Value, arms: tuple[Any, ...], name: str, units: tuple[Dimension, ...] | None) -> Any:
    if type(None) in arms and isinstance(value, syntax.Name) and value.text == "none":
        return None
    tried = [arm for arm in arms if arm is not type(None)]
    if isinstance(value, syntax.Sequence):
        # a list can only be a tuple; among tuples the one of its length
        tuples = [a for a in tried if get_origin(a) is tuple]
        fitting = [a for a in tuples if len(get_args(a)) == len(value.elements) or get_args(a)[-1] is Ellipsis]
        tried = fitting or tried
    else:
        tried = sorted(tried, key=lambda arm: get_origin(arm) is tuple)
    failures: list[Mismatch] = []
    for arm in tried:
        try:
            return convert(value, arm, name, units)
        except Mismatch as mismatch:
            failures.append(mismatch)
    if len(failures) == 1 or failures[0].code == "HAP0302":
        raise failures[0]
    wanted = _alternatives([describe(a) for a in arms if a is not type(None)])
    raise Mismatch("HAP0304", f"`{name}` takes {wanted}, not {show(value)}", value.span)


def _convert_tuple(value: syntax.Value, hint: Any, name: str, units: tuple[Dimension, ...] | None) -> tuple[Any, ...]:
    arguments = get_args(hint)
    variadic = len(arguments) == 2 and arguments[1] is Ellipsis
    formats = IntegerType in arguments
    if isinstance(value, syntax.Product) != formats:
        raise Mismatch("HAP0304", f"`{name}` takes {describe(hint)}, not {show(value)}", value.span)
    elements = value.factors if isinstance(value, syntax.Product) else _elements(value, name)
    if not variadic and len(elements) != len(arguments):
        raise Mismatch("HAP0304", f"`{name}` takes {describe(hint)}, not {show(value)}", value.span)
    hints = [arguments[0]] * len(elements) if variadic else arguments
    return tuple(convert(e, h, name, units) for e, h in zip(elements, hints, strict=True))


def _elements(value: syntax.Value, name: str) -> tuple[syntax.Value, ...]:
    """The members of a list or range; anything else is its own only member."""
    if isinstance(value, syntax.Call) and value.function.text == "range":
        return tuple(syntax.Number(n, value.span) for n in expand_range(value))
    if not isinstance(value, syntax.Sequence):
        return (value,)
    for element in value.elements:
        if isinstance(element, syntax.Pair):
            raise Mismatch("HAP0304", f"`{name}` takes values, not pairs like {element.key.text}: ...", element.span)
    return cast("tuple[syntax.Value, ...]", value.elements)


def expand_range(call: syntax.Call, *, may_be_empty: bool = False) -> range:
    """`range(first, last, step = 1)`, both ends included. Raises Mismatch."""
    options = {o.name.text: o.value for o in call.options}
    numbers = [_integer(v) for v in (*call.arguments, *options.values())]
    if len(call.arguments) != 2 or set(options) - {"step"} or len(call.options) > 1 or None in numbers:
        upto = numbers[0] if len(numbers) == 1 and not options else None
        help = (
            f"write `range(1, {upto})`: both ends belong to it"
            if upto
            else "write `range(1, 4)`: both ends belong to it"
        )
        raise Mismatch("HAP0205", "a range is written `range(first, last, step = n)` with integers", call.span, help)
    first, last, step = cast("list[int]", numbers) + ([] if options else [1])
    wrong = (
        f"steps by {step}" if step < 1
        else "is empty" if last < first and not may_be_empty
        else f"has more than {MAXIMUM_RANGE} values" if (last - first) // step >= MAXIMUM_RANGE
        else None
    )  # fmt: skip
    if wrong:
        help = "it counts up from the first to the last, both included, by steps of at least 1"
        raise Mismatch("HAP0305", f"the range {first}..{last} {wrong}", call.span, help)
    return range(first, last + 1, step)


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, enum.Enum)
