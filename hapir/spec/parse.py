"""Text to syntax: the lark parser, and the walk from its tree to the dataclasses of `syntax.py`.

Any text gives a `File` or a HapirError with diagnostics HAP01xx, never another exception: nesting and number sizes are
bounded, and a syntax error is noted, skipped (`recovery.py`) and followed by the search for more.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import cast

from lark import Token, Tree

from hapir.diagnostics import Findings, HapirError, Span, fail
from hapir.spec import syntax
from hapir.spec.grammar import NUMBER, grammar
from hapir.spec.recovery import Recovery, token_span
from hapir.spec.units import MAXIMUM_MAGNITUDE, magnitude

LANGUAGE_VERSION = 1
MAXIMUM_DEPTH = 50
"""Brackets inside brackets; far more than any network needs, far less than Python's recursion limit."""
MAXIMUM_CHARACTERS = 2_000_000
MAXIMUM_NESTING = 150
"""Operators and brackets on the way to the innermost operand of one value."""
_MAXIMUM_DIGITS = 40

_Node = Tree[Token] | Token
_OPERATORS: dict[str, syntax.Operator] = {"plus": "+", "minus": "-", "times": "*", "over": "/"}


def parse(text: str, file: str) -> syntax.File:
    """The syntax of one file; `file` is the name that its spans carry.

    Raises HapirError with up to ten diagnostics HAP01xx.
    """
    findings = Findings()
    text = text.removeprefix("\ufeff")
    _check_size(text, file)
    tree = Recovery(grammar(), text, file, findings).run()
    if tree is None or findings.failed:
        findings.raise_errors()
    assert tree is not None
    parsed = _Builder(file, findings).file(tree)
    findings.raise_errors()
    return parsed


def parse_partly(text: str, file: str, findings: Findings) -> syntax.File | None:
    """The syntax of a file without the statements that have syntax errors, which go to the findings.

    None where too little of the text can be read. For tools that help while a text is being written.
    """
    text = text.removeprefix("\ufeff")
    try:
        _check_size(text, file)
    except HapirError as error:
        findings.add(error.diagnostics)
        return None
    tree = Recovery(grammar(), text, file, findings).run()
    return None if tree is None else _Builder(file, findings).file(tree)


