"""The recurrent layer statements: they walk over the time steps of N T C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_cell import cell_activation
from hapir.dialects.nn_layers import LayerDefinition, Parameters, at_least_one
from hapir.dialects.nn_shapes import ShapeError, text
from hapir.dialects.num import shape_of

Given = Literal[
    "weight_input", "weight_hidden", "bias_input", "bias_hidden", "peephole", "initial_h", "initial_c", "lengths"
]
"""What may be a tensor of the network."""


@dataclass(frozen=True)
class Recurrent(LayerDefinition):
    """A recurrent layer over N T C, starting from a state of 0 where no other is given.

    `units`: the number H of hidden units.
    `bias`: whether the gates have biases, one for the inputs and one for the state.
    `reverse`: whether the steps run from the last to the first.
    `given`: what is a tensor behind `x`, in this order, as in `lstm(x, h0, c0, units = 8, given = [initial_h,
        initial_c])`: a state before the first step (N H), parameters in place of the layer's own, or `lengths`, the
        number of steps of each sequence (i32).
    `activations`: those of the cell in ONNX's order, as in `[sigmoid, tanh, tanh]`, one that has numbers in quotes:
        `"hard_sigmoid 0.2 0.5"`.
    `clip`: the sums of gates are cut to -clip .. clip before their activations.
    """

    kind: ClassVar[type[nn.RecurrentOp]]
    states: ClassVar[tuple[str, ...]]
    """What the results after the first are called, behind the layer's name."""
    inputs: ClassVar[int | None] = None

    units: int
    bias: bool = True
    reverse: bool = False
    given: tuple[Given, ...] = ()
    activations: tuple[str, ...] = ()
    clip: float | None = None

    def __post_init__(self) -> None:
        at_least_one(units=self.units)
        wanted = len(self.kind.ACTIVATIONS)
        if self.activations and len(self.activations) != wanted:
            raise ValueError(f"activations are {wanted} here, got {len(self.activations)}")
        for activation in self.activations:
            cell_activation(activation)
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"clip must be above 0, got {self.clip}")
        twice = next((name for name in self.given if self.given.count(name) > 1), None)
        if not self.bias and {"bias_input", "bias_hidden"} & set(self.given):
            raise ValueError("a layer without bias takes none as given")
        if twice is not None:
            raise ValueError(f"given names {twice} twice")

    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> nn.LayerOp:
        x, *others = inputs
        if len(others) != len(self.given):
            raise ShapeError(f"`given` names {len(self.given)} tensors, {len(others)} stand behind the sequence")
        tensors = dict(zip(self.given, others, strict=True))
        shape, rows = shape_of(x), self.kind.GATES * self.units
        if len(shape) != 3:
            raise ShapeError(f"a recurrent layer needs a sequence N x T x C, got shape {text(shape)}")

        def own(suffix: Given, *sizes: int) -> SSAValue:
            return tensors[suffix] if suffix in tensors else parameter(suffix, sizes)

        w_input, w_hidden = own("weight_input", rows, shape[2]), own("weight_hidden", rows, self.units)
        biases = [own("bias_input", rows), own("bias_hidden", rows)] if self.bias else []
        peephole = own("peephole", 3 * self.units) if self.has_peephole or "peephole" in tensors else None
        initial = [tensors[name] for name in ("initial_h", "initial_c") if name in tensors]
        return self.kind(
            x,
            w_input,
            w_hidden,
            biases,
            initial=initial,
            peephole=peephole,
            lengths=tensors.get("lengths"),
            reverse=self.reverse,
            activations=self.activations,
            clip=self.clip,
            reset_before=self.resets_before,
            layer=layer,
        )

    @classmethod
    def _places(cls, op: Operation) -> dict[Given, int]:
        """The places of operands that are tensors of the network beside the sequence, by what they are."""
        if not isinstance(op, nn.RecurrentOp):
            raise LookupError
        biases: tuple[Given, ...] = ("bias_input", "bias_hidden")
        states: tuple[Given, ...] = ("initial_h", "initial_c")
        names: list[Given] = ["weight_input", "weight_hidden", *biases[: len(op.biases)], *states[: len(op.initial)]]
        if op.peephole is not None:
            names.append("peephole")
        if op.lengths is not None:
            names.append("lengths")
        never_stored = (*states, "lengths")
        return {
            name: place
            for place, name in enumerate(names, 1)
            if name in never_stored or not isinstance(op.operands[place].owner, nn.WeightOp)
        }

    @classmethod
    def tensors_of(cls, op: Operation) -> Sequence[int]:
        return [0, *cls._places(op).values()]

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        return {"given": tuple(cls._places(op))}

    @property
    def has_peephole(self) -> bool:
        """Whether the cell has peepholes, parameters of the layer."""
        return False

    @property
    def resets_before(self) -> bool:
        """Whether a reset gate scales before the hidden weights."""
        return False

    def result_names(self, count: int) -> Sequence[str | int]:
        return ("", *self.states)


@dataclass(frozen=True)
class Lstm(Recurrent):
    """Long short-term memory with H = `units`: N T C to all outputs N T H; `l.h` and `l.c` are the last state, N H.

    Parameters: weight_input (4H, C), weight_hidden (4H, H), bias_input and bias_hidden (4H), the gates in PyTorch's
    order input, forget, cell, output; with peepholes also peephole (3H), of input, forget, output.

    `peepholes`: whether the gates see the cell's state through weights of their own.

    Example: `l = lstm(x, units = 64)` (then `l.h` and `l.c` are tensors too)
    """

    kind: ClassVar[type[nn.RecurrentOp]] = nn.LstmOp
    states: ClassVar[tuple[str, ...]] = ("h", "c")

    peepholes: bool = False

    @property
    def has_peephole(self) -> bool:
        return self.peepholes


@dataclass(frozen=True)
class Gru(Recurrent):
    """Gated recurrent unit with H = `units`: N T C to all outputs N T H; `l.h` is the last output N H.

    Parameters: weight_input (3H, C), weight_hidden (3H, H), bias_input and bias_hidden (3H), the gates in PyTorch's
    order reset, update, new.

    `reset_after`: whether the reset gate scales after the hidden weights, as in PyTorch, or before them.

    Example: `l = gru(x, units = 64)` (then `l.h` is a tensor too)
    """

    kind: ClassVar[type[nn.RecurrentOp]] = nn.GruOp
    states: ClassVar[tuple[str, ...]] = ("h",)

    reset_after: bool = True

    @property
    def resets_before(self) -> bool:
        return not self.reset_after


@dataclass(frozen=True)
class Rnn(Recurrent):
    """A layer whose outputs are its state, with H = `units`: N T C to all outputs N T H; `l.h` is the last, N H.

    Parameters: weight_input (H, C), weight_hidden (H, H), bias_input and bias_hidden (H).

    Example: `l = rnn(x, units = 64)` (then `l.h` is a tensor too)
    """

    kind: ClassVar[type[nn.RecurrentOp]] = nn.RnnOp
    states: ClassVar[tuple[str, ...]] = ("h",)
