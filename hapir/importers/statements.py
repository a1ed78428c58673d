"""The statement of `.hap` that makes an op: the inverse of `LayerDefinition.build`.

Options are looked for where ops keep them (properties of their name, the window, sizes of the result), and every guess
is proved: the definition builds the op again, and only an equal one counts. So a statement that comes out is right,
and a new layer statement needs `options_of` only where its options are nowhere to be found.
"""

from __future__ import annotations

import dataclasses
import itertools
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal, Union, cast, get_args, get_origin

from xdsl.dialects.builtin import (
    ArrayAttr,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    TensorType,
    UnitAttr,
    f32,
)
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.test_value import create_ssa_value

from hapir.dialects import nn
from hapir.dialects.nn_layers import LayerDefinition
from hapir.dialects.nn_op import stored
from hapir.dialects.nn_shapes import Shape, ShapeError
from hapir.dialects.num import PerChannelType, shape_of, table_key
from hapir.registry import universe
from hapir.spec.options import option_types

_LAYER = "layer"
"""What layers are called while their statements are looked for."""
_MOST_GUESSES = 64
"""Combinations of options that are tried for one statement."""


@dataclass(frozen=True)
class Parameter:
    """A parameter: its suffix, that of the table that its type reads, and whether its codes are read as reals."""

    suffix: str
    table: str | None = None
    reals: bool = False


@dataclass(frozen=True)
class Statement:
    """How a layer is written: the registered name, the options that are no defaults, tensors, and parameters.

    `inputs` are the places of the op's operands that are tensors of the statement, in its order; `parameters` are those
    that it makes, in the order of the other operands. `results` are what `LayerDefinition.result_names` gives.
    """

    kind: str
    options: Mapping[str, object]
    inputs: tuple[int, ...]
    parameters: tuple[Parameter, ...]
    results: tuple[str | int, ...]

    def tensors(self, op: Operation) -> list[SSAValue]:
        """The operands of an op that are tensors of this statement."""
        return [op.operands[place] for place in self.inputs]

    def stored(self, op: Operation) -> list[SSAValue]:
        """The operands of an op that are parameters of this statement."""
        return [value for place, value in enumerate(op.operands) if place not in self.inputs]


@dataclass
class StatementReader:
    """Finds statements of ops; layers that are alike are looked for once."""

    _known: dict[object, Statement | None] = field(default_factory=dict[object, "Statement | None"])

    def read(self, op: Operation) -> Statement | None:
        """The statement that makes an op; None where there is none."""
        properties = tuple((name, value) for name, value in op.properties.items() if name != "layer")
        kinds = tuple((value.type, stored(value) is not None) for value in op.operands)
        key = (op.name, properties, kinds, tuple(result.type for result in op.results))
        if key not in self._known:
            self._known[key] = _find(op)
        return self._known[key]


def _find(op: Operation) -> Statement | None:
    layers = universe().layers
    for kinds in _likely(op, layers):
        found = [s for kind in kinds if (s := read_statement(op, kind, layers[kind]())) is not None]
        if found:
            return min(found, key=lambda s: len(str(s.options)))
    return None


def _likely(op: Operation, kinds: Iterable[str]) -> Iterator[list[str]]:
    """Names of statements that may make an op, the likely ones first, those that compete together."""
    words = {op.name.partition(".")[2], *(str(plain(value)) for value in op.properties.values())}
    first = [kind for kind in kinds if any(kind == word or kind == f"{word}1d" for word in words)]
    yield first
    for kind in kinds:
        if kind not in first:
            yield [kind]


def read_statement(op: Operation, kind: str, definition: type[LayerDefinition]) -> Statement | None:
    """The statement of one definition that makes an op; None where it makes no such op."""
    try:
        said = definition.options_of(op)
    except LookupError:
        return None
    hints = option_types(definition)
    fields = {f.name: f for f in dataclasses.fields(definition)}
    guesses = [_guesses(op, f, hints[name], said) for name, f in fields.items()]
    inputs = tuple(definition.tensors_of(op))
    if len(inputs) > len(op.operands):
        return None
    for values in itertools.islice(itertools.product(*guesses), _MOST_GUESSES):
        options = dict(zip(fields, values, strict=True))
        made = _made(op, definition, options, inputs)
        if made is None:
            continue
        suffixes, results = made
        kept = {name: value for name, value in options.items() if not _same(value, fields[name].default)}
        for name in [n for n in kept if fields[n].default is None]:
            fewer = {**kept, name: None}
            if _made(op, definition, fewer, inputs) is not None:
                del kept[name]
        return Statement(kind, kept, inputs, suffixes, results)
    return None


