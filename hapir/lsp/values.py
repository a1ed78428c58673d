"""Which values an option may have, read from the annotation of its field."""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from xdsl.dialects.builtin import IntegerType

from hapir.library import TECHNOLOGY, library_files
from hapir.lsp.catalogue import class_of
from hapir.lsp.symbols import Known
from hapir.registered import Registered
from hapir.registry import universe
from hapir.spec.options import option_types
from hapir.spec.units import EXAMPLES, Dimension

_INTEGERS = ("u8", "i8", "u4", "i4", "u16", "i16", "i32")


@dataclass(frozen=True)
class Choice:
    """A value as it is written; `registered` where the catalogue has an entry for it."""

    text: str
    detail: str = ""
    registered: bool = False


def choices(owner: Known, option: str) -> list[Choice]:
    """The values that may be proposed for an option; none where any number will do."""
    cls = class_of(owner)
    hints = option_types(cls) if cls is not None and dataclasses.is_dataclass(cls) else {}
    if option not in hints:
        return []
    if option == "technology":
        return [Choice(name, "technology", registered=True) for name in library_files(TECHNOLOGY)]
    units = units_of(owner, option) or ()
    found = [*_choices(hints[option]), *(Choice(EXAMPLES[unit], unit) for unit in units)]
    return list(dict.fromkeys(found))


def choices_of(cls: type[Any], option: str) -> list[Choice]:
    """The values of an option of a dataclass that is no entry of the registry."""
    hints = option_types(cls)
    return list(dict.fromkeys(_choices(hints[option]))) if option in hints else []


def units_of(owner: Known, option: str) -> tuple[Dimension, ...] | None:
    """The dimensions that an option is measured in; None where nothing is known of them."""
    cls = class_of(owner)
    if cls is None or not dataclasses.is_dataclass(cls):
        return None
    field = next((f for f in dataclasses.fields(cls) if f.name == option), None)
    if field is None:
        return None
    units: tuple[Dimension, ...] | None = field.metadata.get("units")
    if units is None and option_types(cls)[option] in (float, float | None):
        return ("ratio", "decibel")
    return units


def _choices(hint: Any) -> Iterator[Choice]:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is bool:
        yield from (Choice("true"), Choice("false"))
    elif hint is type(None):
        yield Choice("none")
    elif hint is IntegerType:
        yield from map(Choice, _INTEGERS)
    elif origin is Annotated:
        registered: Registered = hint.__metadata__[0]
        if registered.field == "formats":
            yield from map(Choice, _INTEGERS)
        yield from (Choice(name, registered.kind, registered=True) for name in getattr(universe(), registered.field))
    elif origin is Literal:
        yield from (Choice(str(value)) for value in arguments)
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        yield from (Choice(str(member.value)) for member in hint)
    elif origin is tuple and set(arguments) == {IntegerType}:
        yield Choice(" * ".join(("u8", *["i8"] * (len(arguments) - 1))))
    elif origin in (Union, types.UnionType, tuple):
        for argument in arguments:
            if argument is not Ellipsis:
                yield from _choices(argument)
