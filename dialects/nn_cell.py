"""The activations that a recurrent cell may have, as the texts that the IR and the language hold: `tanh`, `elu 0.5`.

A text is a name and, where they differ from the defaults, the numbers that the function takes. Names and defaults are
those of ONNX (operators LSTM, GRU and RNN) in lower case; `v` is the sum that the activation is applied to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CellFunction:
    """What an activation takes beside its sum: names and defaults of its numbers, and its formula in words."""

    numbers: tuple[tuple[str, float], ...]
    formula: str


CELL_FUNCTIONS: Mapping[str, CellFunction] = {
    "sigmoid": CellFunction((), "1 / (1 + exp(-v))"),
    "tanh": CellFunction((), "tanh(v)"),
    "relu": CellFunction((), "max(v, 0)"),
    "affine": CellFunction((("alpha", 1.0), ("beta", 0.0)), "alpha * v + beta"),
    "leaky_relu": CellFunction((("alpha", 0.01),), "v where v >= 0, else alpha * v"),
    "thresholded_relu": CellFunction((("alpha", 1.0),), "v where v > alpha, else 0"),
    "scaled_tanh": CellFunction((("alpha", 1.0), ("beta", 1.0)), "alpha * tanh(beta * v)"),
    "hard_sigmoid": CellFunction((("alpha", 0.2), ("beta", 0.5)), "min(max(alpha * v + beta, 0), 1)"),
    "elu": CellFunction((("alpha", 1.0),), "v where v >= 0, else alpha * (exp(v) - 1)"),
    "softsign": CellFunction((), "v / (1 + |v|)"),
    "softplus": CellFunction((), "log(1 + exp(v))"),
}
"""By name, all activations of a cell."""


@dataclass(frozen=True)
class CellActivation:
    """An activation of a cell and its numbers, all of them."""

    function: str
    numbers: tuple[float, ...]

    @property
    def text(self) -> str:
        """The text that reads as this activation; numbers at their defaults are left out."""
        defaults = tuple(default for _, default in CELL_FUNCTIONS[self.function].numbers)
        if self.numbers == defaults:
            return self.function
        return " ".join((self.function, *map(repr, self.numbers)))


def cell_activation(text: str) -> CellActivation:
    """The activation that a text names: `hard_sigmoid 0.2 0.5`, the last numbers at their defaults where left out.

    Raises ValueError.
    """
    name, *words = text.split() or [""]
    if name not in CELL_FUNCTIONS:
        raise ValueError(f"a cell has no activation {text!r}; it has {', '.join(CELL_FUNCTIONS)}")
    known = CELL_FUNCTIONS[name].numbers
    try:
        given = [float(word) for word in words]
    except ValueError as error:
        raise ValueError(f"the activation {text!r} takes numbers") from error
    if len(given) > len(known) or not all(map(math.isfinite, given)):
        takes = f"takes {' and '.join(number for number, _ in known)}" if known else "takes no numbers"
        raise ValueError(f"the activation {name} {takes}, got {text!r}")
    return CellActivation(name, (*given, *(default for _, default in known[len(given) :])))
