"""The truncated multiplier: the lowest columns of the array of partial products are left out.

Partial product i is the weight shifted left by i, where bit i of the activation is set. Of each, the bits in the lowest
t columns are dropped: with a_i the bits of the activation,

    product = a * w - sum over i < t of a_i * ((w * 2^i) mod 2^t)
            = 2^t * (floor(a / 2^t) * w + sum over i < t of a_i * floor(w / 2^(t - i)))

so the error is never positive and at most (t - 1) * 2^t + 1 in magnitude. Two's complement throughout; no correction
constant is added (a constant would make products with 0 other than 0).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from xdsl.dialects.builtin import IntegerType

from hapir.bounds import bounded, check_bounds
from hapir.multipliers.model import Cost, Int, Multiplier

if TYPE_CHECKING:
    from hapir.lowering.rtl.builder import Module, Signal


@dataclass(frozen=True)
class Truncated(Multiplier):
    """A multiplier without the lowest `bits` columns of its partial products: smaller, and never above the product.

    The error is between `-((bits - 1) * 2^bits + 1)` and 0.

    `bits`: how many columns, fewer than the activation has bits.

    Example: `unit mac { multiply = u8 * i8, accumulate = i32, multiplier = truncated(bits = 2) }`
    """

    name: ClassVar[str] = "truncated"
    bits: int = field(metadata=bounded(at_least=1, at_most=7))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def check(self, activation: IntegerType, weight: IntegerType) -> None:
        if self.bits >= activation.width.data:
            raise ValueError(
                f"an activation of {activation.width.data} bits leaves no column to truncated({self.bits})"
            )

    def multiply(self, activation: Int, weight: Int) -> Int:
        product = (activation >> self.bits) * weight
        for i in range(self.bits):
            product = product + ((activation >> i) & 1) * (weight >> (self.bits - i))
        return product << self.bits

    def cost(self, activation_bits: int, weight_bits: int) -> Cost:
        left_out = sum(min(weight_bits, self.bits - i) for i in range(self.bits))
        share = 1 - left_out / (activation_bits * weight_bits)
        return Cost(share, share, "the share of partial-product bits that are left", assumed=True)

    def c_body(self) -> str:
        rows = [f"(a >> {i} & 1) * (w >> {self.bits - i})" for i in range(self.bits)]
        return f"return ((a >> {self.bits}) * w + {' + '.join(rows)}) * {1 << self.bits};"

    def circuit(self, m: Module, activation: Signal, weight: Signal, *, activation_signed: bool) -> Signal:
        t = self.bits
        upper = activation.bits(t, activation.width - t)
        total = m.mul(upper, weight, lhs_signed=activation_signed, rhs_signed=True)
        # a rest adds less than the weight's own range, once per row
        width = total.width + t.bit_length()
        total = total.sext(width)
        for i in range(t):
            dropped = min(t - i, weight.width - 1)
            rest = weight.bits(dropped, weight.width - dropped).sext(width)
            total = total + m.mux(activation.bit(i), rest, 0)
        return m.cat(total, m.const(0, t))
