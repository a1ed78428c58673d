"""Entries of dialects and of their ops: what an op takes and gives is read from its definition."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from xdsl.ir import Attribute, Dialect, Operation
from xdsl.irdl import (
    AttrConstraint,
    IRDLOperation,
    OpDef,
    OptionalDef,
    OptOperandDef,
    OptRegionDef,
    OptResultDef,
    VarOperandDef,
    VarRegionDef,
    VarResultDef,
)

from hapir.catalogue.classes import place_of
from hapir.catalogue.docstrings import own_docstring, parse_docstring
from hapir.catalogue.entry import Entry, Option

_OPTIONAL = (OptOperandDef, OptResultDef, OptRegionDef, OptionalDef)
_SEVERAL = (VarOperandDef, VarResultDef, VarRegionDef)


def dialect_entry(name: str, dialect: Dialect) -> Entry:
    """A dialect, with its ops, types and attributes; the docstring of the module of its first op is its own."""
    module = inspect.getmodule(next(iter(dialect.operations), None))
    parsed = parse_docstring((module and module.__doc__) or "")
    parts = [
        parsed.text,
        _listed("Operations", dialect.operations),
        _listed("Types and attributes", dialect.attributes),
    ]
    return Entry("dialect", name, parsed.summary, "\n\n".join(filter(None, parts)), defined=module and module.__name__)


def _listed(title: str, members: Any) -> str:
    rows = [f"- `{member.name}`: {parse_docstring(own_docstring(member)).summary}" for member in members]
    return f"{title}:\n\n" + "\n".join(rows) if rows else ""


def op_entry(op: type[Operation]) -> Entry:
    """An op: what it means, what it takes and gives, and how it is written."""
    parsed = parse_docstring(own_docstring(op))
    parts: tuple[Option, ...] = ()
    written = ""
    if issubclass(op, IRDLOperation):
        definition = op.get_irdl_definition()
        parts = tuple(_parts(definition))
        written = f"Its form:\n\n```\n{definition.assembly_format}\n```" if definition.assembly_format else ""
    text = "\n\n".join(filter(None, (parsed.text, written)))
    return Entry("IR op", op.name, parsed.summary, text, parts, example=parsed.example, defined=place_of(op))


def _parts(definition: OpDef) -> Iterator[Option]:
    groups = (("operand", definition.operands), ("region", definition.regions), ("result", definition.results))
    for name, part in definition.operands:
        yield _part(name, "operand", part)
    for name, part in definition.properties.items():
        yield _part(name, f"property, {_attribute(part.constr)}", part)
    for name, part in definition.attributes.items():
        yield _part(name, f"attribute, {_attribute(part.constr)}", part)
    for what, parts in groups[1:]:
        for name, part in parts:
            yield _part(name, what, part)


def _part(name: str, what: str, part: object) -> Option:
    # an optional part is also one of any number in xDSL's class tree
    if isinstance(part, _OPTIONAL):
        return Option(name, what, "none")
    return Option(name, f"{what}, any number", "none") if isinstance(part, _SEVERAL) else Option(name, what, None)


def _attribute(constraint: AttrConstraint[Attribute]) -> str:
    """The attributes that a constraint admits, by name."""
    bases = constraint.get_bases()
    return " or ".join(sorted(base.name for base in bases)) if bases else "any attribute"
