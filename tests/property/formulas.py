"""Formulas as exporters write them: `x * (x + 3).clip(0, 6) / 6` builds the ops of the dialect `nn`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from tests.property.network_builder import NetworkBuilder
from tests.property.strategies import Sample

Number = float | int
IMAGE = (2, 3, 4, 5)


@dataclass
class Writer:
    """Where formulas go: a builder, and how a number is written: as itself, as a scalar, or as an array of one."""

    build: NetworkBuilder
    numbers: tuple[int, ...] | None = None
    swap: bool = False
    count: list[int] = field(default_factory=lambda: [0])

    def number(self, value: Number) -> SSAValue:
        """A number as an operand."""
        if self.numbers is None:
            return self.build.append(nn.FillOp(float(value), f32))
        self.count[0] += 1
        return self.build.weight(f"number{self.count[0]}.value", np.full(self.numbers, value, np.float32))


@dataclass
class Term:
    """A value in a formula."""

    writer: Writer
    value: SSAValue

    def _made(self, op: nn.LayerOp) -> Term:
        op.layer = None
        return Term(self.writer, self.writer.build.append(op))

    def _other(self, other: Term | Number) -> SSAValue:
        return other.value if isinstance(other, Term) else self.writer.number(other)

    def _both(self, other: Term | Number) -> tuple[SSAValue, SSAValue]:
        """The operands of a function of two that does not mind their order."""
        a, b = self.value, self._other(other)
        return (b, a) if self.writer.swap else (a, b)

    def __add__(self, other: Term | Number) -> Term:
        return self._made(nn.AddOp(*self._both(other)))

    def __mul__(self, other: Term | Number) -> Term:
        return self._made(nn.MulOp(*self._both(other)))

    def __sub__(self, other: Term | Number) -> Term:
        return self._made(nn.SubOp(self.value, self._other(other)))

    def __truediv__(self, other: Term | Number) -> Term:
        return self._made(nn.PointwiseOp("div", [self.value, self._other(other)]))

    def __pow__(self, other: Number) -> Term:
        return self._made(nn.PointwiseOp("pow", [self.value, self._other(other)]))

    def __neg__(self) -> Term:
        return self.of("neg")

    def of(self, function: str, *others: Term | Number) -> Term:
        """A function of the table, of this and others."""
        return self._made(nn.PointwiseOp(function, [self.value, *map(self._other, others)]))

    def max(self, other: Term | Number) -> Term:
        """The larger one."""
        return self._made(nn.PointwiseOp("maximum", [*self._both(other)]))

    def min(self, other: Term | Number) -> Term:
        """The smaller one."""
        return self._made(nn.PointwiseOp("minimum", [*self._both(other)]))

    def clip(self, low: float, high: float) -> Term:
        """Between two numbers."""
        return self._made(nn.ClipOp(self.value, low=low, high=high))

    def sigmoid(self) -> Term:
        """The op."""
        return self._made(nn.SigmoidOp(self.value))

    def tanh(self) -> Term:
        """The op."""
        return self._made(nn.TanhOp(self.value))

    def relu(self) -> Term:
        """The op."""
        return self._made(nn.ReluOp(self.value))


Formula = Callable[[Term], Term]


def one_over(x: Term) -> Term:
    """`1 / x`."""
    return Term(x.writer, x.writer.build.append(nn.PointwiseOp("div", [x.writer.number(1), x.value])))


ROOT = math.sqrt(2 / math.pi)

STYLES: dict[str, list[Formula]] = {
    "nn.relu": [lambda x: x.max(0), lambda x: x.relu().max(-5), lambda x: x.max(-2).relu()],
    "nn.clip": [
        lambda x: x.max(0).min(6),
        lambda x: x.min(6).max(0),
        lambda x: x.relu().min(6),
        lambda x: x.clip(-3, 6).relu(),
        lambda x: x.min(6).relu().clip(-1, 8),
    ],
    "nn.hard_sigmoid": [
        lambda x: (x + 3).clip(0, 6) / 6,
        lambda x: (x + 3).relu().min(6) * (1 / 6),
        lambda x: (x / 6 + 0.5).max(0).min(1),
        lambda x: (x * 0.2 + 0.5).clip(0, 1),
        lambda x: (x - 1).clip(-2, 0) * 0.5 + 1,
    ],
    "nn.hard_swish": [
        lambda x: x * (x + 3).clip(0, 6) / 6,
        lambda x: x * ((x + 3).relu().min(6) / 6),
        lambda x: (x + 3).clip(0, 6) * (x * (1 / 6)),
        lambda x: x * (x / 6 + 0.5).clip(0, 1),
        lambda x: x * ((x + 3).max(0).min(6) * 0.1666667),
    ],
    "nn.sigmoid": [lambda x: one_over((-x).of("exp") + 1), lambda x: ((x * -1).of("exp") + 1).of("reciprocal")],
    "nn.silu": [
        lambda x: x * x.sigmoid(),
        lambda x: x / ((-x).of("exp") + 1),
        lambda x: x * one_over((x * -1).of("exp") + 1),
    ],
    "nn.gelu": [
        lambda x: x * ((x / 1.41421356).of("erf") + 1) * 0.5,
        lambda x: x * 0.5 * ((x * 0.70710678).of("erf") + 1),
        lambda x: x * (((x / 1.4142).of("erf") + 1) * 0.5),
        lambda x: x * ((x / math.sqrt(2)).of("erf") * 0.5 + 0.5),
    ],
    "gelu_tanh": [
        lambda x: x * 0.5 * (((x**3 * 0.044715 + x) * ROOT).tanh() + 1),
        lambda x: x * (((x * x * x * 0.044715 + x) * 0.79788456).tanh() + 1) * 0.5,
        lambda x: x * ((x * 0.7978845608 * (x * x * 0.044715 + 1)).tanh() * 0.5 + 0.5),
    ],
    "softplus": [lambda x: (x.of("exp") + 1).of("log")],
    "softsign": [lambda x: x / (x.of("abs") + 1)],
    "mish": [lambda x: x * x.of("softplus").tanh(), lambda x: x * (x.of("exp") + 1).of("log").tanh()],
    "nn.leaky_relu": [
        lambda x: x.max(x * 0.125),
        lambda x: x.of("greater", 0).of("where", x, x * 0.25),
        lambda x: x.of("less", 0).of("where", x * 0.25, x),
        lambda x: x.relu() - (-x).relu() * 0.1,
        lambda x: x.of("prelu", 0.25),
    ],
}
"""Formulas by the op, or the function, that they are."""

PIECES: list[Formula] = [
    lambda x: x + 0.5,
    lambda x: x * 2,
    lambda x: x - 1,
    lambda x: x / 3,
    lambda x: -x,
    lambda x: x**2,
    lambda x: x + x,
    lambda x: x * x,
    lambda x: x.max(0.5),
    lambda x: x.clip(-1, 2),
    lambda x: x.relu(),
    lambda x: (x + 4).of("sqrt").of("reciprocal"),
    lambda x: x * 1 + 0,
    lambda x: x.tanh(),
]
"""What stands around formulas."""


def sample(formula: Formula, numbers: tuple[int, ...] | None = None, *, swap: bool = False) -> Sample:
    """The network of a formula of an image."""
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, IMAGE)).result
    x = Term(Writer(build, numbers, swap), image)
    result = formula(x).value
    assert shape_of(result) == IMAGE
    return Sample(build.finish("formula", image, [("y", result)]), build.weights, IMAGE)
