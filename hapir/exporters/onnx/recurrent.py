"""LSTM, GRU and RNN. Sequences are N T C here and T N C there, and the gates lie in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_cell import CellActivation
from hapir.dialects.num import shape_of
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.proto import Array
from hapir.exporters.onnx.resize import batch_size

GATES: dict[type[nn.RecurrentOp], tuple[str, Sequence[int]]] = {
    nn.LstmOp: ("LSTM", (0, 3, 1, 2)),
    nn.GruOp: ("GRU", (1, 0, 2)),
    nn.RnnOp: ("RNN", (0,)),
}
"""ONNX's operator, and which of hapir's gates each of its gates is: i o f c of i f g o, z r h of r z n."""
PEEPHOLES = (0, 2, 1)
"""The same of peepholes: i o f of i f o."""
ACTIVATIONS = {
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "scaled_tanh": "ScaledTanh",
    "hard_sigmoid": "HardSigmoid",
}
"""What ONNX calls activations of a cell, where a capital letter is not all that differs."""

PARTS_OPSET = 18
"""The first where Split into equal parts says how many."""


def reordered(array: Array, order: Sequence[int]) -> Array:
    """The blocks of gates along axis 0 in another order."""
    blocks = np.split(array, len(order))
    return np.concatenate([blocks[gate] for gate in order])


@writes(*GATES)
def recurrent(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.RecurrentOp)
    kind, order = GATES[type(op)]
    x = call.node("Transpose", call.x(), perm=[1, 0, 2])
    inputs = [x, _gates(call, op.w_input, order), _gates(call, op.w_hidden, order), _biases(call, op, order)]
    inputs.append("" if op.lengths is None else _lengths(call, op))
    inputs += [_state(call, state) for state in op.initial] or [""]
    if op.peephole is not None:
        inputs += [""] * (7 - len(inputs)) + [_gates(call, op.peephole, PEEPHOLES)]
    while not inputs[-1]:
        inputs.pop()
    outputs = [call.builder.unused(f"{call.layer}/{kind.lower()}") for _ in op.results]
    call.builder.node(kind, inputs, outputs, name=call.layer, at=op, **_attributes(op))
    steps, *states = outputs
    call.give_one(op.results[0], "Transpose", call.node("Squeeze", steps, call.array("direction", [1])), perm=[1, 0, 2])
    for result, state in zip(op.results[1:], states, strict=True):
        call.give_one(result, "Squeeze", state, call.array("direction", [0]))


def _attributes(op: nn.RecurrentOp) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "hidden_size": shape_of(op.w_hidden)[1],
        "direction": "reverse" if op.reverse.value.data else "forward",
        "clip": None if op.clip is None else op.clip.value.data,
    }
    if isinstance(op, nn.GruOp):
        attributes["linear_before_reset"] = int(op.reset_before is None)
    if op.activations is not None:
        attributes |= _activations(op.cell_activations)
    return attributes


def _activations(cell: Sequence[CellActivation]) -> dict[str, Any]:
    """Names, and the numbers of those that have some, one after the other."""
    known = [ACTIVATIONS.get(a.function, a.function.capitalize()) for a in cell]
    alphas = [a.numbers[0] for a in cell if a.numbers]
    betas = [a.numbers[1] for a in cell if len(a.numbers) > 1]
    return {"activations": known, "activation_alpha": alphas or None, "activation_beta": betas or None}


def _gates(call: Call, value: SSAValue, order: Sequence[int]) -> str:
    """Weights in ONNX's order of gates, under an axis of one direction."""
    if isinstance(value.owner, nn.WeightOp):
        return call.builder.array(value.owner.key.data, reordered(call.builder.stored(value), order)[None])
    return _turned(call, call.builder.carrier(value), order)


def _turned(call: Call, name: str, order: Sequence[int]) -> str:
    """The same of weights that are computed."""
    if len(order) > 1:
        count = len(order) if call.opset >= PARTS_OPSET else None  # the parts are equal without it, too
        parts = call.nodes("Split", name, outputs=len(order), axis=0, num_outputs=count)
        name = call.node("Concat", *(parts[gate] for gate in order), axis=0)
    return call.node("Unsqueeze", name, call.array("direction", [0]))


def _biases(call: Call, op: nn.RecurrentOp, order: Sequence[int]) -> str:
    if not op.biases:
        return ""
    if all(isinstance(bias.owner, nn.WeightOp) for bias in op.biases):
        biases = [reordered(call.builder.stored(bias), order) for bias in op.biases]
        return call.array("biases", np.concatenate(biases)[None])
    return call.node("Concat", *(_gates(call, bias, order) for bias in op.biases), axis=1)


def _lengths(call: Call, op: nn.RecurrentOp) -> str:
    """The steps of each sequence, within those that there are."""
    assert op.lengths is not None
    ends = [call.array(name, end, np.int32) for name, end in (("none", 0), ("all", shape_of(op.x)[1]))]
    return call.node("Clip", call.builder.carrier(op.lengths), *ends)


def _state(call: Call, value: SSAValue) -> str:
    """A state before the first step, under an axis of one direction; one for all items is repeated."""
    state = call.node("Unsqueeze", call.builder.carrier(value), call.array("direction", [0]))
    (items, units), (batch, *_) = shape_of(value), call.shape()
    if items == batch and not call.builder.any_batch:
        return state
    one, rest = call.array("one", [1]), call.array("units", [units])
    return call.node("Expand", state, call.node("Concat", one, batch_size(call, call.x()), rest, axis=0))
