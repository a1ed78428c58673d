"""A `network` block as an `nn.network`: statements become ops in the order written, nested calls become layers too.

The builder runs the statements: a call of a block runs the block's own in a frame of their own, a `repeat` runs its
body once per value. It goes on after an error, so that one run reports all of them; a value whose layer is wrong is
known but has no type, and what only depends on it is not reported again. Inside a block an error tells the calls that
lead there, and is told once however often the block is called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, cast

from xdsl.dialects.builtin import ArrayAttr, FileLineColLoc, FunctionType, IntAttr, StringAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import LIBRARY, Findings, Label, Span
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Shape, ShapeError, text
from hapir.dialects.num import shape_of
from hapir.registry import universe
from hapir.spec import foreign, syntax
from hapir.spec.evaluate import FUNCTIONS, Scope, bind_constants, evaluate, match_arguments
from hapir.spec.frames import Frame, Iteration, KnownBlock, NamedTensor, indexed
from hapir.spec.network_help import arguments, new_name, no_layer, shapes_that_fit, unknown_layer, unknown_tensor
from hapir.spec.options import Mismatch, expand_range, integer_format, origins, read_options, show
from hapir.spec.program import Program, check_block_name
from hapir.spec.resolve import resolve

if TYPE_CHECKING:
    from hapir.dialects.nn_layers import LayerDefinition

MAXIMUM_SIZE = (1 << 31) - 1
"""Elements of a tensor and size of a dimension: what a signed 32-bit index of generated code reaches."""
MAXIMUM_LAYERS = 20_000
"""Layers of a network, and turns of all its repeats: far more than any network has."""
MAXIMUM_CALLS = 30
"""Calls of blocks inside calls of blocks."""
UNNAMED_RESULT = "output"


def location_of(span: Span) -> FileLineColLoc:
    """The IR location of a span's beginning."""
    return FileLineColLoc(StringAttr(span.file), IntAttr(span.line), IntAttr(span.column))


class _TooLarge(Exception):
    """The network grows past the limits; that is among the findings."""


@dataclass(frozen=True)
class _BlockCall:
    """A call of a block that is running."""

    block: KnownBlock
    at: Span


