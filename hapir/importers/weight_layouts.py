"""Arrays as a network's parameters hold them: other orders of axes, other types of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.dialects.num import shape_of

Array: TypeAlias = npt.NDArray[Any]
Layout: TypeAlias = Literal["torch", "keras"]
"""Who stored the arrays: PyTorch's order of axes is hapir's own."""


def as_laid_out(array: Array, suffix: str, user: Operation, layout: Layout) -> Array:
    """An array in hapir's order of axes: outputs first, then inputs, then the window.

    Keras has windows first and outputs last (R S C K); its depthwise kernels are R S C M, its maps have channels last,
    which shows in a dense layer behind a flatten. What does not look like that is left as it is.
    """
    turn = _KERAS.get(user.name) if layout == "keras" and suffix.startswith("weight") else None
    return array if turn is None else turn(array, user)


def _convolution(array: Array, user: Operation) -> Array:
    assert isinstance(user, nn.Conv2dOp | nn.Conv1dOp)
    if array.ndim < 3:
        return array
    groups = user.groups.value.data
    *window, inputs, outputs = array.shape
    if groups > 1 and inputs == groups and shape_of(user.operands[1])[1] == 1:
        # depthwise: the M filters of a channel are neighbours
        return np.moveaxis(array, (-2, -1), (0, 1)).reshape(inputs * outputs, 1, *window)
    return np.moveaxis(array, (-1, -2), (0, 1))


def _transposed(array: Array, _: Operation) -> Array:
    """Keras has R S K C, hapir C K R S."""
    return np.moveaxis(array, (-1, -2), (0, 1)) if array.ndim > 2 else array


def _dense(array: Array, user: Operation) -> Array:
    assert isinstance(user, nn.DenseOp)
    if array.ndim != 2:
        return array
    made = user.x.owner
    shape = shape_of(made.operands[0]) if isinstance(made, nn.FlattenOp | nn.ReshapeOp) else ()
    if len(shape) > 2 and array.shape[0] == np.prod(shape[1:]):
        channels, *window = shape[1:]
        array = np.moveaxis(array.reshape(*window, channels, -1), -2, 0).reshape(array.shape)
    return array.T


def _matrix(array: Array, _: Operation) -> Array:
    return array.T


_KERAS: Mapping[str, Callable[[Array, Operation], Array]] = {
    "nn.conv2d": _convolution,
    "nn.conv1d": _convolution,
    "nn.transposed_conv2d": _transposed,
    "nn.transposed_conv1d": _transposed,
    "nn.dense": _dense,
    "nn.linear": _matrix,
    "nn.lstm": _matrix,
}


def as_type(array: Array, wanted: np.dtype[Any]) -> Array | None:
    """An array in another type, where all numbers stay what they are but for rounding; None where they do not."""
    if array.dtype == wanted:
        return array
    if wanted.kind == "f" and array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            found = array.astype(wanted)
        return found if np.isfinite(found).all() or not np.isfinite(array).all() else None
    if wanted.kind in "iu" and array.dtype.kind in "iub":
        bounds = np.iinfo(wanted)
        plain = array.astype(np.uint8) if array.dtype.kind == "b" else array
        fits = not plain.size or (int(plain.min()) >= bounds.min and int(plain.max()) <= bounds.max)
        return plain.astype(wanted) if fits else None
    return None
