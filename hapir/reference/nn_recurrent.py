"""What the recurrent layers of `nn` compute, step by step over N T C, in f32.

Sums of products are left to BLAS. The input sums of all steps are computed at once and get the input bias; a step adds
them to the hidden sums, which get the hidden bias first. Gates lie in PyTorch's order: LSTM i f g o, GRU r z n.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.reference.nn_elementwise import sigmoid
from hapir.reference.values import Array, Meaning, Setting

Reals = npt.NDArray[np.float32]


def lstm(
    x: Array, w_input: Array, w_hidden: Array, biases: Sequence[Array] = (), *, reverse: bool = False
) -> tuple[Array, Array, Array]:
    """x N T C, weights 4H C and 4H H, biases none or 4H and 4H -> outputs N T H, last output N H, last cell N H."""
    from_input, b_hidden, outputs = _start(x, w_input, w_hidden, biases)
    h = c = np.zeros((len(x), w_hidden.shape[1]), np.float32)
    for t in _steps(x, reverse):
        i, f, g, o = np.split(from_input[:, t] + (h @ w_hidden.T + b_hidden), 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs[:, t] = h
    return outputs, h, c


def gru(
    x: Array, w_input: Array, w_hidden: Array, biases: Sequence[Array] = (), *, reverse: bool = False
) -> tuple[Array, Array]:
    """x N T C, weights 3H C and 3H H, biases none or 3H and 3H -> outputs N T H, last output N H."""
    from_input, b_hidden, outputs = _start(x, w_input, w_hidden, biases)
    h = np.zeros((len(x), w_hidden.shape[1]), np.float32)
    for t in _steps(x, reverse):
        input_r, input_z, input_n = np.split(from_input[:, t], 3, axis=1)
        hidden_r, hidden_z, hidden_n = np.split(h @ w_hidden.T + b_hidden, 3, axis=1)
        r, z = sigmoid(input_r + hidden_r), sigmoid(input_z + hidden_z)
        h = (1 - z) * np.tanh(input_n + r * hidden_n) + z * h
        outputs[:, t] = h
    return outputs, h


def _start(
    x: Array, w_input: Array, w_hidden: Array, biases: Sequence[Array]
) -> tuple[Array, Array | np.float32, Reals]:
    """The input sums of all steps with the input bias, the hidden bias, and room for the outputs."""
    b_input, b_hidden = biases or (np.float32(0), np.float32(0))
    return x @ w_input.T + b_input, b_hidden, np.empty((*x.shape[:2], w_hidden.shape[1]), np.float32)


def _steps(x: Array, reverse: bool) -> range:
    return range(x.shape[1])[:: -1 if reverse else 1]


def _recurrent_op(op: Operation, operands: Sequence[Array], _: Setting) -> tuple[Array, ...]:
    assert isinstance(op, nn.RecurrentOp)
    x, w_input, w_hidden, *biases = operands
    compute = lstm if isinstance(op, nn.LstmOp) else gru
    return compute(x, w_input, w_hidden, biases, reverse=bool(op.reverse.value.data))


MEANINGS: dict[type[Operation], Meaning] = {nn.LstmOp: _recurrent_op, nn.GruOp: _recurrent_op}
"""The recurrent op classes of `nn`."""
