"""What each name in the files of an analysis stands for, and what can be seen where.

The walk follows the language: constants of a file are seen in all of it, definitions everywhere, tensors in their
network or block; a dotted name leads into instances of blocks. What stands for nothing is simply not found: telling so
is the checker's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hapir.diagnostics import Findings, Span
from hapir.lsp.symbols import Expression, Kind, Known, Names, Occurrence, Symbol
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.analysis import Analysis
from hapir.spec.evaluate import FUNCTIONS, SIZE, Scope, evaluate
from hapir.spec.machine_blocks import MACHINE
from hapir.spec.recipes import SELECTOR


class NameIndex:
    """All occurrences of names by file; made once per analysis."""

    def __init__(self, analysis: Analysis):
        self._analysis = analysis
        self.occurrences: dict[str, list[Occurrence]] = {name: [] for name in analysis.files}
        self.expressions: dict[str, list[Expression]] = {name: [] for name in analysis.files}
        self.bodies: dict[str, list[tuple[Span, Names]]] = {name: [] for name in analysis.files}
        """Where which names can be seen: the widest stretches first."""
        self._files: dict[str, Names] = {}
        self._definitions: dict[tuple[Kind, str], Symbol] = {}
        self._blocks: dict[int, Names] = {}
        """The names inside each block that was walked, by the identity of its syntax."""
        self._walk()

    def at(self, file: str, line: int, column: int) -> Occurrence | None:
        """The occurrence at a place; at the end of a name it is that name."""
        found = [o for o in self.occurrences.get(file, ()) if _holds(o.span, line, column)]
        return min(found, key=lambda o: (o.span.end_column == column, o.span.end_column - o.span.column), default=None)

    def expression_at(self, file: str, line: int, column: int) -> Expression | None:
        """The innermost arithmetic at a place."""
        found = [e for e in self.expressions.get(file, ()) if _holds(e.value.span, line, column)]
        return found[-1] if found else None

    def of(self, symbol: Symbol) -> list[Occurrence]:
        """All occurrences of a symbol, in all files."""
        return [o for found in self.occurrences.values() for o in found if o.target == symbol]

    def visible(self, file: str, line: int, column: int) -> list[Symbol]:
        """The symbols that can be seen at a place, the innermost first; definitions last."""
        inside = [names for span, names in self.bodies.get(file, ()) if _holds(span, line, column)]
        names = inside[-1] if inside else self._files.get(file)
        local = [] if names is None else list(names.all())
        return list(dict.fromkeys([*local, *self._definitions.values()]))

    def definition(self, kind: Kind, name: str) -> Symbol | None:
        """A definition at the top of a file."""
        return self._definitions.get((kind, name))

    def inside(self, block: syntax.LayerBlock | syntax.Network) -> Names | None:
        """The names inside a block or network."""
        return self._blocks.get(id(block))

    # --- the walk -----------------------------------------------------------------------------------------------------

    def _walk(self) -> None:
        files = self._analysis.files.values()
        for file in files:
            scope = self._analysis.program.scopes.get(file.name) or Scope()
            names = self._files[file.name] = Names(scope)
            for let in file.constants:
                names.own.setdefault(let.name.text, Symbol("constant", let.name.text, let.name.span, let))
            for definition in file.definitions:
                kind = _kind(definition)
                symbol = Symbol(kind, definition.name.text, definition.name.span, definition)
                self._definitions.setdefault((kind, symbol.name), symbol)
                self._add(definition.name, symbol, defines=True)
        for file in files:
            names = self._files[file.name]
            for statement in file.imports:
                self._import(statement)
            for let in file.constants:
                symbol = names.own[let.name.text]
                self._add(let.name, symbol, defines=symbol.span == let.name.span)
                self._value(let.value, names)
        # dotted names lead into blocks, and schedules name the layers of networks
        order: tuple[Kind, ...] = ("block", "network", "machine", "recipe", "schedule")
        for kind in order:
            for file in files:
                for definition in file.definitions:
                    if _kind(definition) == kind:
                        self._definition(definition, self._files[file.name])
        for found in self.bodies.values():
            found.sort(key=lambda body: (body[0].line, body[0].column, -body[0].end_line, -body[0].end_column))

    def _import(self, statement: syntax.Import) -> None:
        target = self._analysis.imports.get(statement.span)
        if target is not None:
            symbol = Symbol("file", target, Span(target, 1, 1, 1, 1), statement)
            self._append(Occurrence(statement.path.span, symbol))

    def _definition(self, definition: syntax.Definition, names: Names) -> None:
        match definition:
            case syntax.Network() | syntax.LayerBlock():
                self._network(definition, names)
            case syntax.Machine():
                inner = self._body(definition, names)
                self._parameters(definition.parameters, inner)
                if definition.base is not None:
                    self._instance(definition.base, "machine", inner)
                self._items(definition.items, inner, Known("block", MACHINE), definition)
            case syntax.Recipe():
                inner = self._body(definition, names)
                self._parameters(definition.parameters, inner)
                self._recipe(definition, inner)
            case syntax.Schedule():
                inner = self._body(definition, names)
                self._instance(definition.network, "network", names)
                if definition.recipe is not None:
                    self._instance(definition.recipe, "recipe", names)
                if definition.machine is not None:
                    self._instance(definition.machine, "machine", names)
                self._schedule(definition, inner)

    def _body(self, node: syntax.Definition | syntax.Repeat, outer: Names, *, tensors: bool = True) -> Names:
        """Fresh names for a body."""
        names = Names(Scope(outer=outer.constants), outer, tensors)
        self.bodies[node.span.file].append((node.span, names))
        return names

    # --- networks -----------------------------------------------------------------------------------------------------

    def _network(self, node: syntax.Network | syntax.LayerBlock, outer: Names) -> None:
        names = self._body(node, outer, tensors=False)
        self._blocks[id(node)] = names
        self._parameters(node.parameters, names)
        if isinstance(node, syntax.Network):
            for result in node.results:
                if result.name is not None:
                    self._add(result.name, Symbol("result", result.name.text, result.name.span, result), defines=True)
                if result.type is not None:
                    self._value(result.type, names, is_type=True)
        self._statements(node.statements, names)

    def _statements(self, statements: Sequence[syntax.Statement], names: Names) -> None:
        for statement in statements:
            match statement:
                case syntax.Let():
                    self._let(statement, names)
                case syntax.Assign():
                    self._layer(statement, names)
                case syntax.Repeat():
                    self._repeat(statement, names)
                case syntax.LayerBlock():
                    symbol = Symbol("block", statement.name.text, statement.name.span, statement)
                    names.own.setdefault(symbol.name, symbol)
                    self._add(statement.name, symbol, defines=True)
                    self._network(statement, names)
                case syntax.Return():
                    self._value(statement.value, names)
                case syntax.Weights():
                    pass
                case _:
                    self._value(statement, names)

    def _layer(self, statement: syntax.Assign, names: Names) -> None:
        self._value(statement.value, names)
        for index in statement.indices:
            self._value(index, names)
        known = names.own.get(statement.name.text)
        if known is None or known.kind != "tensor":
            called = statement.value.function.text if isinstance(statement.value, syntax.Call) else ""
            block = names.find(called) or self._definitions.get(("block", called))
            inner = block.node if block is not None and isinstance(block.node, syntax.LayerBlock) else None
            known = Symbol("tensor", statement.name.text, statement.name.span, statement, inner)
            names.own.setdefault(known.name, known)
        self._add(statement.name, known, defines=True)

    def _repeat(self, statement: syntax.Repeat, names: Names) -> None:
        self._value(statement.over, names)
        inner = self._body(statement, names)
        variable = statement.variable
        inner.own[variable.text] = Symbol("index", variable.text, variable.span, statement)
        inner.constants.bind(variable, None, Findings())
        self._add(variable, inner.own[variable.text], defines=True)
        self._statements(statement.statements, inner)
        for name, symbol in inner.own.items():
            # after the loop they are read by their indices
            if symbol.kind == "tensor":
                names.own.setdefault(name, symbol)

    # --- machines, recipes, schedules ---------------------------------------------------------------------------------

    def _items(
        self, items: Sequence[syntax.Item], names: Names, known: Known, machine: syntax.Machine | None = None
    ) -> None:
        """The settings and blocks of a body; those of `known` have their options as settings."""
        for item in items:
            match item:
                case syntax.Let():
                    self._let(item, names)
                case syntax.Assign():
                    self._append(Occurrence(item.name.span, replace(known, option=item.name.text)))
                    self._setting(item, names, known, machine)
                case syntax.Block():
                    self._block(item, names, machine)
                case _:
                    self._value(item, names)

    def _setting(self, item: syntax.Assign, names: Names, known: Known, machine: syntax.Machine | None) -> None:
        getter = universe().blocks.get(known.name) if known.kind == "block" else None
        refers: tuple[str, ...] = getattr(getter(), "refers", ()) if getter is not None else ()
        if machine is not None and item.name.text in refers:
            values = item.value.elements if isinstance(item.value, syntax.Sequence) else (item.value,)
            for value in values:
                if isinstance(value, syntax.Name):
                    self._part(value, machine)
            return
        self._value(item.value, names)

    def _block(self, block: syntax.Block, names: Names, machine: syntax.Machine | None) -> None:
        kind = block.kind.text
        self._append(Occurrence(block.kind.span, Known("block", kind)))
        for size in block.dimensions:
            self._value(size, names)
        known = Known("block", kind)
        if kind == "unit":
            known = Known("unit", block.name.text)
            self._append(Occurrence(block.name.span, known))
        elif machine is not None:
            self._part(block.name, machine, defines=True)
        inner = Names(Scope(outer=names.constants), names)
        self.bodies[block.span.file].append((block.span, inner))
        self._items(block.items, inner, known, machine)

    def _part(self, name: syntax.Name, machine: syntax.Machine, *, defines: bool = False) -> None:
        symbol = self._parts(machine).get(name.text)
        if symbol is not None:
            self._add(name, symbol, defines=defines)

    def _parts(self, machine: syntax.Machine, heirs: tuple[syntax.Machine, ...] = ()) -> dict[str, Symbol]:
        """The memories, arrays and the like of a machine by name; what a base defines first is the base's."""
        parts: dict[str, Symbol] = {}
        base = None if machine.base is None else self._definitions.get(("machine", machine.base.text))
        if base is not None and isinstance(base.node, syntax.Machine) and base.node not in heirs:
            parts.update(self._parts(base.node, (*heirs, machine)))

        def collect(items: Iterable[syntax.Item]) -> None:
            for item in items:
                if isinstance(item, syntax.Block):
                    if item.kind.text != "unit":
                        parts.setdefault(item.name.text, Symbol("part", item.name.text, item.name.span, item))
                    collect(item.items)

        collect(machine.items)
        return parts

    def parts(self, machine: str) -> dict[str, Symbol]:
        """The memories, arrays and the like of a machine by name."""
        found = self._definitions.get(("machine", machine))
        return self._parts(found.node) if found is not None and isinstance(found.node, syntax.Machine) else {}

    def _recipe(self, recipe: syntax.Recipe, names: Names) -> None:
        for item in recipe.items:
            match item:
                case syntax.Let():
                    self._let(item, names)
                case syntax.Call():
                    called = self._definitions.get(("recipe", item.function.text))
                    if called is not None and item.function.text not in universe().all_passes:
                        self._add(item.function, called)
                        self._given(item, called, names)
                    else:
                        self._known_call(item, "pass", names)
                case syntax.Assign() | syntax.Block():
                    pass
                case _:
                    self._value(item, names)

    def _schedule(self, schedule: syntax.Schedule, names: Names) -> None:
        network = self._definitions.get(("network", schedule.network.text))
        machine = None if schedule.machine is None else self._definitions.get(("machine", schedule.machine.text))
        inside = self._blocks.get(id(network.node)) if network is not None else None
        for item in schedule.items:
            match item:
                case syntax.Let():
                    self._let(item, names)
                case syntax.Assign():
                    value = item.value
                    if isinstance(value, syntax.Call):
                        self._known_call(value, "dataflow", names)
                    elif isinstance(value, syntax.Name):
                        self._append(Occurrence(value.span, Known("dataflow", value.text)))
                case syntax.Block():
                    if inside is not None:
                        self._layer_path(item.name, inside)
                    for level in item.items:
                        if isinstance(level, syntax.Block):
                            if machine is not None and isinstance(machine.node, syntax.Machine):
                                self._part(level.name, machine.node)
                            for setting in level.items:
                                if isinstance(setting, syntax.Assign):
                                    self._value(setting.value, names)
                case _:
                    pass
        recipe = None if schedule.recipe is None else self._definitions.get(("recipe", schedule.recipe.text))
        if inside is not None and recipe is not None and isinstance(recipe.node, syntax.Recipe):
            self._selectors(recipe.node, inside)

    def _selectors(self, recipe: syntax.Recipe, inside: Names) -> None:
        """The layers that a recipe selects by their whole names, in the network that a schedule applies it to."""
        for item in recipe.items:
            for option in item.options if isinstance(item, syntax.Call) else ():
                if option.name.text == SELECTOR:
                    values = option.value.elements if isinstance(option.value, syntax.Sequence) else (option.value,)
                    for value in values:
                        if isinstance(value, syntax.Text):
                            self._layer_path(syntax.Name(value.value, value.span), inside)

    def _layer_path(self, name: syntax.Name, inside: Names) -> None:
        """A layer's whole name, quoted or not; globs lead nowhere."""
        quoted = name.span.end_column - name.span.column == len(name.text) + 2
        span = name.span
        if quoted:
            span = replace(span, column=span.column + 1, end_column=span.end_column - 1)
        if span.end_column - span.column == len(name.text):
            self._path(syntax.Name(name.text, span), inside)

    # --- values -------------------------------------------------------------------------------------------------------

    def _let(self, statement: syntax.Let, names: Names) -> None:
        self._value(statement.value, names)
        symbol = Symbol("constant", statement.name.text, statement.name.span, statement)
        names.own.setdefault(symbol.name, symbol)
        names.constants.let(statement, Findings())
        self._add(statement.name, names.own[symbol.name], defines=names.own[symbol.name] == symbol)

    def _parameters(self, parameters: Iterable[syntax.Parameter], names: Names) -> None:
        for parameter in parameters:
            if parameter.name is None:
                continue
            kind: Kind = "input" if parameter.type is not None else "parameter"
            symbol = Symbol(kind, parameter.name.text, parameter.name.span, parameter)
            names.own.setdefault(symbol.name, symbol)
            self._add(parameter.name, symbol, defines=True)
        for parameter in parameters:
            if parameter.name is not None and parameter.type is None:
                default = parameter.default
                value = None if default is None else evaluate(default, names.constants, Findings())
                if default is not None:
                    self._value(default, names)
                names.constants.bind(parameter.name, value, Findings())
        for parameter in parameters:
            if parameter.type is not None:
                self._value(parameter.type, names, is_type=True)

    def _instance(self, instance: syntax.Instance, kind: Kind, names: Names) -> None:
        symbol = self._definitions.get((kind, instance.text))
        if symbol is not None:
            self._add(instance.name, symbol)
        self._given(instance, symbol, names)

    def _given(self, call: syntax.Instance | syntax.Call, called: Symbol | None, names: Names) -> None:
        """The arguments of a call of something that a spec defines."""
        node = None if called is None else called.node
        defined: dict[str, Symbol] = {}
        if isinstance(node, syntax.Network | syntax.LayerBlock | syntax.Machine | syntax.Recipe):
            for parameter in node.parameters:
                if parameter.name is not None:
                    kind: Kind = "input" if parameter.type is not None else "parameter"
                    defined[parameter.name.text] = Symbol(kind, parameter.name.text, parameter.name.span, parameter)
        for argument in call.arguments:
            self._value(argument, names)
        for option in call.options:
            if option.name.text in defined:
                self._add(option.name, defined[option.name.text])
            self._value(option.value, names)

    def _known_call(self, call: syntax.Call, kind: str, names: Names) -> None:
        """A call of something that hapir knows, with options."""
        known = Known(kind, call.function.text)
        self._append(Occurrence(call.function.span, known))
        for argument in call.arguments:
            self._value(argument, names)
        for option in call.options:
            self._append(Occurrence(option.name.span, replace(known, option=option.name.text)))
            self._value(option.value, names)

    def _value(self, value: syntax.Value | syntax.Pair, names: Names, *, is_type: bool = False) -> None:
        match value:
            case syntax.Name():
                self._path(value, names)
            case syntax.Call():
                self._call(value, names)
            case syntax.Tensor():
                if not is_type:
                    self._path(value.element, names)
                for dimension in value.dimensions:
                    self._value(dimension, names)
            case syntax.Member():
                self._value(value.instance, names)
                found = names.find(value.instance.element.text)
                inside = None if found is None or found.inner is None else self._blocks.get(id(found.inner))
                if inside is not None:
                    self._path(value.member, inside)
            case syntax.Pair():
                self._value(value.value, names)
            case syntax.Sequence():
                for element in value.elements:
                    self._value(element, names)
            case syntax.Binary():
                self.expressions[value.span.file].append(Expression(value, names.constants))
                self._value(value.left, names)
                self._value(value.right, names)
            case syntax.Negative():
                self.expressions[value.span.file].append(Expression(value, names.constants))
                self._value(value.operand, names)
            case _:
                pass

    def _call(self, call: syntax.Call, names: Names) -> None:
        name = call.function.text
        block = names.find(name) or self._definitions.get(("block", name))
        if block is not None and block.kind == "block":
            self._add(call.function, block)
            self._given(call, block, names)
        elif name in FUNCTIONS or name == SIZE:
            self.expressions[call.span.file].append(Expression(call, names.constants))
            self._known_call(call, "function", names)
        else:
            self._known_call(call, "layer" if name in universe().layers else "word", names)

    def _path(self, name: syntax.Name, names: Names) -> None:
        """A name with dots: each part leads into the instance that the part before it names."""
        whole = names.find_indexed(name.text)
        if whole is not None or "." not in name.text:
            if whole is not None:
                self._add(name, whole[0], indices=whole[1])
            else:
                self._append(Occurrence(name.span, Known("word", name.text)))
            return
        inside: Names | None = names
        column = name.span.column
        for part in name.text.split("."):
            found = None if inside is None else inside.find_indexed(part)
            if found is None:
                return
            symbol, indices = found
            span = replace(name.span, column=column, end_column=column + len(part))
            self._append(Occurrence(span, symbol, indices=indices))
            inside = None if symbol.inner is None else self._blocks.get(id(symbol.inner))
            column += len(part) + 1

    def _add(self, name: syntax.Name, symbol: Symbol, *, defines: bool = False, indices: tuple[int, ...] = ()) -> None:
        self._append(Occurrence(name.span, symbol, defines, indices))

    def _append(self, occurrence: Occurrence) -> None:
        found = self.occurrences.setdefault(occurrence.span.file, [])
        found.append(occurrence)


def _kind(definition: syntax.Definition) -> Kind:
    match definition:
        case syntax.Network():
            return "network"
        case syntax.LayerBlock():
            return "block"
        case syntax.Machine():
            return "machine"
        case syntax.Recipe():
            return "recipe"
        case syntax.Schedule():
            return "schedule"


def _holds(span: Span, line: int, column: int) -> bool:
    """Whether a place lies in a span or right behind it."""
    return (span.line, span.column) <= (line, column) <= (span.end_line, span.end_column)
