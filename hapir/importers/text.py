"""A network of the IR as `.hap` text that people would have written, and that reads back as the same IR.

Each layer becomes its statement (`statements.py`), repeated stretches become blocks (`structure.py`, `blocks.py`), rows
of equal calls become `repeat` loops. Layers keep their names where they can: inside a block a layer is called
`<instance>.<local>`, so names, and the keys of weights, may change; the maps of `NetworkText` tell how.

What is written is read again and compared; a network that cannot be written so that it reads back the same is refused.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from xdsl.dialects.builtin import IntegerType, Signedness, f32
from xdsl.ir import Block, Operation, SSAValue

from hapir.diagnostics import Diagnostic, HapirError, Span, fail, span_of
from hapir.dialects import nn
from hapir.dialects.nn_op import stored
from hapir.dialects.nn_pointwise_layers import text_of
from hapir.dialects.num import element_type, shape_of, table_key
from hapir.importers.blocks import (
    Number,
    Numbers,
    block_name,
    claim,
    find_numbers,
    free_name,
    input_names,
    local_names,
    short_kind,
)
from hapir.importers.calls import Entry, Family, Frame
from hapir.importers.names import is_legal, tidy
from hapir.importers.read_back import NetworkText, different, is_layer, layer_name, old_name, stem_of
from hapir.importers.statements import Parameter, Statement, StatementReader, plain
from hapir.importers.structure import OPERAND, Instance, Layer, Structure, find_structure, is_number, module_of
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.frames import indexed
from hapir.spec.network_results import UNNAMED_RESULT
from hapir.spec.options import option_types
from hapir.spec.parse import parse
from hapir.spec.tensor_types import type_text
from hapir.spec.unparse import file_text

NOWHERE = Span("", 1, 1, 1, 1)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CALL = re.compile(r"[a-z_0-9]+\(.*\)")
CONSTANT = "constant"
"""The statement of a parameter that is a tensor of its own."""


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
        self._ops: list[Operation] = []
        self._keys: list[tuple[tuple[str, str], ...]] = []
        """Of each layer, the suffixes of its parameters and of their tables, and the keys that they have."""

    def write(self) -> NetworkText:
        """Read the ops, find blocks, give names, write."""
        for argument in self._network.body.block.args:
            self._number(argument)
        layers = self._read()
        returned = [self._number(value) for value in self._network.return_op.values]
        inputs = list(range(len(self._network.body.block.args)))
        shared = [v for v, n in Counter(v for layer in layers for v in layer.inputs).items() if n > 1]
        constants = {layer.outputs[0] for layer in layers if layer.kind == CONSTANT}
        free = [*inputs, *constants.intersection(shared)]
        flat = Structure(tuple(range(len(layers))), ())
        structure = find_structure(layers, returned, free) if self._blocks else flat
        layers = _nested_names(layers, structure, returned)
        taken = set[str]()
        names = [n.data for n in self._network.input_names]
        given = [claim(n if is_legal(n) else tidy(n, "input"), ("",), taken) for n in names]
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
        frame = Frame(entries, dict(zip(given, inputs, strict=True)), list(zip(result_names, returned, strict=True)))
        name = self._network.sym_name.data
        name = name if is_legal(name) and "." not in name else tidy(name, "network").replace(".", "_")
        name = free_name(name, lambda n: n in definitions.names)
        file = self._file(name, given, result_names, definitions.syntax, frame)
        old = [old_name(op, place) for place, op in enumerate(self._ops)]
        return NetworkText(
            file_text(file),
            file,
            name,
            {old[place]: new for place, new in sorted(full.items())},
            tuple(full[place] for place, op in enumerate(self._ops) if not isinstance(op, nn.WeightOp)),
            {f"{full[place]}.{suffix}": key for place, keys in enumerate(self._keys) for suffix, key in keys},
            tuple(given),
            tuple(result_names),
        )

    def _number(self, value: SSAValue) -> int:
        return self._values.setdefault(value, len(self._values))

    def _read(self) -> list[Layer]:
        """The layers in order; what has no statement is reported, all at once.

        A constant comes right before the only layer that reads it, or, where several do, first of all.
        """
        rows: list[tuple[Operation, Statement]] = []
        reader, wrong = StatementReader(), list[Diagnostic]()
        for op in filter(is_layer, self._network.body.block.ops):
            statement = reader.read(op)
            if statement is not None and _says_numbers(op, statement):
                rows.append((op, statement))
            else:
                wrong.append(_no_statement(op))
        read = Counter(v for op, s in rows for v in dict.fromkeys(s.tensors(op)) if _is_constant(v))
        returned = [v for v in self._network.return_op.values if _is_constant(v)]
        wrong += [_no_statement(v.owner) for v in self._network.return_op.values if isinstance(v.owner, nn.FillOp)]
        wrong += [_no_statement(v.owner) for v in (*read, *returned) if not _is_plain(v)]
        ends = (*self._network.body.block.args, *self._network.return_op.values)
        wrong += [_no_type(v) for v in ends if not _is_plain(v)]
        if wrong:
            raise HapirError(wrong)
        layers: list[Layer] = []
        for value in dict.fromkeys((*(v for v, readers in read.items() if readers > 1), *returned)):
            layers.append(self._constant(value))
        for op, statement in rows:
            for value in statement.tensors(op):
                if _is_constant(value) and value not in self._values:
                    layers.append(self._constant(value))
            layers.append(self._layer(op, statement))
        return layers

    def _constant(self, value: SSAValue) -> Layer:
        """A parameter that layers take as a tensor: a layer of its own."""
        op = value.owner
        assert isinstance(op, nn.WeightOp)
        options = {"shape": shape_of(value), "type": text_of(element_type(value))}
        statement = Statement(CONSTANT, options, (), (Parameter("value"),), ("",))
        self._ops.append(op)
        self._keys.append((("value", op.key.data),))
        return self._written(statement, stem_of(op.key.data), (), {}, (value,))

    def _layer(self, op: Operation, statement: Statement) -> Layer:
        tensors = statement.tensors(op)
        inputs = [v for v in tensors if not isinstance(v.owner, nn.FillOp)]
        numbers = {i: v.owner.value for i, v in enumerate(tensors) if isinstance(v.owner, nn.FillOp)}
        self._ops.append(op)
        self._keys.append(tuple(_keys_of(op, statement)))
        given = {f"{OPERAND}{i}": plain(number) for i, number in numbers.items()}
        return self._written(statement, layer_name(op) or "", inputs, given, op.results)

    def _written(
        self,
        statement: Statement,
        name: str,
        inputs: Sequence[SSAValue],
        numbers: Mapping[str, object],
        results: Sequence[SSAValue],
    ) -> Layer:
        options, defaults = _options(statement)
        if not is_legal(name):
            name = tidy(name, statement.kind) if name else f"{short_kind(statement.kind)}{len(self._ops)}"
        given = tuple(self._number(value) for value in inputs)
        outputs = tuple(self._number(value) for value in results)
        return Layer(name, statement.kind, (*numbers.items(), *options), defaults, given, outputs, statement.results)

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
        called = input_names(rows[0], instances[0].inputs)
        inside = set(called)
        local = local_names(rows, modules, inside)
        numbers = find_numbers(rows, local, inside)
        name = block_name(rows[0], instances[0].inputs, modules, self.names)
        self.names.add(name)
        self._local[block], self._numbers[block] = local, numbers
        base = name if by_name else self._base(name, taken)
        for number, (instance, module) in enumerate(zip(instances, modules, strict=True), 1):
            own = claim(module if by_name else indexed(base, [number]), ("",), taken)
            self._instances[instance.start] = (own, Family.of(own))
        entries = [
            _entry(layer, own, values) for layer, own, values in zip(rows[0], local, numbers.of_layers, strict=True)
        ]
        inputs = dict(zip(called, instances[0].inputs, strict=True))
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
    """A flatten that has no name of its own is called as inside the next layer, if it may stand there: `fc.flatten`."""
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
        unnamed = layer.kind == "flatten" and re.fullmatch(rf"{layer.kind}_?\d*", layer.name, re.IGNORECASE)
        if unnamed and layer.outputs == user.inputs and uses[layer.outputs[0]] == 1 and wanted not in names:
            renamed[item] = replace(layer, name=wanted)
            names.add(wanted)
    return renamed


def _entry(layer: Layer, local: str, numbers: Sequence[Number] | None) -> Entry:
    """A layer as a call; inside a block with the block's numbers."""
    rest = iter(numbers) if numbers is not None else None
    options: list[syntax.Option] = []
    operands: list[tuple[int, syntax.Value]] = []
    for name, value in layer.options:
        # a default is left out, unless calls may change it
        written, fixed = _written(value, rest)
        if name.startswith(OPERAND):
            operands.append((int(name.removeprefix(OPERAND)), written))
        elif not (fixed and name in layer.defaults and _equal(value, layer.defaults[name])):
            options.append(_option(name, written))
    outputs = tuple(zip(layer.outputs, layer.results, strict=True))
    nestable = layer.results == ("",)
    return Entry(local, layer.kind, layer.inputs, outputs, tuple(options), None, tuple(operands), nestable)


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
        case float() if not math.isfinite(value):
            fail("HAP0971", f"{value} cannot be written as an option", help="numbers of the language are finite")
        case float():
            return syntax.Number(int(value) if value.is_integer() and abs(value) < 1e15 else value, NOWHERE)
        case str() if _WORD.fullmatch(value):
            return _name(value)
        case str() if _CALL.fullmatch(value):
            (said,) = parse(f"hap 1\nlet said = {value}", "option").constants
            return said.value
        case str():
            return syntax.Text(value, NOWHERE)
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