class NetworkBuilder:
    """Builds one network; errors go to the findings."""

    def __init__(
        self,
        network: syntax.Network,
        findings: Findings,
        *,
        program: Program | None = None,
        instance: syntax.Instance | None = None,
        caller: Scope | None = None,
    ):
        """`findings` holds what is found in this network alone: an error in it leaves the op unfinished.

        `program` holds the blocks and constants that the network sees; `instance`, evaluated in the scope `caller`,
        gives its parameters other values than their defaults.
        """
        self._network = network
        self._findings = findings
        self._program = program or Program()
        self._instance = instance or syntax.Instance(network.name, (), (), network.name.span)
        self._caller = caller or Scope()
        self._layers: dict[str, Span] = {}
        self._taken: set[str] = set()
        self._defined: dict[Span, str] = {}
        self._used: set[Span] = set()
        self._statement_of: dict[Span, Span] = {}
        """Of the call that a statement makes, the name: using any result of the layer is using the name."""
        self._calls: list[_BlockCall] = []
        self._told: set[tuple[str, Span | None]] = set()
        self._turns = 0
        self._results: list[tuple[SSAValue | None, Span]] = []
        self._op = nn.NetworkOp(network.name.text, [], [])
        self._op.location = location_of(network.name.span)

    @property
    def layers(self) -> dict[str, Span]:
        """The names of all layers, those of nested calls included, and their places."""
        return self._layers

    @property
    def weighted(self) -> list[str]:
        """The names of the layers that multiply by weights, in order."""
        keys = [op.key.data for op in self._op.body.block.ops if isinstance(op, nn.WeightOp)]
        return list(dict.fromkeys(k.rpartition(".")[0] for k in keys if k.rpartition(".")[2].startswith("weight")))

    def build(self) -> nn.NetworkOp:
        """The network's op; it is whole only where no error was found."""
        network = self._network
        known: dict[str, KnownBlock] = {}
        for name, block in self._program.blocks.items():
            known[name] = KnownBlock(block, self._program.scope(block.name.span), known)
        frame = Frame("", self._program.scope(network.name.span), dict(known))
        frame.scope.size = partial(self._size, frame)
        bind_constants(
            self._instance,
            [p for p in network.parameters if p.type is None],
            self._caller,
            frame.scope,
            what=f"network `{network.name.text}`",
            at=network.name.span,
            findings=self._findings,
        )
        for parameter in network.parameters:
            if parameter.type is not None:
                self._input(parameter, parameter.type, frame)
        with contextlib.suppress(_TooLarge):
            returned = self._run(network.statements, frame)
            if returned is None:
                self._findings.error(
                    "HAP0218",
                    f"the network `{network.name.text}` returns nothing",
                    at=network.name.span,
                    help=f"end it with `return {last[-1] if (last := list(frame.values)) else 'value'}`",
                )
            else:
                self._returns(*returned, frame)
        self._finish(frame)
        return self._op

    # --- statements ---------------------------------------------------------------------------------------------------

    def _run(
        self, statements: Sequence[syntax.Statement], frame: Frame
    ) -> tuple[syntax.Return, Sequence[syntax.Statement]] | None:
        """Run statements up to a `return`; it and what follows it, or None where there is none."""
        for index, statement in enumerate(statements):
            match statement:
                case syntax.Assign():
                    self._assign(statement, frame)
                case syntax.Let():
                    self._let(statement, frame)
                case syntax.Repeat():
                    self._repeat(statement, frame)
                case syntax.LayerBlock():
                    self._declare_block(statement, frame)
                case syntax.Return():
                    return statement, statements[index + 1 :]
                case syntax.Weights():
                    if frame.prefix or frame.iterations:
                        message = "weights are given once, in the network itself"
                        self._findings.error("HAP0227", message, at=statement.span, help="move it to the network")
                case _:
                    self._findings.error(
                        "HAP0218", "this value is not used", at=statement.span, help="give it a name: `name = ...`"
                    )
        return None

    def _let(self, statement: syntax.Let, frame: Frame) -> None:
        made = frame.find(statement.name.text)
        if made is None:
            frame.constants.let(statement, self._findings)
        else:
            self._defined_twice(statement.name, made.span)

    def _declare_block(self, block: syntax.LayerBlock, frame: Frame) -> None:
        check_block_name(block.name, self._findings)
        known = frame.blocks.get(block.name.text)
        if known is not None:
            self._defined_twice(block.name, known.definition.name.span)
            return
        frame.blocks[block.name.text] = KnownBlock(block, frame.constants, frame.blocks)

    def _repeat(self, statement: syntax.Repeat, frame: Frame) -> None:
        over = evaluate(statement.over, frame.constants, self._findings)
        if over is None:
            frame.broken = True
            return
        if not isinstance(over, syntax.Call) or over.function.text != "range":
            message = f"a repeat runs over a range, not {show(over)}"
            self._findings.error("HAP0304", message, at=over.span, help="write `repeat i in range(1, 4) { ... }`")
            frame.broken = True
            return
        try:
            turns = expand_range(over, may_be_empty=True)
        except Mismatch as mismatch:
            self._findings.error(mismatch.code, mismatch.message, at=mismatch.at, help=mismatch.help)
            frame.broken = True
            return
        for index in turns:
            self._count_turn(statement)
            errors = self._findings.errors
            scope = Scope(outer=frame.constants, size=partial(self._size, frame))
            scope.bind(statement.variable, syntax.Number(index, statement.variable.span), self._findings)
            frame.iterations.append(Iteration(index, scope))
            blocks = frame.blocks
            frame.blocks = dict(blocks)
            returned = self._run(statement.statements, frame)
            frame.blocks = blocks
            frame.iterations.pop()
            if returned is not None:
                self._findings.error("HAP0227", "a repeat does not return", at=returned[0].span,
                                     help="return after it")  # fmt: skip
            if self._findings.errors > errors:
                frame.broken = True
                return  # the next turn would only repeat the errors of this one

    def _count_turn(self, statement: syntax.Repeat) -> None:
        self._turns += 1
        if self._turns > MAXIMUM_LAYERS:
            self._too_large(statement.span)

    def _too_large(self, at: Span) -> None:
        message = f"the network grows past {MAXIMUM_LAYERS} layers or turns of its repeats"
        self._findings.error("HAP0228", message, at=at, help="look for a range that is longer than meant")
        raise _TooLarge

    # --- names --------------------------------------------------------------------------------------------------------

    def _input(self, parameter: syntax.Parameter, tensor: syntax.Tensor, frame: Frame) -> None:
        assert parameter.name is not None
        type_ = self._tensor_type(tensor, frame)
        if not self._claim(parameter.name, parameter.name.text, frame):
            return
        value: SSAValue | None = None
        if type_ is not None:
            block = self._op.body.block
            value = block.insert_arg(type_, len(block.args))
            value.name_hint = _hint(parameter.name.text)
            value.location = location_of(parameter.name.span)
        self._define(parameter.name.text, value, parameter.name, frame)

    def _claim(self, name: syntax.Name, local: str, frame: Frame) -> bool:
        """Whether a local name is new; a duplicate is an error with both places."""
        constant = frame.constants.own.get(name.text) or frame.scope.own.get(name.text)
        known = frame.values.get(local)
        first = known.span if known else constant.span if constant else self._layers.get(frame.prefix + local)
        if first is None:
            return True
        taken = {*frame.values, *frame.constants.names(), *frame.instances}
        self._defined_twice(name, first, "" if local == name.text else local, new_name(name.text, taken))
        return False

    def _defined_twice(self, name: syntax.Name, first: Span, local: str = "", help: str | None = None) -> None:
        labels = [Label(first, "first defined here")]
        what = f"`{name.text}`, which is `{local}` here," if local else f"`{name.text}`"
        help = help or "give one of them another name"
        self._findings.error("HAP0207", f"{what} is defined twice", at=name.span, labels=labels, help=help)

    def _define(self, local: str, value: SSAValue | None, name: syntax.Name, frame: Frame) -> None:
        frame.values.setdefault(local, NamedTensor(value, name.span))
        self._defined.setdefault(name.span, name.text)

    def _assign(self, statement: syntax.Assign, frame: Frame) -> None:
        name, value = statement.name, statement.value
        if statement.indices:
            local = self._indexed(name, statement.indices, frame)
            if local is None:
                return
        else:
            local = frame.local(name.text)
        if isinstance(value, syntax.Name | syntax.Tensor | syntax.Member):
            self._findings.error(
                "HAP0304", f"`{name.text}` would be a second name for {_written(value)}", at=value.span,
                help="a statement applies a layer: `name = relu(x)`",
            )  # fmt: skip
            built = None
        elif not isinstance(value, syntax.Call) or value.function.text in FUNCTIONS:
            self._no_layer(statement, frame)
            return
        elif self._claim(name, local, frame):
            self._statement_of[value.span] = name.span
            built = self._tensor(value, local, local, frame)
        else:
            self._tensor(value, f"{local}.again", f"{local}.again", frame)
            frame.broken = True
            return
        if not statement.indices and frame.iterations:
            frame.iterations[-1].names[name.text] = local
            pieces = frame.values[local].pieces if local in frame.values else ()
            frame.iterations[-1].names.update((indexed(name.text, [i]), p) for i, p in enumerate(pieces, 1))
        self._define(local, built, name, frame)

    def _no_layer(self, statement: syntax.Assign, frame: Frame) -> None:
        """Report a statement that computes no tensor; what it was meant for goes on below it."""
        name, value = statement.name, statement.value
        message, help = no_layer(name.text, value, [*frame.names()])
        self._findings.error("HAP0304", message, at=value.span, help=help)
        if not statement.indices and self._is_new(name.text, frame):
            frame.constants.bind(name, evaluate(value, frame.constants, Findings()), Findings())
        frame.broken = True

    def _is_new(self, name: str, frame: Frame) -> bool:
        return frame.find(name) is None and name not in frame.constants.own

    def _indexed(self, name: syntax.Name, indices: Sequence[syntax.Value | syntax.Pair], frame: Frame) -> str | None:
        """The local name of `name[i, j]`; None where an index is missing or no integer of at least 0."""
        numbers: list[int] = []
        if not indices:
            message = f"`{name.text}[]` has no index"
            self._findings.error("HAP0304", message, at=name.span, help=f"write `{name.text}[1]`, or `{name.text}`")
        for index in indices:
            value = None if isinstance(index, syntax.Pair) else evaluate(index, frame.constants, self._findings)
            if isinstance(value, syntax.Number) and isinstance(value.value, int) and value.value >= 0:
                numbers.append(value.value)
            elif value is not None or isinstance(index, syntax.Pair):
                shown = "a pair" if value is None else show(value)
                message = f"an index is an integer of at least 0, not {shown}"
                self._findings.error("HAP0304", message, at=index.span, help=f"write `{name.text}[1]`")
        return indexed(name.text, numbers) if numbers and len(numbers) == len(indices) else None

    def _lookup(self, name: syntax.Name, frame: Frame, written: str = "") -> SSAValue | None:
        known = frame.find(name.text)
        if known is not None:
            self._used.update((known.span, self._statement_of.get(known.span, known.span)))
            if known.pieces:
                self._which(written or f"`{name.text}`", known, name.span)
            return known.value
        if frame.broken:
            return None
        shown = written or f"`{name.text}`"
        later = [
            s.name
            for s in self._statements_around(frame)
            if isinstance(s, syntax.Assign) and s.name.text == name.text and not s.indices
        ]
        constant = frame.constants.find(name.text)
        if constant is not None and constant.value is None:
            return None  # what is wrong with it is told where it is made
        if constant is not None:
            help, what = "a layer takes tensors by position and numbers by name", f"{shown} is a number, not a tensor"
        else:
            help = (
                "move that statement above this one"
                if later
                else unknown_tensor(name.text, frame.names_near(name.text))
            )
            what = f"there is no tensor {shown}" + (" yet" if later else "")
        labels = [Label(later[0].span, "it is made here")] if later else []
        self._findings.error("HAP0202", what, at=name.span, labels=labels, help=help)
        return None

    def _which(self, shown: str, known: NamedTensor, at: Span) -> None:
        """The error of a layer that gives several tensors and stands where one is needed."""
        help = f"they are {', '.join(f'`{piece}`' for piece in known.pieces)}"
        self._findings.error("HAP0202", f"{shown} is not one tensor but {len(known.pieces)}", at=at, help=help)

    def _statements_around(self, frame: Frame) -> Sequence[syntax.Statement]:
        return self._calls[-1].block.definition.statements if frame.prefix else self._network.statements

    # --- values -------------------------------------------------------------------------------------------------------

    def _tensor(self, value: syntax.Value, name: str | None, statement: str, frame: Frame) -> SSAValue | None:
        """The tensor that an expression stands for; `name` is its layer's name, or None where one is to be made."""
        match value:
            case syntax.Name():
                return self._lookup(value, frame)
            case syntax.Tensor():
                local = self._indexed(value.element, value.dimensions, frame)
                return self._lookup(syntax.Name(local, value.span), frame, _written(value, local)) if local else None
            case syntax.Member():
                local = self._indexed(value.instance.element, value.instance.dimensions, frame)
                path = f"{local}.{value.member.text}"
                return self._lookup(syntax.Name(path, value.span), frame, f"`{path}`") if local else None
            case syntax.Call():
                return self._call(value, name, statement, frame)
            case _:
                self._findings.error("HAP0304", f"expected a tensor or a layer, not {show(value)}", at=value.span,
                                     help="write the name of a tensor, or apply a layer: `relu(x)`")  # fmt: skip
                return None

    def _call(self, call: syntax.Call, name: str | None, statement: str, frame: Frame) -> SSAValue | None:
        kind = call.function
        local = name or self._nested_name(f"{statement}.{kind.text}".lstrip("."), frame)
        if kind.text in frame.blocks:
            return self._instance_of(frame.blocks[kind.text], call, local, frame)
        definition = self._layer_definition(kind, frame)
        layer = frame.prefix + local
        self._layers[layer] = call.span
        if len(self._layers) > MAXIMUM_LAYERS:
            self._too_large(call.span)
        if definition is not None and not self._takes(definition, call):
            definition = None
        # a second look at arguments of the wrong kind would only repeat that their number is wrong
        tensors = [a for a in call.arguments if definition or isinstance(a, syntax.Name | syntax.Call)]
        inputs = [self._tensor(a, None, statement, frame) for a in tensors]
        if definition is None:
            return None
        given = self._evaluated(call.options, frame)
        if given is None:
            return None
        options = read_options(definition, given, at=call.span, what=f"`{kind.text}`", findings=self._findings,
                               constants=frame.constants.names)  # fmt: skip
        known = [value for value in inputs if value is not None]
        if options is None or len(known) < len(inputs):
            return None
        result = self._layer(options, known, local, replace(call, options=tuple(given)), frame)
        if name is None and result is None and local in frame.values:
            self._which(f"`{local}`", frame.values[local], call.span)
        return result

    def _layer_definition(self, kind: syntax.Name, frame: Frame) -> type[LayerDefinition] | None:
        layers = universe().layers
        if kind.text in layers:
            return resolve(layers, kind, "layer", "HAP0201", self._findings)
        known = [*layers, *frame.blocks]
        help = unknown_layer(kind.text, known, [*frame.names()])
        self._findings.error("HAP0201", f"there is no layer `{kind.text}`", at=kind.span, help=help)
        return None

    def _evaluated(self, options: Sequence[syntax.Option], frame: Frame) -> list[syntax.Option] | None:
        """Options with constants put in; None after an error."""
        values = [evaluate(option.value, frame.constants, self._findings) for option in options]
        plain = [replace(o, value=v) for o, v in zip(options, values, strict=True) if v is not None]
        return plain if len(plain) == len(options) else None

    def _takes(self, definition: type[LayerDefinition], call: syntax.Call) -> bool:
        """Whether a call gives as many tensors as its layer takes; a wrong number is an error."""
        wanted, given = definition.inputs, len(call.arguments)
        if given == wanted or (wanted is None and given):
            return True
        count = "at least one tensor" if wanted is None else "one tensor" if wanted == 1 else f"{wanted} tensors"
        self._findings.error(
            "HAP0205",
            f"`{call.function.text}` takes {count}, {given} given",
            at=call.arguments[wanted].span if wanted is not None and given > wanted else call.span,
            help=arguments(call.function.text, call, wanted, definition),
        )
        return False

    def _nested_name(self, wanted: str, frame: Frame) -> str:
        name, n = wanted, 1
        while frame.prefix + name in self._layers or name in frame.values or name in frame.instances:
            n += 1
            name = f"{wanted}_{n}"
        return name

    def _size(self, frame: Frame, call: syntax.Call, findings: Findings) -> int | None:
        """`size(tensor, axis)`: the size of a tensor along an axis, counted from 0 (the batch)."""
        if len(call.arguments) != 2 or call.options:
            help = "axis 0 is the batch, 1 the channels: `size(x, 1)`"
            findings.error("HAP0205", "`size` is called as `size(tensor, axis)`", at=call.span, help=help)
            return None
        axis = evaluate(call.arguments[1], frame.constants, findings)
        if not isinstance(call.arguments[0], syntax.Name | syntax.Tensor | syntax.Member):
            findings.error("HAP0304", "`size` takes the name of a tensor", at=call.arguments[0].span,
                           help="give the layer a name first: `c1 = conv2d(...)`, then `size(c1, 1)`")  # fmt: skip
            return None
        value = self._tensor(call.arguments[0], None, "", frame)
        if value is None or axis is None:
            return None
        shape = shape_of(value)
        if isinstance(axis, syntax.Number) and isinstance(axis.value, int) and 0 <= axis.value < len(shape):
            return shape[axis.value]
        findings.error("HAP0305", f"the axes of {text(shape)} are 0..{len(shape) - 1}", at=axis.span,
                       help="axis 0 is the batch, 1 the channels: `size(x, 1)`")  # fmt: skip
        return None

    # --- blocks -------------------------------------------------------------------------------------------------------

    def _instance_of(self, block: KnownBlock, call: syntax.Call, local: str, frame: Frame) -> SSAValue | None:
        """Run a block's statements for one call; the tensor that it returns."""
        definition = block.definition
        what = f"block `{definition.name.text}`"
        active = [c for c in self._calls if c.block.definition is definition]
        if active or len(self._calls) >= MAXIMUM_CALLS:
            message = f"the {what} calls itself" if active else f"blocks call blocks {MAXIMUM_CALLS} deep"
            self._findings.error("HAP0225", message, at=call.span, help="use `repeat` for rows of layers")
            return None
        given = match_arguments(
            call, definition.parameters, what=what, at=definition.name.span, findings=self._findings
        )
        inner = Frame(f"{frame.prefix}{local}.", Scope(outer=block.scope), dict(block.blocks))
        inner.scope.size = partial(self._size, inner)
        arguments = {name: self._argument(value, local, frame) for name, value in (given or {}).items()}
        if given is None or any(argument is None for argument in arguments.values()):
            frame.broken = True
            return None
        with self._inside(_BlockCall(block, call.span)):
            self._bind(definition.parameters, arguments, inner)
            returned = self._run(definition.statements, inner)
            frame.instances[local] = inner
            if returned is None:
                self._findings.error("HAP0218", f"the {what} returns nothing", at=definition.name.span,
                                     help="end it with `return value`")  # fmt: skip
                return None
            statement, rest = returned
            for extra in rest:
                self._findings.error("HAP0218", "a block returns one tensor, and nothing follows it", at=extra.span,
                                     help="move it above the `return`")  # fmt: skip
            return self._tensor(statement.value, None, "", inner)

    def _argument(self, value: syntax.Value, local: str, frame: Frame) -> SSAValue | syntax.Value | None:
        """An argument of a block: a tensor, or an evaluated value; None after an error."""
        if self._is_tensor(value, frame):
            return self._tensor(value, None, local, frame)
        return evaluate(value, frame.constants, self._findings)

    def _is_tensor(self, value: syntax.Value, frame: Frame) -> bool:
        match value:
            case syntax.Name():
                return frame.find(value.text) is not None
            case syntax.Call():
                return value.function.text in frame.blocks or value.function.text in universe().layers
            case _:
                return isinstance(value, syntax.Tensor | syntax.Member)

    def _bind(
        self,
        parameters: Sequence[syntax.Parameter],
        arguments: Mapping[str, SSAValue | syntax.Value | None],
        inner: Frame,
    ) -> None:
        for parameter in parameters:
            assert parameter.name is not None
            name, argument = parameter.name, arguments.get(parameter.name.text)
            if argument is None and parameter.default is not None:
                argument = self._argument(parameter.default, name.text, inner)
            if isinstance(argument, SSAValue):
                self._define(name.text, argument, name, inner)
            else:
                inner.scope.bind(name, argument, self._findings)

    @contextlib.contextmanager
    def _inside(self, call: _BlockCall) -> Generator[None]:
        """Findings of a block's statements tell this call, and each place is told once."""
        outer, self._findings = self._findings, Findings()
        self._calls.append(call)
        try:
            yield
        finally:
            self._calls.pop()
            found, self._findings = self._findings, outer
            label = Label(call.at, f"in this call of `{call.block.definition.name.text}`")
            for diagnostic in found.sorted():
                key = (diagnostic.code, diagnostic.span)
                if self._calls or key not in self._told:
                    outer.add([replace(diagnostic, labels=(*diagnostic.labels, label))])
                if not self._calls:
                    self._told.add(key)

    # --- layers -------------------------------------------------------------------------------------------------------

    def _layer(
        self, definition: LayerDefinition, inputs: list[SSAValue], local: str, call: syntax.Call, frame: Frame
    ) -> SSAValue | None:
        layer = frame.prefix + local
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
                Label(self._origin(argument, frame), f"this is {type_text(value.type)}")
                for argument, value in zip(call.arguments, inputs, strict=True)
            ]
            labels += origins(option.value for option in call.options)
            message = str(error).removeprefix("Operation does not verify: ").removeprefix("nn.")
            help = shapes_that_fit(call, [shape_of(value) for value in inputs], definition)
            self._findings.error("HAP0301", f"`{layer}`: {message}", at=call.span, labels=labels, help=help)
            return None
        for made in (*weights, op):
            made.location = location_of(call.span)
            self._op.body.block.add_op(made)
        for weight in weights:
            weight.result.name_hint = _hint(weight.key.data)
        return self._named_results(op, definition.result_names(len(op.results)), local, call.span, frame)

    def _named_results(
        self, op: nn.LayerOp, names: Sequence[str | int], local: str, at: Span, frame: Frame
    ) -> SSAValue | None:
        """Name an op's results as its statement says; the one that has the layer's own name, if any.

        Members (`l.h`) are read like the tensors of a block's instance, pieces (`s[1]`) by their names.
        """
        own: SSAValue | None = None
        pieces: list[str] = []
        for name, result in zip(names, op.results, strict=True):
            full = local if name == "" else f"{local}.{name}" if isinstance(name, str) else indexed(local, [name])
            result.name_hint = _hint(frame.prefix + full)
            if name == "":
                own = result
            elif isinstance(name, str):
                members = frame.instances.setdefault(local, Frame(f"{frame.prefix}{local}.", frame.scope, {}))
                members.values[name] = NamedTensor(result, at)
            elif self._claim(syntax.Name(full, at), full, frame):
                frame.values[full] = NamedTensor(result, at)
                pieces.append(full)
        if pieces:
            frame.values[local] = NamedTensor(None, at, tuple(pieces))
        return own

    def _origin(self, argument: syntax.Value, frame: Frame) -> Span:
        """Where a named input is made; a nested layer is at its own place."""
        made = frame.find(argument.text) if isinstance(argument, syntax.Name) else None
        return made.span if made else argument.span

    def _tensor_type(self, tensor: syntax.Tensor, frame: Frame) -> TensorType[Attribute] | None:
        element: Attribute | None = f32 if tensor.element.text == "f32" else integer_format(tensor.element)
        if element is None:
            self._findings.error(
                "HAP0306",
                f"`{tensor.element.text}` is not an element type",
                at=tensor.element.span,
                help=foreign.suggest_value("", tensor.element.text, lambda name: bool(name))
                or "f32, or an integer with its sign and width: i8, u8, i32",
            )
        shape: list[int] = []
        for written in tensor.dimensions:
            size = written if isinstance(written, syntax.Pair) else evaluate(written, frame.scope, self._findings)
            if isinstance(size, syntax.Number) and isinstance(size.value, int) and 0 < size.value <= MAXIMUM_SIZE:
                shape.append(size.value)
                continue
            element = None
            if size is not None:
                labels = [] if isinstance(size, syntax.Pair) else origins([size])
                message = f"a dimension is an integer in 1..{MAXIMUM_SIZE}"
                help = "write a number, or a parameter of the network with a default: `size = 32`"
                self._findings.error("HAP0305", message, at=written.span, labels=labels, help=help)
        if element is None:
            return None
        try:
            _check_size(tuple(shape))
        except ShapeError as error:
            self._findings.error("HAP0305", str(error), at=tensor.span, help="make a dimension smaller")
            return None
        return TensorType(element, shape)

    # --- results ------------------------------------------------------------------------------------------------------

    def _returns(self, statement: syntax.Return, rest: Sequence[syntax.Statement], frame: Frame) -> None:
        values = [statement.value]
        for extra in rest:
            if isinstance(
                extra,
                syntax.Assign | syntax.Return | syntax.Weights | syntax.Let | syntax.Repeat | syntax.LayerBlock,
            ):
                self._findings.error("HAP0218", "nothing may follow the results", at=extra.span,
                                     help="move it above the `return`")  # fmt: skip
            else:
                values.append(extra)
        declared = self._network.results
        for index, value in enumerate(values):
            result = declared[index].name if index < len(declared) else None
            name = result.text if result else UNNAMED_RESULT
            self._results.append((self._tensor(value, None, name, frame), value.span))
        if len(values) != len(declared):
            self._findings.error(
                "HAP0218",
                f"the network declares {len(declared)} results and returns {len(values)}",
                at=statement.span,
                labels=[Label(declared[0].span, "declared here")],
                help="several results are written `-> (a: f32[1, 4], b: f32[1, 8])`, and `return x, y`",
            )
            return
        for (value, span), parameter in zip(self._results, declared, strict=True):
            assert parameter.type is not None
            expected = self._tensor_type(parameter.type, frame)
            if value is not None and expected is not None and value.type != expected:
                self._findings.error(
                    "HAP0303",
                    f"this result is {type_text(value.type)}, the network declares {type_text(expected)}",
                    at=span,
                    labels=[Label(parameter.type.span, "declared here")],
                    help=f"return what is declared, or declare `-> {type_text(value.type)}`",
                )

    def _finish(self, frame: Frame) -> None:
        if not self._findings.failed:
            # after an error the statement that uses a value may be the one that could not be read
            for span, name in self._defined.items():
                if span not in self._used and not span.file.startswith(LIBRARY):
                    self._findings.warning(
                        "HAP0220", f"`{name}` is never used", at=span, help="use it, return it, or remove it"
                    )
        names = [p.name.text if p.name else UNNAMED_RESULT for p in self._network.results]
        for index, parameter in enumerate(self._network.results):
            if parameter.name and parameter.name.text in names[:index]:
                first = self._network.results[names.index(parameter.name.text)]
                labels = [Label(first.span, "first defined here")]
                message = f"the result `{parameter.name.text}` is declared twice"
                self._findings.error("HAP0207", message, at=parameter.name.span, labels=labels, help="rename one")
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


def _written(value: syntax.Name | syntax.Tensor | syntax.Member, local: str = "") -> str:
    """The name of a tensor as a message shows it; the indices are those of its local name where it has one."""
    match value:
        case syntax.Tensor() if local:
            indices = local.removeprefix(value.element.text).removeprefix("_")
            return f"`{value.element.text}[{indices.replace('_', ', ')}]`"
        case syntax.Name():
            return f"`{value.text}`"
        case syntax.Tensor():
            return f"`{value.element.text}[...]`"
        case syntax.Member():
            return f"`{value.instance.element.text}[...].{value.member.text}`"
