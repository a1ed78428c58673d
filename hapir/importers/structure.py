"""Repeated structure in a row of layers: which stretches are written once, as a block.

The layers are a row, in the order of computation. A *window* is a stretch of it; its *skeleton* says what its layers
are and how they hang together: kinds, which options they have, inputs by their place in the window or by the order in
which the window first takes them from outside. Names, weights and the numbers in options are no part of it: where
numbers differ between windows they become parameters of the block.

A window may become a block if nothing but one of its results is used outside, and what it takes from outside is not
used behind it (inputs of the network may be). So the blocks are those where the network is narrow: residual blocks with
their shortcut, modules with all their branches, layers of a transformer.

Windows grow from every place at once, one layer per turn, those with a skeleton of their own are dropped; of the
skeletons that occur again, the one that saves the most lines is taken, its windows become calls, and the search begins
again between them until nothing saves enough. Among equals: few inputs, windows that are whole modules by their names
(`layer1_0.conv1` is in `layer1_0`), inputs that are used in several places (a residual block begins where its shortcut
does), the first. The work is at most layers x `LONGEST`, a few times; a network that repeats nothing costs one look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

LONGEST = 150
"""Layers of a block."""
LEAST_LAYERS = 4
"""Layers of a block; one that is a module by its names may have one less."""
LEAST_SAVED = 12
"""Lines that a block must save."""
LEAST_SAVED_MODULE = 4
"""Lines that a block must save whose instances are modules by their names."""
MOST_INPUTS = 4
"""Tensors that a block takes."""
MOST_PARAMETERS = 8
"""Numbers that a block takes."""
Scalar: TypeAlias = int | float


@dataclass(frozen=True)
class Layer:
    """A layer: its full name, how it is written (see `statements.Statement`), and its tensors as numbers.

    `options` are all options but those that are None, defaults included.
    """

    name: str
    kind: str
    options: tuple[tuple[str, object], ...]
    defaults: Mapping[str, object]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    results: tuple[str | int, ...]


@dataclass(frozen=True)
class Instance:
    """A window that is written as a call: the layers `start` to `stop`, what it takes and what it gives."""

    block: int
    start: int
    stop: int
    inputs: tuple[int, ...]
    output: int


Item: TypeAlias = int | Instance
"""A layer by its place in the row, or a call."""


@dataclass
class _Window:
    """A window while it grows; `open` counts results used outside, `leaking` inputs used behind it."""

    start: int
    skeleton: int = 0
    known: dict[int, int] = field(default_factory=dict[int, int])
    inputs: dict[int, int] = field(default_factory=dict[int, int])
    open: set[int] = field(default_factory=set[int])
    leaking: set[int] = field(default_factory=set[int])

    @property
    def clean(self) -> bool:
        """Whether it may become a call."""
        return len(self.open) == 1 and not self.leaking and 0 < len(self.inputs) <= MOST_INPUTS


@dataclass(frozen=True)
class _Choice:
    """Windows of one skeleton, none overlapping, and how good they are; the larger the better."""

    rank: tuple[float, ...]
    windows: tuple[Instance, ...]


@dataclass(frozen=True)
class Structure:
    """The row with its calls, and of each block whether its instances are modules by their names."""

    items: tuple[Item, ...]
    modules: tuple[bool, ...]


def find_structure(layers: Sequence[Layer], results: Collection[int], inputs: Collection[int]) -> Structure:
    """The blocks of a network; `results` and `inputs` are the tensors that it gives and takes."""
    return _Search(layers, results, inputs).run()


class _Search:
    def __init__(self, layers: Sequence[Layer], results: Collection[int], inputs: Collection[int]):
        self._layers = layers
        self._free = frozenset(inputs)
        forms: dict[object, int] = {}
        self._forms = [forms.setdefault(_form(layer), len(forms)) for layer in layers]
        self._last: dict[int, int] = {}
        for place, layer in enumerate(layers):
            self._last.update((value, place) for value in layer.inputs)
        self._last.update((value, len(layers)) for value in results)
        self._modules = _modules(layers)

    def run(self) -> Structure:
        items: list[Item] = list(range(len(self._layers)))
        modules: list[bool] = []
        while (choice := self._best(items, len(modules))) is not None:
            starts = {window.start: window for window in choice.windows}
            inside = {place for window in choice.windows for place in range(window.start, window.stop)}
            kept: list[Item] = []
            for item in items:
                if isinstance(item, Instance) or item not in inside:
                    kept.append(item)
                elif item in starts:
                    kept.append(starts[item])
            items = kept
            modules.append(all((window.start, window.stop) in self._modules for window in choice.windows))
        return Structure(tuple(items), tuple(modules))

    def _best(self, items: Sequence[Item], block: int) -> _Choice | None:
        """The windows of the next block; None where nothing saves enough."""
        free = [item for item in items if isinstance(item, int)]
        in_row = set(free)
        growing = [_Window(place) for place in free]
        best: _Choice | None = None
        for length in range(1, LONGEST + 1):
            groups: dict[int, list[_Window]] = defaultdict(list)
            for window in growing:
                end = window.start + length - 1
                if end in in_row:
                    self._grow(window, end)
                    groups[window.skeleton].append(window)
            growing = [window for group in groups.values() if len(group) > 1 for window in group]
            if not growing:
                break
            if length < LEAST_LAYERS - 1:
                continue
            for group in groups.values():
                choice = self._choice(group, length, block, best)
                if choice is not None:
                    best = choice
        return best

    def _grow(self, window: _Window, place: int) -> None:
        """Take in the next layer."""
        layer = self._layers[place]
        references: list[int] = []
        for value in layer.inputs:
            if value in window.known:
                references.append(2 * window.known[value])
            else:
                references.append(2 * window.inputs.setdefault(value, len(window.inputs)) + 1)
        for value in layer.inputs:
            ends = self._last[value] <= place
            if value in window.known:
                if ends:
                    window.open.discard(value)
            elif ends:
                window.leaking.discard(value)
            elif value not in self._free:
                window.leaking.add(value)
        for value in layer.outputs:
            window.known[value] = len(window.known)
            if self._last.get(value, -1) > place:
                window.open.add(value)
        window.skeleton = hash((window.skeleton, self._forms[place], *references))

    def _choice(self, group: Sequence[_Window], length: int, block: int, best: _Choice | None) -> _Choice | None:
        """What a group of windows with one skeleton comes to; None where the best so far is better."""
        clean: list[_Window] = []
        behind = -1
        for window in group:
            if window.start >= behind and window.clean:
                clean.append(window)
                behind = window.start + length
        if len(clean) < 2:
            return None
        ranges = [(window.start, window.start + length) for window in clean]
        modules = all(r in self._modules for r in ranges)
        if length < LEAST_LAYERS and not modules:
            return None
        saved = len(clean) * length - _calls(ranges) - length - 3
        if saved < (LEAST_SAVED_MODULE if modules else LEAST_SAVED):
            return None
        inputs = len(clean[0].inputs)
        score = saved * 0.9 ** (inputs - 1) * (1.25 if modules else 1)
        if best is not None and score < best.rank[0]:
            return None
        uses = sum(layer.inputs.count(v) for v in clean[0].inputs for layer in self._layers[slice(*ranges[0])])
        rank = (score, -inputs, uses, -clean[0].start)
        if best is not None and rank <= best.rank:
            return None
        if not self._primitive(ranges[0]) or len(self._numbers(ranges)) > MOST_PARAMETERS:
            return None
        return _Choice(rank, tuple(Instance(block, *r, tuple(w.inputs), next(iter(w.open)))
                                   for w, r in zip(clean, ranges, strict=True)))  # fmt: skip

    def _primitive(self, window: tuple[int, int]) -> bool:
        """Whether a window is no repetition of a shorter one."""
        start, stop = window
        length = stop - start
        for part in range(1, length // 2 + 1):
            if length % part == 0 and len({self._skeleton(at, at + part) for at in range(start, stop, part)}) == 1:
                return False
        return True

    def _skeleton(self, start: int, stop: int) -> int:
        window = _Window(start)
        for place in range(start, stop):
            self._grow(window, place)
        return window.skeleton

    def _numbers(self, ranges: Sequence[tuple[int, int]]) -> set[tuple[Scalar, ...]]:
        """The numbers that are not the same in all windows; those that go together are counted once."""
        rows = [[n for layer in self._layers[start:stop] for n in numbers_of(layer)] for start, stop in ranges]
        return {column for column in zip(*rows, strict=True) if len(set(column)) > 1}


def _calls(ranges: Sequence[tuple[int, int]]) -> int:
    """Lines of the calls: a run of several is a repeat."""
    lines, run, behind = 0, 0, -1
    for start, stop in ranges:
        run = run + 1 if start == behind else 1
        lines += run <= 4
        behind = stop
    return lines


def numbers_of(layer: Layer) -> Iterator[Scalar]:
    """The numbers in the options of a layer, in order."""
    for _, value in layer.options:
        yield from _numbers_in(value)


def _numbers_in(value: object) -> Iterator[Scalar]:
    if isinstance(value, tuple):
        for part in cast("tuple[object, ...]", value):
            yield from _numbers_in(part)
    elif is_number(value):
        yield cast(Scalar, value)


def is_number(value: object) -> bool:
    """Whether a value can be a parameter of a block."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _form(layer: Layer) -> object:
    """What a skeleton tells of a layer: all but its names and numbers."""
    return layer.kind, tuple((name, _shape(value)) for name, value in layer.options), len(layer.inputs), layer.results


def _shape(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_shape(part) for part in cast("tuple[object, ...]", value))
    return "number" if is_number(value) else ("is", type(value).__name__, str(value))


def module_of(names: Sequence[str]) -> str:
    """The module that holds all these layers by their names: `layer1_0` for `layer1_0.conv1` and `layer1_0.relu`."""
    paths = [name.split(".")[:-1] for name in names]
    first, last = min(paths), max(paths)
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return ".".join(first[:shared])


def _modules(layers: Sequence[Layer]) -> set[tuple[int, int]]:
    """The stretches of the row that are whole modules by their names."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, layer in enumerate(layers):
        parts = layer.name.split(".")
        for depth in range(1, len(parts)):
            places[".".join(parts[:depth])].append(place)
    return {(p[0], p[-1] + 1) for p in places.values() if p[-1] + 1 - p[0] == len(p)}
