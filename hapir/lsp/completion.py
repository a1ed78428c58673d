"""What may be written at the cursor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from hapir.catalogue.classes import class_entry
from hapir.catalogue.entry import Entry
from hapir.dialects.kernel_kinds import KINDS, Direct
from hapir.lsp.catalogue import entry_of, listed, markdown
from hapir.lsp.context import Context, Frame
from hapir.lsp.names import NameIndex
from hapir.lsp.symbols import Known, Symbol
from hapir.lsp.values import Choice, choices, choices_of, units_of
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.analysis import Analysis
from hapir.spec.evaluate import FUNCTIONS, SIZE
from hapir.spec.imports import library_names
from hapir.spec.kernel_requests import ALGORITHM
from hapir.spec.lint import LINTS
from hapir.spec.program import NO_RECIPE
from hapir.spec.recipes import SELECTOR
from hapir.spec.schedules import KERNEL
from hapir.spec.units import UNITS
from hapir.spec.unparse import head_text, value_text

Sort: TypeAlias = Literal["keyword", "function", "class", "property", "value", "variable", "unit", "file", "text"]


@dataclass(frozen=True)
class Item:
    """A proposal: its label, what sort of thing it is, a word about it, its documentation, and the text put in."""

    label: str
    sort: Sort
    detail: str = ""
    documentation: str = ""
    insert: str | None = None


_NUMBER = re.compile(r"(?:^|[^\w.])[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[ \t]*$")
_ASSIGNED = re.compile(r"([A-Za-z_][\w.]*)\s*=\s*[^=]*$")
_TOP = {
    "network": "network name(image: f32[1, 1, 8, 8]) -> f32[1, 10] {\n}",
    "machine": "machine name {\n}",
    "recipe": "recipe name {\n}",
    "schedule": "schedule name of network with recipe on machine {\n}",
    "block": "block name(x) {\n}",
    "import": 'import "machines/ws_8x8.hap"',
    "let": "let name = 1",
}
_STATEMENTS = {
    "return": "return ",
    "let": "let ",
    "repeat": "repeat i in range(1, 2) {\n}",
    "block": "block name(x) {\n}",
    "weights": 'weights from ""',
}
_INSTANCES = {"of": "network", "with": "recipe", "on": "machine", "extends": "machine"}
_LEVEL = ("for", "rows", "columns", "bypass")


@dataclass(frozen=True)
class Place:
    """A cursor with all that is known around it. `files` are those of the folder."""

    context: Context
    analysis: Analysis
    names: NameIndex
    line: int
    column: int
    files: Sequence[str] = ()

    @property
    def visible(self) -> list[Symbol]:
        """The symbols that can be seen here."""
        return self.names.visible(self.analysis.name, self.line, self.column)


def complete(place: Place) -> list[Item]:
    """Proposals, those that fit best first; the editor filters them by what is written so far."""
    context = place.context
    if context.comment is not None:
        return list(_silenced(context.comment))
    if context.string is not None:
        return list(_in_string(place))
    if _NUMBER.search(context.before):
        return list(_units(place))
    found = list(_proposals(place))
    return list({item.label: item for item in reversed(found)}.values())[::-1]


def _proposals(place: Place) -> Iterator[Item]:
    context = place.context
    innermost = context.frames[-1] if context.frames else None
    if innermost is None:
        yield from _at_top(place)
    elif innermost.opening == "{":
        yield from _in_body(place)
    elif innermost.opening == "(":
        yield from _in_call(place, innermost)
    else:
        yield from _in_list(place, innermost)


# --- comments, strings, units ---------------------------------------------------------------------------------------


def _silenced(comment: str) -> Iterator[Item]:
    if re.match(r"//\s*hapir:\s*allow\b", comment):
        for code in LINTS:
            entry = entry_of(Known("code", code))
            yield Item(code, "value", entry.summary if entry else "")
    elif re.fullmatch(r"//\s*\w*", comment):
        yield Item("hapir: allow", "keyword", "silence a warning", insert="hapir: allow ")


def _in_string(place: Place) -> Iterator[Item]:
    statement = place.context.statement
    option = _ASSIGNED.search(statement)
    outer = place.context.frames[-1] if place.context.frames else None
    name = option[1] if option else ""
    if not name and outer is not None and outer.opening == "[":
        inside = _ASSIGNED.search(outer.head)
        name = inside[1] if inside else ""
    if statement.strip() == "import":
        own = [file for file in place.files if file.endswith(".hap") and file != place.analysis.name]
        for file in [*own, *library_names()]:
            yield Item(file, "file", "" if file in own else "library")
    elif re.match(r"weights\s+from", statement):
        yield from (Item(file, "file") for file in place.files if file.endswith(".safetensors"))
    elif name == SELECTOR or statement.split()[:1] in (["map"], [KERNEL]):
        yield from _layer_names(place, globs=name == SELECTOR)
    elif name:
        yield from (Item(file, "file") for file in place.files if file.endswith(".npz"))


def _layer_names(place: Place, *, globs: bool, quoted: bool = False) -> Iterator[Item]:
    layers = list(dict.fromkeys(layer for found in place.analysis.layers.values() for layer in found))
    stems = sorted({re.sub(r"[\d_]*$", "", layer.rpartition(".")[2]) for layer in layers} - {""}) if globs else []
    words = [*layers, *(f"{stem}*" for stem in stems)]
    yield from (Item(word, "text", "layers" if "*" in word else "layer", insert=f'"{word}"' if quoted else None)
                for word in words)  # fmt: skip


def _units(place: Place) -> Iterator[Item]:
    dimensions = None
    option = _ASSIGNED.search(place.context.before)
    owner = owner_of(place)
    if option is not None and owner is not None:
        dimensions = units_of(owner, option[1])
    for unit, meaning in UNITS.items():
        if dimensions is None or meaning.dimension in dimensions:
            yield Item(unit, "unit", meaning.dimension)


# --- top and bodies -------------------------------------------------------------------------------------------------


def _at_top(place: Place) -> Iterator[Item]:
    before = place.context.before
    if not before.strip():
        yield from (Item(word, "keyword", insert=text) for word, text in _TOP.items())
        return
    words = before.split()
    kind = _INSTANCES.get(words[-1])
    if kind is not None:
        for symbol in place.visible:
            if symbol.kind == kind:
                yield _symbol(symbol)
        if kind == "recipe":
            yield Item(NO_RECIPE, "value", "no recipe")
    elif words[0] == "schedule" and len(words) > 3:
        yield from (Item(word, "keyword") for word in ("with", "on") if word not in words)
    elif words[0] == "machine" and len(words) > 1 and "extends" not in words:
        yield Item("extends", "keyword")
    elif words[0] == "let" and "=" in words:
        yield from _constants(place)


def _in_body(place: Place) -> Iterator[Item]:
    match place.context.definition:
        case "network" | "block":
            yield from _in_network(place)
        case "machine":
            yield from _in_machine(place)
        case "recipe":
            yield from _in_recipe(place)
        case "schedule":
            yield from _in_schedule(place)
        case _:
            pass


def _in_network(place: Place) -> Iterator[Item]:
    before = place.context.before
    if not before.strip():
        yield from (Item(word, "keyword", insert=text) for word, text in _STATEMENTS.items())
        return
    if before.strip().startswith(("let ", "repeat ")):
        yield from _constants(place)
        return
    if before.strip() == "return":
        yield from _tensors(place)
    if before.strip() == "return" or "=" in before:
        yield from _layers(place)


def _in_machine(place: Place) -> Iterator[Item]:
    before, owner = place.context.before, owner_of(place)
    if owner is None:
        return
    if "=" in before:
        yield from _values(place, owner, before)
        return
    words = before.split()
    if words == ["unit"]:
        yield from map(_entry, listed("units"))
    if words:
        return
    entry = entry_of(owner)
    if entry is not None:
        yield from _options(entry, given(place))
    yield Item("let", "keyword", insert="let ")
    kind = owner.name if owner.kind == "block" else ""
    for block, getter in universe().blocks.items():
        if kind in getattr(getter(), "within", ()):
            yield _entry(entry_of(Known("block", block)) or Entry("block", block, ""))


def _in_recipe(place: Place) -> Iterator[Item]:
    if place.context.before.strip():
        yield from _constants(place)
        return
    yield from (_entry(entry, "()") for entry in listed("passes"))
    yield from (_symbol(symbol) for symbol in place.visible if symbol.kind == "recipe")
    yield Item("let", "keyword", insert="let ")


def _in_schedule(place: Place) -> Iterator[Item]:
    before, bodies = place.context.before, place.context.bodies
    words = before.split()
    if len(bodies) == 1:
        if not words:
            yield Item("dataflow", "property", insert="dataflow = ")
            yield Item("map", "keyword", insert="map ")
            yield Item(KERNEL, "keyword", insert=f"{KERNEL} ")
        elif words in (["map"], [KERNEL]):
            yield from _layer_names(place, globs=False)
        elif words[:2] == ["dataflow", "="]:
            yield from map(_entry, listed("dataflows"))
    elif bodies[1].words[:1] == [KERNEL]:
        yield from _in_kernel(place, words)
    elif len(bodies) == 2:
        if not words:
            yield Item("at", "keyword", insert="at ")
        elif words == ["at"]:
            machine = re.search(r"\bon\s+([A-Za-z_]\w*)", bodies[0].head)
            yield from map(_symbol, place.names.parts(machine[1] if machine else "").values())
    elif not words:
        yield from (Item(word, "property", insert=f"{word} = ") for word in _LEVEL)


def _in_kernel(place: Place, words: Sequence[str]) -> Iterator[Item]:
    """The settings of a kernel: those of the algorithm that is written before, of `direct` without one."""
    if words[:2] == [ALGORITHM, "="]:
        for name, kind in KINDS.items():
            entry = class_entry("kernel", name, kind)
            yield Item(name, "value", entry.summary, entry.text)
        return
    written = re.search(rf"\b{ALGORITHM}\s*=\s*(\w+)", place.context.inside)
    kind = KINDS.get(written[1] if written else Direct.name)
    if kind is None:
        return
    if len(words) == 2 and words[1] == "=":
        yield from (Item(choice.text, "value") for choice in choices_of(kind, words[0]))
    elif not words:
        if written is None:
            yield Item(ALGORITHM, "property", "what computes the layer", insert=f"{ALGORITHM} = ")
        yield from (Item(f.name, "property", insert=f"{f.name} = ") for f in fields(kind))


# --- calls and lists ------------------------------------------------------------------------------------------------


def _in_call(place: Place, frame: Frame) -> Iterator[Item]:
    before = place.context.before
    owner = owner_of(place)
    if owner is not None:
        if "=" in before:
            yield from _values(place, owner, before)
            return
        entry = entry_of(owner)
        if entry is not None and owner.kind != "function":
            yield from _options(entry, given(place))
    else:
        called = called_at(place, frame)
        if called is None:
            if ":" in before:
                yield from map(_entry, listed("formats"))
            return
        if "=" not in before:
            for parameter in _parameters(called):
                if parameter.name is not None and parameter.name.text not in given(place):
                    yield Item(parameter.name.text, "property", "parameter", insert=f"{parameter.name.text} = ")
    if place.context.definition in ("network", "block") and place.context.bodies and "=" not in before:
        yield from _tensors(place)
        yield from _layers(place)
    else:
        yield from _constants(place)


def _in_list(place: Place, frame: Frame) -> Iterator[Item]:
    option = _ASSIGNED.search(frame.head)
    outer = Place(
        Context(place.context.frames[:-1], frame.head),
        place.analysis,
        place.names,
        place.line,
        place.column,
        place.files,
    )
    owner = owner_of(outer)
    if option is not None and owner is not None:
        yield from _values(outer, owner, frame.head)
    elif option is not None and place.context.definition == "schedule":
        from hapir.dialects.dataflow import DIMENSIONS, TENSORS

        yield from (Item(word, "value") for word in (TENSORS if option[1] == "bypass" else DIMENSIONS))
    else:
        yield from _constants(place)


def owner_of(place: Place) -> Known | None:
    """What hapir knows whose options may stand at the cursor: the layer or pass of a call, the block of a body."""
    if not place.context.frames:
        return None
    frame, definition = place.context.frames[-1], place.context.definition
    if frame.opening == "(":
        everything = universe()
        step = definition == "recipe" and len(place.context.frames) == len(place.context.bodies) + 1
        if frame.called in FUNCTIONS and not (step and frame.called in everything.all_passes):
            return Known("function", frame.called)
        if not place.context.bodies:
            return None
        if definition in ("network", "block") and frame.called in everything.layers:
            return Known("layer", frame.called)
        if definition == "recipe" and frame.called in everything.all_passes:
            return Known("pass", frame.called)
        if definition == "schedule" and frame.called in everything.dataflows:
            return Known("dataflow", frame.called)
        return None
    words = frame.words
    if frame.opening == "{" and definition == "machine" and words:
        return Known("unit", words[1]) if words[0] == "unit" and len(words) > 1 else Known("block", words[0])
    return None


def called_at(place: Place, frame: Frame) -> Symbol | None:
    """The definition that a call names: a block, a recipe, or what is put to use in the head of another definition."""
    words = frame.words
    kinds = {"block", "recipe"}
    if not place.context.bodies:
        if len(words) < 3 or words[-2] not in _INSTANCES:
            return None
        kinds = {_INSTANCES[words[-2]]}
    return next((s for s in place.visible if s.name == frame.called and s.kind in kinds), None)


def _parameters(symbol: Symbol) -> Sequence[syntax.Parameter]:
    node = symbol.node
    if isinstance(node, syntax.Network | syntax.LayerBlock | syntax.Machine | syntax.Recipe):
        return node.parameters
    return ()


def given(place: Place) -> set[str]:
    """The options that stand before the cursor in its bracket."""
    return set(re.findall(r"([A-Za-z_]\w*)\s*=", place.context.inside))


# --- items ----------------------------------------------------------------------------------------------------------


def _values(place: Place, owner: Known, before: str) -> Iterator[Item]:
    """Values of the option that is being written."""
    option = _ASSIGNED.search(before)
    if option is None:
        return
    if option[1] == SELECTOR and owner.kind == "pass":
        yield from _layer_names(place, globs=True, quoted=True)
    for choice in choices(owner, option[1]):
        yield _choice(choice)
    if owner.kind == "block":
        refers: tuple[str, ...] = getattr(universe().blocks[owner.name](), "refers", ()) if (
            owner.name in universe().blocks
        ) else ()  # fmt: skip
        words = place.context.frames[0].words
        if option[1] in refers and len(words) > 1:
            yield from map(_symbol, place.names.parts(words[1]).values())
    yield from _constants(place)


def _choice(choice: Choice) -> Item:
    entry = entry_of(Known("word", choice.text.partition("(")[0])) if choice.registered else None
    documentation = "" if entry is None else markdown(entry)
    return Item(choice.text, "value", choice.detail or ("" if entry is None else entry.summary), documentation)


def _options(entry: Entry, written: Iterable[str]) -> Iterator[Item]:
    taken = set(written)
    for option in entry.options:
        if option.name not in taken:
            detail = "required" if option.required else f"default {option.default}"
            documentation = f"{option.allowed}\n\n{option.description}"
            yield Item(option.name, "property", detail, documentation, f"{option.name} = ")


def _layers(place: Place) -> Iterator[Item]:
    yield from (_symbol(symbol) for symbol in place.visible if symbol.kind == "block")
    yield from (_entry(entry) for entry in listed("layers"))


def _tensors(place: Place) -> Iterator[Item]:
    shown = ("tensor", "input", "parameter", "index", "constant")
    yield from (_symbol(symbol) for symbol in place.visible if symbol.kind in shown)


def _constants(place: Place) -> Iterator[Item]:
    shown = ("constant", "parameter", "index")
    yield from (_symbol(symbol) for symbol in place.visible if symbol.kind in shown)
    # the size of a tensor can only be asked where there are tensors
    tensors = place.context.definition in ("network", "block")
    yield from (_entry(entry) for entry in listed("functions") if tensors or entry.name != SIZE)


def _entry(entry: Entry, after: str = "") -> Item:
    sort: Sort = "function" if entry.kind in ("layer", "pass", "function") else "value"
    return Item(entry.name, sort, entry.summary, markdown(entry), f"{entry.name}{after}" if after else None)


def _symbol(symbol: Symbol) -> Item:
    node = symbol.node
    match node:
        case syntax.Network() | syntax.LayerBlock() | syntax.Machine() | syntax.Recipe() | syntax.Schedule():
            return Item(symbol.name, "class", head_text(node))
        case syntax.Let() | syntax.Assign():
            return Item(symbol.name, "variable", value_text(node.value))
        case _:
            return Item(symbol.name, "variable", symbol.kind)
