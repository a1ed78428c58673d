"""The abstract syntax of `.hap`: frozen dataclasses, each with the span it was written at.

Invariant: the syntax says nothing about meaning. A name is text; which layer, pass or memory it names is the checker's
business (`check.py`), and so are the units of a `Quantity`. `Product`, `origin` and `exact` are not parsed: they are
what `evaluate.py` leaves of expressions, `exact` where the result is not its closest float.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeAlias

from hapir.diagnostics import Span


@dataclass(frozen=True)
class Name:
    """A name where it is written; dots are part of it (`f1.flatten`)."""

    text: str
    span: Span


@dataclass(frozen=True)
class Origin:
    """The constant that a value was put in for: its name as written, and where it is defined."""

    name: str
    span: Span


@dataclass(frozen=True)
class Number:
    """A plain number: `3`, `1.5`, `1e-5`. An `int` where it is written without point and exponent."""

    value: int | float
    span: Span
    origin: Origin | None = field(default=None, compare=False)
    exact: Fraction | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Quantity:
    """A number with a unit of `units.UNITS`: `200 MHz`, `50 %`."""

    value: int | float
    unit: str
    span: Span
    origin: Origin | None = field(default=None, compare=False)
    exact: Fraction | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Text:
    """A quoted string, without its quotes and escapes."""

    value: str
    span: Span
    origin: Origin | None = field(default=None, compare=False)


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
    """A name with sizes or indices: the type `f32[1, 3, 8, 8]`, or the tensor `block[i - 1]`."""

    element: Name
    dimensions: tuple[Value | Pair, ...]
    span: Span


@dataclass(frozen=True)
class Member:
    """A tensor inside an indexed instance: `block[2].c1`; the text of `member` is `c1`."""

    instance: Tensor
    member: Name
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


Operator: TypeAlias = Literal["+", "-", "*", "/"]


@dataclass(frozen=True)
class Binary:
    """`left * right` and the like; parentheses leave no trace but the order."""

    operator: Operator
    left: Value
    right: Value
    span: Span


@dataclass(frozen=True)
class Negative:
    """`-operand`."""

    operand: Value
    span: Span


@dataclass(frozen=True)
class Product:
    """`u8 * i8`: a product of names that are no numbers, after evaluation."""

    factors: tuple[Value, ...]
    span: Span


Value: TypeAlias = Name | Number | Quantity | Text | Call | Tensor | Member | Sequence | Binary | Negative | Product


@dataclass(frozen=True)
class Let:
    """`let name = value`: a constant."""

    name: Name
    value: Value
    span: Span


@dataclass(frozen=True)
class Assign:
    """`name = value`: a layer in a network (`name[i] = value` in a repeat), a setting elsewhere."""

    name: Name
    value: Value
    span: Span
    indices: tuple[Value | Pair, ...] = ()


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


@dataclass(frozen=True)
class Repeat:
    """`repeat variable in over { statements }`."""

    variable: Name
    over: Value
    statements: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True)
class LayerBlock:
    """`block name(parameters) { statements }`: layers to be used as one."""

    name: Name
    parameters: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    span: Span


Item: TypeAlias = Let | Assign | Block | Value
Statement: TypeAlias = Let | Assign | Repeat | LayerBlock | Weights | Return | Value


@dataclass(frozen=True)
class Parameter:
    """`image: f32[1, 1, 8, 8]`, `channels = 16` or `x`; a result without a name has the name `None`."""

    name: Name | None
    type: Tensor | None
    span: Span
    default: Value | None = None


@dataclass(frozen=True)
class Network:
    """`network name(parameters) -> results { statements }`."""

    name: Name
    parameters: tuple[Parameter, ...]
    results: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    span: Span

    @property
    def inputs(self) -> tuple[Parameter, ...]:
        """The parameters that are tensors."""
        return tuple(p for p in self.parameters if p.type is not None)


@dataclass(frozen=True)
class Instance:
    """A definition put to use, with values for its parameters: `ws(rows = 16)`, or `ws` alone."""

    name: Name
    arguments: tuple[Value, ...]
    options: tuple[Option, ...]
    span: Span

    @property
    def text(self) -> str:
        """The name of the definition."""
        return self.name.text


@dataclass(frozen=True)
class Machine:
    """`machine name(parameters) extends base { items }`."""

    name: Name
    items: tuple[Item, ...]
    span: Span
    parameters: tuple[Parameter, ...] = ()
    base: Instance | None = None


@dataclass(frozen=True)
class Recipe:
    """`recipe name(parameters) { steps }`."""

    name: Name
    items: tuple[Item, ...]
    span: Span
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """`schedule name of network with recipe on machine { items }`."""

    name: Name
    network: Instance
    recipe: Instance | None
    machine: Instance | None
    items: tuple[Item, ...]
    span: Span


Definition: TypeAlias = Network | LayerBlock | Machine | Recipe | Schedule


@dataclass(frozen=True)
class Import:
    """`import "path"`."""

    path: Text
    span: Span


@dataclass(frozen=True)
class File:
    """One parsed file: its imports, constants and definitions in the order they are written."""

    name: str
    imports: tuple[Import, ...]
    definitions: tuple[Definition, ...]
    constants: tuple[Let, ...] = ()
