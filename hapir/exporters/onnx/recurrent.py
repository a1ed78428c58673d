"""LSTM and GRU. Sequences are N T C here and T N C there, and the gates lie in another order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.exporters.onnx.calls import Call, writes
from hapir.exporters.onnx.proto import Array

GATES: dict[type[nn.RecurrentOp], tuple[str, Sequence[int]]] = {
    nn.LstmOp: ("LSTM", (0, 3, 1, 2)),
    nn.GruOp: ("GRU", (1, 0, 2)),
}
"""ONNX's operator, and which of PyTorch's gates each of its gates is: i o f c of i f g o, z r h of r z n."""


def reordered(array: Array, order: Sequence[int]) -> Array:
    """The blocks of gates along axis 0 in another order."""
    blocks = np.split(array, len(order))
    return np.concatenate([blocks[gate] for gate in order])


@writes(*GATES)
def recurrent(call: Call) -> None:
    op = call.op
    assert isinstance(op, nn.RecurrentOp)
    kind, order = GATES[type(op)]
    inputs = [call.node("Transpose", call.x(), perm=[1, 0, 2])]
    for value in (op.w_input, op.w_hidden):
        inputs.append(call.builder.array(_key(value), reordered(call.builder.stored(value), order)[None]))
    if op.biases:
        biases = [reordered(call.builder.stored(value), order) for value in op.biases]
        inputs.append(call.array("biases", np.concatenate(biases)[None]))
    units = call.builder.stored(op.w_hidden).shape[1]
    outputs = [call.builder.unused(f"{call.layer}/{kind.lower()}") for _ in op.results]
    call.builder.node(
        kind,
        inputs,
        outputs,
        name=call.layer,
        at=op,
        hidden_size=units,
        direction="reverse" if op.reverse.value.data else "forward",
        linear_before_reset=1 if isinstance(op, nn.GruOp) else None,
    )
    steps, *states = outputs
    direction = call.array("direction", [1])
    call.give_one(op.results[0], "Transpose", call.node("Squeeze", steps, direction), perm=[1, 0, 2])
    for result, state in zip(op.results[1:], states, strict=True):
        call.give_one(result, "Squeeze", state, call.array("direction", [0]))


def _key(value: SSAValue) -> str:
    assert isinstance(value.owner, nn.WeightOp)
    return value.owner.key.data
