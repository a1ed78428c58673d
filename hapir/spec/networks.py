"""A `network` block as an `nn.network`: the one place where layers meet shapes.

The checker and the builder both run this; it goes on after an error. A value that could not be built is None, and what
depends on it is passed over in silence, so that each mistake is reported once. Ops carry the place of their statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from xdsl.dialects.builtin import ArrayAttr, FileLineColLoc, FunctionType, IntAttr, StringAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import Findings, Label, Span, did_you_mean
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Shape, ShapeError, text
from hapir.dialects.num import shape_of
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.options import integer_format, read_options, show
from hapir.spec.resolve import resolve

if TYPE_CHECKING:
    from hapir.dialects.nn_layers import LayerDefinition

MAXIMUM_SIZE = (1 << 31) - 1
"""Elements of a tensor and size of a dimension: what a signed 32-bit index of generated code reaches."""
UNNAMED_RESULT = "output"


def location_of(span: Span) -> FileLineColLoc:
    """The IR location of a span's beginning."""
    return FileLineColLoc(StringAttr(span.file), IntAttr(span.line), IntAttr(span.column))


@dataclass
class _Value:
    """A named tensor: its SSA value (None after an error), where it is made, and whether something uses it."""

    value: SSAValue | None
    span: Span
    used: bool = False
    layer: str | None = None
    """The layer that a further result belongs to: using it is using the layer."""


