"""What the recurrent layers of `nn` compute, step by step over N T C, in f32.

Sums of products are left to BLAS. The input sums of all steps are computed at once and get the input bias; a step adds
them to the hidden sums, which get the hidden bias first. Gates lie in PyTorch's order: LSTM i f g o, GRU r z n.
Peepholes are added last, then sums are clipped. Where sequences have lengths, a step changes only those that reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.nn_cell import CellActivation, cell_activation
from hapir.reference.nn_elementwise import hard_sigmoid, leaky_relu, relu, sigmoid
from hapir.reference.nn_pointwise import COMPUTE
from hapir.reference.values import Array, Meaning, Setting

Reals = npt.NDArray[np.float32]


def _affine(v: Array, alpha: Array, beta: Array) -> Array:
    return alpha * v + beta


def _scaled_tanh(v: Array, alpha: Array, beta: Array) -> Array:
    return alpha * np.tanh(beta * v)


_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": relu,
    "affine": _affine,
    "leaky_relu": leaky_relu,
    "scaled_tanh": _scaled_tanh,
    "hard_sigmoid": hard_sigmoid,
    **{name: COMPUTE[name] for name in ("thresholded_relu", "elu", "softsign", "softplus")},
}


@dataclass(frozen=True)
class Cell:
    """How a cell differs from the default: where from, where to, activations, and what its sums may be.

    `initial`: none or the states N H; `peephole` (3H) in the order i, f, o; `lengths`: the steps of each sequence, cut
    to 0 .. T; `activations`: texts of `nn_cell` in the order f, g, h.
    """

    reverse: bool = False
    initial: Sequence[Array] = ()
    peephole: Array | None = None
    lengths: Array | None = None
    activations: Sequence[str] = ()
    clip: float | None = None
    reset_before: bool = False

    def functions(self, defaults: Sequence[str]) -> list[Callable[[Array], Array]]:
        """The activations."""
        return [_function(cell_activation(text)) for text in self.activations or defaults]

    def clipped(self, v: Array) -> Array:
        """The sums of a gate as an activation sees them."""
        return v if self.clip is None else np.clip(v, -np.float32(self.clip), np.float32(self.clip))


def _function(activation: CellActivation) -> Callable[[Array], Array]:
    function, numbers = _FUNCTIONS[activation.function], [np.float32(number) for number in activation.numbers]
    return lambda v: function(v, *numbers)


DEFAULT = Cell()


def lstm(
    x: Array, w_input: Array, w_hidden: Array, biases: Sequence[Array] = (), cell: Cell = DEFAULT
) -> tuple[Array, Array, Array]:
    """x N T C, weights 4H C and 4H H, biases none or 4H and 4H -> outputs N T H, last output N H, last cell N H."""
    walk = _Walk(x, w_input, w_hidden, biases, cell)
    h, c = walk.states(2)
    of_gates, of_inputs, of_cell = cell.functions(nn.LstmOp.ACTIVATIONS)
    nothing = np.float32(0)
    p_i, p_f, p_o = (nothing,) * 3 if cell.peephole is None else np.split(cell.peephole, 3)
    for t, keep in walk.steps():
        i, f, g, o = np.split(walk.from_input[:, t] + (h @ w_hidden.T + walk.b_hidden), 4, axis=1)
        i, f, g = (cell.clipped(v) for v in (i + p_i * c, f + p_f * c, g))
        new_c = of_gates(f) * c + of_gates(i) * of_inputs(g)
        new_h = of_gates(cell.clipped(o + p_o * new_c)) * of_cell(new_c)
        c, h = keep(new_c, c), keep(new_h, h)
        walk.put(t, h)
    return walk.outputs, h, c


def gru(
    x: Array, w_input: Array, w_hidden: Array, biases: Sequence[Array] = (), cell: Cell = DEFAULT
) -> tuple[Array, Array]:
    """x N T C, weights 3H C and 3H H, biases none or 3H and 3H -> outputs N T H, last output N H."""
    walk = _Walk(x, w_input, w_hidden, biases, cell)
    (h,) = walk.states(1)
    of_gates, of_state = cell.functions(nn.GruOp.ACTIVATIONS)
    w_new = np.split(w_hidden, 3)[2]
    b_new = walk.b_hidden if np.ndim(walk.b_hidden) == 0 else np.split(np.asarray(walk.b_hidden), 3)[2]
    for t, keep in walk.steps():
        input_r, input_z, input_n = np.split(walk.from_input[:, t], 3, axis=1)
        hidden_r, hidden_z, hidden_n = np.split(h @ w_hidden.T + walk.b_hidden, 3, axis=1)
        r, z = (of_gates(cell.clipped(v)) for v in (input_r + hidden_r, input_z + hidden_z))
        scaled = (r * h) @ w_new.T + b_new if cell.reset_before else r * hidden_n
        h = keep((1 - z) * of_state(cell.clipped(input_n + scaled)) + z * h, h)
        walk.put(t, h)
    return walk.outputs, h


def rnn(
    x: Array, w_input: Array, w_hidden: Array, biases: Sequence[Array] = (), cell: Cell = DEFAULT
) -> tuple[Array, Array]:
    """x N T C, weights H C and H H, biases none or H and H -> outputs N T H, last output N H."""
    walk = _Walk(x, w_input, w_hidden, biases, cell)
    (h,) = walk.states(1)
    (of_sums,) = cell.functions(nn.RnnOp.ACTIVATIONS)
    for t, keep in walk.steps():
        sums = walk.from_input[:, t] + (h @ w_hidden.T + walk.b_hidden)
        h = keep(of_sums(cell.clipped(sums)), h)
        walk.put(t, h)
    return walk.outputs, h


class _Walk:
    """The input sums of all steps with the input bias, the hidden bias, the steps, and the outputs."""

    def __init__(self, x: Array, w_input: Array, w_hidden: Array, biases: Sequence[Array], cell: Cell):
        b_input, self.b_hidden = biases or (np.float32(0), np.float32(0))
        self.from_input: Array = x @ w_input.T + b_input
        self.cell = cell
        self.outputs: Reals = np.zeros((*x.shape[:2], w_hidden.shape[1]), np.float32)

    def states(self, count: int) -> list[Array]:
        """The states before the first step."""
        n, _, h = self.outputs.shape
        given = self.cell.initial or [np.zeros((1, h), np.float32)] * count
        return [np.broadcast_to(state, (n, h)) for state in given]

    def steps(self) -> Iterator[tuple[int, Callable[[Array, Array], Array]]]:
        """The steps in order, each with what chooses between a new state and the old one, per sequence."""
        count = self.outputs.shape[1]
        for t in reversed(range(count)) if self.cell.reverse else range(count):
            if self.cell.lengths is None:
                yield t, _new
            else:
                self.there = (t < self.cell.lengths)[:, None]
                yield t, self._where

    def _where(self, new: Array, old: Array) -> Array:
        return np.where(self.there, new, old)

    def put(self, t: int, h: Array) -> None:
        """Record the outputs of a step; those of sequences that do not reach it stay 0."""
        self.outputs[:, t] = h if self.cell.lengths is None else np.where(self.there, h, np.float32(0))


def _new(new: Array, _: Array) -> Array:
    return new


_COMPUTE: dict[type[nn.RecurrentOp], Callable[..., tuple[Array, ...]]] = {nn.LstmOp: lstm, nn.GruOp: gru, nn.RnnOp: rnn}


def _recurrent_op(op: Operation, operands: Sequence[Array], _: Setting) -> tuple[Array, ...]:
    assert isinstance(op, nn.RecurrentOp)
    x, w_input, w_hidden, *rest = operands
    biases, rest = rest[: len(op.biases)], rest[len(op.biases) :]
    initial, rest = rest[: len(op.initial)], rest[len(op.initial) :]
    cell = Cell(
        reverse=bool(op.reverse.value.data),
        initial=initial,
        peephole=None if op.peephole is None else rest[0],
        lengths=None if op.lengths is None else rest[-1],
        activations=[activation.text for activation in op.cell_activations],
        clip=None if op.clip is None else op.clip.value.data,
        reset_before=op.reset_before is not None,
    )
    return _COMPUTE[type(op)](x, w_input, w_hidden, biases, cell)


MEANINGS: dict[type[Operation], Meaning] = dict.fromkeys((nn.LstmOp, nn.GruOp, nn.RnnOp), _recurrent_op)
"""The recurrent op classes of `nn`."""
