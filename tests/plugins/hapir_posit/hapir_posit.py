"""Posits: floating-point numbers whose exponent takes few bits near 1 and many far from it."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hapir.bounds import bounded, check_bounds
from hapir.dialects.formats import Codes, NumberFormat, Reals
from hapir.universe import HapirUniverse


@dataclass(frozen=True)
class Posit(NumberFormat):
    """A posit of `width` bits with `es` exponent bits: sign, regime, exponent, fraction.

    Source: J. Gustafson, I. Yonemoto, Beating floating point at its own game, 2017. Values are rounded to the nearest
    one, as in all formats of hapir; the Posit Standard (2022) rounds the bits instead, which differs where exponent
    bits are cut off, and never rounds to 0. The code 100..0 (not a real) is never given.

    `width`: bits of a code.
    `es`: bits of the exponent, where the regime leaves room for them.

    Example: `round_weights(format = posit(8, 1))`
    """

    name: ClassVar[str] = "posit"
    width: int = field(metadata=bounded(at_least=3, at_most=16))
    es: int = field(default=2, metadata=bounded(at_least=0, at_most=3))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def bits(self) -> int:
        return self.width

    def decode(self, codes: Codes) -> Reals:
        n = self.width
        signed = codes.astype(np.int64)
        negative = signed >> (n - 1) == 1
        body = np.where(negative, (1 << n) - signed, signed) & ((1 << (n - 1)) - 1)
        # the regime is a run of equal bits below the sign; the bit that ends it belongs to no field
        first = body >> (n - 2) & 1
        run, running = np.zeros_like(body), np.ones_like(body)
        for place in range(n - 2, -1, -1):
            running &= (body >> place & 1) == first
            run += running
        regime = np.where(first == 1, run - 1, -run)
        # fields that the width cuts off read as zeros
        rest = np.maximum(n - 2 - run, 0)
        exponent_bits = np.minimum(rest, self.es)
        fraction_bits = rest - exponent_bits
        exponent = (body >> fraction_bits & ((1 << exponent_bits) - 1)) << (self.es - exponent_bits)
        fraction = 1 + np.ldexp((body & ((1 << fraction_bits) - 1)).astype(np.float64), -fraction_bits)
        magnitude = np.ldexp(fraction, regime * 2**self.es + exponent)
        magnitude = np.where(body == 0, np.where(negative, np.nan, 0.0), magnitude)
        return np.where(negative, -magnitude, magnitude)


UNIVERSE = HapirUniverse(formats={"posit": lambda: Posit})
