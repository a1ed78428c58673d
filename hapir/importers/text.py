"""A network of the IR as `.hap` text that people would have written, and that reads back as the same IR.

Each layer becomes its statement (`statements.py`), repeated stretches become blocks (`structure.py`, `blocks.py`), rows
of equal calls become `repeat` loops. Layers keep their names where they can: inside a block a layer is called
`<instance>.<local>`, so names, and the keys of weights, may change; the maps of `NetworkText` tell how.

What is written is read again and compared; a network that cannot be written so that it reads back the same is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from xdsl.dialects.builtin import IntegerType, Signedness, f32
from xdsl.ir import SSAValue

from hapir.diagnostics import Diagnostic, Findings, HapirError, Span, fail, span_of
from hapir.dialects import nn
from hapir.importers.blocks import (
    INPUTS,
    Number,
    Numbers,
    block_name,
    claim,
    find_numbers,
    free_name,
    local_names,
    short_kind,
)
from hapir.importers.calls import Entry, Family, Frame
from hapir.importers.names import is_legal, tidy
from hapir.importers.statements import Statement, StatementReader
from hapir.importers.structure import Instance, Layer, Structure, find_structure, is_number, module_of
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.frames import indexed
from hapir.spec.network_results import UNNAMED_RESULT
from hapir.spec.networks import NetworkBuilder
from hapir.spec.options import option_types
from hapir.spec.parse import parse
from hapir.spec.program import declare
from hapir.spec.tensor_types import type_text
from hapir.spec.unparse import file_text

NOWHERE = Span("", 1, 1, 1, 1)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class NetworkText:
    """A network as text.

    `layers` tells the new name of each layer by its old one, `order` the new names in the order of computation.
    `weights` tells the old key of each new one: parameters that layers share are stored for each, so one old key may
    have several new ones. `inputs` and `results` are new names, in order.
    """

    text: str
    file: syntax.File
    name: str
    layers: Mapping[str, str]
    order: tuple[str, ...]
    weights: Mapping[str, str]
    inputs: tuple[str, ...]
    results: tuple[str, ...]


def network_text(
    network: nn.NetworkOp, weights_file: str | None = "model.safetensors", *, blocks: bool = True
) -> NetworkText:
    """A network as `.hap` text, with its weights in `weights_file` (None: it names no file).

    `blocks = False` writes every layer on its own. Raises HapirError: HAP0970 for layers that have no statement, one
    diagnostic each, HAP0971 where the text would not read back as the same network.
    """
    written = _Writer(network, weights_file, blocks).write()
    difference = different(network, written)
    if difference is not None:
        fail("HAP0971", f"`{network.sym_name.data}` cannot be written: {difference}", at=network,
             help="write every layer on its own, without blocks" if blocks else None)  # fmt: skip
    return written


class _Writer:
    """Writes one network; tensors are numbered in order."""

    def __init__(self, network: nn.NetworkOp, weights_file: str | None, blocks: bool):
        self._network = network
        self._weights_file = weights_file
        self._blocks = blocks
        self._values: dict[SSAValue, int] = {}
        self._ops: list[nn.LayerOp] = []
        self._statements: list[Statement] = []

    def write(self) -> NetworkText:
        """Read the ops, find blocks, give names, write."""
        for argument in self._network.body.block.args:
            self._number(argument)
        layers = self._read()
        returned = [self._values[value] for value in self._network.return_op.values]
        inputs = list(range(len(self._network.body.block.args)))
        flat = Structure(tuple(range(len(layers))), ())
        structure = find_structure(layers, returned, inputs) if self._blocks else flat
        layers = _nested_names(layers, structure, returned)
        taken = set[str]()
        names = [n.data for n in self._network.input_names]
        input_names = [claim(n if is_legal(n) else tidy(n, "input"), ("",), taken) for n in names]
        definitions = _Blocks(layers, structure, taken)
        full: dict[int, str] = {}
        entries: list[Entry] = []
        for item in structure.items:
            if isinstance(item, Instance):
                entry, local = definitions.call(item)
                full.update((item.start + i, f"{entry.local}.{name}") for i, name in enumerate(local))
                entries.append(entry)
            else:
                layer = layers[item]
                full[item] = claim(layer.name, layer.results, taken)
                entries.append(_entry(layer, full[item], None))
        result_names = _result_names([n.data for n in self._network.result_names])
        frame = Frame(
            entries, dict(zip(input_names, inputs, strict=True)), list(zip(result_names, returned, strict=True))
        )
        name = self._network.sym_name.data
        name = name if is_legal(name) and "." not in name else tidy(name, "network").replace(".", "_")
        name = free_name(name, lambda n: n in definitions.names)
        file = self._file(name, input_names, result_names, definitions.syntax, frame)
        old = [_old_name(op, place) for place, op in enumerate(self._ops)]
        return NetworkText(
            file_text(file),
            file,
            name,
            {old[place]: new for place, new in sorted(full.items())},
            tuple(full[place] for place in range(len(layers))),
            dict(self._keys(full)),
            tuple(input_names),
            tuple(result_names),
        )

    def _number(self, value: SSAValue) -> int:
        return self._values.setdefault(value, len(self._values))

    def _read(self) -> list[Layer]:
        """The layers in order; what has no statement is reported, all at once."""
        reader, layers = StatementReader(), list[Layer]()
        wrong: list[Diagnostic] = []
        for op in self._network.body.block.ops:
            if isinstance(op, nn.WeightOp | nn.ReturnOp):
                continue
            statement = reader.read(op) if isinstance(op, nn.LayerOp) else None
            if statement is None or not isinstance(op, nn.LayerOp):
                wrong.append(_no_statement(op if isinstance(op, nn.LayerOp) else None, op.name))
                continue
            self._ops.append(op)
            self._statements.append(statement)
            layers.append(self._layer(op, statement, len(layers)))
        if wrong:
            raise HapirError(wrong)
        return layers

    def _layer(self, op: nn.LayerOp, statement: Statement, place: int) -> Layer:
        options, defaults = _options(statement)
        inputs = tuple(self._number(value) for value in op.operands[: statement.inputs])
        outputs = tuple(self._number(value) for value in op.results)
        name = op.layer_name or ""
        if not is_legal(name):
            name = tidy(name, statement.kind) if name else f"{short_kind(statement.kind)}{place + 1}"
        return Layer(name, statement.kind, options, defaults, inputs, outputs, statement.results)

    def _keys(self, full: Mapping[int, str]) -> Iterator[tuple[str, str]]:
        """The new and the old key of each parameter."""
        for place, (op, statement) in enumerate(zip(self._ops, self._statements, strict=True)):
            for suffix, value in zip(statement.parameters, op.operands[statement.inputs :], strict=True):
                assert isinstance(value.owner, nn.WeightOp)
                yield f"{full[place]}.{suffix}", value.owner.key.data

    def _file(
        self,
        name: str,
        inputs: Sequence[str],
        results: Sequence[str],
        blocks: Sequence[syntax.LayerBlock],
        frame: Frame,
    ) -> syntax.File:
        arguments = self._network.body.block.args
        given = [_typed(n, a) for n, a in zip(inputs, arguments, strict=True)]
        returned = [_typed(n, v) for n, v in zip(results, self._network.return_op.values, strict=True)]
        if list(results) == [UNNAMED_RESULT]:
            returned = [replace(returned[0], name=None)]
        weights = [syntax.Weights(syntax.Text(self._weights_file, NOWHERE), NOWHERE)] if self._weights_file else []
        statements = (*weights, *frame.statements())
        body = syntax.Network(_name(name), tuple(given), tuple(returned), statements, NOWHERE)
        return syntax.File("model.hap", (), (*blocks, body))


class _Blocks:
    """The blocks of a network: their names, numbers and statements, made when first called."""

    def __init__(self, layers: Sequence[Layer], structure: Structure, taken: set[str]):
        """`taken` are the tensors of the network; the names of all instances are added to it."""
        self.names: set[str] = set()
        self.syntax: list[syntax.LayerBlock] = []
        self._layers = layers
        self._of: dict[int, list[Instance]] = {}
        for item in structure.items:
            if isinstance(item, Instance):
                self._of.setdefault(item.block, []).append(item)
        self._local: dict[int, list[str]] = {}
        self._numbers: dict[int, Numbers] = {}
        self._instances: dict[int, tuple[str, Family | None]] = {}
        for block, instances in self._of.items():
            self._define(block, instances, structure.modules[block], taken)

    def call(self, instance: Instance) -> tuple[Entry, list[str]]:
        """The call of an instance, and the names of the layers inside it."""
        which = self._of[instance.block].index(instance)
        options: list[syntax.Option] = []
        for parameter in self._numbers[instance.block].parameters:
            value = parameter.values[which]
            if value != parameter.default:
                options.append(_option(parameter.name, _syntax(value)))
        name, family = self._instances[instance.start]
        definition = self.syntax[[*self._of].index(instance.block)]
        entry = Entry(name, definition.name.text, instance.inputs, ((instance.output, ""),), tuple(options), family)
        return entry, self._local[instance.block]

    def _define(self, block: int, instances: Sequence[Instance], by_name: bool, taken: set[str]) -> None:
        rows = [self._layers[i.start : i.stop] for i in instances]
        modules = [module_of([layer.name for layer in row]) if by_name else "" for row in rows]
        inside = set(INPUTS[: len(instances[0].inputs)])
        local = local_names(rows, modules, inside)
        numbers = find_numbers(rows, local, inside)
        name = block_name(rows[0], instances[0].inputs, modules, self.names)
        self.names.add(name)
        self._local[block], self._numbers[block] = local, numbers
        base = name if by_name else self._base(name, taken)
        for number, (instance, module) in enumerate(zip(instances, modules, strict=True), 1):
            called = claim(module if by_name else indexed(base, [number]), ("",), taken)
            self._instances[instance.start] = (called, Family.of(called))
        entries = [
            _entry(layer, own, values) for layer, own, values in zip(rows[0], local, numbers.of_layers, strict=True)
        ]
        inputs = dict(zip(INPUTS, instances[0].inputs, strict=False))
        statements = Frame(entries, inputs, [("", instances[0].output)]).statements()
        tensors = [syntax.Parameter(_name(given), None, NOWHERE) for given in inputs]
        defaults = [None if p.default is None else _syntax(p.default) for p in numbers.parameters]
        given = [
            syntax.Parameter(_name(p.name), None, NOWHERE, default)
            for p, default in zip(numbers.parameters, defaults, strict=True)
        ]
        self.syntax.append(syntax.LayerBlock(_name(name), (*tensors, *given), tuple(statements), NOWHERE))

    def _base(self, name: str, taken: set[str]) -> str:
        """What instances of a block are called but for their numbers, where no layer has a name like it."""
        used = {layer.name.partition(".")[0] for layer in self._layers} | taken
        return free_name(name, lambda base: any(n == base or Family.base(n) == base for n in used))


def _nested_names(layers: Sequence[Layer], structure: Structure, returned: Sequence[int]) -> list[Layer]:
    """Layers that have no name but that of their kind, and can stand inside the next one, are called so: `fc.flatten`."""
    renamed = list(layers)
    uses: dict[int, int] = {}
    for value in [v for layer in layers for v in layer.inputs] + list(returned):
        uses[value] = uses.get(value, 0) + 1
    names = {layer.name for layer in layers}
    for item, following in zip(structure.items, structure.items[1:], strict=False):
        if isinstance(item, Instance) or isinstance(following, Instance):
            continue
        layer, user = layers[item], layers[following]
        wanted = f"{user.name}.{layer.kind}"
        plain = re.fullmatch(rf"{layer.kind}_?\d*", layer.name, re.IGNORECASE)
        if layer.kind == "flatten" and plain and layer.outputs == user.inputs and uses[layer.outputs[0]] == 1:
            if wanted not in names:
                renamed[item] = replace(layer, name=wanted)
                names.add(wanted)
    return renamed


def _entry(layer: Layer, local: str, numbers: Sequence[Number] | None) -> Entry:
    """A layer as a call; inside a block with the block's numbers."""
    rest = iter(numbers) if numbers is not None else None
    options: list[syntax.Option] = []
    for name, value in layer.options:
        # a default is left out, unless calls may change it
        written, fixed = _written(value, rest)
        if not (fixed and name in layer.defaults and _equal(value, layer.defaults[name])):
            options.append(_option(name, written))
    outputs = tuple(zip(layer.outputs, layer.results, strict=True))
    return Entry(local, layer.kind, layer.inputs, outputs, tuple(options), None, nestable=layer.results == ("",))


