"""Random syntax of `.hap`, all kinds of nodes, as the parser could have made it; and ways to lay text out at random.

The spans are meaningless. What the parser never makes is never drawn: the negative of a plain number (`-3` is a number
itself), and the nodes that only evaluation leaves behind.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from hypothesis import strategies as st

from hapir.diagnostics import Span
from hapir.spec import syntax
from hapir.spec.expected import KEYWORDS
from hapir.spec.units import MAXIMUM_MAGNITUDE, UNITS, magnitude

AT = Span("t.hap", 1, 1, 1, 2)
PLACES = st.just(AT)
OPERATORS: tuple[syntax.Operator, ...] = ("+", "-", "*", "/")
SOFT_KEYWORDS = ("let", "block", "repeat", "weights")
"""Words of the grammar that may name a layer."""

WORDS = st.one_of(
    st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True),
    st.from_regex(r"[a-z_][a-z0-9_]{15,35}", fullmatch=True),
    st.from_regex(r"[a-z]\w{0,3}(\.[a-z0-9_]{1,4}){1,2}", fullmatch=True).filter(str.isascii),
    st.sampled_from(("B", "cycle", "MHz", "e5", "f32", "u8", "range", "min")),
).filter(lambda word: word not in KEYWORDS)
NAMES = WORDS.map(lambda text: syntax.Name(text, AT))
INTEGERS = st.integers(-(10**12), 10**12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(INTEGERS, FLOATS).map(lambda value: syntax.Number(value, AT))
QUANTITIES = st.builds(syntax.Quantity, st.one_of(INTEGERS, FLOATS), st.sampled_from([*UNITS]), PLACES).filter(
    lambda quantity: abs(magnitude(quantity.value, quantity.unit)) <= MAXIMUM_MAGNITUDE
)
TEXTS = st.text('abc*./ {}()\\"é,=/', max_size=8).map(lambda text: syntax.Text(text, AT))


def values(leaves: int = 8) -> st.SearchStrategy[syntax.Value]:
    """Values of any depth."""
    atoms: st.SearchStrategy[syntax.Value] = st.one_of(NAMES, NUMBERS, QUANTITIES, TEXTS)
    return st.recursive(atoms, _compound, max_leaves=leaves)


def _compound(inner: st.SearchStrategy[syntax.Value]) -> st.SearchStrategy[syntax.Value]:
    def negatable(value: syntax.Value) -> bool:
        return not isinstance(value, syntax.Number | syntax.Quantity) or repr(value.value).startswith("-")

    tensors = st.builds(syntax.Tensor, NAMES, elements(inner), PLACES)
    members = st.from_regex(r"[a-z0-9_]{1,4}(\.[a-z0-9_]{1,3})?", fullmatch=True).filter(str.isascii)
    return st.one_of(
        calls(inner),
        tensors,
        st.builds(syntax.Member, tensors, members.map(lambda text: syntax.Name(text, AT)), PLACES),
        elements(inner).map(lambda found: syntax.Sequence(found, AT)),
        st.builds(syntax.Binary, st.sampled_from(OPERATORS), inner, inner, PLACES),
        inner.filter(negatable).map(lambda operand: syntax.Negative(operand, AT)),
    )


def elements(inner: st.SearchStrategy[syntax.Value]) -> st.SearchStrategy[tuple[syntax.Value | syntax.Pair, ...]]:
    """What a list holds."""
    pairs = st.builds(syntax.Pair, NAMES, inner, PLACES)
    return st.lists(st.one_of(inner, pairs), max_size=4).map(tuple)


def options(inner: st.SearchStrategy[syntax.Value]) -> st.SearchStrategy[tuple[syntax.Option, ...]]:
    """The options of a call."""
    return st.lists(st.builds(syntax.Option, NAMES, inner, PLACES), max_size=4).map(tuple)


def calls(inner: st.SearchStrategy[syntax.Value]) -> st.SearchStrategy[syntax.Call]:
    """Calls with arguments and options."""
    arguments = st.lists(inner, max_size=3).map(tuple)
    return st.builds(syntax.Call, NAMES, arguments, options(inner), PLACES)


VALUES = values()
LETS = st.builds(syntax.Let, NAMES, VALUES, PLACES)
TYPES = st.builds(syntax.Tensor, NAMES, elements(values(3)), PLACES)
REQUIRED = NAMES.map(lambda name: syntax.Parameter(name, None, AT))
DEFAULTS = st.builds(syntax.Parameter, NAMES, st.none(), PLACES, VALUES)
TYPED = st.builds(syntax.Parameter, NAMES, TYPES, PLACES)
PARAMETERS = st.lists(st.one_of(REQUIRED, DEFAULTS, TYPED), max_size=4).map(tuple)
RESULTS = st.one_of(
    TYPES.map(lambda type_: (syntax.Parameter(None, type_, AT),)), st.lists(TYPED, min_size=1, max_size=3).map(tuple)
)
LAYER_NAMES = st.one_of(NAMES, st.sampled_from(SOFT_KEYWORDS).map(lambda text: syntax.Name(text, AT)))
LAYERS = st.builds(syntax.Assign, LAYER_NAMES, VALUES, PLACES, elements(values(2)))
SETTINGS = st.builds(syntax.Assign, NAMES, VALUES, PLACES)
SIMPLE_STATEMENTS = st.one_of(
    LAYERS,
    LETS,
    VALUES,
    TEXTS.map(lambda text: syntax.Weights(text, AT)),
    VALUES.map(lambda value: syntax.Return(value, AT)),
)


def _layer_blocks(inner: st.SearchStrategy[syntax.Statement]) -> st.SearchStrategy[syntax.LayerBlock]:
    body = st.lists(inner, max_size=4).map(tuple)
    return st.builds(syntax.LayerBlock, NAMES, PARAMETERS, body, PLACES)


def _nested_statements(inner: st.SearchStrategy[syntax.Statement]) -> st.SearchStrategy[syntax.Statement]:
    body = st.lists(inner, max_size=4).map(tuple)
    repeats = st.builds(syntax.Repeat, NAMES, VALUES, body, PLACES)
    return st.one_of(repeats, _layer_blocks(inner))


def _blocks(inner: st.SearchStrategy[syntax.Item]) -> st.SearchStrategy[syntax.Item]:
    names = st.one_of(NAMES, st.text("abc*.1\\", min_size=1, max_size=5).map(lambda text: syntax.Name(text, AT)))
    body = st.lists(inner, max_size=4).map(tuple)
    return st.builds(syntax.Block, NAMES, names, elements(values(2)), body, PLACES)


STATEMENTS = st.recursive(SIMPLE_STATEMENTS, _nested_statements, max_leaves=6)
ITEMS: st.SearchStrategy[syntax.Item] = st.recursive(st.one_of(SETTINGS, LETS, VALUES), _blocks, max_leaves=6)
INSTANCES = st.builds(syntax.Instance, NAMES, st.lists(values(3), max_size=2).map(tuple), options(values(3)), PLACES)
_STATEMENT_LISTS = st.lists(STATEMENTS, max_size=5).map(tuple)
_ITEM_LISTS = st.lists(ITEMS, max_size=5).map(tuple)
_MAYBE = st.one_of(st.none(), INSTANCES)
NETWORKS = st.builds(syntax.Network, NAMES, PARAMETERS, RESULTS, _STATEMENT_LISTS, PLACES)
MACHINES = st.builds(syntax.Machine, NAMES, _ITEM_LISTS, PLACES, PARAMETERS, _MAYBE)
RECIPES = st.builds(syntax.Recipe, NAMES, _ITEM_LISTS, PLACES, PARAMETERS)
SCHEDULES = st.builds(syntax.Schedule, NAMES, INSTANCES, _MAYBE, _MAYBE, _ITEM_LISTS, PLACES)
DEFINITIONS: st.SearchStrategy[syntax.Definition] = st.one_of(
    NETWORKS, _layer_blocks(STATEMENTS), MACHINES, RECIPES, SCHEDULES
)
FILES = st.builds(
    syntax.File,
    st.just("t.hap"),
    st.lists(TEXTS.map(lambda text: syntax.Import(text, AT)), max_size=2).map(tuple),
    st.lists(DEFINITIONS, max_size=3).map(tuple),
    st.lists(LETS, max_size=2).map(tuple),
)
"""Whole files."""


def without_spans(node: Any) -> Any:
    """Syntax as nested tuples that do not tell where it was written; `3` and `3.0` differ in them."""
    if isinstance(node, Span):
        return None
    if dataclasses.is_dataclass(node):
        fields = dataclasses.fields(node)
        return (type(node).__name__, *(without_spans(getattr(node, f.name)) for f in fields))
    if isinstance(node, tuple):
        return tuple(without_spans(part) for part in node)  # pyright: ignore[reportUnknownVariableType]  # any syntax
    return repr(node) if isinstance(node, int | float) else node


# --- layouts ------------------------------------------------------------------------------------------------------

_PIECES = re.compile(
    r'(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<separator>[,;]\s*|\n\s*)'
    r"|(?P<open>[(\[{])\s*|\s*(?P<close>[)\]}])|(?P<space> +)"
)
_COMMENT_ENDS = ("", " why", ' "x', " { , ;", " ) ]", "/ =", "  é", " hapir: allow HAP0220")


@st.composite
def laid_out(draw: st.DrawFn, text: str) -> str:
    """A text without comments in another layout: other spaces, separators and line breaks, and comments in it."""
    count = 0

    def gap(*more: str) -> str:
        """Line breaks, some with comments before them."""
        nonlocal count
        written = ""
        for end in draw(st.lists(st.sampled_from([*more, "\n", "\n\n\n", "\r\n", "//\n", " //\n  //\n"]), max_size=2)):
            while "//" in end:
                count += 1
                end = end.replace("//", f"/ / c{count}{draw(st.sampled_from(_COMMENT_ENDS))}", 1)
            written += end.replace("/ / ", "// ")
        return written

    def replaced(match: re.Match[str]) -> str:
        if match["string"] is not None:
            return match["string"]
        if match["open"] is not None:
            return match["open"] + gap()
        if match["close"] is not None:
            return gap() + match["close"]
        if match["space"] is not None:
            return draw(st.sampled_from([" ", "  ", "\t"]))
        breaks = gap()
        return draw(st.sampled_from([",", ";", " ,"])) + breaks if "\n" not in breaks else breaks + gap()

    return gap() + _PIECES.sub(replaced, text.strip()) + draw(st.sampled_from(["", "\n", "  // the end", " ,\n"]))


def comments(text: str) -> list[str]:
    """The comments of a text in order, without the spaces at their ends."""
    found = re.findall(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*', text)
    return [match.rstrip() for match in found if match.startswith("//")]
