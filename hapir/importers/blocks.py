"""Blocks as they are written: which numbers are parameters, what the block, its layers and its inputs are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from hapir.importers.names import is_legal
from hapir.importers.structure import OPERAND, SIZES, Layer, Scalar, is_number, named_numbers, numbers_of
from hapir.registry import universe
from hapir.spec.evaluate import FUNCTIONS, SIZE
from hapir.spec.frames import indexed

NUMBER = "number"
"""What a parameter is called that stands for an operand."""
INPUTS = ("x", "y", "z", "u")


@dataclass(frozen=True)
class Number:
    """A number in a block: `factor` times a parameter, or, without one, `factor` itself."""

    factor: Scalar
    parameter: str | None = None


@dataclass(frozen=True)
class Parameter:
    """A number that the calls of a block give: one value per instance, and the default if there is one."""

    name: str
    values: tuple[Scalar, ...]
    default: Scalar | None


@dataclass(frozen=True)
class Numbers:
    """The numbers of a block's options, layer by layer in the order of `numbers_of`, and its parameters."""

    of_layers: tuple[tuple[Number, ...], ...]
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class _Place:
    """Where a number stands: in words for the layer, and the option."""

    layer: str
    option: str
    default: Scalar | None


def find_numbers(instances: Sequence[Sequence[Layer]], names: Sequence[str], taken: Collection[str]) -> Numbers:
    """Constants and parameters of a block; `names` are its layers', `taken` what a parameter may not be called."""
    columns = [tuple(c) for c in zip(*([n for layer in i for n in numbers_of(layer)] for i in instances), strict=True)]
    places = [p for layer, local in zip(instances[0], names, strict=True) for p in _places(layer, local)]
    groups: dict[tuple[tuple[Scalar, ...], str], list[_Place]] = {}
    for column, place in zip(columns, places, strict=True):
        if len(set(column)) > 1:
            groups.setdefault((column, _family(place.option)), []).append(place)
    bases = _bases([(column, family) for column, family in groups])
    wanted = Counter(_wanted(groups[key]) for key in groups if bases[key] == (key, 1))
    parameters: dict[tuple[tuple[Scalar, ...], str], Parameter] = {}
    used = set(taken)
    for key, (base, _) in bases.items():
        if base != key:
            continue
        first, plain = groups[key][0], _wanted(groups[key])
        # the name of the first layer tells several of one kind apart
        name = plain if wanted[plain] == 1 else f"{first.layer}_{plain}"
        name = free_name(name, lambda n: n in used)
        used.add(name)
        default = first.default if first.default in key[0] else None
        parameters[key] = Parameter(name, key[0], default)
    numbers: list[Number] = []
    for column, place in zip(columns, places, strict=True):
        if len(set(column)) == 1:
            numbers.append(Number(column[0]))
        else:
            base, factor = bases[column, _family(place.option)]
            numbers.append(Number(factor, parameters[base].name))
    rest = iter(numbers)
    of_layers = tuple(tuple(next(rest) for _ in numbers_of(layer)) for layer in instances[0])
    ordered = sorted(parameters.values(), key=lambda p: p.default is not None)
    return Numbers(of_layers, tuple(ordered))


def _places(layer: Layer, local: str) -> Iterator[_Place]:
    words = [word for word in local.split(".") if word != short_kind(layer.kind)]
    called = "_".join(words) or short_kind(layer.kind)
    for option, _ in named_numbers(layer):
        default = layer.defaults.get(option)
        yield _Place(called, option, cast(Scalar, default) if is_number(default) else None)


def _family(option: str) -> str:
    """Options whose equal rows are one parameter, and in which one may be a multiple of another."""
    return SIZES[0] if option in SIZES else option


def _wanted(places: Sequence[_Place]) -> str:
    """What a parameter that stands at these places should be called."""
    options = [NUMBER if place.option.startswith(OPERAND) else place.option for place in places]
    return next((option for option in SIZES if option in options), options[0])


_Key = tuple[tuple[Scalar, ...], str]


def _bases(keys: Sequence[_Key]) -> dict[_Key, tuple[_Key, int]]:
    """Of each row of numbers the one that it is a multiple of, itself where there is none."""
    found: dict[_Key, tuple[_Key, int]] = {}
    for key in sorted(keys, key=lambda k: sum(k[0])):
        column, family = key
        multiples = (
            (base, factor)
            for base, one in found.values()
            if one == 1 and family == base[1] == SIZES[0] and (factor := _factor(column, base[0])) is not None
        )
        found[key] = next(multiples, (key, 1))
    return {key: found[key] for key in keys}


