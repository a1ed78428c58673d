"""The definitions of a file and what they hold, as a tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hapir.diagnostics import Span
from hapir.spec import syntax
from hapir.spec.unparse import head_text, value_text

Sort: TypeAlias = Literal[
    "network", "block", "machine", "recipe", "schedule", "constant", "input", "parameter", "layer", "repeat", "part",
    "setting", "step", "file",
]  # fmt: skip


@dataclass(frozen=True)
class Node:
    """An entry of the outline: its whole stretch, and the name in it."""

    name: str
    sort: Sort
    detail: str
    span: Span
    name_span: Span
    children: tuple[Node, ...] = ()


def outline(file: syntax.File) -> list[Node]:
    """The entries of a file in the order written."""
    nodes = [Node(i.path.value, "file", "import", i.span, i.path.span) for i in file.imports]
    nodes += [_let(let) for let in file.constants]
    nodes += [_definition(definition) for definition in file.definitions]
    return sorted(nodes, key=lambda node: node.span)


def _definition(definition: syntax.Definition) -> Node:
    head = head_text(definition)
    match definition:
        case syntax.Network():
            children = [*_parameters(definition.parameters), *_statements(definition.statements)]
            return _node(definition.name, "network", head, definition.span, children)
        case syntax.LayerBlock():
            return _layer_block(definition)
        case syntax.Machine():
            children = [*_parameters(definition.parameters), *_items(definition.items)]
            return _node(definition.name, "machine", head, definition.span, children)
        case syntax.Recipe():
            children = [*_parameters(definition.parameters), *_items(definition.items)]
            return _node(definition.name, "recipe", head, definition.span, children)
        case syntax.Schedule():
            return _node(definition.name, "schedule", head, definition.span, list(_items(definition.items)))


def _node(name: syntax.Name, sort: Sort, detail: str, span: Span, children: Sequence[Node] = ()) -> Node:
    return Node(name.text, sort, detail, span, name.span, tuple(children))


def _layer_block(block: syntax.LayerBlock) -> Node:
    children = [*_parameters(block.parameters), *_statements(block.statements)]
    return _node(block.name, "block", head_text(block), block.span, children)


def _let(let: syntax.Let) -> Node:
    return _node(let.name, "constant", value_text(let.value), let.span)


def _parameters(parameters: Iterable[syntax.Parameter]) -> Iterator[Node]:
    for parameter in parameters:
        if parameter.name is not None and parameter.type is not None:
            yield _node(parameter.name, "input", value_text(parameter.type), parameter.span)
        elif parameter.name is not None:
            default = "" if parameter.default is None else value_text(parameter.default)
            yield _node(parameter.name, "parameter", default, parameter.span)


def _statements(statements: Iterable[syntax.Statement]) -> Iterator[Node]:
    for statement in statements:
        match statement:
            case syntax.Let():
                yield _let(statement)
            case syntax.Assign():
                indices = f"[{', '.join(map(value_text, statement.indices))}]" if statement.indices else ""
                name = syntax.Name(statement.name.text + indices, statement.name.span)
                yield _node(name, "layer", value_text(statement.value), statement.span)
            case syntax.Repeat():
                inside = list(_statements(statement.statements))
                name = syntax.Name(f"repeat {statement.variable.text}", statement.variable.span)
                yield _node(name, "repeat", value_text(statement.over), statement.span, inside)
            case syntax.LayerBlock():
                yield _layer_block(statement)
            case _:
                pass


def _items(items: Iterable[syntax.Item]) -> Iterator[Node]:
    for item in items:
        match item:
            case syntax.Let():
                yield _let(item)
            case syntax.Assign():
                yield _node(item.name, "setting", value_text(item.value), item.span)
            case syntax.Block():
                name = syntax.Name(f"{item.kind.text} {item.name.text}", item.name.span)
                yield _node(name, "part", "", item.span, list(_items(item.items)))
            case syntax.Call():
                yield _node(item.function, "step", value_text(item), item.span)
            case _:
                pass
