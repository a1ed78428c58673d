"""What the meanings of all dialects share: how tensors lie in numpy, and what an op may ask of the interpreter.

A tensor of f32 is a float32 array. A tensor of integers, or of a quantized type stored in integers, is an array of the
smallest numpy integer that holds the storage type: si8 and si4 are int8, ui8 is uint8, si32 is int32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from xdsl.ir import Attribute, Block, Operation

from hapir.dialects.num import dtype_of, table_key

__all__ = [
    "AnyOp",
    "Array",
    "Meaning",
    "Setting",
    "dtype_of",
    "exact_dtype",
    "largest",
    "single",
    "to_si32",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Setting:
    """What surrounds an op while it runs: the arrays that keys in the IR name, and how to run a region's block."""

    weights: Mapping[str, Array]
    run_block: Callable[[Block, Sequence[Array]], tuple[Array, ...]]

    def table(self, element: Attribute) -> npt.NDArray[np.float64]:
        """The scales, levels or bases of an element type as doubles. Raises KeyError where the store lacks them."""
        key = table_key(element)
        assert key is not None
        return np.asarray(self.weights[key], np.float64)


Meaning = Callable[[Operation, Sequence[Array], Setting], tuple[Array, ...]]
"""What an op computes: the op, its operands' arrays and its setting give one array per result."""

AnyOp = TypeVar("AnyOp", bound=Operation)


def single(
    kind: type[AnyOp], compute: Callable[[AnyOp, Sequence[Array], Setting], Array]
) -> tuple[type[Operation], Meaning]:
    """A table entry for an op with one result; `compute` sees the op as its own class."""

    def meaning(op: Operation, operands: Sequence[Array], setting: Setting) -> tuple[Array, ...]:
        return (compute(cast(AnyOp, op), operands, setting),)

    return kind, meaning


def exact_dtype(bound: int) -> np.dtype[Any]:
    """The fastest type in which any sum of integers is exact while all partial sums stay within +-bound.

    Floats come first because BLAS multiplies only them: f32 is exact below 2^24 and f64 below 2^53. Past 2^63 it is
    Python's integers.
    """
    for limit, dtype in ((1 << 24, np.float32), (1 << 53, np.float64), (1 << 63, np.int64)):
        if bound < limit:
            return np.dtype(dtype)
    return np.dtype(object)


def largest(values: Array, zero_point: int = 0) -> int:
    """The largest magnitude of `values - zero_point`; 0 of nothing."""
    if values.size == 0:
        return 0
    return max(abs(int(values.max()) - zero_point), abs(int(values.min()) - zero_point))


def to_si32(values: Array) -> npt.NDArray[np.int32]:
    """Exact sums, of any type that holds integers, as int32. Raises OverflowError where one leaves si32."""
    limits = np.iinfo(np.int32)
    if values.size:
        low, high = int(values.min()), int(values.max())
        if low < limits.min or high > limits.max:
            raise OverflowError(f"the accumulator reaches {low if low < limits.min else high}, si32 holds 32 bits")
    return values.astype(np.int32)