def _factor(column: Sequence[Scalar], base: Sequence[Scalar]) -> int | None:
    """How many times the base a row is; None where it is no multiple."""
    if not all(isinstance(n, int) and n > 0 for n in (*column, *base)):
        return None
    factor = column[0] // base[0]
    return int(factor) if all(n == factor * b for n, b in zip(column, base, strict=True)) else None


# --- names ------------------------------------------------------------------------------------------------------------

_SHORT = {
    "conv2d": "conv",
    "conv1d": "conv",
    "transposed_conv2d": "up",
    "batch_norm": "bn",
    "layer_norm": "norm",
    "dense": "fc",
    "max_pool": "pool",
    "avg_pool": "pool",
}


def short_kind(kind: str) -> str:
    """What a layer of a kind is called where it has no name: `conv`, `bn`, `relu`."""
    return _SHORT.get(kind, kind)


def free_name(wanted: str, taken: Callable[[str], bool]) -> str:
    """The wanted name, or one with a number behind it."""
    name, n = wanted, 1
    while taken(name):
        n += 1
        name = f"{wanted}_{n}"
    return name


def claim(wanted: str, results: Sequence[str | int], taken: set[str]) -> str:
    """A free name for a layer; it and those of its further results are taken from then on."""

    def names(name: str) -> list[str]:
        others = [f"{name}.{r}" if isinstance(r, str) else indexed(name, [r]) for r in results if r != ""]
        return [name, *others]

    found = free_name(wanted, lambda name: not taken.isdisjoint(names(name)))
    taken.update(names(found))
    return found


def local_names(instances: Sequence[Sequence[Layer]], modules: Sequence[str], taken: set[str]) -> list[str]:
    """The names of a block's layers: what follows the module in the names of all instances, or names of their kinds."""
    rows = [
        [layer.name.removeprefix(f"{module}.") if module else "" for layer in layers]
        for layers, module in zip(instances, modules, strict=True)
    ]
    kinds = [short_kind(layer.kind) for layer in instances[0]]
    count, seen = Counter(kinds), Counter[str]()
    names: list[str] = []
    for place, layer in enumerate(instances[0]):
        written = {row[place] for row in rows}
        seen[kinds[place]] += 1
        # the last layer has the name that a nested call gets, so that the block may return that call
        last = place == len(kinds) - 1 and kinds[place] == layer.kind
        number = "" if count[kinds[place]] == 1 or last else str(seen[kinds[place]])
        kept = written.pop() if len(written) == 1 else ""
        names.append(claim(kept if is_legal(kept) else f"{kinds[place]}{number}", layer.results, taken))
    return names


def input_names(layers: Sequence[Layer], inputs: Sequence[int]) -> list[str]:
    """What a block calls the tensors that it takes: the first is `x`, one that is only added at the end `shortcut`."""
    names: list[str] = []
    for place, value in enumerate(inputs):
        users = [layer.kind for layer in layers if value in layer.inputs]
        added = place > 0 and users == ["add"] and "shortcut" not in names
        names.append("shortcut" if added else INPUTS[place])
    return names


def block_name(layers: Sequence[Layer], inputs: Sequence[int], modules: Sequence[str], taken: Collection[str]) -> str:
    """What a block is called: as its instances are but for their numbers, or after what it does."""

    def used(name: str) -> bool:
        return name in taken or name in universe().layers or name in FUNCTIONS or name == SIZE

    role = _role(layers, inputs)
    stems = {_stem(module) for module in modules}
    stem = stems.pop() if len(stems) == 1 else ""
    if is_legal(stem):
        names = [stem, f"{stem}_{role}"]
        return next((name for name in names if not used(name)), free_name(names[-1], used))
    return free_name(role, used)


def _stem(module: str) -> str:
    """What one of a row of modules is called without its number: `layer` for `encoder.layers3`."""
    stem = re.sub(r"[\d_]+$", "", module.rpartition(".")[2])
    return stem[:-1] if re.fullmatch(r"\w+[a-rt-z]s", stem) else stem


def _role(layers: Sequence[Layer], inputs: Sequence[int]) -> str:
    """What a block does, in a word or two."""
    kinds = [layer.kind for layer in layers]
    if "softmax" in kinds and "matmul" in kinds:
        return "attention"
    ends = [layer for layer in layers[-2:] if layer.kind in ("add", "concat")]
    if ends and ends[-1].kind == "add":
        return "residual" if set(ends[-1].inputs) & set(inputs) else "projected"
    if ends and ends[-1] is layers[-1]:
        return "grow" if set(ends[-1].inputs) & set(inputs) else "branches"
    words = [*dict.fromkeys(short_kind(kind) for kind in kinds)][:3]
    return "_".join(words) if len(words) > 1 else f"{words[0]}_block"
