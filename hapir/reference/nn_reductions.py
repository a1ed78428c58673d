"""What the ops that join elements along axes compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.reference.values import Array, Meaning, single

Reals = npt.NDArray[np.float32]


def reduce(x: Array, function: str, axes: Sequence[int], keep: bool) -> Array:
    """Elements along axes joined to one, in the type of x; integers wrap."""
    along = tuple(axes)
    match function:
        case "sum":
            return np.asarray(x.sum(axis=along, dtype=x.dtype, keepdims=keep))
        case "mean":
            return np.asarray(x.mean(axis=along, dtype=x.dtype, keepdims=keep))
        case "product":
            return np.asarray(x.prod(axis=along, dtype=x.dtype, keepdims=keep))
        case "max":
            return np.asarray(x.max(axis=along, keepdims=keep))
        case _:
            return np.asarray(x.min(axis=along, keepdims=keep))


def softmax(x: Array, axis: int = 1) -> Reals:
    """`exp(x - max) / sum(exp(x - max))` along an axis."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True), np.float32)


def log_softmax(x: Array, axis: int = 1) -> Reals:
    """`x - max - log(sum(exp(x - max)))` along an axis."""
    below = x - x.max(axis=axis, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=axis, keepdims=True)), np.float32)


def argmax(x: Array, axis: int = 1, *, keep: bool = False, last: bool = False) -> npt.NDArray[np.int32]:
    """Index of the largest value along an axis: of equal ones the first, or the last."""
    if last:
        found = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis=axis, keepdims=keep)
    else:
        found = np.argmax(x, axis=axis, keepdims=keep)
    return np.asarray(found, np.int32)


MEANINGS: dict[type[Operation], Meaning] = dict(
    (
        single(nn.ReduceOp, lambda op, v, _: reduce(v[0], op.function.data, integers(op.axes), op.keep is not None)),
        single(nn.SoftmaxOp, lambda op, v, _: softmax(v[0], op.along)),
        single(nn.LogSoftmaxOp, lambda op, v, _: log_softmax(v[0], op.along)),
        single(
            nn.ArgmaxOp,
            lambda op, v, _: argmax(v[0], op.along, keep=op.keep is not None, last=op.last is not None),
        ),
    )
)
"""The op classes of this file."""
