"""A layer's weights with some of them zero, or other ones, under a new key."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import f32

from hapir.dialects import nn
from hapir.lowering.compress.coded_weights import losses
from hapir.lowering.compress.weight_slots import WeightSlot
from hapir.lowering.network_edits import insert_weight, weight_op_of
from hapir.pruners.magnitude import Floats, Mask
from hapir.weights import WeightStore


def zero_weights(slot: WeightSlot, w: Floats, pruned: Mask, weights: WeightStore) -> None:
    """Let a layer read its weights `w` with zeros where `pruned` holds; the new parameter says what it lost."""
    left = np.where(pruned, 0.0, w)
    _set(slot, left, "pruned", weights)
    weight_op_of(slot.value).attributes.update(losses(w, left))


def set_weights(op: nn.ProductOp, w: Floats, suffix: str, weights: WeightStore) -> None:
    """Let a layer read other weights, under its weights' key and a suffix; the result keeps its type."""
    _set(WeightSlot(op, 1), w, suffix, weights)


def _set(slot: WeightSlot, w: Floats, suffix: str, weights: WeightStore) -> None:
    key, hint = f"{weight_op_of(slot.value).key.data}.{suffix}", slot.value.name_hint
    slot.op.operands[slot.index] = insert_weight(slot.op, key, w, f32, weights, hint)