def _keys_of(op: Operation, statement: Statement) -> Iterator[tuple[str, str]]:
    """The suffixes of a layer's parameters and of the tables that their types read, and the keys that they have."""
    for parameter, value in zip(statement.parameters, statement.stored(op), strict=True):
        weight = stored(value)
        assert isinstance(weight, nn.WeightOp)
        yield parameter.suffix, weight.key.data
        table = table_key(element_type(weight.result))
        if parameter.table is not None and table is not None:
            yield parameter.table, table


def _is_plain(value: SSAValue) -> bool:
    """Whether the elements of a tensor have a type that a constant can have."""
    try:
        return bool(text_of(element_type(value)))
    except LookupError:
        return False


def _is_constant(value: SSAValue) -> bool:
    return isinstance(value.owner, nn.WeightOp)


def _says_numbers(op: Operation, statement: Statement) -> bool:
    """Whether the operands that are one number can be written as numbers, beside a tensor that says their type."""
    fills = [v for v in op.operands if isinstance(v.owner, nn.FillOp)]
    tensors = [v for v in statement.tensors(op) if v not in fills]
    takes = universe().layers[statement.kind]().takes_numbers
    return not fills or (
        takes
        and bool(tensors)
        and all(shape_of(v) == () and element_type(v) == element_type(tensors[-1]) for v in fills)
        and all(isinstance(v.owner, nn.FillOp) and math.isfinite(v.owner.value.value.data) for v in fills)
    )


