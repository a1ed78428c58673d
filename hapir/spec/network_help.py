"""Ways out of the errors of networks: what to write instead, made of the names and shapes that are at hand.

Nothing here finds errors; each function is asked after one was found, and answers with a help line or not at all.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any

from hapir.diagnostics import did_you_mean
from hapir.dialects.nn_shapes import Shape
from hapir.spec import foreign, syntax
from hapir.spec.evaluate import FUNCTIONS, SIZE
from hapir.spec.foreign import suggest
from hapir.spec.values import show

_MATRICES = ("dense",)
"""Layers that take a matrix N x C."""
_MAPS = (
    "conv2d", "transposed_conv2d", "max_pool", "max_pool_indices", "avg_pool", "global_avg_pool", "global_max_pool",
    "resize",
)  # fmt: skip
"""Layers that take a map N x C x H x W."""
_SEQUENCES = ("conv1d", "transposed_conv1d", "max_pool1d", "avg_pool1d")
"""Layers that take a sequence N x C x L."""
_LETTERS = "abcdefgh"
_SHOWN = 12
_TRIED = 4096
"""Divisors are looked for up to here: sizes may be billions."""


def unknown_layer(name: str, layers: Collection[str], tensors: Collection[str]) -> str:
    """The way out of a layer that is not known: hapir's name for it, a call instead of a method, or all there are."""
    if name in FUNCTIONS or name == SIZE:
        return f"`{name}` is a function of numbers, not a layer: its result gets a name by `let`"
    tensor, _, method = name.rpartition(".")
    if tensor in tensors and suggest(method, layers, foreign.LAYERS) is not None:
        return f"a layer is called by its own name: `{_closest(method, layers)}({tensor})`"
    return suggest(name, layers, foreign.LAYERS, foreign.NO_LAYERS) or f"known: {', '.join(sorted(layers))}"


def _closest(name: str, layers: Collection[str]) -> str:
    """The name between the quotes of a suggestion."""
    return (suggest(name, layers, foreign.LAYERS) or "``").split("`")[1]


def unknown_tensor(name: str, tensors: Iterable[str]) -> str:
    """The way out of a tensor that is not known."""
    known = list(dict.fromkeys(tensors))
    if not known:
        return "a tensor is an input of the network, or a layer above"
    more = ", ..." if len(known) > _SHOWN else ""
    listed = ", ".join(f"`{n}`" for n in known[-_SHOWN:])
    return did_you_mean(name, known) or f"the tensors here are {listed}{more}"


def new_name(name: str, taken: Collection[str]) -> str:
    """A help line with a name that is not taken: `x2` for `x`, `c2` for `c1`."""
    stem = name.rstrip("0123456789") or name
    number = int(name[len(stem) :] or 1) + 1
    while f"{stem}{number}" in taken:
        number += 1
    return f"each name is given once: call this one `{stem}{number}`, and write that below where it is meant"


def no_layer(name: str, value: syntax.Value, tensors: Collection[str]) -> tuple[str, str]:
    """The message and the way out of a layer's statement whose value computes something else than a tensor."""
    if isinstance(value, syntax.Binary) and _operands(value) & set(tensors):
        word = {"+": "added", "*": "multiplied", "-": "subtracted", "/": "divided"}[value.operator]
        layer = {"+": "add", "*": "mul"}.get(value.operator)
        both = f"{_written(value.left)}, {_written(value.right)}"
        help = f"write `{name} = {layer}({both})`" if layer else "`hapir list layers` shows what computes with tensors"
        return f"tensors are {word} by a layer, operators compute with numbers", help
    if isinstance(value, syntax.Number | syntax.Quantity | syntax.Text):
        plain = show(dataclasses.replace(value, origin=None))
        return f"`{name} = ...` applies a layer, {plain} is none", f"a constant is written `let {name} = {plain}`"
    if isinstance(value, syntax.Sequence):
        help = f"a constant is written `let {name} = ...`, tensors are joined by `concat(a, b)`"
        return f"`{name} = ...` applies a layer, a list is none", help
    return f"`{name} = ...` applies a layer, {show(value)} is none", f"a constant is written `let {name} = ...`"


def _operands(value: syntax.Value) -> set[str]:
    match value:
        case syntax.Binary():
            return _operands(value.left) | _operands(value.right)
        case syntax.Negative():
            return _operands(value.operand)
        case syntax.Name():
            return {value.text}
        case _:
            return set()


