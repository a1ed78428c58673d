"""Calls of functions that a model defines itself become their nodes.

`onnx.inliner` does it, after a check that it ends: functions may not call themselves, and what they become together is
bounded (each level may double what the one below it holds).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import inliner

from hapir.diagnostics import fail
from hapir.importers.onnx.limits import MAXIMUM_NODES, shown
from hapir.importers.onnx.load import domain_of

Key = tuple[str, str, str]


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without calls of its own functions.

    Raises HapirError: HAP0914 where functions call themselves, become too many nodes, or cannot be put in place.
    """
    functions: dict[Key, onnx.FunctionProto] = {}
    for function in model.functions:
        key = (domain_of(function.domain), function.name, function.overload)
        if key in functions:
            fail("HAP0914", f"the function {shown(function.name)} is defined twice", help="export the model again")
        functions[key] = function
    sizes = _sizes(functions)
    total = sum(sizes.get(_called(node), 1) for node in all_nodes(model.graph.node))
    if total > MAXIMUM_NODES:
        help = f"at most {MAXIMUM_NODES} can be imported"
        fail("HAP0914", f"the functions of the model become more than {MAXIMUM_NODES} nodes", help=help)
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the inliner raises what its C++ does
        first = (str(error).splitlines() or ["no message"])[0]
        help = "export the model without functions"
        fail("HAP0914", f"the functions of the model cannot be put in place: {first[:200]}", help=help)


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes and those of the graphs in their attributes."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                waiting.extend(graph.node)


def _called(node: onnx.NodeProto) -> Key:
    return domain_of(node.domain), node.op_type, node.overload


def _sizes(functions: dict[Key, onnx.FunctionProto]) -> dict[Key, int]:
    """How many nodes each function becomes, those of what it calls included, and no more than is allowed."""
    sizes: dict[Key, int] = {}
    active: set[Key] = set()
    waiting = list(functions)
    while waiting:
        key = waiting[-1]
        if key in sizes:
            waiting.pop()
            continue
        nodes = [_called(node) for node in all_nodes(functions[key].node)]
        calls = [called for called in nodes if called in functions]
        todo = [called for called in calls if called not in sizes]
        if any(called in active or called == key for called in todo):
            fail("HAP0914", f"the function {shown(key[1])} calls itself", help="such a model cannot be imported")
        if todo:
            active.add(key)
            waiting.extend(todo)
            continue
        active.discard(key)
        sizes[key] = min(sum(sizes.get(called, 1) for called in nodes), MAXIMUM_NODES + 1)
        waiting.pop()
    return sizes
