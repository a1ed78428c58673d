"""The exact multiplier: two's complement, as wide as both operands together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hapir.multipliers.model import Cost, Int, Multiplier

if TYPE_CHECKING:
    from hapir.lowering.rtl.builder import Module, Signal


@dataclass(frozen=True)
class Exact(Multiplier):
    """The exact product of two integers.

    Example: `unit mac { multiply = u8 * i8, accumulate = i32, multiplier = exact }`
    """

    name: ClassVar[str] = "exact"

    def multiply(self, activation: Int, weight: Int) -> Int:
        return activation * weight

    def cost(self, activation_bits: int, weight_bits: int) -> Cost:
        return Cost(1.0, 1.0, "", assumed=False)

    def c_body(self) -> str:
        return "return a * w;"

    def circuit(self, m: Module, activation: Signal, weight: Signal, *, activation_signed: bool) -> Signal:
        return m.mul(activation, weight, lhs_signed=activation_signed, rhs_signed=True)