def arguments(function: str, call: syntax.Call, takes: int | None, options: type[Any]) -> str:
    """The way out of a wrong number of tensors: the call as it may have been meant."""
    fields = [f for f in dataclasses.fields(options) if f.init]
    given = {option.name.text for option in call.options}
    surplus = [] if takes is None else list(call.arguments[takes:])
    if surplus and all(isinstance(v, syntax.Number | syntax.Sequence) for v in surplus):
        free = [f.name for f in fields if f.name not in given]
        if len(surplus) <= len(free):
            named = [f"{name} = {_written(v)}" for name, v in zip(free, surplus, strict=False)]
            kept = [_written(v) for v in call.arguments[:takes]]
            rest = [f"{o.name.text} = {_written(o.value)}" for o in call.options]
            return f"options are written with their names: `{function}({', '.join([*kept, *named, *rest])})`"
    names = ", ".join(_LETTERS[: takes or 2]) + (", ..." if takes is None else "")
    required = [f"{f.name} = ..." for f in fields if f.default is dataclasses.MISSING]
    return f"write `{function}({', '.join([names, *required])})`"


def shapes_that_fit(call: syntax.Call, shapes: Sequence[Shape], options: Any) -> str:
    """The way out of shapes that do not fit a layer."""
    kind = call.function.text
    first = shapes[0] if shapes else ()
    if kind in _MATRICES and len(first) > 2:
        given = [f"{o.name.text} = {_written(o.value)}" for o in call.options]
        return f"flatten it first: `{kind}({', '.join([f'flatten({_written(call.arguments[0])})', *given])})`"
    if kind in _MAPS and len(first) == 3:
        return f"shapes begin with the batch: f32[1, {', '.join(map(str, first))}] is one image"
    if kind in _MAPS and len(first) == 2:
        return f"`{kind}` works on maps: put it before what flattens them"
    groups = getattr(options, "groups", 1)
    channels = getattr(options, "channels", 0)
    if groups > 1 and len(first) > 1 and (first[1] % groups or channels % groups):
        common = math.gcd(first[1], channels)
        divisors = [str(d) for d in range(1, min(common, _TRIED) + 1) if common % d == 0]
        only = f"only {divisors[0]} divides" if len(divisors) == 1 else f"{', '.join(divisors[:8])} divide"
        return f"{only} both {first[1]} and {channels}; depthwise: `groups = {first[1]}`, `channels` a multiple of it"
    if len(shapes) > 1 and len(set(shapes)) > 1:
        return _alike(shapes, call)
    if kind in _SEQUENCES and len(first) != 3:
        return f"`{kind}` works on sequences: f32[1, 16, 100] is one of 100 places with 16 channels"
    if hasattr(options, "kernel") and len(first) == 4:
        return f"the map is {first[2]}x{first[3]}: use a smaller `kernel`, or more `padding` here or less stride above"
    return "`hapir check` without this line tells the shapes of all others"


def _alike(shapes: Sequence[Shape], call: syntax.Call) -> str:
    """How tensors of different shapes are made alike."""
    index, (a, b) = next((i, pair) for i, pair in enumerate(pairwise(shapes)) if pair[0] != pair[1])
    if len(a) != len(b):
        return "both must have as many axes: `flatten` makes a matrix of a map"
    if len(a) == 4 and a[2:] != b[2:]:
        return "rows and columns differ: with `kernel = 3`, `padding = 1` keeps the size and `stride = 2` halves it"
    if len(a) == 4 and a[1] != b[1]:
        other = call.arguments[index + 1]
        return f"their channels differ: `conv2d({_written(other)}, channels = {a[1]}, kernel = 1)` has {a[1]} as well"
    return "make their sizes equal, for example by the same `units`"


def _written(value: syntax.Value) -> str:
    """A value as it may be written; what is long is left out."""
    match value:
        case syntax.Name():
            return value.text
        case syntax.Number() | syntax.Quantity() if value.origin is not None:
            return value.origin.name
        case syntax.Number() | syntax.Quantity() | syntax.Text():
            return show(value)
        case syntax.Sequence() if not any(isinstance(e, syntax.Pair) for e in value.elements):
            return f"[{', '.join(_written(e) for e in value.elements if not isinstance(e, syntax.Pair))}]"
        case syntax.Tensor() if all(isinstance(d, syntax.Name | syntax.Number) for d in value.dimensions):
            indices = [_written(d) for d in value.dimensions if not isinstance(d, syntax.Pair)]
            return f"{value.element.text}[{', '.join(indices)}]"
        case _:
            return "..."
