"""What happens to one element on its way out of a kernel, with every decision made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hapir.dialects.num import Rounding
from hapir.lowering.kernel.buffers import Frame, Table
from hapir.lowering.kernel.c_types import CType


@dataclass(frozen=True)
class Scaling:
    """How lanes of 32 bits find `round(v * multiplier / 2^shift)`; proven exact for every v that can occur.

    `low`: the product fits 32 bits. `high`: v is lifted by 2^lift, and the result stands in the upper half of the
    product of 64 bits, shifted right by shift + lift - 32 more: by nothing in all channels, or by at least 1. `wide`:
    multipliers may reach 2^32.
    """

    half: Literal["low", "high"]
    lift: int
    wide: bool


@dataclass(frozen=True)
class Requantize:
    """`clamp(round(v * multiplier / 2^shift) + zero_point, low, high)`, the product exact in 64 bits.

    `multiplier` and `shift` are one number or a table with one entry per channel. `narrow` says that every multiplier
    is below 2^31, so that half of 2^shift can be added to the product without overflow. Without `scaling` lanes of 32
    bits do not suffice.
    """

    multiplier: Table | int
    shift: Table | int
    rounding: Rounding
    zero_point: int
    low: int
    high: int
    narrow: bool
    ctype: CType
    scaling: Scaling | None = None


@dataclass(frozen=True)
class Rescale:
    """`clamp(round(v * scale) + zero_point, low, high)`, the product in double; in float where `single`."""

    scale: Table | float
    rounding: Rounding
    zero_point: int
    low: int
    high: int
    ctype: CType
    single: bool = False


@dataclass(frozen=True)
class Clamp:
    """`min(max(v, low), high)`; a missing bound does not bind."""

    low: float | int | None
    high: float | int | None
    ctype: CType


@dataclass(frozen=True)
class Widen:
    """`(v - zero_point) * multiplier` in int32; `wide` where the difference alone may need 64 bits."""

    zero_point: int
    multiplier: int
    wide: bool
    ctype: CType = "int32_t"


@dataclass(frozen=True)
class Steps:
    """A quantizer as `nearest(v * factor + added)`, or the floor of that, `first` <= v <= `last`: the outermost steps.

    It makes no difference whether the product is rounded before the addition.
    """

    factor: float
    added: float
    floor: bool
    first: float
    last: float


@dataclass(frozen=True)
class Quantize:
    """`clamp(round(v / scale) + zero_point, low, high)`, the division in double; in float where `single`.

    Where `steps` is given, it gives the same codes, less the zero point, for every float.
    """

    scale: Table | float
    zero_point: int
    rounding: Rounding
    low: int
    high: int
    ctype: CType
    steps: Steps | None = None
    single: bool = False


@dataclass(frozen=True)
class Dequantize:
    """`(v - zero_point) * scale`, in double and rounded once to float; `single`: a product of floats is the same."""

    scale: Table | float
    zero_point: int
    single: bool = False
    ctype: CType = "float"


@dataclass(frozen=True)
class ScaleShift:
    """`v * scale[c] + shift[c]`: batch norm with its four parameters folded to two."""

    scale: Table
    shift: Table
    ctype: CType = "float"


@dataclass(frozen=True)
class Threshold:
    """`low + step * n`, n how many of the channel's thresholds v has reached, or `count` minus that where it flips.

    `thresholds` has a row of channels per level, or one entry per level where `shared`; flips are 0 or 1.
    """

    thresholds: Table
    flips: Table | int
    count: int
    shared: bool
    low: int
    step: int
    ctype: CType


Function = Literal["gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "sigmoid", "sign", "silu", "tanh"]


@dataclass(frozen=True)
class Apply:
    """A function of one float, with its constants."""

    function: Function
    constants: tuple[float, ...] = ()
    ctype: CType = "float"


@dataclass(frozen=True)
class Join:
    """`v + other`, the other being the element at the same place of a map in `buffer`, after stages of its own.

    The map lies in `frame` where that is given. Integers were proven to fit 32 bits.
    """

    buffer: int
    source: CType
    stages: tuple[Stage, ...]
    ctype: CType
    frame: Frame | None = None


@dataclass(frozen=True)
class ToBf16:
    """The nearest bfloat16, ties to even, as its bits; what is no number stays none."""

    ctype: CType = "uint16_t"


Stage = Requantize | Rescale | Clamp | Widen | Quantize | Dequantize | ScaleShift | Threshold | Apply | Join | ToBf16
"""What happens to one element on its way out; `ctype` is the type it gives."""
