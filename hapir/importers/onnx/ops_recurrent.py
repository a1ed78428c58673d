"""LSTM, GRU and RNN: one layer per direction over N T C, its gates in hapir's order, ONNX's axes put around it.

ONNX's sequences are T N C (`layout` 0) or N T C (`layout` 1), and its outputs have an axis of directions: Y is T D N H,
or N T D H, and Y_h and Y_c are D N H, or N D H. A bidirectional layer becomes two, `<layer>_forward` and
`<layer>_reverse`, whose outputs are joined before that axis is made. Parameters that are no constants are cut and put
in order by layers of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.assembly import shortest
from hapir.dialects.nn_cell import CELL_FUNCTIONS, CellActivation
from hapir.dialects.num import shape_of
from hapir.importers.onnx.model import Array
from hapir.importers.onnx.nodes import Call, Result, Unsupported, handles

W, R, B, LENGTHS, INITIAL_H, INITIAL_C, P = range(1, 8)
"""The inputs behind X, as LSTM numbers them; GRU and RNN have none behind INITIAL_H."""


@dataclass(frozen=True)
class _Kind:
    """An operator: its op, and at which place of ONNX each of hapir's gates lies."""

    op: type[nn.RecurrentOp]
    places: tuple[int, ...]


_KINDS = {
    "LSTM": _Kind(nn.LstmOp, (0, 2, 3, 1)),  # i f g o, where ONNX has i o f c
    "GRU": _Kind(nn.GruOp, (1, 0, 2)),  # r z n, where ONNX has z r h
    "RNN": _Kind(nn.RnnOp, (0,)),
}
_PEEPHOLES = (0, 2, 1)
"""i f o, where ONNX has i o f."""


@handles("LSTM", "GRU", "RNN")
def recurrent(call: Call) -> Result:
    """A layer per direction."""
    directions = _directions(call)
    batch_first = _choice(call, "layout") == 1
    if call.integer("input_forget"):
        raise Unsupported("the attribute `input_forget` couples two gates", "input_forget = 0")
    x = call.tensor(0)
    if len(shape_of(x)) != 3:
        raise Unsupported(f"the sequence has {len(shape_of(x))} axes", "three axes")
    if not batch_first:
        x = call.add(nn.TransposeOp(x, [1, 0, 2], layer=call.sub("steps")))
    made = _Layers(call, x, directions, batch_first).all()
    found: list[SSAValue | None] = [_outputs(call, made, batch_first) if call.wants(0) else None]
    for index in range(1, len(made[0].results)):
        states = [op.results[index] for op in made]
        suffix = ("h", "c")[index - 1]
        found.append(_states(call, states, suffix, batch_first) if call.wants(index) else None)
    return found


def _directions(call: Call) -> tuple[str, ...]:
    """The directions in the order in which their parameters lie."""
    word = call.word("direction", "forward").lower()
    if word == "bidirectional":
        return ("forward", "reverse")
    if word not in ("forward", "reverse"):
        raise Unsupported(f"there is no direction `{word}`", "forward, reverse or bidirectional")
    return (word,)


def _choice(call: Call, name: str) -> int:
    """An attribute that is 0 or 1."""
    value = call.integer(name)
    if value not in (0, 1):
        raise Unsupported(f"the attribute `{name}` is {value}", "0 or 1")
    return value


def _outputs(call: Call, made: Sequence[nn.RecurrentOp], batch_first: bool) -> SSAValue:
    """Y: all outputs, with an axis of directions."""
    outputs = [op.results[0] for op in made]
    n, t, units = shape_of(outputs[0])
    if len(outputs) == 1:
        if batch_first:
            return call.add(nn.ReshapeOp(outputs[0], [t, 1, units], layer=call.sub("y")))
        steps = call.add(nn.TransposeOp(outputs[0], [1, 0, 2], layer=call.sub("batch")))
        return call.add(nn.ReshapeOp(steps, [t, 1, n, units], axis=0, layer=call.sub("y")))
    joined = call.add(nn.ConcatOp(outputs, axis=2, layer=call.sub("both")))
    apart = call.add(nn.ReshapeOp(joined, [t, len(outputs), units], layer=call.sub("directions")))
    return apart if batch_first else call.add(nn.TransposeOp(apart, [1, 2, 0, 3], layer=call.sub("y")))


