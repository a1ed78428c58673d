"""Float layers in bfloat16: inputs and weights rounded to it, products and their sums in f32. Plain functions.

Law: bounded. A number is rounded to the nearest bfloat16, ties to even, which errs by at most u / (1 + u) of it for
u = 2^-8 (Jeannerod and Rump, 2018, "On relative errors of floating-point operations"); so a product errs by at most
515 / 66049 < 2^-7 of its magnitude. It is exact in f32, and what the sum of f32 adds to the error is `sum_bound`.
vdpbf16ps and bfdot take subnormal numbers as 0, and do not round as the other paths do: floats differ between paths
within the bound. Rounding is the same on every path but for subnormal numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hapir.lowering.kernel.contraction import BF16, BF16_ODD, Contraction
from hapir.weights import Array

Numbers = npt.NDArray[np.float64]

NAME = "bf16"
"""The arithmetic's name in a choice."""
PRODUCT_BOUND = 2.0**-7
"""How far the product of rounded numbers may be from that of the numbers, of its magnitude."""
SMALLEST = 2.0**-126
"""The smallest normal number, of f32 as of bfloat16."""
LARGEST = float(np.array([0x7F7F << 16], np.uint32).view(np.float32)[0])
"""The largest bfloat16."""


def bf16_contraction(run: int) -> Contraction:
    """The contraction over runs of so many elements."""
    return BF16_ODD if run % 2 else BF16


def to_bf16(array: Array) -> npt.NDArray[np.uint16]:
    """The nearest bfloat16 of each number, ties to even, as bits; what is no number stays none."""
    floats = np.ascontiguousarray(array, np.float32)
    bits = floats.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> 16 & 1)
    quiet = bits | np.uint32(1 << 22)
    return (np.where(np.isnan(floats), quiet, rounded) >> 16).astype(np.uint16)


def from_bf16(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The numbers that such bits are."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def bf16_refusal(rows: Array, *, depthwise: bool) -> str | None:
    """Why a layer on floats cannot be computed in bfloat16, as a clause; None where it can."""
    if depthwise:
        return "each of its filters reads one channel, and a word holds two of a filter"
    if rows.size and not np.isfinite(from_bf16(to_bf16(rows))).all():
        return f"a weight is past {LARGEST:.3g}, the largest bfloat16"
    return None


def sum_bound(terms: int, magnitudes: Numbers, largest: float) -> Numbers:
    """How far a kernel's sums may be from the exact sums of `terms` products of bfloat16 and a bias.

    `magnitudes` are the sums of the magnitudes of products and bias; no factor is larger than `largest`. Each addition
    errs by at most 2^-23, as bfdot rounds to odd (2^-24 elsewhere); k of them by k u / (1 - k u) of the magnitudes
    (Higham 2002, section 3.1). A factor, a product or a sum that is subnormal may be lost.
    """
    roundings = (terms + 1) * 2.0**-23
    return magnitudes * roundings / (1 - roundings) + 2 * terms * SMALLEST * (1 + largest)