def _made(
    op: Operation, definition: type[LayerDefinition], options: Mapping[str, object], inputs: tuple[int, ...]
) -> tuple[tuple[Parameter, ...], tuple[str | int, ...]] | None:
    """The parameters and the names of the results, where these options make an equal op."""
    values = {place: create_ssa_value(op.operands[place].type) for place in inputs}
    own = list(values.values())[: definition.inputs]
    given = list(values.values())[len(own) :]
    parameters: dict[SSAValue, tuple[Parameter, Attribute]] = {}

    def parameter(suffix: str, shape: Shape, element: Attribute = f32, /, *, reals: bool = False) -> SSAValue:
        if given:
            tensor = given.pop(0)
            if tensor.type != TensorType(element, shape):
                raise ShapeError(f"{suffix} is {TensorType(element, shape)}, not {tensor.type}")
            return tensor
        value = create_ssa_value(TensorType(f32 if reals else element, shape))
        key = table_key(element)
        made = Parameter(suffix, None if key is None else key.removeprefix(f"{_LAYER}."), reals)
        parameters[value] = made, TensorType(element, shape)
        return value

    try:
        statement = definition(**options)
        built = statement.build(own, parameter, _LAYER)
        names = tuple(statement.result_names(len(built.results)))
    except (ValueError, VerifyException, TypeError, LookupError):
        return None
    stores = [stored(value) for place, value in enumerate(op.operands) if place not in values]
    same = (
        built.name == op.name
        and _attributes(built) == _attributes(op)
        and [keyless(v.type) for v in built.operands] == [keyless(v.type) for v in op.operands]
        and [keyless(v.type) for v in built.results] == [keyless(v.type) for v in op.results]
        and [values.get(place, v) for place, v in enumerate(built.operands)] == list(built.operands)
        and [v for place, v in enumerate(built.operands) if place not in values] == [*parameters]
        and [None if w is None else keyless(w.results[0].type) for w in stores]
        == [keyless(type_) for _, type_ in parameters.values()]
    )
    return (tuple(made for made, _ in parameters.values()), names) if same else None


def keyless(type_: Attribute) -> Attribute:
    """A tensor type without the weight key that its elements may name."""
    if not isinstance(type_, TensorType):
        return type_
    tensor = cast("TensorType[Attribute]", type_)
    element = tensor.get_element_type()
    if not isinstance(element, PerChannelType):
        return tensor
    return TensorType(PerChannelType(element.codes, element.axis, StringAttr("")), tensor.get_shape())


def _attributes(op: Operation) -> dict[str, Attribute]:
    """All that an op says but for its name, its place and its operands."""
    said = {name: value for name, value in (op.properties | op.attributes).items() if name != "layer"}
    return {name: value for name, value in said.items() if name not in ("operandSegmentSizes", "resultSegmentSizes")}


# --- guesses ----------------------------------------------------------------------------------------------------------


def _guesses(op: Operation, option: dataclasses.Field[Any], hint: Any, said: Mapping[str, object]) -> list[object]:
    """Values that an option may have had, the best first."""
    if option.name in said:
        return [_simplest(said[option.name], hint)]
    found = _in_window(op, option.name)
    if found is None and option.name in op.properties:
        found = plain(op.properties[option.name])
    if found is not None:
        return [_simplest(found, hint)]
    default: list[object] = [] if option.default is MISSING else [option.default]
    if hint is bool:
        return [*dict.fromkeys((*default, True, False))]
    if get_origin(hint) is Literal:
        return [*dict.fromkeys((*default, *get_args(hint)))]
    if int in _arms(hint) and not default:
        shape = shape_of(op.results[0]) if op.results else ()
        return [*dict.fromkeys((*shape[1:2], *shape[-1:]))]
    return default


def _in_window(op: Operation, name: str) -> tuple[int, ...] | None:
    window = op.properties.get("window")
    if not isinstance(window, nn.WindowAttr) or name not in ("kernel", "stride", "padding", "dilation"):
        return None
    return tuple(getattr(window.window, name))


def plain(attribute: Attribute) -> object:
    """What an attribute says, as the field of a dataclass would hold it."""
    match attribute:
        case IntegerAttr():
            value = attribute.value.data
            type_: Attribute = cast("IntegerAttr[Any]", attribute).type
            return bool(value) if type_ == IntegerType(1) else value
        case FloatAttr():
            return float(attribute.value.data)
        case IntAttr():
            return attribute.data
        case StringAttr():
            return attribute.data
        case UnitAttr():
            return True
        case EnumAttribute():
            return str(cast(Any, attribute).data)
        case ArrayAttr():
            return tuple(plain(element) for element in attribute)
        case TensorType():
            return attribute.get_element_type()
        case _:
            return attribute


def _arms(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _simplest(value: object, hint: Any) -> object:
    """A value in the shortest form that the annotation takes: 3 for (3, 3), and what a sequence needs of a map."""
    if not isinstance(value, tuple | list):
        return value
    numbers = tuple(cast("Iterable[object]", value))
    arms = _arms(hint)
    lengths = {len(get_args(a)) for a in arms if get_origin(a) is tuple and Ellipsis not in get_args(a)}
    listed = any(get_origin(a) is tuple and Ellipsis in get_args(a) for a in arms)
    if listed or not numbers:
        return numbers
    if len(numbers) == 4 and 4 not in lengths:
        numbers = (numbers[1], numbers[3])  # of a sequence
    if len(numbers) == 2 and not lengths:
        numbers = numbers[1:]  # of a sequence
    if len(set(numbers)) == 1 and int in arms:
        return numbers[0]
    if len(numbers) == 4 and numbers[:2] == numbers[2:] and 2 in lengths:
        return numbers[:2]
    return numbers


def _same(value: object, default: object) -> bool:
    """Whether a value is a default; a sign of zero counts."""
    return default is not MISSING and value == default and str(value) == str(_like(default, value))


def _like(default: object, value: object) -> object:
    return float(default) if isinstance(value, float) and isinstance(default, int) else default
