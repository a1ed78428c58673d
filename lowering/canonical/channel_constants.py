"""Constants that differ along one axis of a tensor only: biases, scales and shifts of channels or features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.num import is_float, shape_of
from hapir.lowering.canonical.rewriting import Rewriter

Singles = npt.NDArray[np.float32]


def along(value: SSAValue, shape: tuple[int, ...], axis: int, rewriter: Rewriter) -> Singles | None:
    """The numbers of a constant of f32 along an axis of tensors of this shape, over which it repeats.

    None for what is computed, for what differs along other axes, and for what the tensors would repeat over.
    """
    array = rewriter.array(value) if is_float(value) else None
    if array is None or array.ndim > len(shape):
        return None
    own = (1,) * (len(shape) - array.ndim) + array.shape
    if any(size != 1 and (a != axis or size != shape[a]) for a, size in enumerate(own)):
        return None
    return np.broadcast_to(array.reshape(-1).astype(np.float32), (shape[axis],))


def over(value: SSAValue, shape: tuple[int, ...], axis: int, rewriter: Rewriter) -> Singles | None:
    """The numbers of a constant of f32 over all axes of tensors of this shape from `axis` on; None as `along` says."""
    array = rewriter.array(value) if is_float(value) else None
    if array is None or array.ndim > len(shape):
        return None
    own = (1,) * (len(shape) - array.ndim) + array.shape
    wanted = (1,) * axis + shape[axis:]
    if any(a not in (1, b) for a, b in zip(own, wanted, strict=True)):
        return None
    return np.broadcast_to(array.reshape(own[axis:]).astype(np.float32), shape[axis:])


def features_of(op: object) -> int | None:
    """The axis along which a layer that multiplies by weights has a bias; None of other ops."""
    if isinstance(op, nn.LinearOp):
        return len(shape_of(op.result)) - 1
    return 1 if isinstance(op, nn.ProductOp | nn.TransposedConvolutionOp) and is_float(op.result) else None
