"""A `network` block as an `nn.network`: statements become ops in the order written, nested calls become layers too.

The builder runs the statements: a call of a block runs the block's own in a frame of their own, a `repeat` runs its
body once per value. It goes on after an error, so that one run reports all of them; a value whose layer is wrong is
known but has no type, and what only depends on it is not reported again. Inside a block an error tells the calls that
lead there, and is told once however often the block is called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import Findings, Span, location_of
from hapir.dialects import nn
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import element_type, shape_of, storage_of
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.block_calls import BlockCalls
from hapir.spec.evaluate import FUNCTIONS, Scope, bind_constants, evaluate, match_arguments
from hapir.spec.frames import Frame, Iteration, KnownBlock, NamedTensor, indexed
from hapir.spec.network_help import no_layer
from hapir.spec.network_layers import hint, layer_definition, layer_ops, takes
from hapir.spec.network_results import (
    UNNAMED_RESULT,
    check_result_names,
    check_results,
    finish,
    result_names,
    returned_values,
)
from hapir.spec.options import Mismatch, expand_range, read_options
from hapir.spec.program import Program, check_block_name
from hapir.spec.tensor_names import TensorNames
from hapir.spec.tensor_types import tensor_type
from hapir.spec.twice import defined_twice
from hapir.spec.values import show

if TYPE_CHECKING:
    from hapir.dialects.nn_layers import LayerDefinition

MAXIMUM_LAYERS = 12_000
"""Layers of a network, and turns of all its repeats: more than any network has, and built in less than 5 s."""


class _Stopped(Exception):
    """The network is not built any further; what is wrong with it is among the findings."""


class NetworkBuilder:
    """Builds one network; errors go to the findings."""

    def __init__(
        self,
        network: syntax.Network,
        findings: Findings,
        *,
        program: Program,
        instance: syntax.Instance | None = None,
        caller: Scope | None = None,
    ):
        """`findings` holds what is found in this network alone: an error in it leaves the op unfinished.

        `program` holds the blocks and constants that the network sees; `instance`, evaluated in the scope `caller`,
        gives its parameters other values than their defaults.
        """
        self._network = network
        self._calls = BlockCalls(findings)
        self._names = TensorNames(network, self._calls)
        self._program = program
        self._instance = instance or syntax.Instance(network.name, (), (), network.name.span)
        self._caller = caller or Scope()
        self._turns = 0
        self._results: list[tuple[SSAValue | None, Span]] = []
        self._op = nn.NetworkOp(network.name.text, [], [])
        self._op.location = location_of(network.name.span)

    @property
    def _findings(self) -> Findings:
        """Where errors go now."""
        return self._calls.findings

    @property
    def layers(self) -> dict[str, Span]:
        """The names of all layers, those of nested calls included, and their places."""
        return self._names.layers

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
        with contextlib.suppress(_Stopped):
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
        if not self._findings.failed:
            # after an error the statement that uses a value may be the one that could not be read
            self._names.report_unused()
        check_result_names(network.results, self._findings)
        if not self._findings.failed and all(value is not None for value, _ in self._results):
            finish(self._op, network, self._results)
        return self._op

    def _returns(self, statement: syntax.Return, rest: Sequence[syntax.Statement], frame: Frame) -> None:
        declared = self._network.results
        values = returned_values(statement, rest, self._findings)
        names = result_names(declared)
        for index, value in enumerate(values):
            name = names[index] if index < len(names) else UNNAMED_RESULT
            self._results.append((self._tensor(value, None, name, frame), value.span))
        check_results(statement, self._results, declared, frame.scope, self._findings)

    # --- statements ---------------------------------------------------------------------------------------------------

    def _run(
        self, statements: Sequence[syntax.Statement], frame: Frame
    ) -> tuple[syntax.Return, Sequence[syntax.Statement]] | None:
        """Run statements up to a `return`; it and what follows it, or None where there is none."""
        for index, statement in enumerate(statements):
            if self._findings.enough:
                raise _Stopped
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
            defined_twice(f"`{statement.name.text}`", statement.name.span, made.span, self._findings)

    def _declare_block(self, block: syntax.LayerBlock, frame: Frame) -> None:
        check_block_name(block.name, self._findings)
        known = frame.blocks.get(block.name.text)
        if known is not None:
            first = known.definition.name.span
            defined_twice(f"`{block.name.text}`", block.name.span, first, self._findings)
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
        raise _Stopped

    # --- names --------------------------------------------------------------------------------------------------------

    def _input(self, parameter: syntax.Parameter, tensor: syntax.Tensor, frame: Frame) -> None:
        assert parameter.name is not None
        type_ = tensor_type(tensor, frame.scope, self._findings)
        if not self._names.claim(parameter.name, parameter.name.text, frame):
            return
        value: SSAValue | None = None
        if type_ is not None:
            block = self._op.body.block
            value = block.insert_arg(type_, len(block.args))
            value.name_hint = hint(parameter.name.text)
            value.location = location_of(parameter.name.span)
        self._names.define(parameter.name.text, value, parameter.name, frame)

    def _assign(self, statement: syntax.Assign, frame: Frame) -> None:
        name, value = statement.name, statement.value
        if statement.indices:
            local = self._names.indexed(name, statement.indices, frame)
            if local is None:
                return
        else:
            local = frame.local(name.text)
        if isinstance(value, syntax.Name | syntax.Tensor | syntax.Member):
            built = self._second_name(statement, value, local, frame)
        elif not isinstance(value, syntax.Call) or (
            value.function.text in FUNCTIONS and not self._is_tensor(value, frame)
        ):
            self._no_layer(statement, frame)
            return
        elif self._names.claim(name, local, frame):
            self._names.called(value.span, name)
            built = self._tensor(value, local, local, frame)
        else:
            self._tensor(value, f"{local}.again", f"{local}.again", frame)
            frame.broken = True
            return
        if not statement.indices and frame.iterations:
            frame.iterations[-1].names[name.text] = local
            pieces = frame.values[local].pieces if local in frame.values else ()
            frame.iterations[-1].names.update((indexed(name.text, [i]), p) for i, p in enumerate(pieces, 1))
        self._names.define(local, built, name, frame)

    def _second_name(
        self, statement: syntax.Assign, value: syntax.Name | syntax.Tensor | syntax.Member, local: str, frame: Frame
    ) -> SSAValue | None:
        """What `x[0] = image` stands for, where a row of indexed names begins; a plain second name is an error."""
        if not statement.indices:
            message = f"`{statement.name.text}` would be a second name for {_written(value)}"
            help = "a statement applies a layer: `name = relu(x)`"
            self._findings.error("HAP0304", message, at=value.span, help=help)
            return None
        return self._tensor(value, None, local, frame) if self._names.claim(statement.name, local, frame) else None

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

    # --- values -------------------------------------------------------------------------------------------------------

    def _tensor(self, value: syntax.Value, name: str | None, statement: str, frame: Frame) -> SSAValue | None:
        """The tensor that an expression stands for; `name` is its layer's name, or None where one is to be made."""
        match value:
            case syntax.Name():
                return self._names.find(value, frame)
            case syntax.Tensor():
                local = self._names.indexed(value.element, value.dimensions, frame)
                return (
                    self._names.find(syntax.Name(local, value.span), frame, _written(value, local)) if local else None
                )
            case syntax.Member():
                local = self._names.indexed(value.instance.element, value.instance.dimensions, frame)
                path = f"{local}.{value.member.text}"
                return self._names.find(syntax.Name(path, value.span), frame, f"`{path}`") if local else None
            case syntax.Call():
                return self._call(value, name, statement, frame)
            case _:
                self._findings.error("HAP0304", f"expected a tensor or a layer, not {show(value)}", at=value.span,
                                     help="write the name of a tensor, or apply a layer: `relu(x)`")  # fmt: skip
                return None

    def _call(self, call: syntax.Call, name: str | None, statement: str, frame: Frame) -> SSAValue | None:
        kind = call.function
        local = name or self._names.nested(f"{statement}.{kind.text}".lstrip("."), frame)
        if kind.text in frame.blocks:
            return self._instance_of(frame.blocks[kind.text], call, local, frame)
        definition = layer_definition(kind, frame.blocks, frame.names, self._findings)
        layer = frame.prefix + local
        self._names.layers[layer] = call.span
        if len(self._names.layers) > MAXIMUM_LAYERS:
            self._too_large(call.span)
        if definition is not None and not takes(definition, call, self._findings):
            definition = None
        # a second look at arguments of the wrong kind would only repeat that their number is wrong
        tensors = [a for a in call.arguments if definition or isinstance(a, syntax.Name | syntax.Call)]
        numbers = self._numbers(tensors, frame) if definition and definition.takes_numbers else {}
        inputs = [None if i in numbers else self._tensor(a, None, statement, frame) for i, a in enumerate(tensors)]
        if definition is None:
            return None
        self._fill(numbers, tensors, inputs)
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
            self._names.which(f"`{local}`", frame.values[local], call.span)
        return result

    def _numbers(self, arguments: Sequence[syntax.Value], frame: Frame) -> dict[int, syntax.Number]:
        """The arguments that are numbers, by position; one that stands alone is left to be an error."""
        found: dict[int, syntax.Number] = {}
        for index, argument in enumerate(arguments):
            if isinstance(argument, syntax.Call | syntax.Tensor | syntax.Member) or self._is_tensor(argument, frame):
                continue
            value = evaluate(argument, frame.constants, Findings())
            if isinstance(value, syntax.Number):
                found[index] = value
        return found if len(found) < len(arguments) else {}

    def _fill(
        self, numbers: Mapping[int, syntax.Number], arguments: Sequence[syntax.Value], inputs: list[SSAValue | None]
    ) -> None:
        """Put tensors of one number in the place of numbers, of the type of the last tensor beside them."""
        beside = [value for value in inputs if value is not None]
        for index, number in numbers.items() if beside else ():
            element = element_type(beside[-1])
            whole = isinstance(number.value, int) or number.value.is_integer()
            if not (element == f32 or (whole and element == storage_of(element))):
                message = f"{show(number)} cannot stand beside {element}"
                self._findings.error("HAP0304", message, at=arguments[index].span,
                                     help="a whole number stands beside integers, any number beside f32")  # fmt: skip
                continue
            fill = nn.FillOp(number.value, element)
            fill.location = location_of(arguments[index].span)
            self._op.body.block.add_op(fill)
            inputs[index] = fill.result

    def _evaluated(self, options: Sequence[syntax.Option], frame: Frame) -> list[syntax.Option] | None:
        """Options with constants put in; None after an error."""
        values = [evaluate(option.value, frame.constants, self._findings) for option in options]
        plain = [replace(o, value=v) for o, v in zip(options, values, strict=True) if v is not None]
        return plain if len(plain) == len(options) else None

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
        if not self._calls.may_run(definition, call.span):
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
        with self._calls.running(definition, call.span):
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
                name = value.function.text
                if name in FUNCTIONS:  # `abs(x)` is a layer where x is a tensor, or nothing that is known
                    unknown = {a.text for a in value.arguments if isinstance(a, syntax.Name)} - {
                        *frame.constants.names()
                    }
                    made = any(self._is_tensor(a, frame) for a in value.arguments)
                    return name in universe().layers and (made or bool(unknown))
                return name in frame.blocks or name in universe().layers
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
                self._names.define(name.text, argument, name, inner)
            else:
                inner.scope.bind(name, argument, self._findings)

    # --- layers -------------------------------------------------------------------------------------------------------

    def _layer(
        self, definition: LayerDefinition, inputs: list[SSAValue], local: str, call: syntax.Call, frame: Frame
    ) -> SSAValue | None:
        places = [self._origin(argument, frame) for argument in call.arguments]
        made = layer_ops(definition, inputs, frame.prefix + local, call, places, self._findings)
        if made is None:
            return None
        weights, op = made
        self._op.body.block.add_ops([*weights, op] if op not in weights else weights)
        return self._named_results(op, definition.result_names(len(op.results)), local, call.span, frame)

    def _named_results(
        self, op: Operation, names: Sequence[str | int], local: str, at: Span, frame: Frame
    ) -> SSAValue | None:
        """Name an op's results as its statement says; the one that has the layer's own name, if any.

        Members (`l.h`) are read like the tensors of a block's instance, pieces (`s[1]`) by their names.
        """
        own: SSAValue | None = None
        pieces: list[str] = []
        for name, result in zip(names, op.results, strict=True):
            full = local if name == "" else f"{local}.{name}" if isinstance(name, str) else indexed(local, [name])
            result.name_hint = hint(frame.prefix + full)
            if name == "":
                own = result
            elif isinstance(name, str):
                members = frame.instances.setdefault(local, Frame(f"{frame.prefix}{local}.", frame.scope, {}))
                members.values[name] = NamedTensor(result, at)
            elif self._names.claim(syntax.Name(full, at), full, frame):
                frame.values[full] = NamedTensor(result, at)
                pieces.append(full)
        if pieces:
            frame.values[local] = NamedTensor(None, at, tuple(pieces))
        return own

    def _origin(self, argument: syntax.Value, frame: Frame) -> Span:
        """Where a named input is made; a nested layer is at its own place."""
        made = frame.find(argument.text) if isinstance(argument, syntax.Name) else None
        return made.span if made else argument.span


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