def _written(value: object, numbers: Iterator[Number] | None) -> tuple[syntax.Value, bool]:
    """A value, with its numbers taken from the block, and whether it is the same in all instances."""
    if isinstance(value, tuple):
        parts = [_written(part, numbers) for part in cast("tuple[object, ...]", value)]
        return syntax.Sequence(tuple(p for p, _ in parts), NOWHERE), all(fixed for _, fixed in parts)
    if numbers is None or not is_number(value):
        return _syntax(value), True
    number = next(numbers)
    if number.parameter is None:
        return _syntax(number.factor), True
    parameter = _name(number.parameter)
    if number.factor == 1:
        return parameter, False
    return syntax.Binary("*", _syntax(number.factor), parameter, NOWHERE), False


def _syntax(value: object) -> syntax.Value:
    """A plain value as it is written. Raises ValueError for what the language cannot say."""
    match value:
        case bool():
            return _name("true" if value else "false")
        case int():
            return syntax.Number(value, NOWHERE)
        case float():
            return syntax.Number(int(value) if value.is_integer() and abs(value) < 1e15 else value, NOWHERE)
        case str():
            return _name(value) if _WORD.fullmatch(value) else syntax.Text(value, NOWHERE)
        case IntegerType():
            sign = "u" if value.signedness.data == Signedness.UNSIGNED else "i"
            return _name(f"{sign}{value.width.data}")
        case None:
            return _name("none")
        case tuple():
            return syntax.Sequence(tuple(_syntax(part) for part in cast("tuple[object, ...]", value)), NOWHERE)
        case _:
            return _name(str(f32)) if value == f32 else fail("HAP0971", f"{value} cannot be written as an option")


