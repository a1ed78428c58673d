"""What the layer statements of `.hap` share: which tensors and options each takes, and the `nn` op it becomes.

One frozen dataclass per statement, in the files `nn_*_layers`: its fields are the options (typed, so the checker needs
no further knowledge), `inputs` is the number of tensors, `build` makes the op, `result_names` names what it gives.
Parameters are named `<layer>.<suffix>` with the suffixes weight, bias, gamma, beta, mean and variance; recurrent layers
have weight_input, weight_hidden, bias_input and bias_hidden. Tensors after a layer's inputs take the place of its
parameters, in their order: `conv2d(x, w, ...)` convolves with the tensor `w`. Options that several statements share:

`kernel`: the size of the window, one number or `[vertical, horizontal]`; of a sequence one number.
`stride`: the step of the window, one number or `[vertical, horizontal]`; of a sequence one number.
`padding`: what is added around the map, one number, `[vertical, horizontal]` or `[top, left, bottom, right]`; to a
    sequence one number or `[before, after]`.
`dilation`: the distance of neighbours in the window, one number or `[vertical, horizontal]`; of a sequence one number.
`channels`: the number K of output channels.
`groups`: the channels fall into so many groups, each convolved on its own.
`bias`: whether a bias, a parameter, is added to each output channel.
`epsilon`: what is added to the variance before its root is taken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from xdsl.dialects.builtin import f32
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.dialects.nn_op import stored
from hapir.dialects.nn_shapes import Shape, ShapeError, Window, text
from hapir.dialects.num import shape_of

Pair: TypeAlias = int | tuple[int, int]
Padding: TypeAlias = int | tuple[int, int] | tuple[int, int, int, int]
Ends: TypeAlias = int | tuple[int, int]
"""Padding of a sequence: the same at both ends, or before and after."""


class Parameters(Protocol):
    """Makes the `nn.weight` of a layer's parameter."""

    def __call__(self, suffix: str, shape: Shape, element: Attribute = f32, /, *, reals: bool = False) -> SSAValue:
        """The parameter `<layer>.<suffix>` of this shape, f32 where no other element type is given.

        `reals` asks for what coded elements stand for, in f32.
        """
        ...


@dataclass(frozen=True)
class LayerDefinition(ABC):
    """A layer statement. Options out of range raise ValueError at construction, shapes that do not fit ShapeError or
    VerifyException in `build`.
    """

    inputs: ClassVar[int | None] = 1
    """How many tensors the statement takes; None: one or more."""
    takes_numbers: ClassVar[bool] = False
    """Whether a number may stand for a tensor, beside at least one that says its element type."""

    parameters: ClassVar[int] = 0
    """How many further tensors it takes in the place of parameters."""

    @abstractmethod
    def build(self, inputs: Sequence[SSAValue], parameter: Parameters, layer: str) -> Operation:
        """The op for these inputs, with its `layer` set; or the parameter alone, where the layer is nothing more."""

    @classmethod
    def options_of(cls, op: Operation) -> Mapping[str, object]:
        """Options of the statement that makes this op; what `read_statement` finds itself is left out.

        It finds options named like a property of the op, windows, sizes of the result and switches, and checks what
        it found by `build`; only other options are said here. An op of another kind may raise LookupError.
        """
        return {}

    @classmethod
    def tensors_of(cls, op: Operation) -> Sequence[int]:
        """The places of the operands that are tensors of the statement that makes this op, in the statement's order.

        The other operands are parameters of its own. What a layer computes may stand for the first of them.
        """
        if cls.inputs is None:
            return range(len(op.operands))
        given = cls.inputs
        while given < min(len(op.operands), cls.inputs + cls.parameters):
            if stored(op.operands[given]) is not None:
                break
            given += 1
        return range(given)

    def result_names(self, count: int) -> Sequence[str | int]:
        """What the `count` tensors that the layer gives are called, in the order of the op's results.

        An empty name is the layer's own: `l`. A word is a member of it, `l.h`; a number is a piece of it, `s[1]`. A
        layer of pieces has no tensor of its own name.
        """
        return ("",)


def pair_of(value: Pair) -> tuple[int, int]:
    """The vertical and the horizontal number."""
    return (value, value) if isinstance(value, int) else value


def padding_of(value: Padding) -> tuple[int, int, int, int]:
    """Top, left, bottom, right."""
    if isinstance(value, int):
        return (value, value, value, value)
    return (*value, *value) if len(value) == 2 else value


def window_of(kernel: Pair, stride: Pair, padding: Padding, dilation: Pair = 1) -> Window:
    """The window over a map. Raises ShapeError where a number is out of range."""
    window = Window(pair_of(kernel), pair_of(stride), padding_of(padding), pair_of(dilation))
    window.check()
    return window


def line_of(kernel: int, stride: int, padding: Ends, dilation: int = 1) -> Window:
    """The window over a sequence: one row. Raises ShapeError where a number is out of range."""
    before, after = pair_of(padding)
    return window_of((1, kernel), (1, stride), (0, before, 0, after), (1, dilation))


def at_least_one(**values: int) -> None:
    """Raise ValueError for an option below 1."""
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def channels_of(x: SSAValue, rank: int, what: str, hint: str = "") -> int:
    """The size of axis 1 of an input that must have `rank` dimensions."""
    shape = shape_of(x)
    if len(shape) != rank:
        wanted = {2: "a matrix N x C", 3: "a sequence N x C x L", 4: "a map N x C x H x W"}[rank]
        raise ShapeError(f"{what} needs {wanted}, got shape {text(shape)}{hint}")
    return shape[1]
