"""What a model of a multiplier says, and what is the same for all: its table, and the sums that it makes.

A model is a frozen dataclass registered by name; its fields are the options of the spec. It means one thing in four
forms: numpy (`multiply`, the definition), C text, a circuit, and a cost. Tests compare the forms over all operands.

A product is taken of the integers as they are stored: activation first, weight second, at most 8 bits each. The zero
point of the activations stays exact, as in hardware that folds it into the bias: a layer gives
`bias + sum(multiply(q, w) - zero_point * w)`, and padding holds the zero point. A product with 0 must be 0, because
arrays feed zeros to the rows that a tile leaves unused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import IntegerType

from hapir.dialects.nn_products import WIDEST_OPERAND
from hapir.dialects.num import integer_range
from hapir.plugin_failures import at_work

if TYPE_CHECKING:
    from hapir.lowering.rtl.builder import Module, Signal

Int = npt.NDArray[np.int64]

LARGEST_PRODUCT = 1 << 24
"""What a product may reach: far beyond the exact ones, and so small that sums of 100 fit an accumulator."""


@dataclass(frozen=True)
class Cost:
    """What a multiplier costs as a share of the exact one of the same widths; `assumed` where no source measured it."""

    energy: float
    area: float
    source: str
    assumed: bool


class Multiplier(ABC):
    """The contract of a model."""

    name: ClassVar[str]

    @abstractmethod
    def multiply(self, activation: Int, weight: Int) -> Int:
        """The product, elementwise over arrays that broadcast; exact integers in, exact integers out."""

    @abstractmethod
    def cost(self, activation_bits: int, weight_bits: int) -> Cost:
        """Energy and area beside the exact multiplier's."""

    def check(self, activation: IntegerType, weight: IntegerType) -> None:
        """Raise ValueError for operand formats that the model cannot multiply; the default takes all."""
        return

    def c_body(self) -> str | None:
        """C statements that return the product of `const int32_t a, w`; None where the model has no C form."""
        return None

    def circuit(self, m: Module, activation: Signal, weight: Signal, *, activation_signed: bool) -> Signal | None:
        """The product as a signed vector of any width that holds it; the weight is signed. None: no circuit form."""
        return None


@lru_cache(maxsize=32)
def product_table(model: Multiplier, activation: IntegerType, weight: IntegerType) -> Int:
    """All products: a row per activation and a column per weight, both from their lowest value up; read-only.

    Raises ValueError where the formats do not suit the model or the model breaks its contract, and HapirError (HAP0234)
    where a plug-in's model fails.
    """
    for operand in (activation, weight):
        if operand.width.data > WIDEST_OPERAND:
            raise ValueError(f"multiplier models take operands of up to {WIDEST_OPERAND} bits, not {operand}")
    model.check(activation, weight)
    (a_low, a_high), (w_low, w_high) = integer_range(activation), integer_range(weight)
    a, w = np.arange(a_low, a_high + 1), np.arange(w_low, w_high + 1)
    with at_work("multipliers", model.name):
        table = np.asarray(model.multiply(a[:, None], w[None, :]))
    if table.dtype.kind not in "iu" or table.shape != (len(a), len(w)):
        raise ValueError(f"`{model.name}` gives {table.dtype} of shape {table.shape}, not integers")
    table = table.astype(np.int64)
    if table[a == 0].any() or table[:, w == 0].any():
        raise ValueError(f"`{model.name}` gives a product with 0 that is not 0")
    if (np.abs(table) > LARGEST_PRODUCT).any():
        raise ValueError(f"`{model.name}` gives products beyond +-{LARGEST_PRODUCT}")
    table.flags.writeable = False
    return table


def product_range(table: Int, weight: IntegerType, w: npt.NDArray[np.integer]) -> tuple[Int, Int]:
    """Per weight of `w`, the least and the greatest product over all activations of the table; 0 lies between."""
    columns = w.astype(np.int64) - integer_range(weight)[0]
    return table.min(axis=0)[columns], table.max(axis=0)[columns]


def modelled_bound(table: Int, weight: IntegerType, zero_point: int, w: npt.NDArray[np.integer]) -> Int:
    """Per output channel (axis 0 of w), a bound of every partial sum of `product - zero_point * weight`."""
    low, high = integer_range(weight)
    worst = np.abs(table - zero_point * np.arange(low, high + 1)[None, :]).max(axis=0)
    return worst[w.astype(np.int64) - low].reshape(len(w), -1).sum(axis=1)
