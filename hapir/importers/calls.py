"""One body of statements: calls with their names, those that stand inside another, and rows of them as `repeat`.

A call without a name of its own stands inside the call that uses it; the language then calls it after the statement
(`f1.flatten`). So a layer is written inside another only where it has just this name, and where the order of
computation stays.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hapir.diagnostics import Span
from hapir.spec import syntax
from hapir.spec.frames import indexed

LEAST_TURNS = 3
"""Turns of a `repeat`; fewer calls are as short without it."""
_NOWHERE = Span("", 1, 1, 1, 1)
_INDEXED = re.compile(r"(.*\d)_(\d+)|(.*[A-Za-z_])(\d+)")


@dataclass(frozen=True)
class Family:
    """A name that is one of a row: `layer1_2` is `layer1[2]`."""

    name: str
    index: int

    @staticmethod
    def of(name: str) -> Family | None:
        """The row and the place in it; None for other names."""
        found = _INDEXED.fullmatch(name)
        if found is None:
            return None
        base, index = (found[1], found[2]) if found[1] else (found[3], found[4])
        family = Family(base, int(index)) if len(index) < 10 else None
        return family if family is not None and indexed(base, [family.index]) == name else None

    @staticmethod
    def base(name: str) -> str | None:
        """The row alone."""
        family = Family.of(name)
        return None if family is None else family.name


@dataclass(frozen=True)
class Entry:
    """A statement: its name, what it calls, the tensors (numbered) that it takes and gives, and its options.

    A tensor that it gives comes with the name of the result (see `LayerDefinition.result_names`). `numbers` are
    operands that are numbers, by their position.
    """

    local: str
    function: str
    inputs: tuple[int, ...]
    outputs: tuple[tuple[int, str | int], ...]
    options: tuple[syntax.Option, ...]
    family: Family | None
    numbers: tuple[tuple[int, syntax.Value], ...] = ()
    nestable: bool = False


class Frame:
    """The statements of a network or block."""

    def __init__(self, entries: Sequence[Entry], inputs: Mapping[str, int], returned: Sequence[tuple[str, int]]):
        """`inputs` are the tensors that it takes; `returned` those that it gives, by the name of a call there."""
        self._entries = entries
        self._inputs = inputs
        self._returned = returned
        self._made = {value: place for place, entry in enumerate(entries) for value, _ in entry.outputs}
        self._uses = Counter([v for entry in entries for v in entry.inputs] + [value for _, value in returned])
        self._references: dict[int, syntax.Value] = {value: _name(name) for name, value in inputs.items()}
        self._runs = self._find_runs()
        indexed_ = {entries[p].family for start, stop, _ in self._runs for p in range(start - 1, stop)}
        self._indexed = {family for family in indexed_ if family is not None}
        for entry in entries:
            for value, result in entry.outputs:
                self._references[value] = self._reference(entry, result)
        self._inside = self._find_nested()

    def statements(self) -> list[syntax.Statement]:
        """The body, with its `return`."""
        runs = {start: (stop, position) for start, stop, position in self._runs}
        statements: list[syntax.Statement] = []
        place = 0
        while place < len(self._entries):
            if place in runs:
                stop, position = runs[place]
                statements.append(self._repeat(place, stop, position))
                place = stop
                continue
            if place not in self._inside:
                statements.append(self._assign(self._entries[place]))
            place += 1
        values = [self._value(value) for _, value in self._returned]
        return [*statements, syntax.Return(values[0], _NOWHERE), *values[1:]]

    def _assign(self, entry: Entry) -> syntax.Assign:
        call = self._call(entry)
        if entry.family is not None and entry.family in self._indexed:
            index = syntax.Number(entry.family.index, _NOWHERE)
            return syntax.Assign(_name(entry.family.name), call, _NOWHERE, (index,))
        return syntax.Assign(_name(entry.local), call, _NOWHERE)

    def _reference(self, entry: Entry, result: str | int) -> syntax.Value:
        if isinstance(result, int):
            return syntax.Tensor(_name(entry.local), (syntax.Number(result, _NOWHERE),), _NOWHERE)
        if result:
            return _name(f"{entry.local}.{result}")
        if entry.family is not None and entry.family in self._indexed:
            index = syntax.Number(entry.family.index, _NOWHERE)
            return syntax.Tensor(_name(entry.family.name), (index,), _NOWHERE)
        return _name(entry.local)

    def _value(self, value: int) -> syntax.Value:
        place = self._made.get(value)
        if place is not None and place in self._inside:
            return self._call(self._entries[place])
        return self._references[value]

    def _call(self, entry: Entry) -> syntax.Call:
        inputs = [self._value(value) for value in entry.inputs]
        for position, number in entry.numbers:
            inputs.insert(position, number)
        return syntax.Call(_name(entry.function), tuple(inputs), entry.options, _NOWHERE)

    # --- calls inside calls -------------------------------------------------------------------------------------------

    def _find_nested(self) -> set[int]:
        """The places of calls that stand inside others."""
        named = set[int]()
        while True:
            inside, wrong = self._try_nested(named)
            if not wrong:
                return inside
            named |= wrong

    def _try_nested(self, named: set[int]) -> tuple[set[int], set[int]]:
        """Calls that could stand inside others, but for `named`; and those that would not get their own names then."""
        inside: set[int] = set()
        looping = {p for start, stop, _ in self._runs for p in range(start, stop)}

        def gather(values: Sequence[int], statement: str, last: int) -> int:
            """Take calls into a call that uses these values, from the last one; the place before them all."""
            for value in reversed(values):
                place = self._made.get(value)
                if place != last or place is None or place in named or place in looping or self._uses[value] > 1:
                    continue
                entry = self._entries[place]
                if entry.nestable and entry.local.startswith(_nested_name(statement, entry.function)):
                    inside.add(place)
                    last = gather(entry.inputs, statement, place - 1)
            return last

        place = len(self._entries) - 1
        for statement, value in reversed(self._returned):
            place = gather([value], statement, place)
        while place >= 0:
            root = self._entries[place]
            place = place - 1 if place in looping else gather(root.inputs, root.local, place - 1)
        return inside, self._misnamed(inside)

    def _misnamed(self, inside: set[int]) -> set[int]:
        """Calls inside others that the language would call otherwise than they are called."""
        taken = set(self._inputs)
        wrong: set[int] = set()

        def visit(values: Sequence[int], statement: str) -> None:
            for value in values:
                place = self._made.get(value)
                if place is None or place not in inside:
                    continue
                entry = self._entries[place]
                wanted = _nested_name(statement, entry.function)
                name, n = wanted, 1
                while name in taken:
                    n += 1
                    name = f"{wanted}_{n}"
                if name != entry.local:
                    wrong.add(place)
                taken.add(name)
                visit(entry.inputs, statement)

        for place, entry in enumerate(self._entries):
            if place in inside:
                continue
            taken.add(entry.local)
            visit(entry.inputs, entry.local)
            taken.update(indexed(entry.local, [r]) for _, r in entry.outputs if isinstance(r, int))
        for statement, value in self._returned:
            visit([value], statement)
        return wrong

    # --- repeats ------------------------------------------------------------------------------------------------------

    def _find_runs(self) -> list[tuple[int, int, int]]:
        """Rows of calls that differ in nothing but their place: first, end, and which input is the call before."""
        runs: list[tuple[int, int, int]] = []
        place = 1
        while place < len(self._entries):
            position = self._follows(place)
            stop = place
            while stop < len(self._entries) and position is not None and self._alike(place, stop, position):
                stop += 1
            if position is not None and stop - place >= LEAST_TURNS:
                runs.append((place, stop, position))
            place = max(stop, place + 1)
        return runs

    def _follows(self, place: int) -> int | None:
        """Which input of a call is the call of its row before it."""
        entry, before = self._entries[place], self._entries[place - 1]
        if entry.family is None or before.family != Family(entry.family.name, entry.family.index - 1):
            return None
        values = [value for value, result in before.outputs if result == ""]
        return next((i for i, value in enumerate(entry.inputs) if value in values), None)

    def _alike(self, first: int, place: int, position: int) -> bool:
        """Whether a call is the first one again, one place on in the row."""
        one, other = self._entries[first], self._entries[place]
        return (
            self._follows(place) == position
            and one.function == other.function
            and one.options == other.options
            and [v for i, v in enumerate(one.inputs) if i != position]
            == [v for i, v in enumerate(other.inputs) if i != position]
        )

    def _repeat(self, start: int, stop: int, position: int) -> syntax.Repeat:
        entry, last = self._entries[start], self._entries[stop - 1]
        assert entry.family is not None
        assert last.family is not None
        names = {e.local for e in self._entries} | set(self._inputs)
        variable = next(v for v in ("i", "j", "k", "n", "turn", "turn_of_repeat") if v not in names)
        before = syntax.Binary("-", _name(variable), syntax.Number(1, _NOWHERE), _NOWHERE)
        inputs = [self._references[value] for value in entry.inputs]
        inputs[position] = syntax.Tensor(_name(entry.family.name), (before,), _NOWHERE)
        call = syntax.Call(_name(entry.function), tuple(inputs), entry.options, _NOWHERE)
        body = syntax.Assign(_name(entry.family.name), call, _NOWHERE)
        ends = (syntax.Number(entry.family.index, _NOWHERE), syntax.Number(last.family.index, _NOWHERE))
        over = syntax.Call(_name("range"), ends, (), _NOWHERE)
        return syntax.Repeat(_name(variable), over, (body,), _NOWHERE)


def _nested_name(statement: str, function: str) -> str:
    """What the language calls a call inside a statement."""
    return f"{statement}.{function}".lstrip(".")


def _name(text: str) -> syntax.Name:
    return syntax.Name(text, _NOWHERE)
