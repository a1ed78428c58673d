"""What is shown for the word under the mouse, as Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsl.ir import SSAValue

from hapir.catalogue.markdown import prose
from hapir.diagnostics import Findings, Span
from hapir.dialects.nn import LayerOp, WeightOp
from hapir.dialects.nn_macs import macs
from hapir.dialects.num import shape_of
from hapir.lsp.catalogue import entry_of, markdown, option_markdown
from hapir.lsp.names import NameIndex
from hapir.lsp.symbols import Expression, Known, Occurrence, Symbol
from hapir.report.summary import summarize
from hapir.spec import syntax
from hapir.spec.analysis import Analysis
from hapir.spec.evaluate import evaluate
from hapir.spec.grammar import quantity_pattern
from hapir.spec.tensor_types import type_text
from hapir.spec.unparse import head_text, value_text

_MOST = 6
"""Layers that are listed one by one."""


@dataclass(frozen=True)
class Hover:
    """Markdown, and the text that it is about."""

    text: str
    span: Span


def hover(analysis: Analysis, names: NameIndex, line: int, column: int) -> Hover | None:
    """What there is to say about a place of the root file."""
    found = names.at(analysis.name, line, column)
    if found is not None:
        text = _known(found.target, found.span, analysis) if isinstance(found.target, Known) else None
        text = _symbol(found, found.target, analysis, names) if isinstance(found.target, Symbol) else text
        if text is not None:
            return Hover(text, found.span)
    expression = names.expression_at(analysis.name, line, column)
    if expression is not None:
        value = _evaluated(expression)
        return None if value is None else Hover(f"`{value}`", expression.value.span)
    return _quantity(analysis, line, column)


def _known(known: Known, span: Span, analysis: Analysis) -> str | None:
    entry = entry_of(known)
    if entry is None:
        return None
    if known.option is not None:
        return option_markdown(entry, known.option)
    facts = _facts(analysis, span) if known.kind == "layer" else ""
    return "\n\n---\n\n".join(part for part in (facts, markdown(entry)) if part)


def _symbol(found: Occurrence, symbol: Symbol, analysis: Analysis, names: NameIndex) -> str:
    node = symbol.node
    said = _comment_above(symbol, analysis)
    match node:
        case syntax.Network() | syntax.LayerBlock() | syntax.Machine() | syntax.Recipe() | syntax.Schedule():
            counts = _network_counts(analysis, node) if isinstance(node, syntax.Network) else ""
            parts = [_code(head_text(node)), counts, said]
        case syntax.Import():
            parts = _imported(symbol, analysis)
        case syntax.Let():
            parts = [_code(f"let {symbol.name} = {value_text(node.value)}"), _value(node.value, found, names), said]
        case syntax.Parameter():
            type_ = "" if node.type is None else f": {value_text(node.type)}"
            default = "" if node.default is None else f" = {value_text(node.default)}"
            parts = [_code(f"{symbol.name}{type_}{default}"), f"{symbol.kind} of its definition"]
        case syntax.Assign():
            written = f"{symbol.name}[...]" if node.indices else symbol.name
            parts = [_code(f"{written} = {value_text(node.value)}"), _layer_facts(symbol, node, analysis), said]
        case syntax.Repeat():
            parts = [_code(f"repeat {symbol.name} in {value_text(node.over)}")]
        case syntax.Block():
            sizes = f"[{', '.join(map(value_text, node.dimensions))}]" if node.dimensions else ""
            parts = [_code(f"{node.kind.text} {node.name.text}{sizes}"), said]
    return "\n\n".join(part for part in parts if part)


def _code(text: str) -> str:
    return f"```hap\n{text}\n```"


def _comment_above(symbol: Symbol, analysis: Analysis) -> str:
    """The comment on the lines right above a definition."""
    lines = analysis.texts.get(symbol.span.file, "").split("\n")
    said: list[str] = []
    for line in reversed(lines[: symbol.node.span.line - 1]):
        match = re.fullmatch(r"\s*//(?!\s*hapir:)\s?(.*)", line.rstrip())
        if match is None:
            break
        said.append(match[1])
    return prose("\n".join(reversed(said)))


def _imported(symbol: Symbol, analysis: Analysis) -> list[str]:
    file = analysis.files.get(symbol.name)
    if file is None:
        return [f"`{symbol.name}`"]
    heads = [head_text(definition) for definition in file.definitions]
    lines = analysis.texts.get(symbol.name, "").split("\n")
    summary = lines[0].removeprefix("//").strip() if lines[0].startswith("//") else ""
    return [f"`{symbol.name}`", prose(summary), _code("\n".join(heads)) if heads else "It defines nothing."]


# --- values ---------------------------------------------------------------------------------------------------------


def _value(value: syntax.Value, found: Occurrence, names: NameIndex) -> str:
    """The value of a constant, where it is not what is written."""
    if not isinstance(value, syntax.Binary | syntax.Negative | syntax.Call | syntax.Name):
        return ""
    target = found.target.span if isinstance(found.target, Symbol) else found.span
    for expression in names.expressions.get(target.file, ()):
        if expression.value.span == value.span:
            computed = _evaluated(expression)
            return "" if computed is None else f"= `{computed}`"
    return ""


def _evaluated(expression: Expression) -> str | None:
    value = evaluate(expression.value, expression.constants, Findings())
    if not isinstance(value, syntax.Number | syntax.Quantity):
        return None
    return value_text(replace(value, origin=None))


def _quantity(analysis: Analysis, line: int, column: int) -> Hover | None:
    lines = analysis.texts.get(analysis.name, "").split("\n")
    if line > len(lines):
        return None
    for match in re.finditer(rf"(?<![\w.]){quantity_pattern()}", lines[line - 1].partition("//")[0]):
        if match.start() < column <= match.end() + 1:
            unit = re.sub(r"^[0-9.]+(?:[eE][+-]?[0-9]+)?[ \t]*", "", match.group())
            entry = entry_of(Known("quantity", unit))
            span = Span(analysis.name, line, match.start() + 1, line, match.end() + 1)
            return None if entry is None else Hover(markdown(entry), span)
    return None


# --- layers ---------------------------------------------------------------------------------------------------------


def _facts(analysis: Analysis, at: Span) -> str:
    """Shapes, parameters and work of the layers that the call at a place makes."""
    made = analysis.operations.get((at.file, at.line, at.column), ())
    if len(made) == 1:
        return _layer_text(made[0])
    return _list(made)


def _list(made: Sequence[LayerOp]) -> str:
    lines = [f"- `{op.layer_name}`: {_layer_text(op)}" for op in made[:_MOST]]
    more = [f"- and {len(made) - _MOST} more"] if len(made) > _MOST else []
    return "\n".join([*lines, *more])


def _layer_facts(symbol: Symbol, node: syntax.Assign, analysis: Analysis) -> str:
    if symbol.inner is None:
        return _facts(analysis, node.value.span)
    made: list[LayerOp] = []
    start = re.compile(rf"(?:.*\.)?{re.escape(symbol.name)}(?:_?\d+)*\.")
    for network in analysis.networks.values():
        made += [op for op in network.walk() if isinstance(op, LayerOp) and start.match(op.layer_name or "")]
    parameters = {key: size for op in made for key, size in _parameters(op).items()}
    work = sum(macs(op) for op in made)
    return f"{len(made)} layers, {_counts(sum(parameters.values()), work)}" if made else ""


def _layer_text(op: LayerOp) -> str:
    results = ", ".join(f"`{type_text(result.type)}`" for result in op.results)
    inputs = [f"`{type_text(o.type)}`" for o in op.operands if not isinstance(o.owner, WeightOp)]
    stored = sum(_bytes(result) for result in op.results)
    counts = _counts(sum(_parameters(op).values()), macs(op))
    weights = sum(_bytes(o) for o in op.operands if isinstance(o.owner, WeightOp))
    sizes = f"{stored:,} bytes of results" + (f", {weights:,} bytes of parameters" if weights else "")
    return "; ".join(part for part in (f"{', '.join(inputs)} -> {results}", counts, sizes) if part)


def _counts(parameters: int, work: int) -> str:
    parts = [f"{parameters:,} parameters" if parameters else "", f"{work:,} MACs" if work else ""]
    return ", ".join(part for part in parts if part)


def _parameters(op: LayerOp) -> dict[str, int]:
    """The parameters of a layer by key, with their numbers of elements."""
    return {o.owner.key.data: math.prod(shape_of(o)) for o in op.operands if isinstance(o.owner, WeightOp)}


def _bytes(value: SSAValue) -> int:
    """The bytes of a tensor; formats of less than eight bits are counted as stored one by one."""
    width = re.search(r"\d+", type_text(value.type))
    return math.prod(shape_of(value)) * -(-int(width[0] if width else 32) // 8)


def _network_counts(analysis: Analysis, network: syntax.Network) -> str:
    built = analysis.networks.get(network.name.text)
    if built is None:
        return ""
    summary = summarize(built)
    return f"{len(summary.layers)} layers, {_counts(summary.parameters, summary.macs)}"
