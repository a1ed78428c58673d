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
again between them until nothing saves enough. Windows that are whole modules by their names (`layer1_0.conv1` is in
`layer1_0`) count for more, those that another tensor passes by (a stretch beside a shortcut) for less, and so do those
of several inputs. Among equals: inputs that are used in several places (a residual block begins where its shortcut
does), the first. The work is at most layers x `LONGEST`, a few times; a network that repeats nothing costs one look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias, cast

LONGEST = 150
"""Layers of a block."""
LEAST_LAYERS = 4
"""Layers of a block; one that is a module by its names may have one less."""
LEAST_SAVED = 15
"""Lines that a block must save; a parameter costs as much as a line."""
LEAST_SAVED_MODULE = 4
"""Lines that a block must save whose instances are modules by their names."""
MODULE_BONUS = 1.5
"""What modules are preferred by."""
PASSED_MALUS = 0.7
"""What windows lose by which another tensor passes, for they lie inside something larger."""
LEAST_FOR_ODD = 4
"""Windows among which one may be odd."""
SIZES = ("channels", "units", "groups")
"""Options that count channels, and differ for good reasons."""
MOST_INPUTS = 4
"""Tensors that a block takes."""
MOST_PARAMETERS = 16
"""Numbers that a block takes."""
MOST_IN_A_LINE = 5
"""Numbers that a call can give on one line; with more it has a line for each."""
OPERAND = "#"
"""Begins the name of an option that is an operand."""
Scalar: TypeAlias = int | float


@dataclass(frozen=True)
class Layer:
    """A layer: its full name, how it is written (see `statements.Statement`), and its tensors as numbers.

    `options` are all options but those that are None, defaults included. A number that stands for operand i is the
    option `OPERAND + str(i)`, and none of the `inputs`.
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
    """A window while it grows; `open` are results used outside, `leaking` inputs used behind it."""

    start: int
    skeleton: int = 0
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
        self._alive = self._lives()
        self._numbers = [tuple(named_numbers(layer)) for layer in layers]
        made = {v: (place, which) for place, layer in enumerate(layers) for which, v in enumerate(layer.outputs)}
        self._reads: list[list[tuple[int, int, object]]] = []
        """Of each layer its inputs: the tensor, where it is made, and what a skeleton says if that is in the window."""
        self._dies: list[list[int]] = []
        """Of each layer the tensors that it is the last to read."""
        self._stays: list[list[int]] = []
        """Of each layer the results that layers behind it read."""
        for place, layer in enumerate(layers):
            places = [(v, *made.get(v, (-1, 0))) for v in layer.inputs]
            self._reads.append([(v, at, (place - at, which)) for v, at, which in places])
            self._dies.append([v for v in dict.fromkeys(layer.inputs) if self._last[v] <= place])
            self._stays.append([v for v in layer.outputs if self._last.get(v, -1) > place])

    def _lives(self) -> list[list[int]]:
        """Before each layer, where the tensors that are alive there are used last; those that are free do not count."""
        alive: list[list[int]] = []
        now: list[int] = []
        for place, layer in enumerate(self._layers):
            now = [last for last in now if last >= place]
            alive.append(now)
            now = now + [self._last.get(v, -1) for v in layer.outputs if v not in self._free]
        return alive

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
        references: list[object] = []
        for value, made, said in self._reads[place]:
            if made >= window.start:
                references.append(said)
            else:
                references.append(window.inputs.setdefault(value, len(window.inputs)))
                if self._last[value] > place and value not in self._free:
                    window.leaking.add(value)
        for value in self._dies[place]:
            window.open.discard(value)
            window.leaking.discard(value)
        window.open.update(self._stays[place])
        window.skeleton = hash((window.skeleton, self._forms[place], *references))

    def _choice(self, group: Sequence[_Window], length: int, block: int, best: _Choice | None) -> _Choice | None:
        """What a group of windows with one skeleton comes to; None where the best so far is better."""
        clean: list[_Window] = []
        behind = -1
        for window in group:
            if window.start >= behind and window.clean:
                clean.append(window)
                behind = window.start + length
        modules = [window for window in clean if (window.start, window.start + length) in self._modules]
        found = None
        for windows in (clean, modules) if len(modules) < len(clean) else (clean,):
            if len(windows) > 1:
                choice = self._rated(windows, length, block, windows is modules or len(modules) == len(clean), best)
                found = best = choice or best
        return found

    def _rated(
        self, windows: Sequence[_Window], length: int, block: int, modules: bool, best: _Choice | None
    ) -> _Choice | None:
        """Windows as a choice; None where they save too little, or the best so far is better."""
        least = LEAST_SAVED_MODULE if modules else LEAST_SAVED
        if length < LEAST_LAYERS and not modules:
            return None
        ranges = [(window.start, window.start + length) for window in windows]
        passed = sum(any(stop <= last < len(self._layers) for last in self._alive[start]) for start, stop in ranges)
        factor = (MODULE_BONUS if modules else 1.0) * 0.9 ** (len(windows[0].inputs) - 1)
        factor *= 1 - PASSED_MALUS * passed / len(ranges)
        at_most = len(ranges) * length - _calls(ranges) - length - 3
        if at_most < least or (best is not None and at_most * factor < best.rank[0]):
            return None  # before the numbers are looked at
        ranges = self._without_odd(ranges)
        parameters = self._parameters(ranges)
        call = 1 if parameters <= MOST_IN_A_LINE else parameters + 3
        saved = len(ranges) * length - call * _calls(ranges) - length - 3 - parameters
        reads = [value for reads in self._reads[slice(*ranges[0])] for value, *_ in reads]
        uses = sum(value in windows[0].inputs for value in reads)
        rank = (saved * factor, -len(windows[0].inputs), uses, -ranges[0][0])
        if saved < least or (best is not None and rank <= best.rank):
            return None
        if not self._primitive(ranges[0]) or parameters > MOST_PARAMETERS:
            return None
        kept = {start for start, _ in ranges}
        chosen = [window for window in windows if window.start in kept]
        instances = (Instance(block, w.start, w.start + length, tuple(w.inputs), next(iter(w.open))) for w in chosen)
        return _Choice(rank, tuple(instances))

    def _without_odd(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Windows but for those that alone differ from all others in several options that are no sizes."""
        if len(ranges) < LEAST_FOR_ODD:
            return ranges
        rows = [list(chain.from_iterable(self._numbers[slice(*r)])) for r in ranges]
        odd: dict[int, set[str]] = defaultdict(set)
        for column in zip(*rows, strict=True):
            usual = column[0] if column[0] in column[1:] else column[1]
            if column[0][0] not in SIZES and column.count(usual) == len(column) - 1:
                place = next(i for i, pair in enumerate(column) if pair != usual)
                odd[place].add(column[0][0])
        return [r for i, r in enumerate(ranges) if len(odd[i]) < 2]

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

    def _parameters(self, ranges: Sequence[tuple[int, int]]) -> int:
        """How many numbers are not the same in all windows; those that go together are counted once."""
        rows = [list(chain.from_iterable(self._numbers[slice(*r)])) for r in ranges]
        differing = (column for column in zip(*rows, strict=True) if column.count(column[0]) < len(column))
        return len({tuple(number for _, number in column) for column in differing})


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
    return (number for _, number in named_numbers(layer))


def named_numbers(layer: Layer) -> Iterator[tuple[str, Scalar]]:
    """The same, each with the option that it belongs to."""
    return ((option, number) for option, value in layer.options for number in _numbers_in(value))


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
