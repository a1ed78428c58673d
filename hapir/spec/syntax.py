"""The abstract syntax of `.hap`: frozen dataclasses, each with the span it was written at.

Invariant: the syntax says nothing about meaning. A name is text; which layer, pass or memory it names is the checker's
business (`check.py`), and so are the units of a `Quantity`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hapir.diagnostics import Span


@dataclass(frozen=True)
class Name:
    """A name where it is written; dots are part of it (`f1.flatten`)."""

    text: str
    span: Span


@dataclass(frozen=True)
class Number:
    """A plain number: `3`, `-1.5`, `1e-5`. An `int` where it is written without point and exponent."""

    value: int | float
    span: Span


@dataclass(frozen=True)
class Quantity:
    """A number with a unit of `units.UNITS`: `200 MHz`, `50 %`."""

    value: int | float
    unit: str
    span: Span


@dataclass(frozen=True)
class Text:
    """A quoted string, without its quotes and escapes."""

    value: str
    span: Span


@dataclass(frozen=True)
class Option:
    """`name = value` inside a call."""

    name: Name
    value: Value
    span: Span


@dataclass(frozen=True)
class Call:
    """`function(value, ..., name = value, ...)`."""

    function: Name
    arguments: tuple[Value, ...]
    options: tuple[Option, ...]
    span: Span


@dataclass(frozen=True)
class Tensor:
    """A tensor type: `f32[1, 3, 8, 8]`."""

    element: Name
    dimensions: tuple[Value | Pair, ...]
    span: Span


@dataclass(frozen=True)
class Pair:
    """`K: 2` inside a list."""

    key: Name
    value: Value
    span: Span


@dataclass(frozen=True)
class Sequence:
    """`[a, b]`, or `[K: 2, C: 1]` with pairs."""

    elements: tuple[Value | Pair, ...]
    span: Span


@dataclass(frozen=True)
class Product:
    """`u8 * i8`."""

    factors: tuple[Value, ...]
    span: Span


Value: TypeAlias = Name | Number | Quantity | Text | Call | Tensor | Sequence | Product


@dataclass(frozen=True)
class Assign:
    """`name = value`: a layer in a network, a setting elsewhere."""

    name: Name
    value: Value
    span: Span


@dataclass(frozen=True)
class Weights:
    """`weights from "file"`."""

    path: Text
    span: Span


@dataclass(frozen=True)
class Return:
    """`return value`."""

    value: Value
    span: Span


@dataclass(frozen=True)
class Block:
    """A nested block: `memory buffer { ... }`, `array pe[8, 8] { ... }`, `map "c1" { ... }`."""

    kind: Name
    name: Name
    dimensions: tuple[Value | Pair, ...]
    items: tuple[Item, ...]
    span: Span


Item: TypeAlias = Assign | Block | Value
Statement: TypeAlias = Assign | Weights | Return | Value


@dataclass(frozen=True)
class Parameter:
    """`image: f32[1, 1, 8, 8]`; a result without a name has the name `None`."""

    name: Name | None
    type: Tensor
    span: Span


@dataclass(frozen=True)
class Network:
    """`network name(inputs) -> results { statements }`."""

    name: Name
    inputs: tuple[Parameter, ...]
    results: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True)
class Machine:
    """`machine name { items }`."""

    name: Name
    items: tuple[Item, ...]
    span: Span


@dataclass(frozen=True)
class Recipe:
    """`recipe name { steps }`."""

    name: Name
    items: tuple[Item, ...]
    span: Span


@dataclass(frozen=True)
class Schedule:
    """`schedule name of network with recipe on machine { items }`."""

    name: Name
    network: Name
    recipe: Name | None
    machine: Name | None
    items: tuple[Item, ...]
    span: Span


Definition: TypeAlias = Network | Machine | Recipe | Schedule


@dataclass(frozen=True)
class Import:
    """`import "path"`."""

    path: Text
    span: Span


@dataclass(frozen=True)
class File:
    """One parsed file: its imports and definitions in the order they are written."""

    name: str
    imports: tuple[Import, ...]
    definitions: tuple[Definition, ...]