def _states(call: Call, states: Sequence[SSAValue], suffix: str, batch_first: bool) -> SSAValue:
    """Y_h or Y_c: the last states, with an axis of directions."""
    n, units = shape_of(states[0])
    axis, shape = (1, [1, units]) if batch_first else (0, [1, n, units])
    if len(states) == 1:
        return call.add(nn.ReshapeOp(states[0], shape, axis=axis, layer=call.sub(suffix)))
    rows = [
        call.add(nn.ReshapeOp(state, shape, axis=axis, layer=call.sub(f"{suffix}{d}")))
        for d, state in enumerate(states)
    ]
    return call.add(nn.ConcatOp(rows, axis=axis, layer=call.sub(suffix)))


class _Layers:
    """The layers of one node, one per direction, and their parameters."""

    def __init__(self, call: Call, x: SSAValue, directions: Sequence[str], batch_first: bool):
        self.call, self.x, self.directions = call, x, directions
        self.kind = _KINDS[call.node.op]
        self.direction_of_states = 1 if batch_first else 0
        self.rows, self.units = _sizes(call)
        self.pieces: dict[int, list[SSAValue]] = {}
        """Computed parameters, per direction."""
        self.lengths = self._lengths()

    def all(self) -> list[nn.RecurrentOp]:
        """The layers in order."""
        activations = _activations(self.call, self.kind, len(self.directions))
        return [self._layer(d, activations[d]) for d in range(len(self.directions))]

    def _layer(self, d: int, activations: Sequence[str]) -> nn.RecurrentOp:
        call, gates = self.call, self.kind.places
        layer = call.layer if len(self.directions) == 1 else call.sub(self.directions[d])
        w_input = self._part(W, d, f"{layer}.weight_input", gates)
        w_hidden = self._part(R, d, f"{layer}.weight_hidden", gates)
        biases, peephole = list[SSAValue](), None
        if self._counts(B):
            both = range(2)
            names = [f"{layer}.bias_{of}" for of in ("input", "hidden")]
            biases = [self._part(B, d, names[half], gates, half) for half in both]
        if self.kind.op is nn.LstmOp and self._counts(P):
            peephole = self._part(P, d, f"{layer}.peephole", _PEEPHOLES)
        states = (INITIAL_H, INITIAL_C)[: self.kind.op.STATES]
        starts = any(map(self._counts, states))
        limit = call.attribute("clip")
        op = self.kind.op(
            self.x,
            w_input,
            w_hidden,
            biases,
            initial=[self._state(index, d, layer) for index in states] if starts else (),
            peephole=peephole,
            lengths=self.lengths,
            reverse=self.directions[d] == "reverse",
            activations=activations,
            clip=None if limit is None else call.real("clip"),
            reset_before=self.kind.op is nn.GruOp and _choice(call, "linear_before_reset") == 0,
            layer=layer,
        )
        call.add(op)
        return op

    def _counts(self, index: int) -> bool:
        """Whether an input is given and not all 0."""
        return self.call.has(index) and not (self.call.is_constant(index) and not self.call.constant(index).any())

    def _part(self, index: int, d: int, key: str, places: Sequence[int], half: int | None = None) -> SSAValue:
        """A parameter of direction d, its gates in hapir's order; of biases the input's or the hidden one's."""
        count = len(places)
        if self.call.is_constant(index):
            array = _direction(self.call.constant(index), index, d, len(self.directions))
            array = array if half is None else np.split(array, 2)[half]
            blocks = np.split(array, count)
            return self.call.keyed(key, np.concatenate([blocks[place] for place in places]))
        name = key.replace(".", "_")
        value = self._computed(index, d)
        if half is None and count == 1:
            return value
        parts, size = count if half is None else 2 * count, shape_of(value)[0]
        if size == 0 or size % parts:
            raise Unsupported(f"input {index} has {size} rows for {parts} gates")
        pieces = self.call.add_all(nn.SplitOp(value, [size // parts] * parts, axis=0, layer=f"{name}_gates"))
        chosen = [pieces[place + (0 if half is None else half * count)] for place in places]
        return chosen[0] if count == 1 else self.call.add(nn.ConcatOp(chosen, axis=0, layer=name))

    def _computed(self, index: int, d: int, axis: int = 0) -> SSAValue:
        """A parameter of direction d that is no constant."""
        if index not in self.pieces:
            value, count = self.call.tensor(index), len(self.directions)
            shape, name = shape_of(value), self.call.sub(f"input{index}")
            if len(shape) <= axis or shape[axis] != count:
                raise Unsupported(f"input {index} has shape {shape}", f"{count} along axis {axis}")
            cut = [value]
            if count > 1:
                cut = self.call.add_all(nn.SplitOp(value, [1] * count, axis=axis, layer=name))
            shape = [*shape[:axis], *shape[axis + 1 :]]
            self.pieces[index] = [
                self.call.add(nn.ReshapeOp(piece, shape, axis=0, layer=f"{name}_{i}")) for i, piece in enumerate(cut)
            ]
        return self.pieces[index][d]

    def _state(self, index: int, d: int, layer: str) -> SSAValue:
        """A state before the first step; equal rows of a constant are one row."""
        if self.call.has(index) and not self.call.is_constant(index):
            return self._computed(index, d, self.direction_of_states)
        rows = np.zeros((1, self.units), np.float32)
        if self.call.has(index):
            axis = self.direction_of_states
            rows = _direction(np.moveaxis(self.call.constant(index), axis, 0), index, d, len(self.directions))
            rows = rows[:1] if (rows == rows[:1]).all() else rows
        name = "initial_h" if index == INITIAL_H else "initial_c"
        return self.call.keyed(f"{layer}_{name}.value", rows)

    def _lengths(self) -> SSAValue | None:
        """The lengths of sequences; None where all have all steps."""
        if not self.call.has(LENGTHS):
            return None
        if not self.call.is_constant(LENGTHS):
            return self.call.tensor(LENGTHS)
        lengths = self.call.constant(LENGTHS)
        if (lengths == shape_of(self.x)[1]).all():
            return None
        return self.call.keyed(f"{self.call.sub('lengths')}.value", lengths.astype(np.int32))


def _sizes(call: Call) -> tuple[int, int]:
    """Rows and columns of the hidden weights: all gates, and hidden units."""
    shape = call.shape(R)
    if len(shape) != 3:
        raise Unsupported(f"the hidden weights have {len(shape)} axes", "directions, gates and hidden units")
    return shape[1], shape[2]


def _direction(array: Array, index: int, d: int, count: int) -> Array:
    """The part of direction d."""
    if array.ndim < 2 or len(array) != count:
        raise Unsupported(f"input {index} has shape {array.shape}", f"{count} along the axis of directions")
    return array[d]


_NAMES: Mapping[str, str] = {name.replace("_", ""): name for name in CELL_FUNCTIONS}
"""Activations by their names in ONNX, in lower case."""


def _activations(call: Call, kind: _Kind, directions: int) -> list[list[str]]:
    """The activations of each direction; numbers are taken from their lists in the order of the functions."""
    given, count = call.attribute("activations"), len(kind.op.ACTIVATIONS)
    if given is None:
        return [[]] * directions
    if not isinstance(given, list) or len(given) != count * directions:
        raise Unsupported(f"the attribute `activations` is {given}", f"{count} names per direction")
    lists = [_numbers(call, "activation_alpha"), _numbers(call, "activation_beta")]
    texts: list[str] = []
    for word in given:
        name = _NAMES.get(str(word).lower())
        if name is None:
            raise Unsupported(f"there is no activation `{word}` in a cell", f"one of {', '.join(CELL_FUNCTIONS)}")
        known = CELL_FUNCTIONS[name].numbers
        numbers: list[float] = []
        for given_numbers, (number, default) in zip(lists, known, strict=False):
            if not given_numbers and name == "scaled_tanh":
                raise Unsupported(f"{word} has no default of {number}", f"give activation_{number}")
            numbers.append(given_numbers.pop(0) if given_numbers else default)
        texts.append(CellActivation(name, tuple(numbers)).text)
    return [texts[d * count : (d + 1) * count] for d in range(directions)]


def _numbers(call: Call, name: str) -> list[float]:
    value = call.attribute(name)
    return [shortest(float(number)) for number in value] if isinstance(value, list) else []
