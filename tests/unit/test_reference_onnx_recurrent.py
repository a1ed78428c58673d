"""The recurrent layers of the reference against onnxruntime, in all the forms that ONNX has.

Floats must agree within 1e-5 of the largest output: the orders of accumulation differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.dialects.nn_cell import CELL_FUNCTIONS, cell_activation
from hapir.reference.nn_recurrent import Cell, gru, lstm, rnn
from tests.unit.test_reference_onnx import Array, assert_close, onnx_all

SMALL = st.integers(1, 5)
ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""hapir's gates in ONNX's order: i o f c, and z r h."""
COMPUTE: dict[str, Callable[..., tuple[Array, ...]]] = {"LSTM": lstm, "GRU": gru, "RNN": rnn}


def normal(seed: int, *shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def gates_as_in_onnx(array: Array, kind: str) -> Array:
    """Gate blocks along axis 0 in the order of ONNX."""
    blocks = np.split(array, len(ORDER[kind]))
    return np.concatenate([blocks[i] for i in ORDER[kind]])


BOUNDED = ("sigmoid", "tanh", "scaled_tanh", "hard_sigmoid", "softsign")
"""What gates are drawn from: with others states grow from step to step, and errors with them."""


ALL = sorted(CELL_FUNCTIONS)
FUNCTIONS = {"LSTM": (BOUNDED, ALL, ALL), "GRU": (BOUNDED, ALL), "RNN": (ALL,)}
"""What the activations of a cell are drawn from."""


@st.composite
def activations(draw: st.DrawFn, names: Sequence[str]) -> str:
    """An activation, with numbers of its own or without."""
    name = draw(st.sampled_from(names))
    defaults = CELL_FUNCTIONS[name].numbers
    if not defaults or draw(st.booleans()):
        return name
    return " ".join((name, *(str(draw(st.sampled_from((0.25, 0.5, 0.75)))) for _ in defaults)))


@st.composite
def cells(draw: st.DrawFn, kind: str, n: int, t: int, h: int) -> Cell:
    """A form of a cell: each part is as it is by default, or not."""
    seed = draw(st.integers(0, 2**16))
    states = normal(seed, *[(n, h)] * (2 if kind == "LSTM" else 1))
    return Cell(
        reverse=draw(st.booleans()),
        initial=states if draw(st.booleans()) else (),
        peephole=normal(seed + 1, (3 * h,))[0] / 4 if kind == "LSTM" and draw(st.booleans()) else None,
        lengths=np.array([draw(st.integers(1, t)) for _ in range(n)], np.int32) if draw(st.booleans()) else None,
        activations=[draw(activations(names)) for names in FUNCTIONS[kind]] if draw(st.booleans()) else (),
        clip=draw(st.sampled_from((0.5, 1.5))) if draw(st.booleans()) else None,
        reset_before=kind == "GRU" and draw(st.booleans()),
    )


def attributes_of(kind: str, h: int, cell: Cell) -> dict[str, Any]:
    """The attributes that say the same in ONNX."""
    found: dict[str, Any] = {"hidden_size": h, "direction": "reverse" if cell.reverse else "forward"}
    if kind == "GRU":
        found["linear_before_reset"] = int(not cell.reset_before)
    if cell.clip is not None:
        found["clip"] = cell.clip
    if cell.activations:
        parsed = [cell_activation(text) for text in cell.activations]
        found["activations"] = ["".join(map(str.capitalize, a.function.split("_"))) for a in parsed]
        found["activation_alpha"] = [a.numbers[0] for a in parsed if a.numbers]
        found["activation_beta"] = [a.numbers[1] for a in parsed if len(a.numbers) > 1]
    return {name: value for name, value in found.items() if value != []}


def onnx_inputs(
    kind: str, x: Array, w_input: Array, w_hidden: Array, biases: list[Array], cell: Cell
) -> dict[str, Any]:
    """The inputs of ONNX's operator."""
    nothing = np.empty(0, np.float32)
    inputs: dict[str, Any] = {"x": np.ascontiguousarray(x.transpose(1, 0, 2))}
    inputs |= {"w": gates_as_in_onnx(w_input, kind)[None], "r": gates_as_in_onnx(w_hidden, kind)[None]}
    both = np.concatenate([gates_as_in_onnx(b, kind) for b in biases])[None] if biases else nothing
    inputs["b" if biases else ""] = both
    inputs["lengths" if cell.lengths is not None else " "] = nothing if cell.lengths is None else cell.lengths
    for position, state in enumerate(cell.initial):
        inputs[f"initial{position}"] = state[None]
    if cell.peephole is not None:
        for position in range(len(cell.initial), 2):
            inputs[" " * (2 + position)] = nothing
        p_i, p_f, p_o = np.split(cell.peephole, 3)
        inputs["p"] = np.concatenate([p_i, p_o, p_f])[None]
    return inputs


@settings(max_examples=150, deadline=None)
@given(st.data(), SMALL, SMALL, SMALL, SMALL, st.integers(0, 2**16), st.booleans(), st.sampled_from(sorted(ORDER)))
def test_recurrent_layers(
    data: st.DataObject, n: int, t: int, c: int, h: int, seed: int, bias: bool, kind: str
) -> None:
    rows = len(ORDER[kind]) * h
    x, w_input, w_hidden, *biases = normal(seed, (n, t, c), (rows, c), (rows, h), (rows,), (rows,))
    w_input, w_hidden = w_input / 4, w_hidden / 4  # so that states of unbounded activations do not explode
    biases = biases if bias else []
    cell = data.draw(cells(kind, n, t, h))
    found = COMPUTE[kind](x, w_input, w_hidden, biases, cell)
    inputs = onnx_inputs(kind, x, w_input, w_hidden, biases, cell)
    outputs, *states = onnx_all(kind, inputs, len(found), **attributes_of(kind, h, cell))
    assert_close(found[0], np.ascontiguousarray(outputs[:, 0].transpose(1, 0, 2)))
    for mine, theirs in zip(found[1:], states, strict=True):
        assert_close(mine, theirs[0])


@pytest.mark.parametrize("kind", sorted(ORDER))
def test_the_last_output_is_the_state(kind: str) -> None:
    gates = len(ORDER[kind])
    x, w_input, w_hidden = normal(1, (2, 3, 4), (gates * 5, 4), (gates * 5, 5))
    outputs, state, *_ = COMPUTE[kind](x, w_input, w_hidden)
    assert np.array_equal(outputs[:, -1], state)
    outputs, state, *_ = COMPUTE[kind](x, w_input, w_hidden, (), Cell(reverse=True))
    assert np.array_equal(outputs[:, 0], state)
    lengths = np.array([2, 0], np.int32)
    outputs, state, *_ = COMPUTE[kind](x, w_input, w_hidden, (), Cell(lengths=lengths))
    assert np.array_equal(outputs[0, 1], state[0])
    assert not outputs[0, 2:].any()
    assert not outputs[1].any()
    assert not state[1].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gelu", "a cell has no activation 'gelu'"),
        ("tanh 1", "the activation tanh takes no numbers"),
        ("elu 1 2", "the activation elu takes alpha"),
        ("elu x", "takes numbers"),
        ("elu inf", "takes alpha"),
        ("", "has no activation"),
    ],
)
def test_texts_that_name_no_activation(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cell_activation(text)


def test_texts_of_activations() -> None:
    assert cell_activation("hard_sigmoid").numbers == (0.2, 0.5)
    assert cell_activation(" hard_sigmoid  0.3 ").text == "hard_sigmoid 0.3 0.5"
    assert cell_activation("hard_sigmoid 0.2 0.5").text == "hard_sigmoid"
    assert cell_activation("tanh").text == "tanh"
