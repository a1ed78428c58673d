"""Registered values written as text: a number format `fixed(2, 6)`, a multiplier `truncated(bits = 2)`, an encoding.

Options of passes and units, and properties of the IR, hold such a value as its canonical text, so they print and
parse like any string: the name, and the fields that differ from their defaults by name. Reading takes positional
arguments too. An option is declared by its annotation, `format: FormatText`; `value_of` gives the object behind a text.
"""

from __future__ import annotations

import ast
import dataclasses
import keyword
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Protocol, Union, get_args, get_origin

from xdsl.ir import Operation

from hapir.diagnostics import HapirError, did_you_mean, fail, span_of


@dataclass(frozen=True)
class Registered:
    """A kind of registered value: its field of the universe, its name in messages, the code where one is unknown."""

    field: Literal["formats", "multipliers", "dataflows", "encodings", "evaluators"]
    kind: str
    code: str
    example: str

    @property
    def one(self) -> str:
        """The kind with its article: `an encoding`."""
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"


FORMAT = Registered("formats", "number format", "HAP0232", "`i8` or `fixed(2, 6)`")
MULTIPLIER = Registered("multipliers", "multiplier", "HAP0233", "`exact` or `truncated(bits = 2)`")
DATAFLOW = Registered("dataflows", "dataflow", "HAP0217", "`weight_stationary`")
ENCODING = Registered("encodings", "encoding", "HAP0550", "`dense` or `rle(gap_bits = 5)`")
EVALUATOR = Registered("evaluators", "evaluator", "HAP0580", "`accuracy` or `agreement`")

FormatText = Annotated[str, FORMAT]
"""An option that takes a number format of the registry."""
MultiplierText = Annotated[str, MULTIPLIER]
"""An option that takes a multiplier of the registry."""
EncodingText = Annotated[str, ENCODING]
"""An option that takes an encoding of the registry."""

EvaluatorText = Annotated[str, EVALUATOR]
"""An option that takes an evaluator of the registry."""


class Named(Protocol):
    """A registered value: a frozen dataclass with the name it is registered under."""

    name: ClassVar[str]


def spell(value: Named) -> str:
    """The canonical text: `fixed(integer = 2, fraction = 6)`, `exact`, or the value's `short` if it has one."""
    short: str | None = getattr(value, "short", None)
    if short is not None:
        return short
    fields = [f for f in dataclasses.fields(typing.cast(Any, value)) if f.init]
    values = {f.name: getattr(value, f.name) for f in fields}
    given = [f"{f.name} = {_written(values[f.name])}" for f in fields if values[f.name] != f.default]
    return f"{value.name}({', '.join(given)})" if given else value.name


def canonical(text: str, registered: Registered) -> str:
    """The canonical text of a value. Raises HapirError as `value_of` does."""
    return spell(value_of(text, registered))


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.isidentifier() and not keyword.iskeyword(value):
        return value  # a word of a closed list
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, typing.cast('tuple[object, ...]', value)))}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def integer_spelling(name: str) -> dict[str, Any] | None:
    """The fields of the format `integer` that `i8` or `u4` stands for; None for another name."""
    match = re.fullmatch(r"([iu])([1-9][0-9]?)", name)
    return None if match is None else {"width": int(match[2]), "signed": match[1] == "i"}


def bind(definition: type[Any], positional: int) -> tuple[str, ...]:
    """The names of the fields that the first positional arguments fill. Raises ValueError for too many."""
    names = tuple(f.name for f in dataclasses.fields(definition) if f.init)
    if positional > len(names):
        takes = f"takes {', '.join(names)}" if names else "takes no options"
        raise ValueError(f"`{definition.name}` {takes}; {positional} values are given")
    return names[:positional]


@cache
def value_of(text: str, registered: Registered) -> Any:
    """The object behind a text.

    Raises HapirError: HAP0232, HAP0233, HAP0217 or HAP0550 for an unknown name, HAP0305 for options that do not fit,
    HAP0230 where its plug-in is broken.
    """
    from hapir.registry import universe

    name, positional, named = _parsed(text, registered)
    short = integer_spelling(name) if registered is FORMAT and not positional and not named else None
    if short is not None:
        name, named = "integer", short
    entries: Mapping[str, Callable[[], type[Any]]] = getattr(universe(), registered.field)
    if name not in entries:
        known = did_you_mean(name, entries) or f"known: {', '.join(sorted(entries))}"
        fail(registered.code, f"there is no {registered.kind} `{name}`", help=known)
    definition = entries[name]()
    try:
        values = dict(zip(bind(definition, len(positional)), positional, strict=True))
        if twice := sorted(set(values) & set(named)):
            raise ValueError(f"`{twice[0]}` is given twice")
        return definition(**_typed(definition, {**values, **named}))
    except ValueError as error:
        fail("HAP0305", f"{registered.kind} `{text}`: {error}", help=f"for example {registered.example}")


def value_at(text: str, registered: Registered, at: Operation) -> Any:
    """`value_of`, its diagnostics placed at an op that names the value."""
    try:
        return value_of(text, registered)
    except HapirError as error:
        span = span_of(at.location)
        raise HapirError(replace(d, span=d.span or span) for d in error.diagnostics) from error


def _parsed(text: str, registered: Registered) -> tuple[str, list[Any], dict[str, Any]]:
    """Name, positional and named values of `name(1, x = 2)`: the part of Python's syntax that looks the same."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, [], {}
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            named = {k.arg: _literal(k.value) for k in tree.keywords if k.arg is not None}
            if len(named) == len(tree.keywords):
                return tree.func.id, [_literal(a) for a in tree.args], named
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        pass
    what = f"`{text}` does not name {registered.one}"
    fail("HAP0304", what, help=f"write a name and its options, for example {registered.example}")


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.List):
        return tuple(_literal(element) for element in node.elts)
    if isinstance(node, ast.Name):
        return {"true": True, "false": False}.get(node.id, node.id)
    return ast.literal_eval(node)


def _typed(definition: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """The values, each of its field's type. Raises ValueError."""
    hints = typing.get_type_hints(definition)
    fields = {f.name: f for f in dataclasses.fields(definition) if f.init}
    for name, value in values.items():
        if name not in fields:
            raise ValueError(f"it has no option `{name}`; its options are {', '.join(fields) or 'none'}")
        if not _fits(value, hints[name]):
            raise ValueError(f"`{name}` cannot be {_written(value)}")
    for name, field in fields.items():
        missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if missing and name not in values:
            raise ValueError(f"it needs `{name}`")
    return values


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, arm) for arm in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(
            _fits(v, get_args(hint)[0]) for v in typing.cast("tuple[object, ...]", value)
        )
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint
