"""Cut a network into an integer body and float edges.

Law: exact. Running prologue, body and epilogue one after the other is running the network. Targets emit the body; the
host runs the edges with the reference interpreter.

- prologue: from the float inputs to `num.quantize`; None where no float input is quantized;
- body: everything on integers and the floats between them, or all of a network that computes on floats alone;
- epilogue: from `num.dequantize` to the float results; None where only integers come out.

What computes on parameters and numbers alone, such as the decoding of a coded weight, goes with those who read it.

Values cross by name: a result of one part and an input of a later one with the same name are the same tensor. The names
are the network's own for inputs and results, else the layer's name of the op that makes the value. Where the body reads
the quantized form of an input and nothing later reads the float one, it keeps the input's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from xdsl.dialects.builtin import LocationAttr
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.traits import Pure

from hapir.diagnostics import Label, fail, span_of
from hapir.dialects import num
from hapir.dialects.nn import FillOp, NetworkOp, ReturnOp
from hapir.dialects.num import CODED, element_type, is_float
from hapir.lowering.compress.float_islands import island_before
from hapir.lowering.constants import constants_of
from hapir.lowering.network_edits import key_stem, unused_name
from hapir.weights import Array

PROLOGUE, BODY, EPILOGUE = range(3)

RunPart = Callable[[NetworkOp, Mapping[str, Array]], Mapping[str, Array]]
"""Runs one part: a network and its inputs by name give its results by name."""


@dataclass(frozen=True)
class Cut:
    """The parts of a network; each is a network of its own over the same weight store."""

    prologue: NetworkOp | None
    body: NetworkOp
    epilogue: NetworkOp | None
    results: tuple[str, ...]
    """The result names of the whole network, in order."""
    has_integers: bool = True
    """Whether the body computes on integers, be it among floats."""

    @property
    def parts(self) -> tuple[NetworkOp, ...]:
        """The parts there are, in the order they run."""
        return tuple(part for part in (self.prologue, self.body, self.epilogue) if part is not None)

    def run(self, inputs: Mapping[str, Array], run_part: RunPart) -> dict[str, Array]:
        """The whole network's results, with `run_part` running each part."""
        values, results = dict(inputs), dict[str, Array]()
        for part in self.parts:
            made = run_part(part, {name.data: values[name.data] for name in part.input_names})
            results.update((name, array) for name, array in made.items() if name in self.results)
            # a result that is named like an input does not hide that input from later parts
            values.update((n, a) for n, a in made.items() if not (n in inputs and n in self.results))
        return {name: results[name] for name in self.results}


def cut(network: NetworkOp, *, floats_inside: bool = True) -> Cut:
    """Cut a network, which is left as it is.

    Integers may depend on floats that depend on integers; such floats belong to the body. Raises HapirError (HAP0510)
    for them where `floats_inside` is false: the body would have a hole.
    """
    results = tuple(name.data for name in network.result_names)
    flow = _Flow(network, _constants(network))
    if not any(flow.reads_codes(op) and flow.is_on_integers(op) for op in flow.ops):
        return Cut(None, network.clone(), None, results, has_integers=False)
    plan = _Plan(flow, _part_of_values(flow, floats_inside=floats_inside))
    prologue, body, epilogue = (plan.build(part) for part in (PROLOGUE, BODY, EPILOGUE))
    assert body is not None
    return Cut(prologue, body, epilogue, results)


def _constants(network: NetworkOp) -> set[SSAValue]:
    """Parameters, numbers that are written in the network, and what is computed from them alone."""
    found = constants_of(network)
    for op in network.body.block.ops:
        computed = bool(op.operands) and op.has_trait(Pure) and found.issuperset(op.operands)
        if isinstance(op, FillOp) or computed:
            found.update(op.results)
    return found


@dataclass(eq=False)
class _Flow:
    """A network, and which of its values are constants: all others are activations."""

    network: NetworkOp
    constants: set[SSAValue]

    @property
    def ops(self) -> list[Operation]:
        """The ops that compute on activations."""
        ops = self.network.body.block.ops
        return [op for op in ops if not isinstance(op, ReturnOp) and not self.constants.issuperset(op.results)]

    def activations(self, op: Operation) -> list[SSAValue]:
        """The operands of an op that are activations."""
        return [v for v in op.operands if v not in self.constants]

    @cached_property
    def members(self) -> set[Operation]:
        """Those ops as a set."""
        return set(self.ops)

    def is_on_integers(self, op: Operation) -> bool:
        """Whether an op takes and gives no floats."""
        return not any(map(is_float, (*self.activations(op), *op.results)))

    def reads_codes(self, op: Operation) -> bool:
        """Whether one of them is quantized; indices, truths and other plain integers may lie among floats anywhere."""
        return any(isinstance(element_type(v), CODED) for v in self.activations(op))

    def reads_integers(self, op: Operation) -> bool:
        """Whether one of them is not a float."""
        return not all(map(is_float, self.activations(op)))

    def parameters(self, ops: Iterable[Operation]) -> set[Operation]:
        """The ops that give the parameters of some ops, and those that they are computed by."""
        found: set[Operation] = set()
        pending = [v for op in ops for v in op.operands if v in self.constants]
        while pending:
            owner = pending.pop().owner
            if isinstance(owner, Operation) and owner not in found:
                found.add(owner)
                pending.extend(owner.operands)
        return found


def _part_of_values(flow: _Flow, *, floats_inside: bool) -> dict[SSAValue, int]:
    """The part that computes each activation; network inputs have none."""
    part_of: dict[SSAValue, int] = {}
    inside = _in_front_of_integers(flow) if floats_inside else set[Operation]()
    for op in flow.ops:
        activations = flow.activations(op)
        latest = max((part_of.get(v, PROLOGUE) for v in activations), default=PROLOGUE)
        on_integers = flow.is_on_integers(op)
        if on_integers and latest == EPILOGUE:
            _fail_interrupted(op, part_of)
        depends_on_body = latest > PROLOGUE or flow.reads_integers(op)
        part = BODY if on_integers or (depends_on_body and op in inside) else EPILOGUE if depends_on_body else PROLOGUE
        part_of.update((result, part) for result in op.results)
    return part_of


def _in_front_of_integers(flow: _Flow) -> set[Operation]:
    """The ops whose results reach an op on integers."""
    found: set[Operation] = set()
    for op in reversed(flow.ops):
        readers = [use.operation for result in op.results for use in result.uses]
        if any(reader in found or (reader in flow.members and flow.is_on_integers(reader)) for reader in readers):
            found.add(op)
    return found


def _fail_interrupted(op: Operation, part_of: Mapping[SSAValue, int]) -> NoReturn:
    value = next(v for v in op.operands if part_of.get(v) == EPILOGUE)
    source = value.owner
    assert isinstance(source, Operation)
    span = span_of(source.location)
    fail(
        "HAP0510",
        "the integer body is interrupted: this op on integers depends on floats that depend on integers",
        at=op,
        labels=() if span is None else (Label(span, "these integers come from floats"),),
        help="call threshold() after quantize(), or fold_batch_norm() before the step that codes or encodes the weights"
        if isinstance(source, num.QuantizeOp) and island_before(source) is not None
        else "only the beginning and the end of a quantized network may be floats",
    )


class _Plan:
    """Which values cross between the parts of one network, and under which names."""

    def __init__(self, flow: _Flow, part_of: Mapping[SSAValue, int]):
        self.flow = flow
        self.network = network = flow.network
        self.part_of = part_of
        self.returned = list(zip((n.data for n in network.result_names), network.return_op.values, strict=True))
        self.arguments = list(zip((n.data for n in network.input_names), network.body.block.args, strict=True))
        self.reads: dict[int, dict[SSAValue, None]] = {
            part: dict.fromkeys(v for op in self._ops(part) for v in flow.activations(op) if part_of.get(v) != part)
            for part in (PROLOGUE, BODY, EPILOGUE)
        }
        for _, value in self.returned:
            if value not in part_of:  # an input that is returned as it is passes through one part
                self.reads[self._part_returning(value)][value] = None
        self.names = self._name_crossings()

    def _ops(self, part: int) -> list[Operation]:
        return [op for op in self.flow.ops if self.part_of[op.results[0]] == part]

    def _part_returning(self, value: SSAValue) -> int:
        return self.part_of.get(value, EPILOGUE if is_float(value) else BODY)

    def _name_crossings(self) -> dict[SSAValue, str]:
        """A name for each value that crosses: unique, and the network's own where it has one."""
        inputs = {name for name, _ in self.arguments}
        names: dict[SSAValue, str] = {argument: name for name, argument in self.arguments}
        for name, value in self.returned:
            if name not in inputs:
                names.setdefault(value, name)
        used = inputs | {name for name, _ in self.returned}
        for value in (v for part in (BODY, EPILOGUE) for v in self.reads[part]):
            if value not in names:
                names[value] = self._input_quantized_to(value) or unused_name(_stem(value), used)
        return names

    def _input_quantized_to(self, value: SSAValue) -> str | None:
        """The input that a value is the quantized form of, where nothing else reads that input."""
        quantize = value.owner
        if not (isinstance(quantize, num.QuantizeOp) and quantize.x.has_one_use()):
            return None
        returned = {name for name, _ in self.returned}
        return next((n for n, a in self.arguments if a is quantize.x and n not in returned), None)

    def build(self, part: int) -> NetworkOp | None:
        """One part as a network of its own; None where nothing happens in it."""
        results = self._results(part)
        if not results:
            return None
        reads = self.reads[part]
        symbol = self.network.sym_name.data + {PROLOGUE: "_prologue", BODY: "", EPILOGUE: "_epilogue"}[part]
        built = NetworkOp(symbol, [(self.names[v], v.type) for v in reads], [(n, v.type) for n, v in results])
        built.location = self.network.location
        mapping: dict[SSAValue, SSAValue] = dict(zip(reads, built.body.block.args, strict=True))
        for value, argument in zip(reads, built.body.block.args, strict=True):
            argument.location = _location(value)
        ops = self._ops(part)
        kept = self.flow.parameters(ops).union(ops)
        built.body.block.add_ops([op.clone(mapping) for op in self.network.body.block.ops if op in kept])
        end = ReturnOp([mapping[v] for _, v in results])
        end.location = self.network.return_op.location
        built.body.block.add_op(end)
        return built

    def _results(self, part: int) -> list[tuple[str, SSAValue]]:
        """What a part hands on and what it returns, by name."""
        later = [v for p in (BODY, EPILOGUE) if p > part for v in self.reads[p] if self.part_of.get(v) == part]
        handed_on = [(self.names[v], v) for v in dict.fromkeys(later)]
        returned = [(n, v) for n, v in self.returned if self._part_returning(v) == part]
        return list(dict.fromkeys((*handed_on, *returned)))


def _stem(value: SSAValue) -> str:
    """The layer's name of the op that makes a value."""
    assert isinstance(value.owner, Operation)
    return key_stem(value.owner)


def _location(value: SSAValue) -> LocationAttr:
    if isinstance(value, BlockArgument):
        return value.location
    assert isinstance(value.owner, Operation)
    return value.owner.location
