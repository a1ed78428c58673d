"""The recurrent layer statements: they walk over the time steps of N T C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_layers import LayerDefinition, Parameters, at_least_one
from hapir.dialects.nn_shapes import ShapeError, text
from hapir.dialects.num import shape_of


@dataclass(frozen=True)
class Recurrent(LayerDefinition):
    """A recurrent layer over N T C, starting from a state of 0.

    `units`: the number H of hidden units.
    `bias`: whether the gates have biases, one for the inputs and one for the state.
    `reverse`: whether the steps run from the last to the first.
    """

    kind: ClassVar[type[nn.RecurrentOp]]
    states: ClassVar[tuple[str, ...]]
    """What the results after the first are called, behind the layer's name."""

    units: int
    bias: bool = True
    reverse: bool = False

    def __post_init__(self) -> None:
        at_least_one(units=self.units)

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        shape, rows = shape_of(inputs[0]), self.kind.GATES * self.units
        if len(shape) != 3:
            raise ShapeError(f"a recurrent layer needs a sequence N x T x C, got shape {text(shape)}")
        w_input = parameter("weight_input", (rows, shape[2]))
        w_hidden = parameter("weight_hidden", (rows, self.units))
        biases = [parameter(suffix, (rows,)) for suffix in ("bias_input", "bias_hidden")] if self.bias else []
        return self.kind(inputs[0], w_input, w_hidden, biases, reverse=self.reverse, layer=layer)

    def result_names(self, count: int) -> Sequence[str | int]:
        return ("", *self.states)


@dataclass(frozen=True)
class Lstm(Recurrent):
    """Long short-term memory with H = `units`: N T C to all outputs N T H; `l.h` and `l.c` are the last state, N H.

    Parameters: weight_input (4H, C), weight_hidden (4H, H), bias_input and bias_hidden (4H), the gates in PyTorch's
    order input, forget, cell, output.

    Example: `l = lstm(x, units = 64)` (then `l.h` and `l.c` are tensors too)
    """

    kind: ClassVar[type[nn.RecurrentOp]] = nn.LstmOp
    states: ClassVar[tuple[str, ...]] = ("h", "c")


@dataclass(frozen=True)
class Gru(Recurrent):
    """Gated recurrent unit with H = `units`: N T C to all outputs N T H; `l.h` is the last output N H.

    Parameters: weight_input (3H, C), weight_hidden (3H, H), bias_input and bias_hidden (3H), the gates in PyTorch's
    order reset, update, new; the reset gate scales after the hidden weights.

    Example: `l = gru(x, units = 64)` (then `l.h` is a tensor too)
    """

    kind: ClassVar[type[nn.RecurrentOp]] = nn.GruOp
    states: ClassVar[tuple[str, ...]] = ("h",)
