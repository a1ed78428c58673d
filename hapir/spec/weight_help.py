"""Ways out where a weights file does not fit its network: another key, another order of axes, another network."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from hapir.diagnostics import did_you_mean, some
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Shape
from hapir.dialects.num import shape_of

_SHOWN = 8


def missing_key(key: str, shape: Shape, arrays: Mapping[str, npt.NDArray[Any]], unused: list[str]) -> str:
    """The way out of a parameter that the file does not have: a key of the same shape, a close one, or a list."""
    layer, _, parameter = key.rpartition(".")
    of_layer = did_you_mean(key, [k for k in unused if k.rpartition(".")[0] == layer])
    if of_layer is not None:
        return of_layer
    fitting = [k for k in unused if k.rpartition(".")[2] == parameter and arrays[k].shape == shape]
    near = did_you_mean(key, fitting) or (f"did you mean `{fitting[0]}`?" if len(fitting) == 1 else None)
    if near is not None:
        named = near.split("`")[1].rpartition(".")[0]
        return f"{near} then call this layer `{named}`"
    if parameter == "bias":
        return "write `bias = false` where a layer has none"
    return did_you_mean(key, unused) or f"it has {some(sorted(arrays), _SHOWN) or 'no array'}"


def wrong_shape(weight: nn.WeightOp, found: Shape) -> str:
    """The way out of a parameter of another shape: its axes in another order, or a layer that fits it."""
    wanted = shape_of(weight.result)
    key = weight.key.data
    if len(found) == len(wanted) > 1:
        # TensorFlow's orders first: the reverse of a matrix, and R x S x C x K of a convolution
        orders = sorted(permutations(range(len(found))), key=lambda order: (order != (3, 2, 0, 1), order[::-1]))
        order = next((o for o in orders if tuple(found[i] for i in o) == wanted), None)
        if order is not None:
            saved = ".T" if len(order) == 2 else f".transpose({', '.join(map(str, order))})"
            return f"outputs come first, then inputs: save `array{saved}`"
    channels_last = _channels_last(weight, found)
    if channels_last is not None:
        return channels_last
    return f"change the layer so that `{key}` fits, or name the weights of this network"


def _channels_last(weight: nn.WeightOp, found: Shape) -> str | None:
    """A help line where the weights fit an input whose channels stand last."""
    users = [use.operation for use in weight.result.uses]
    convolution = users[0] if users and isinstance(users[0], nn.Conv2dOp) else None
    if convolution is None or len(found) != 4:
        return None
    shape = shape_of(convolution.x)
    channels = found[1] * convolution.groups.value.data
    if len(shape) != 4 or shape[1] == channels or shape[3] != channels:
        return None
    n, h, w, c = shape
    return f"they take {c} channels, which stand second: is the input f32[{n}, {c}, {h}, {w}]?"


def wrong_dtype(found: np.dtype[Any], wanted: np.dtype[Any]) -> str:
    """The way out of a parameter of another type."""
    if wanted.kind == "f" and found.kind in "iu":
        return "convert it before it is saved, or say that the weights are coded: `weights = i8`"
    if wanted.kind in "iu" and found.kind == "f":
        return "save the codes, not the reals that they stand for"
    return "convert it before it is saved"


def not_finite(array: npt.NDArray[Any]) -> str:
    """The way out of values that are NaN or infinite."""
    place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    return f"the first stands at {list(place)}; save the weights of a training that did not diverge"
