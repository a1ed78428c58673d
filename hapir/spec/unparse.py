"""Syntax to text: `parse(file_text(file), name)` is `file` again but for spans.

Parentheses are put where the order of operations needs them. What no text can say (a string with a line break, a number
that is not finite, a name that is no name) raises ValueError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from hapir.spec import syntax
from hapir.spec.format import format_text

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_0-9]+)*")
_SUM, _PRODUCT, _SIGN, _OPERAND = range(4)
"""How tightly a value holds together; an operand needs no parentheses anywhere."""


def file_text(file: syntax.File) -> str:
    """A file in the layout of `hapir fmt`: imports first, then constants, then definitions."""
    lines = ["hap 1"]
    lines += [f"import {value_text(statement.path)}" for statement in file.imports]
    for statement in file.constants:
        lines += _statement(statement)
    for definition in file.definitions:
        lines += _definition(definition)
    return format_text("\n".join(lines) + "\n", file.name)


def head_text(definition: syntax.Definition | syntax.LayerBlock) -> str:
    """The first line of a definition, up to its body: `network net(image: f32[1, 8]) -> f32[1, 4]`."""
    name = name_text(definition.name)
    match definition:
        case syntax.Network():
            results = definition.results
            returned = _parameter(results[0]) if results[0].name is None else _parameters(results)
            return f"network {name}{_parameters(definition.parameters)} -> {returned}"
        case syntax.LayerBlock():
            return f"block {name}{_parameters(definition.parameters)}"
        case syntax.Machine():
            base = "" if definition.base is None else f" extends {_instance(definition.base)}"
            return f"machine {name}{_optional_parameters(definition.parameters)}{base}"
        case syntax.Recipe():
            return f"recipe {name}{_optional_parameters(definition.parameters)}"
        case syntax.Schedule():
            recipe = "" if definition.recipe is None else f" with {_instance(definition.recipe)}"
            machine = "" if definition.machine is None else f" on {_instance(definition.machine)}"
            return f"schedule {name} of {_instance(definition.network)}{recipe}{machine}"


def value_text(value: syntax.Value | syntax.Pair) -> str:
    """A value as it may be written."""
    return _value(value)[0]


def name_text(name: syntax.Name) -> str:
    """A name; raises ValueError where it is none."""
    if not _NAME.fullmatch(name.text):
        raise ValueError(f"{name.text!r} is not a name of the language")
    return name.text


def _definition(definition: syntax.Definition) -> Iterator[str]:
    yield f"{head_text(definition)} {{"
    match definition:
        case syntax.Network() | syntax.LayerBlock():
            body: Sequence[syntax.Statement | syntax.Item] = definition.statements
        case _:
            body = definition.items
    yield from _body(body)


def _body(statements: Iterable[syntax.Statement | syntax.Item]) -> Iterator[str]:
    for statement in statements:
        yield from _statement(statement)
    yield "}"


def _statement(statement: syntax.Statement | syntax.Item) -> Iterator[str]:
    match statement:
        case syntax.Let():
            yield f"let {name_text(statement.name)} = {value_text(statement.value)}"
        case syntax.Assign():
            indices = f"[{_list(statement.indices)}]" if statement.indices else ""
            yield f"{name_text(statement.name)}{indices} = {value_text(statement.value)}"
        case syntax.Weights():
            yield f"weights from {value_text(statement.path)}"
        case syntax.Return():
            yield f"return {value_text(statement.value)}"
        case syntax.Repeat():
            yield f"repeat {name_text(statement.variable)} in {value_text(statement.over)} {{"
            yield from _body(statement.statements)
        case syntax.LayerBlock():
            yield from _definition(statement)
        case syntax.Block():
            quoted = not _NAME.fullmatch(statement.name.text)
            name = _string(statement.name.text) if quoted else statement.name.text
            sizes = f"[{_list(statement.dimensions)}]" if statement.dimensions else ""
            yield f"{name_text(statement.kind)} {name}{sizes} {{"
            yield from _body(statement.items)
        case _:
            yield value_text(statement)


def _parameters(parameters: Iterable[syntax.Parameter]) -> str:
    return f"({', '.join(map(_parameter, parameters))})"


def _optional_parameters(parameters: Sequence[syntax.Parameter]) -> str:
    return _parameters(parameters) if parameters else ""


def _parameter(parameter: syntax.Parameter) -> str:
    type_ = "" if parameter.type is None else value_text(parameter.type)
    if parameter.name is None:
        return type_
    name = name_text(parameter.name)
    if parameter.type is not None:
        return f"{name}: {type_}"
    return name if parameter.default is None else f"{name} = {value_text(parameter.default)}"


def _instance(instance: syntax.Instance) -> str:
    given = _arguments(instance.arguments, instance.options)
    return name_text(instance.name) + (f"({given})" if given else "")


def _arguments(arguments: Iterable[syntax.Value], options: Iterable[syntax.Option]) -> str:
    positional = [value_text(a) for a in arguments]
    return ", ".join([*positional, *(f"{name_text(o.name)} = {value_text(o.value)}" for o in options)])


def _list(elements: Iterable[syntax.Value | syntax.Pair]) -> str:
    return ", ".join(map(value_text, elements))


def _value(value: syntax.Value | syntax.Pair) -> tuple[str, int]:
    """A value, and how tightly it holds together."""
    match value:
        case syntax.Name():
            return name_text(value), _OPERAND
        case syntax.Number():
            return _number(value.value)
        case syntax.Quantity():
            text, level = _number(value.value)
            return f"{text} {value.unit}", level
        case syntax.Text():
            return _string(value.value), _OPERAND
        case syntax.Call():
            return f"{name_text(value.function)}({_arguments(value.arguments, value.options)})", _OPERAND
        case syntax.Tensor():
            return f"{name_text(value.element)}[{_list(value.dimensions)}]", _OPERAND
        case syntax.Member():
            return f"{value_text(value.instance)}.{value.member.text}", _OPERAND
        case syntax.Pair():
            return f"{name_text(value.key)}: {value_text(value.value)}", _SUM
        case syntax.Sequence():
            return f"[{_list(value.elements)}]", _OPERAND
        case syntax.Binary():
            level = _SUM if value.operator in "+-" else _PRODUCT
            return f"{_held(value.left, level)} {value.operator} {_held(value.right, level + 1)}", level
        case syntax.Negative():
            return f"-{_held(value.operand, _OPERAND)}", _SIGN
        case syntax.Product():
            return " * ".join(_held(f, _SIGN) for f in value.factors), _PRODUCT


def _held(value: syntax.Value, level: int) -> str:
    """An operand, in parentheses where it holds together less tightly than its place needs."""
    text, own = _value(value)
    return text if own >= level else f"({text})"


def _number(value: int | float) -> tuple[str, int]:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a number of the language")
    text = repr(value)
    return text, _SIGN if text.startswith("-") else _OPERAND


def _string(text: str) -> str:
    if "\n" in text:
        raise ValueError(f"a string stands on one line: {text!r}")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
