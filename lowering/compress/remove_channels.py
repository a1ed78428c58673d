"""Take channel groups out of a network, or mask them in it.

Both edits write every parameter that the channels touch under a new key. Removing drops the rows of layers that make a
channel, the entries of batch norms it passes, and the columns of layers that read it; masking sets the same numbers to
zero. A masked channel therefore reaches no sum, whatever it holds, so the two agree up to the order of float sums.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import IntegerAttr, f32, i64
from xdsl.ir import Operation

from hapir.dialects import nn
from hapir.lowering.compress.channel_groups import Removal, is_depthwise
from hapir.lowering.infer_nn_shapes import infer_types
from hapir.lowering.network_edits import insert_weight, weight_of, weight_op_of
from hapir.weights import Array, WeightStore

Mask = npt.NDArray[np.bool_]


def remove_channels(network: nn.NetworkOp, removal: Removal, weights: WeightStore) -> None:
    """Shrink every parameter and count of filter groups, then recompute the types."""

    def drop(array: Array, kept: Mask, axis: int) -> Array:
        return np.compress(kept, array, axis)

    if removal.removed:
        _edit_parameters(network, removal, weights, drop, "shrunk", norm_operands=(1, 2, 3, 4))
        for op in network.body.block.ops:
            if isinstance(op, nn.ConvolutionOp) and is_depthwise(op):
                op.groups = IntegerAttr(int(removal.kept(op.x).sum()), i64)
        infer_types(network)


def mask_channels(network: nn.NetworkOp, removal: Removal, weights: WeightStore) -> None:
    """Zero every parameter of the channels; no shape changes. Means and variances stay: 0 / 0 would be no number."""

    def zero(array: Array, kept: Mask, axis: int) -> Array:
        return np.where(kept.reshape([-1 if i == axis else 1 for i in range(array.ndim)]), array, 0)

    if removal.removed:
        _edit_parameters(network, removal, weights, zero, "masked", norm_operands=(1, 2))


def _edit_parameters(
    network: nn.NetworkOp,
    removal: Removal,
    weights: WeightStore,
    change: Callable[[Array, Mask, int], Array],
    suffix: str,
    *,
    norm_operands: tuple[int, ...],
) -> None:
    """Apply `change(array, kept, axis)` to each parameter that a removed channel touches."""

    def rewrite(op: Operation, index: int, *cuts: tuple[Mask, int]) -> None:
        if all(kept.all() for kept, _ in cuts):
            return
        array = weight_of(op.operands[index], weights)
        for kept, axis in cuts:
            array = change(array, kept, axis)
        key = f"{weight_op_of(op.operands[index]).key.data}.{suffix}"
        hint = op.operands[index].name_hint
        op.operands[index] = insert_weight(op, key, array, f32, weights, hint)

    for op in list(network.body.block.ops):
        match op:
            case nn.ProductOp():
                kept = removal.kept(op.result)
                rewrite(op, 1, (kept, 0), (removal.kept_inputs(op), 1))
                if op.bias is not None:
                    rewrite(op, 2, (kept, 0))
            case nn.BatchNormOp():
                for index in norm_operands:
                    rewrite(op, index, (removal.kept(op.x), 0))
            case _:
                pass  # the other ops have no parameters, or none of their channels leaves
