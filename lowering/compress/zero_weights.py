"""A layer's weights with some of them zero, under a new key."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import f32

from hapir.dialects import nn
from hapir.lowering.network_edits import insert_weight, weight_op_of
from hapir.pruners.magnitude import Floats, Mask
from hapir.weights import WeightStore


def zero_weights(op: nn.ProductOp, w: Floats, pruned: Mask, weights: WeightStore) -> None:
    """Let a layer read its weights `w` with zeros where `pruned` holds."""
    set_weights(op, np.where(pruned, 0.0, w), "pruned", weights)


def set_weights(op: nn.ProductOp, w: Floats, suffix: str, weights: WeightStore) -> None:
    """Let a layer read other weights, under its weights' key and a suffix; the result keeps its type."""
    key = f"{weight_op_of(op.w).key.data}.{suffix}"
    op.operands[1] = insert_weight(op, key, w.astype(np.float32), f32, weights, op.w.name_hint)