def _equal(value: object, default: object) -> bool:
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def _options(statement: Statement) -> tuple[tuple[tuple[str, object], ...], dict[str, object]]:
    """All options of a statement that are not None, and its defaults."""
    definition = universe().layers[statement.kind]()
    defaults = {name: getattr(definition, name) for name in option_types(definition) if hasattr(definition, name)}
    options = [(n, statement.options.get(n, defaults.get(n))) for n in option_types(definition)]
    return tuple((name, value) for name, value in options if value is not None), defaults


def _result_names(names: Sequence[str]) -> list[str]:
    taken = set[str]()
    return [claim(name if is_legal(name) else tidy(name, UNNAMED_RESULT), ("",), taken) for name in names]


def _old_name(op: nn.LayerOp, place: int) -> str:
    return op.layer_name or f"#{place + 1}"


def _typed(name: str, value: SSAValue) -> syntax.Parameter:
    element, _, sizes = type_text(value.type).partition("[")
    dimensions = [syntax.Number(int(n), NOWHERE) for n in sizes.removesuffix("]").split(", ") if n]
    return syntax.Parameter(_name(name), syntax.Tensor(_name(element), tuple(dimensions), NOWHERE), NOWHERE)


def _option(name: str, value: syntax.Value) -> syntax.Option:
    return syntax.Option(_name(name), value, NOWHERE)