def _check_size(text: str, file: str) -> None:
    """Refuse what would exhaust a recursive walk: too much text, or brackets nested too deep."""
    if len(text) > MAXIMUM_CHARACTERS:
        fail(
            "HAP0104",
            f"the file has {len(text)} characters, at most {MAXIMUM_CHARACTERS} are read",
            at=None,
            help="split it: a spec may `import` others",
        )
    depth = 0
    for match in re.finditer(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|[(\[{]|[)\]}]', text):
        bracket = match.group()
        if bracket in ("(", "[", "{"):
            depth += 1
            if depth > MAXIMUM_DEPTH:
                fail(
                    "HAP0104",
                    f"brackets are nested more than {MAXIMUM_DEPTH} deep",
                    at=span_at(text, file, match.start(), match.end()),
                    help="give the inner layers names of their own",
                )
        elif bracket in (")", "]", "}"):
            depth = max(0, depth - 1)


def span_at(text: str, file: str, start: int, end: int) -> Span:
    """The span of a stretch of text on one line."""
    line = text.count("\n", 0, start) + 1
    column = start - (text.rfind("\n", 0, start) + 1) + 1
    return Span(file, line, column, line, column + end - start)


class _Builder:
    """The walk over lark's tree; one method per rule of the grammar."""

    def __init__(self, file: str, findings: Findings):
        self._file = file
        self._findings = findings

    def file(self, tree: Tree[Token]) -> syntax.File:
        tops = list(_trees(tree))
        self._check_version(tops)
        imports = [
            syntax.Import(self._text(_token(t.children[0])), self._span(t)) for t in tops if t.data == "import_file"
        ]
        build = {
            "network": self._network,
            "layer_block": self._layer_block,
            "machine": self._machine,
            "recipe": self._recipe,
            "schedule": self._schedule,
        }
        definitions = [build[t.data](t) for t in tops if t.data in build]
        constants = [self._let(t) for t in tops if t.data == "let"]
        return syntax.File(self._file, tuple(imports), tuple(definitions), tuple(constants))

    def _check_version(self, tops: list[Tree[Token]]) -> None:
        help = f"a spec begins with `hap {LANGUAGE_VERSION}`"
        if not tops or tops[0].data != "version":
            at = self._span(tops[0]) if tops else Span(self._file, 1, 1, 1, 2)
            at = Span(at.file, at.line, at.column, at.line, at.column + 1)
            self._findings.error("HAP0103", "the first line does not say the version of the language", at=at, help=help)
        for position, top in enumerate(tops):
            if top.data != "version":
                continue
            if position > 0:
                self._findings.error(
                    "HAP0103", "the version stands on the first line only", at=self._span(top), help=help
                )
            elif _token(top.children[0]) != str(LANGUAGE_VERSION):
                self._findings.error(
                    "HAP0103",
                    f"this hapir reads version {LANGUAGE_VERSION} of the language, not {_token(top.children[0])}",
                    at=self._token_span(_token(top.children[0])),
                    help=help,
                )

    def _let(self, tree: Tree[Token]) -> syntax.Let:
        _, name, value = tree.children
        return syntax.Let(self._name(_token(name)), self._value(value), self._span(tree))

    def _network(self, tree: Tree[Token]) -> syntax.Network:
        name, parameters, results, body = tree.children
        return syntax.Network(
            self._name(_token(name)),
            self._parameters(parameters),
            tuple(
                self._parameter(r) if r.data == "typed" else syntax.Parameter(None, self._tensor(r), self._span(r))
                for r in _trees(cast("Tree[Token]", results))
            ),
            self._statements(body),
            self._span(tree),
        )

    def _layer_block(self, tree: Tree[Token]) -> syntax.LayerBlock:
        _, name, parameters, body = tree.children
        return syntax.LayerBlock(
            self._name(_token(name)), self._parameters(parameters), self._statements(body), self._span(tree)
        )

    def _machine(self, tree: Tree[Token]) -> syntax.Machine:
        name, *parts = tree.children
        found = {t.data: t for t in parts if isinstance(t, Tree)}
        base = self._instance(found["extends"].children[0]) if "extends" in found else None
        return syntax.Machine(
            self._name(_token(name)), self._body(parts[-1]), self._span(tree), self._optional_parameters(found), base
        )

    def _recipe(self, tree: Tree[Token]) -> syntax.Recipe:
        name, *parts = tree.children
        found = {t.data: t for t in parts if isinstance(t, Tree)}
        return syntax.Recipe(
            self._name(_token(name)), self._body(parts[-1]), self._span(tree), self._optional_parameters(found)
        )

    def _schedule(self, tree: Tree[Token]) -> syntax.Schedule:
        name, network, *parts = tree.children
        chosen = {t.data: self._instance(t.children[0]) for t in parts[:-1] if isinstance(t, Tree)}
        return syntax.Schedule(
            self._name(_token(name)),
            self._instance(network),
            chosen.get("with_recipe"),
            chosen.get("on_machine"),
            self._body(parts[-1]),
            self._span(tree),
        )

    def _instance(self, node: _Node) -> syntax.Instance:
        """`ws` or `ws(rows = 16)`."""
        (child,) = cast("Tree[Token]", node).children
        if isinstance(child, Token):
            name = self._name(child)
            return syntax.Instance(name, (), (), name.span)
        call = self._call(child, 0)
        return syntax.Instance(call.function, call.arguments, call.options, call.span)

    def _optional_parameters(self, found: dict[str, Tree[Token]]) -> tuple[syntax.Parameter, ...]:
        return self._parameters(found["parameters"]) if "parameters" in found else ()

    def _parameters(self, tree: _Node) -> tuple[syntax.Parameter, ...]:
        return tuple(self._parameter(p) for p in _trees(cast("Tree[Token]", tree)))

    def _parameter(self, tree: Tree[Token]) -> syntax.Parameter:
        name, *rest = tree.children
        type_ = self._tensor(cast("Tree[Token]", rest[0])) if tree.data == "typed" else None
        default = self._value(rest[0]) if tree.data == "default" else None
        return syntax.Parameter(self._name(_token(name)), type_, self._span(tree), default)

    def _statements(self, tree: _Node) -> tuple[syntax.Statement, ...]:
        return tuple(self._statement(s) for s in cast("Tree[Token]", tree).children)

    def _statement(self, node: _Node) -> syntax.Statement:
        if isinstance(node, Token):
            return self._value(node)
        match node.data:
            case "let":
                return self._let(node)
            case "layer":
                return self._layer(node)
            case "repeat":
                _, variable, over, body = node.children
                return syntax.Repeat(
                    self._name(_token(variable)), self._value(over), self._statements(body), self._span(node)
                )
            case "layer_block":
                return self._layer_block(node)
            case "weights_from":
                return syntax.Weights(self._text(_token(node.children[1])), self._span(node))
            case "give_back":
                return syntax.Return(self._value(node.children[0]), self._span(node))
            case _:
                return self._value(node)

    def _layer(self, tree: Tree[Token]) -> syntax.Assign:
        name, *indices, value = tree.children
        if any(not part.children for part in indices if isinstance(part, Tree)):
            text, help = _token(name), f"write `{name}[1] = ...`, or `{name} = ...`"
            self._findings.error("HAP0304", f"`{text}[]` has no index", at=self._name(text).span, help=help)
        return syntax.Assign(
            self._name(_token(name)),
            self._value(value),
            self._span(tree),
            tuple(self._element(i) for part in indices for i in cast("Tree[Token]", part).children),
        )

    def _body(self, tree: _Node) -> tuple[syntax.Item, ...]:
        return tuple(self._item(item) for item in cast("Tree[Token]", tree).children)

    def _item(self, node: _Node) -> syntax.Item:
        if isinstance(node, Tree):
            match node.data:
                case "let":
                    return self._let(node)
                case "assign":
                    name, value = node.children
                    return syntax.Assign(self._name(_token(name)), self._value(value), self._span(node))
                case "block":
                    return self._block(node)
                case _:
                    pass
        return self._value(node)

    def _block(self, tree: Tree[Token]) -> syntax.Block:
        kind, name, *dimensions, body = tree.children
        return syntax.Block(
            self._name(_token(kind)),
            self._name(_token(name)),
            tuple(self._element(d) for d in dimensions),
            self._body(body),
            self._span(tree),
        )

    def _element(self, node: _Node, depth: int = 0) -> syntax.Value | syntax.Pair:
        if isinstance(node, Tree) and node.data == "pair":
            key, value = node.children
            return syntax.Pair(self._name(_token(key)), self._value(value, depth), self._span(node))
        return self._value(node, depth)

    def _value(self, node: _Node, depth: int = 0) -> syntax.Value:
        """A value; `depth` counts the operators and brackets around it, so that no text exhausts the recursion."""
        if isinstance(node, Token):
            return self._literal(node)
        depth += 1
        if depth > MAXIMUM_NESTING:
            what = f"this value nests more than {MAXIMUM_NESTING} operators and brackets"
            self._findings.error("HAP0104", what, at=self._span(node), help="give parts of it names with `let`")
            return syntax.Number(0, self._span(node))
        operator = _OPERATORS.get(node.data)
        if operator is not None:
            left, right = node.children
            return syntax.Binary(operator, self._value(left, depth), self._value(right, depth), self._span(node))
        match node.data:
            case "name":
                return self._name(_token(node.children[0]))
            case "call":
                return self._call(node, depth)
            case "tensor":
                return self._tensor(node, depth)
            case "member":
                return self._member(node, depth)
            case "negative":
                operand = self._value(node.children[0], depth)
                if isinstance(node.children[0], Token) and isinstance(operand, syntax.Number | syntax.Quantity):
                    return dataclasses.replace(operand, value=-operand.value, span=self._span(node))
                return syntax.Negative(operand, self._span(node))
            case _:
                return syntax.Sequence(tuple(self._element(c, depth) for c in node.children), self._span(node))

    def _call(self, tree: Tree[Token], depth: int) -> syntax.Call:
        function, *arguments = tree.children
        positional: list[syntax.Value] = []
        options: list[syntax.Option] = []
        for argument in arguments:
            if isinstance(argument, Tree) and argument.data == "option":
                name, value = argument.children
                given = syntax.Option(self._name(_token(name)), self._value(value, depth), self._span(argument))
                options.append(given)
            else:
                positional.append(self._value(argument, depth))
        return syntax.Call(self._name(_token(function)), tuple(positional), tuple(options), self._span(tree))

    def _tensor(self, tree: Tree[Token], depth: int = 0) -> syntax.Tensor:
        element, *dimensions = tree.children
        elements = tuple(self._element(d, depth) for d in dimensions)
        return syntax.Tensor(self._name(_token(element)), elements, self._span(tree))

    def _member(self, tree: Tree[Token], depth: int) -> syntax.Member:
        instance, member = tree.children
        token = _token(member)
        at = self._token_span(token)
        name = syntax.Name(token[1:], dataclasses.replace(at, column=at.column + 1))
        return syntax.Member(self._tensor(cast("Tree[Token]", instance), depth), name, self._span(tree))

    def _literal(self, token: Token) -> syntax.Value:
        span = self._token_span(token)
        if token.type == "STRING":
            return self._text(token)
        if token.type == "QUANTITY":
            parts = re.fullmatch(rf"({NUMBER})[ \t]*(.+)", token)
            assert parts is not None
            value = self._number(parts[1], span)
            if magnitude(value, parts[2]) > MAXIMUM_MAGNITUDE:
                self._findings.error("HAP0105", "this quantity is too large for a 64-bit float", at=span,
                                     help="no size or rate is so large")  # fmt: skip
            return syntax.Quantity(value, parts[2], span)
        return syntax.Number(self._number(token, span), span)

    def _number(self, text: str, span: Span) -> int | float:
        if len(text) > _MAXIMUM_DIGITS:
            self._findings.error(
                "HAP0105", f"this number has more than {_MAXIMUM_DIGITS} characters", at=span, help="round it"
            )
            return 0
        value = int(text) if text.isdigit() else float(text)
        if not math.isfinite(value):
            self._findings.error(
                "HAP0105", "this number is too large for a 64-bit float", at=span, help="no size or rate is so large"
            )
            return 0
        return value

    def _name(self, token: Token) -> syntax.Name:
        text = self._text(token).value if token.type == "STRING" else str(token)
        return syntax.Name(text, self._token_span(token))

    def _text(self, token: Token) -> syntax.Text:
        return syntax.Text(re.sub(r'\\(["\\])', r"\1", token[1:-1]), self._token_span(token))

    def _token_span(self, token: Token) -> Span:
        return token_span(token, self._file)

    def _span(self, tree: Tree[Token]) -> Span:
        meta = tree.meta
        return Span(self._file, meta.line, meta.column, meta.end_line, meta.end_column)


def _trees(tree: Tree[Token]) -> Iterator[Tree[Token]]:
    return (child for child in tree.children if isinstance(child, Tree))


def _token(node: _Node) -> Token:
    assert isinstance(node, Token)
    return node