def _typed(name: str, value: SSAValue) -> syntax.Parameter:
    element, _, sizes = type_text(value.type).partition("[")
    dimensions = [syntax.Number(int(n), NOWHERE) for n in sizes.removesuffix("]").split(", ") if n]
    return syntax.Parameter(_name(name), syntax.Tensor(_name(element), tuple(dimensions), NOWHERE), NOWHERE)


def _option(name: str, value: syntax.Value) -> syntax.Option:
    return syntax.Option(_name(name), value, NOWHERE)


def _name(text: str) -> syntax.Name:
    return syntax.Name(text, NOWHERE)


def _no_statement(op: Operation | Block) -> Diagnostic:
    kind = op.name if isinstance(op, Operation) else "a block"
    name = layer_name(op) if isinstance(op, Operation) else None
    layer = f"`{name}` ({kind})" if name else f"`{kind}`"
    help = "its parameters must be weights, and its options what a statement takes: see `hapir list layers`"
    where = span_of(op.location) if isinstance(op, Operation) else None
    return Diagnostic("HAP0970", f"no statement of the language makes {layer}", where, (), help)


def _no_type(value: SSAValue) -> Diagnostic:
    help = "an input is read as codes by `view`, and a result as reals by `dequantize`"
    return Diagnostic("HAP0970", f"inputs and results are plain numbers in a spec, not {value.type}", None, (), help)
