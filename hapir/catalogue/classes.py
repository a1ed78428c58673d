"""Entries of dataclasses: passes, layers, units, dataflows, targets. Fields are options, docstrings the words."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any, cast

from xdsl.dialects.builtin import IntegerType
from xdsl.passes import ModulePass

from hapir.bounds import bounds_of
from hapir.catalogue.docstrings import (
    module_docstring,
    option_descriptions,
    own_docstring,
    parse_docstring,
)
from hapir.catalogue.entry import Entry, Option
from hapir.laws import law_of
from hapir.spec.options import describe, option_types
from hapir.spec.units import EXAMPLES, Dimension


def class_entry(kind: str, name: str, cls: type[Any], *, with_module: bool = False) -> Entry:
    """The entry of a class. `with_module`: its module's docstring, where a pass states its law, is part of the text."""
    own = parse_docstring(own_docstring(cls))
    texts, example = [own.text], own.example
    if with_module:
        module = parse_docstring(module_docstring(cls))
        texts.append(module.text)
        example = example or module.example
    text = "\n\n".join(filter(None, texts))
    law = law_of(cls) if issubclass(cls, ModulePass) else None
    return Entry(kind, name, own.summary, text, options_of(cls), law, example, place_of(cls))


def place_of(thing: Any) -> str:
    """Where a class is defined, as Python imports it."""
    return f"{thing.__module__}.{thing.__qualname__}"


def options_of(cls: type[Any]) -> tuple[Option, ...]:
    """The fields of a dataclass as options; none for another class."""
    if not dataclasses.is_dataclass(cls):
        return ()
    hints, described = option_types(cls), option_descriptions(cls)
    return tuple(
        Option(
            field.name, _takes(field, hints[field.name]), _default(field), described.get(field.name, ""), _bounds(field)
        )
        for field in dataclasses.fields(cls)
        if field.init
    )


def _takes(field: dataclasses.Field[Any], hint: Any) -> str:
    units: tuple[Dimension, ...] | None = field.metadata.get("units")
    return f"{describe(hint)} like {' or '.join(EXAMPLES[unit] for unit in units)}" if units else describe(hint)


def _bounds(field: dataclasses.Field[Any]) -> str | None:
    bounds = bounds_of(field)
    return None if bounds is None else str(bounds)


def _default(field: dataclasses.Field[Any]) -> str | None:
    if field.default is not dataclasses.MISSING:
        return _written(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return _written(field.default_factory())
    return None


def _written(value: object) -> str:
    """A default as a spec would write it."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case IntegerType():
            return str(value).replace("si", "i").replace("ui", "u")
        case tuple():
            parts = cast("tuple[object, ...]", value)
            formats = bool(parts) and all(isinstance(v, IntegerType) for v in parts)
            return " * ".join(map(_written, parts)) if formats else f"[{', '.join(map(_written, parts))}]"
        case _:
            return str(value)