class NetworkBuilder:
    """Builds one network; errors go to the findings."""

    def __init__(self, network: syntax.Network, findings: Findings):
        """`findings` holds what is found in this network alone: an error in it leaves the op unfinished."""
        self._network = network
        self._findings = findings
        self._values: dict[str, _Value] = {}
        self._layers: dict[str, Span] = {}
        self._several: dict[str, Sequence[str]] = {}
        """Layers whose name is no tensor, and the names of their results."""
        self._results: list[tuple[SSAValue | None, Span]] = []
        self._op = nn.NetworkOp(network.name.text, [], [])
        self._op.location = location_of(network.name.span)

    @property
    def layers(self) -> dict[str, Span]:
        """The names of all layers, those of nested calls included, and their places."""
        return self._layers

    def build(self) -> nn.NetworkOp:
        """The network's op; it is whole only where no error was found."""
        for parameter in self._network.inputs:
            self._input(parameter)
        for index, statement in enumerate(self._network.statements):
            if isinstance(statement, syntax.Assign):
                self._assign(statement)
            elif isinstance(statement, syntax.Return):
                self._returns(statement, self._network.statements[index + 1 :])
                break
            elif not isinstance(statement, syntax.Weights):
                self._findings.error(
                    "HAP0218", "this value is not used", at=statement.span, help="give it a name: `name = ...`"
                )
        else:
            self._findings.error(
                "HAP0218",
                f"the network `{self._network.name.text}` returns nothing",
                at=self._network.name.span,
                help="end it with `return value`",
            )
        self._finish()
        return self._op

    def _input(self, parameter: syntax.Parameter) -> None:
        assert parameter.name is not None
        type_ = self._tensor_type(parameter.type)
        if not self._claim(parameter.name):
            return
        value: SSAValue | None = None
        if type_ is not None:
            block = self._op.body.block
            value = block.insert_arg(type_, len(block.args))
            value.name_hint = _hint(parameter.name.text)
            value.location = location_of(parameter.name.span)
        self._values[parameter.name.text] = _Value(value, parameter.name.span)

    def _claim(self, name: syntax.Name) -> bool:
        """Whether a name is new; a duplicate is an error with both places."""
        first = self._values[name.text].span if name.text in self._values else self._layers.get(name.text)
        if first is None:
            return True
        labels = [Label(first, "first defined here")]
        self._findings.error("HAP0207", f"`{name.text}` is defined twice", at=name.span, labels=labels)
        return False

    def _assign(self, statement: syntax.Assign) -> None:
        name, value = statement.name, statement.value
        if isinstance(value, syntax.Name):
            self._findings.error(
                "HAP0304", f"`{name.text}` would be a second name for `{value.text}`", at=value.span,
                help="a statement applies a layer: `name = relu(x)`",
            )  # fmt: skip
            built = None
        elif self._claim(name):
            built = self._tensor(value, name.text, name.text)
        else:
            self._tensor(value, f"{name.text}.again", f"{name.text}.again")
            return
        self._values.setdefault(name.text, _Value(built, name.span))

    def _returns(self, statement: syntax.Return, rest: Sequence[syntax.Statement]) -> None:
        values = [statement.value]
        for extra in rest:
            if isinstance(extra, syntax.Assign | syntax.Return | syntax.Weights):
                self._findings.error("HAP0218", "nothing may follow the results", at=extra.span)
            else:
                values.append(extra)
        declared = self._network.results
        for index, value in enumerate(values):
            result = declared[index].name if index < len(declared) else None
            name = result.text if result else UNNAMED_RESULT
            self._results.append((self._tensor(value, None, name), value.span))
        if len(values) != len(declared):
            self._findings.error(
                "HAP0218",
                f"the network declares {len(declared)} results and returns {len(values)}",
                at=statement.span,
                labels=[Label(declared[0].span, "declared here")],
            )
            return
        for (value, span), parameter in zip(self._results, declared, strict=True):
            expected = self._tensor_type(parameter.type)
            if value is not None and expected is not None and value.type != expected:
                self._findings.error(
                    "HAP0303",
                    f"this result is {type_text(value.type)}, the network declares {type_text(expected)}",
                    at=span,
                    labels=[Label(parameter.type.span, "declared here")],
                )

    def _tensor(self, value: syntax.Value, name: str | None, statement: str) -> SSAValue | None:
        """The tensor that an expression stands for; `name` is its layer's name, or None where one is to be made."""
        if isinstance(value, syntax.Name):
            return self._lookup(value)
        if isinstance(value, syntax.Call):
            return self._call(value, name, statement)
        self._findings.error("HAP0304", f"expected a tensor or a layer, not {show(value)}", at=value.span)
        return None

    def _lookup(self, name: syntax.Name) -> SSAValue | None:
        known = self._values.get(name.text)
        if name.text in self._several:
            return self._which(name.text, name.span)
        if known is None:
            later = [
                s.name for s in self._network.statements if isinstance(s, syntax.Assign) and s.name.text == name.text
            ]
            self._findings.error(
                "HAP0202",
                f"there is no tensor `{name.text}`" + (" yet" if later else ""),
                at=name.span,
                labels=[Label(later[0].span, "it is made here")] if later else [],
                help=None if later else did_you_mean(name.text, self._values),
            )
            return None
        known.used = True
        if known.layer in self._values:
            self._values[known.layer].used = True
        return known.value

    def _which(self, layer: str, at: Span) -> None:
        """The error of a layer that gives several tensors and stands where one is needed."""
        self._values.setdefault(layer, _Value(None, at)).used = True
        names = [f"`{name}`" for name in self._several[layer]]
        self._findings.error(
            "HAP0202", f"`{layer}` is not one tensor but {len(names)}", at=at, help=f"they are {', '.join(names)}"
        )

    def _call(self, call: syntax.Call, name: str | None, statement: str) -> SSAValue | None:
        kind = call.function
        definition = resolve(universe().layers, kind, "layer", "HAP0201", self._findings)
        layer = name if name is not None else self._nested_name(f"{statement}.{kind.text}")
        self._layers[layer] = call.span
        if definition is not None and not self._takes(definition, call):
            definition = None
        # a second look at arguments of the wrong kind would only repeat that their number is wrong
        tensors = [a for a in call.arguments if definition or isinstance(a, syntax.Name | syntax.Call)]
        inputs = [self._tensor(a, None, statement) for a in tensors]
        if definition is None:
            return None
        options = read_options(definition, call.options, at=call.span, what=f"`{kind.text}`", findings=self._findings)
        known = [value for value in inputs if value is not None]
        if options is None or len(known) < len(inputs):
            return None
        result = self._layer(options, known, layer, call)
        if layer in self._several and layer != name:
            self._which(layer, call.span)
        return result

    def _takes(self, definition: type[LayerDefinition], call: syntax.Call) -> bool:
        """Whether a call gives as many tensors as its layer takes; a wrong number is an error."""
        wanted, given = definition.inputs, len(call.arguments)
        if given == wanted or (wanted is None and given):
            return True
        count = "at least one tensor" if wanted is None else "one tensor" if wanted == 1 else f"{wanted} tensors"
        self._findings.error(
            "HAP0205",
            f"`{call.function.text}` takes {count}, {given} given",
            at=call.span,
            help="options are written with their names: `name = value`" if given > (wanted or 0) else None,
        )
        return False

    def _nested_name(self, wanted: str) -> str:
        name, n = wanted, 1
        while name in self._layers or name in self._values:
            n += 1
            name = f"{wanted}_{n}"
        return name

    def _layer(
        self, definition: LayerDefinition, inputs: list[SSAValue], layer: str, call: syntax.Call
    ) -> SSAValue | None:
        weights: list[nn.WeightOp] = []

        def parameter(suffix: str, shape: Shape, /) -> SSAValue:
            _check_size(shape)
            weights.append(nn.WeightOp(f"{layer}.{suffix}", TensorType(f32, shape)))
            return weights[-1].result

        try:
            op = definition.build(inputs, parameter, layer)
            op.verify()
            for result in op.results:
                _check_size(shape_of(result))
        except (ShapeError, VerifyException, ValueError) as error:
            labels = [
                Label(argument.span, f"this is {type_text(value.type)}")
                for argument, value in zip(call.arguments, inputs, strict=True)
            ]
            message = str(error).removeprefix("Operation does not verify: ").removeprefix("nn.")
            self._findings.error("HAP0301", f"`{layer}`: {message}", at=call.span, labels=self._origins(call, labels))
            return None
        for made in (*weights, op):
            made.location = location_of(call.span)
            self._op.body.block.add_op(made)
        for weight in weights:
            weight.result.name_hint = _hint(weight.key.data)
        return self._named_results(op, definition.result_names(layer, len(op.results)), layer, call.span)

    def _named_results(self, op: nn.LayerOp, names: Sequence[str], layer: str, span: Span) -> SSAValue | None:
        """Give the results their names; returns the one that has the layer's own."""
        own: SSAValue | None = None
        for name, result in zip(names, op.results, strict=True):
            result.name_hint = _hint(name)
            if name == layer:
                own = result
            elif self._claim(syntax.Name(name, span)):
                self._values[name] = _Value(result, span, used=True, layer=layer)
        if own is None:
            self._several[layer] = names
        return own

    def _origins(self, call: syntax.Call, labels: list[Label]) -> list[Label]:
        """The labels of the inputs, moved to where each named input is made."""
        moved: list[Label] = []
        for argument, label in zip(call.arguments, labels, strict=True):
            made = self._values.get(argument.text) if isinstance(argument, syntax.Name) else None
            moved.append(Label(made.span if made else label.span, label.message))
        return moved

    def _tensor_type(self, tensor: syntax.Tensor) -> TensorType[Attribute] | None:
        element: Attribute | None = f32 if tensor.element.text == "f32" else integer_format(tensor.element)
        if element is None:
            self._findings.error(
                "HAP0306",
                f"`{tensor.element.text}` is not an element type",
                at=tensor.element.span,
                help="f32, or an integer with its sign and width: i8, u8, i32",
            )
        shape: list[int] = []
        for size in tensor.dimensions:
            if isinstance(size, syntax.Number) and isinstance(size.value, int) and 0 < size.value <= MAXIMUM_SIZE:
                shape.append(size.value)
                continue
            self._findings.error("HAP0305", f"a dimension is an integer in 1..{MAXIMUM_SIZE}", at=size.span)
            element = None
        if element is None:
            return None
        try:
            _check_size(tuple(shape))
        except ShapeError as error:
            self._findings.error("HAP0305", str(error), at=tensor.span)
            return None
        return TensorType(element, shape)

    def _finish(self) -> None:
        for name, known in self._values.items():
            # after an error the statement that uses it may be the one that could not be read
            if not known.used and not self._findings.failed:
                self._findings.warning("HAP0220", f"`{name}` is never used", at=known.span)
        names = [p.name.text if p.name else UNNAMED_RESULT for p in self._network.results]
        for index, parameter in enumerate(self._network.results):
            if parameter.name and parameter.name.text in names[:index]:
                first = self._network.results[names.index(parameter.name.text)]
                labels = [Label(first.span, "first defined here")]
                message = f"the result `{parameter.name.text}` is declared twice"
                self._findings.error("HAP0207", message, at=parameter.name.span, labels=labels)
        values = [value for value, _ in self._results]
        if self._findings.failed or any(value is None for value in values):
            return
        result = nn.ReturnOp([value for value in values if value is not None])
        result.location = location_of(self._results[0][1])
        self._op.body.block.add_op(result)
        arguments = self._op.body.block.args
        self._op.function_type = FunctionType.from_lists([a.type for a in arguments], [v.type for v in result.values])
        self._op.properties["input_names"] = _names([p.name.text for p in self._network.inputs if p.name])
        self._op.properties["result_names"] = _names(names)


def _names(names: Sequence[str]) -> Attribute:
    return ArrayAttr([StringAttr(name) for name in names])


def _check_size(shape: Sequence[int]) -> None:
    count = 1
    for size in shape:
        count *= size
    if count > MAXIMUM_SIZE:
        raise ShapeError(f"a tensor of {text(shape)} has more than {MAXIMUM_SIZE} elements")


def _hint(name: str) -> str:
    return name.replace(".", "_")


def type_text(type_: Attribute) -> str:
    """A tensor type as the spec writes it: `f32[1, 10]`."""
    if not isinstance(type_, TensorType):
        return str(type_)
    shaped = cast("TensorType[Attribute]", type_)
    element = str(shaped.get_element_type()).replace("si", "i").replace("ui", "u")
    return f"{element}[{', '.join(map(str, shaped.get_shape()))}]"
