"""Number formats as values: which reals a format holds, and how a real is rounded to one of them.

A format is a frozen dataclass registered by name; its fields are the options of the spec (`fixed(2, 6)`). Its meaning
is `decode`: the real behind each code of `bits` bits. All else follows from it: `round` gives the nearest finite real
that has a code, ties to the even code (to the smaller real where both codes are even, or none), beyond the ends the end
itself. Wide formats override `round`; a test holds
every registered format of up to 16 bits to the meaning of its codes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hapir.bounds import bounded, check_bounds

Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint64]

WIDEST_TABLE = 16
"""Formats of up to so many bits can be rounded by a table of all their values."""


class NumberFormat(ABC):
    """What every format says: its width, and the real behind each code."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def bits(self) -> int:
        """The width of a code."""

    @abstractmethod
    def decode(self, codes: Codes) -> Reals:
        """The reals behind codes 0 .. 2^bits - 1; not finite for a code that stands for no real."""

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest finite real."""
        values = _table(self).values
        return float(values[0]), float(values[-1])

    def round(self, values: Reals) -> Reals:
        """The nearest reals of the format; ties to the even code, saturating. Raises ValueError for NaN."""
        return _table(self).values[self._nearest(values)]

    def encode(self, values: Reals) -> Codes:
        """The codes of the rounded values. Raises ValueError for NaN."""
        return _table(self).codes[self._nearest(values)]

    def _nearest(self, values: Reals) -> npt.NDArray[np.intp]:
        table = _table(self)
        return table.order(numbers(values))


def numbers(values: Reals) -> Reals:
    """The values themselves. Raises ValueError where one is NaN: no format rounds that to a real."""
    if np.isnan(values).any():
        raise ValueError("NaN has no nearest real")
    return values


@dataclass(frozen=True)
class _Table:
    """All finite reals of a format in order, a code of each, the midpoints between, and where a tie goes up."""

    values: Reals
    codes: Codes
    midpoints: Reals
    tie_up: npt.NDArray[np.bool_]

    def order(self, values: Reals) -> npt.NDArray[np.intp]:
        """The index of the nearest value of each real."""
        index = np.searchsorted(self.midpoints, values, side="left")
        tied = (index < len(self.midpoints)) & (self.midpoints[np.minimum(index, len(self.midpoints) - 1)] == values)
        return index + (tied & self.tie_up[np.minimum(index, len(self.midpoints) - 1)])


@lru_cache(maxsize=64)
def _table(format: NumberFormat) -> _Table:
    """The table of a narrow format. Raises ValueError where it is wide, or has midpoints that a double cannot hold."""
    if format.bits > WIDEST_TABLE:
        raise ValueError(f"`{format.name}` of {format.bits} bits must define `round` and `range` itself")
    codes = np.arange(1 << format.bits, dtype=np.uint64)
    decoded = format.decode(codes)
    finite = np.isfinite(decoded)
    values, first = np.unique(decoded[finite], return_index=True)
    values = values + 0.0  # -0 and 0 are one real
    chosen = codes[finite][first]
    if len(values) < 2:
        raise ValueError(f"`{format.name}` has fewer than two values")
    low, high = values[:-1], values[1:]
    total = low + high
    if ((total - low != high) | (total - high != low)).any():
        raise ValueError(f"`{format.name}` has neighbours too far apart for a double: define `round`")
    even = chosen % 2 == 0
    # where both codes are odd or both even, a tie goes to the smaller magnitude
    tie_up = np.where(even[1:] == even[:-1], np.abs(high) < np.abs(low), even[1:])
    return _Table(values, chosen, total / 2, tie_up)


@dataclass(frozen=True)
class Integer(NumberFormat):
    """Whole numbers in two's complement, or unsigned; written `i8` or `u4`. Ties go to the even one.

    `width`: bits, the sign among them.
    `signed`: whether there are negative ones.

    Example: `round_weights(format = i8)`, the same as `round_weights(format = integer(8))`
    """

    name: ClassVar[str] = "integer"
    width: int = field(default=8, metadata=bounded(at_least=1, at_most=32))
    signed: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def bits(self) -> int:
        return self.width

    @property
    def short(self) -> str:
        """How specs write it."""
        return f"{'i' if self.signed else 'u'}{self.width}"

    @property
    def range(self) -> tuple[float, float]:
        half = 2.0 ** (self.bits - 1)
        return (-half, half - 1) if self.signed else (0.0, 2 * half - 1)

    def decode(self, codes: Codes) -> Reals:
        reals = codes.astype(np.float64)
        return np.where(reals >= 2.0 ** (self.bits - 1), reals - 2.0**self.bits, reals) if self.signed else reals

    def round(self, values: Reals) -> Reals:
        return np.clip(np.rint(numbers(values)), *self.range) + 0.0

    def encode(self, values: Reals) -> Codes:
        return np.mod(self.round(values), 2.0**self.bits).astype(np.uint64)


@dataclass(frozen=True)
class Fixed(NumberFormat):
    """Fixed point: a whole number divided by `2^fraction`, of `integer + fraction` bits.

    The sign is one of the integer bits: `fixed(2, 6)` is 8 bits wide and holds -2 to 1.984375 in steps of 1/64. Ties
    go to the even multiple of the step. All bits together are 1 to 32.

    `integer`: bits before the point; a negative number leaves out the first ones behind it.
    `fraction`: bits behind the point; a negative number makes steps above 1.
    `signed`: whether there are negative ones.

    Example: `round_weights(format = fixed(2, 6))`, or `fixed(integer = 0, fraction = 8, signed = false)`
    """

    name: ClassVar[str] = "fixed"
    integer: int
    fraction: int = field(metadata=bounded(at_least=-128, at_most=64))
    signed: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if not 1 <= self.bits <= 32:
            raise ValueError(f"`integer + fraction` is {self.bits}, it must be 1 to 32")

    @property
    def bits(self) -> int:
        return self.integer + self.fraction

    @property
    def _whole(self) -> Integer:
        return Integer(self.bits, self.signed)

    @property
    def range(self) -> tuple[float, float]:
        low, high = self._whole.range
        return low * 2.0**-self.fraction, high * 2.0**-self.fraction

    def decode(self, codes: Codes) -> Reals:
        return self._whole.decode(codes) * 2.0**-self.fraction

    def round(self, values: Reals) -> Reals:
        # multiplying by a power of two is exact; what overflows is beyond the end anyway
        with np.errstate(over="ignore"):
            return self._whole.round(values * 2.0**self.fraction) * 2.0**-self.fraction

    def encode(self, values: Reals) -> Codes:
        with np.errstate(over="ignore"):
            return self._whole.encode(values * 2.0**self.fraction)


@dataclass(frozen=True)
class Bipolar(NumberFormat):
    """The odd numbers from `-(2^width - 1)` to `2^width - 1`, as sums of +-1, +-2, +-4, ... give them; 1 bit is +-1.

    A code c stands for `2c - (2^width - 1)`. There is no zero. Ties go to the number with the even code.

    `width`: bits.

    Example: `round_weights(format = bipolar(1))`
    """

    name: ClassVar[str] = "bipolar"
    width: int = field(default=1, metadata=bounded(at_least=1, at_most=16))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def bits(self) -> int:
        return self.width

    def decode(self, codes: Codes) -> Reals:
        return 2.0 * codes.astype(np.float64) - (2.0**self.width - 1)


@dataclass(frozen=True)
class Ternary(NumberFormat):
    """The numbers -1, 0 and 1 in two's complement of 2 bits; ties go to 0.

    Example: `round_weights(format = ternary)`
    """

    name: ClassVar[str] = "ternary"

    @property
    def bits(self) -> int:
        return 2

    def decode(self, codes: Codes) -> Reals:
        return np.array([0.0, 1.0, np.nan, -1.0])[codes.astype(np.intp)]


@dataclass(frozen=True)
class Minifloat(NumberFormat):
    """A small floating-point number: a sign, `exponent` bits with the bias `2^(exponent - 1) - 1`, `mantissa` bits.

    As in IEEE 754 the lowest exponent holds subnormals; with `infinities` the highest one holds infinity and NaN, which
    rounding never gives: values beyond the largest finite one become that one. Without, it is an exponent like any
    other (as in the 4- and 6-bit formats of the OCP microscaling specification, version 1.0). Ties to the even
    mantissa. `minifloat(5, 10)` is binary16, `minifloat(8, 7)` bfloat16.

    `exponent`: bits of the exponent.
    `mantissa`: bits of the mantissa, without the hidden one.
    `infinities`: whether the highest exponent stands for infinity and NaN.

    Example: `round_weights(format = minifloat(exponent = 4, mantissa = 3))`
    """

    name: ClassVar[str] = "minifloat"
    exponent: int = field(metadata=bounded(at_least=2, at_most=8))
    mantissa: int = field(metadata=bounded(at_least=1, at_most=23))
    infinities: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def bits(self) -> int:
        return 1 + self.exponent + self.mantissa

    @property
    def _bias(self) -> int:
        return (1 << (self.exponent - 1)) - 1

    @property
    def range(self) -> tuple[float, float]:
        top = (1 << self.exponent) - (2 if self.infinities else 1) - self._bias
        largest = 2.0**top * (2 - 2.0**-self.mantissa)
        return -largest, largest

    def decode(self, codes: Codes) -> Reals:
        wide = codes.astype(np.int64)
        fraction = (wide & ((1 << self.mantissa) - 1)).astype(np.float64)
        exponent = (wide >> self.mantissa) & ((1 << self.exponent) - 1)
        hidden = np.where(exponent == 0, 0.0, 2.0**self.mantissa)
        scale = np.maximum(exponent, 1) - self._bias - self.mantissa
        magnitude = np.ldexp(hidden + fraction, scale)
        if self.infinities:
            special = np.where(fraction == 0, np.inf, np.nan)
            magnitude = np.where(exponent == (1 << self.exponent) - 1, special, magnitude)
        return np.where(wide >> (self.exponent + self.mantissa) == 1, -magnitude, magnitude)

    def round(self, values: Reals) -> Reals:
        values = np.clip(numbers(values), *self.range)
        _, exponent = np.frexp(values)
        # frexp puts the point before the first digit; below the normal numbers the step stays that of the lowest
        step = np.maximum(exponent - 1, 1 - self._bias) - self.mantissa
        return np.ldexp(np.rint(np.ldexp(values, -step)), step) + 0.0

    def encode(self, values: Reals) -> Codes:
        rounded = self.round(values)
        _, exponent = np.frexp(rounded)
        raised = np.where(rounded == 0, 0, np.maximum(exponent - 1 + self._bias, 0))
        scale = np.maximum(raised, 1) - self._bias - self.mantissa
        whole = np.ldexp(np.abs(rounded), -scale).astype(np.int64)
        sign = (rounded < 0).astype(np.int64) << (self.exponent + self.mantissa)
        return (sign + (raised << self.mantissa) + whole - np.where(raised > 0, 1 << self.mantissa, 0)).astype(
            np.uint64
        )


@dataclass(frozen=True)
class Bfloat(NumberFormat):
    """binary32 with a short mantissa: 8 bits of exponent, `mantissa` bits; 7 is bfloat16. Ties to the even mantissa.

    `mantissa`: bits of the mantissa, without the hidden one.

    Example: `round_weights(format = bfloat(mantissa = 4))`
    """

    name: ClassVar[str] = "bfloat"
    mantissa: int = field(default=7, metadata=bounded(at_least=1, at_most=23))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    @property
    def _wide(self) -> Minifloat:
        return Minifloat(8, self.mantissa)

    @property
    def bits(self) -> int:
        return self._wide.bits

    @property
    def range(self) -> tuple[float, float]:
        return self._wide.range

    def decode(self, codes: Codes) -> Reals:
        return self._wide.decode(codes)

    def round(self, values: Reals) -> Reals:
        return self._wide.round(values)

    def encode(self, values: Reals) -> Codes:
        return self._wide.encode(values)


@dataclass(frozen=True)
class Float32(NumberFormat):
    """IEEE 754 binary32, the format that parameters are stored in. Rounding saturates at the largest finite value.

    Example: `round_weights(format = f32)`
    """

    name: ClassVar[str] = "f32"

    @property
    def bits(self) -> int:
        return 32

    @property
    def range(self) -> tuple[float, float]:
        largest = float(np.finfo(np.float32).max)
        return -largest, largest

    def decode(self, codes: Codes) -> Reals:
        with np.errstate(invalid="ignore"):  # signalling NaN among the codes
            return codes.astype(np.uint32).view(np.float32).astype(np.float64)

    def round(self, values: Reals) -> Reals:
        return np.clip(numbers(values), *self.range).astype(np.float32).astype(np.float64) + 0.0

    def encode(self, values: Reals) -> Codes:
        return self.round(values).astype(np.float32).view(np.uint32).astype(np.uint64)
