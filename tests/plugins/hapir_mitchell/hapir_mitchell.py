"""Mitchell's multiplier: add two logarithms that are straight lines between powers of two.

With |a| = 2^k (1 + f), the logarithm of |a| is taken as k + f, of which `fraction` bits are kept behind the point. The
sum of two such logarithms is read back the same way. Source: J. N. Mitchell, Computer multiplication and division
using binary logarithms, IRE Transactions on Electronic Computers EC-11(4), 1962.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hapir.bounds import bounded, check_bounds
from hapir.lowering.rtl.builder import Module, Signal
from hapir.multipliers.model import Cost, Int, Multiplier
from hapir.universe import HapirUniverse


@dataclass(frozen=True)
class Mitchell(Multiplier):
    """Mitchell's logarithmic multiplier on sign and magnitude; never above the product in magnitude.

    `fraction`: bits of a logarithm behind the point. With 7 a product of bytes is at most 1/9 too small.

    Example: `use_multiplier(multiplier = mitchell(fraction = 5))`
    """

    name: ClassVar[str] = "mitchell"
    fraction: int = field(default=7, metadata=bounded(at_least=1, at_most=7))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def multiply(self, activation: Int, weight: Int) -> Int:
        bits = self.fraction
        total = sum(self._logarithm(np.abs(operand)) for operand in (activation, weight))
        magnitude = ((1 << bits) + (total & ((1 << bits) - 1))) << (total >> bits) >> bits
        return np.sign(activation) * np.sign(weight) * magnitude

    def _logarithm(self, magnitude: Int) -> Int:
        """The logarithm of whole numbers as a whole number of steps of 2^-fraction; 0 for 0."""
        whole = np.frexp(np.maximum(magnitude, 1))[1].astype(np.int64) - 1
        rest = (magnitude << self.fraction >> whole) - (1 << self.fraction)
        return np.where(magnitude == 0, 0, (whole << self.fraction) + rest)

    def c_body(self) -> str:
        bits, one = self.fraction, 1 << self.fraction
        return f"""\
const int32_t x = a < 0 ? -a : a, y = w < 0 ? -w : w;
int32_t i = 0, j = 0;
if (x == 0 || y == 0) {{
    return 0;
}}
while (x >> (i + 1)) {{
    ++i;
}}
while (y >> (j + 1)) {{
    ++j;
}}
const int32_t sum = i * {one} + ((x << {bits} >> i) - {one}) + j * {one} + ((y << {bits} >> j) - {one});
const int32_t product = ({one} + (sum & {one - 1})) << (sum >> {bits}) >> {bits};
return (a < 0) == (w < 0) ? product : -product;"""

    def circuit(self, m: Module, activation: Signal, weight: Signal, *, activation_signed: bool) -> Signal:
        bits = self.fraction
        magnitudes, signs = list[Signal](), list[Signal]()
        for operand, is_signed in ((activation, activation_signed), (weight, True)):
            sign = operand.bit(operand.width - 1) if is_signed else m.const(0, 1)
            zero = m.const(0, operand.width)
            magnitudes.append(m.mux(sign, zero - operand, operand).zext(8))
            signs.append(sign)
        logarithms = [self._encoder(m, magnitude).zext(4 + bits) for magnitude in magnitudes]
        # a carry out of the fractions raises the whole part by itself
        total = logarithms[0] + logarithms[1]
        mantissa = m.cat(m.const(1, 1), total.bits(0, bits)).zext(16 + bits)
        product = mantissa.shl(total.bits(bits, 4)).bits(bits, 16).zext(17)
        present = magnitudes[0].any() & magnitudes[1].any()
        negated = m.mux(signs[0] ^ signs[1], m.const(0, 17) - product, product)
        return m.mux(present, negated, 0)

    def _encoder(self, m: Module, magnitude: Signal) -> Signal:
        """The whole part (3 bits) and the fraction of the logarithm of 8 bits."""
        whole, left = m.const(0, 3), m.const(7, 3)
        for place in range(1, 8):
            leads = magnitude.bit(place)
            whole = m.mux(leads, m.const(place, 3), whole)
            left = m.mux(leads, m.const(7 - place, 3), left)
        # the leading one moves to bit 7; what is below it is the fraction
        return m.cat(whole, magnitude.shl(left).bits(7 - self.fraction, self.fraction))

    def cost(self, activation_bits: int, weight_bits: int) -> Cost:
        return Cost(0.5, 0.5, "three shifters and an adder for the array of partial products", assumed=True)


UNIVERSE = HapirUniverse(multipliers={"mitchell": lambda: Mitchell})