def _name(text: str) -> syntax.Name:
    return syntax.Name(text, NOWHERE)


def _no_statement(op: nn.LayerOp | None, kind: str) -> Diagnostic:
    layer = f"`{op.layer_name}` ({kind})" if op is not None and op.layer_name else f"`{kind}`"
    help = "its parameters must be weights, and its options what a statement takes: see `hapir list layers`"
    where = None if op is None else span_of(op.location)
    return Diagnostic("HAP0970", f"no statement of the language makes {layer}", where, (), help)


# --- reading back -----------------------------------------------------------------------------------------------------


def read_text(written: NetworkText) -> nn.NetworkOp:
    """The network that a text says. Raises HapirError for what is wrong in it."""
    findings = Findings()
    program = declare([parse(written.text, written.file.name)], findings)
    network = NetworkBuilder(program.networks[written.name], findings, program=program).build()
    findings.raise_errors()
    return network


def different(network: nn.NetworkOp, written: NetworkText) -> str | None:
    """How the text differs from the network whose text it is, but for the names in its maps; None where it does not."""
    try:
        again = read_text(written)
    except HapirError as error:
        return f"its text is refused: {error.diagnostics[0].message}"
    for index, (mine, theirs) in enumerate(
        zip(_described(network, written), _described(again, keys=written.weights), strict=False)
    ):
        if mine != theirs:
            return f"part {index} reads back as {theirs}, not {mine}"
    sizes = [sum(1 for _ in op.body.block.ops if isinstance(_, nn.LayerOp)) for op in (network, again)]
    return None if sizes[0] == sizes[1] else f"it reads back with {sizes[1]} layers, not {sizes[0]}"


def _described(
    network: nn.NetworkOp, written: NetworkText | None = None, keys: Mapping[str, str] | None = None
) -> Iterator[object]:
    """What makes a network, part by part: all but locations and the places of parameters.

    Names are those that a text gives, or the network's own; keys are looked up in `keys` where that is given.
    """
    yield written.inputs if written else tuple(n.data for n in network.input_names)
    yield written.results if written else tuple(n.data for n in network.result_names)
    yield str(network.function_type)
    values: dict[SSAValue, object] = {v: n for n, v in enumerate(network.body.block.args)}
    place = 0
    for op in network.body.block.ops:
        if isinstance(op, nn.ReturnOp):
            yield [values[v] for v in op.values]
        elif isinstance(op, nn.WeightOp):
            values[op.result] = op.key.data if keys is None else keys[op.key.data]
        elif isinstance(op, nn.LayerOp):
            name = written.order[place] if written else op.layer_name
            place += 1
            said = {n: a for n, a in (op.properties | op.attributes).items() if n != "layer"}
            operands = [(values[v], v.type) for v in op.operands]
            yield op.name, name, said, operands, [v.type for v in op.results]
            values.update((result, len(values)) for result in op.results)
