"""What binary codes do with weights that are 0: they have no zero, so pruning before them would be undone.

The sign of 0 is +1. A few such weights do no harm; where pruning made many, each would come back as large as any other.
Ternary codes keep zeros, and channels that pruning removed are gone for good.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from hapir.diagnostics import fail
from hapir.lowering.compress.weight_slots import WeightSlot
from hapir.lowering.network_edits import weight_op_of
from hapir.quantizers.coded import Floats
from hapir.quantizers.scale_groups import Shape, group_sums

Zeros = Literal["refuse", "positive"]
"""Weights of 0 are refused where they are more than `PRUNED_SHARE`, or become positive whatever their number."""

PRUNED_SHARE = 0.05
"""A larger share of exact zeros than this is no accident of training."""


def refuse_pruned(w: Floats, slot: WeightSlot) -> None:
    """Raise HapirError (HAP0530) where many weights are 0, but not all."""
    share = float((w == 0).mean())
    if PRUNED_SHARE < share < 1:
        fail(
            "HAP0530",
            f"{share:.0%} of `{_key(slot)}` is 0, and these codes have no zero: they would undo the pruning",
            at=slot.op,
            help="ternary codes keep zeros, as twn() and ttq() do, and channels that prune() removes stay away; "
            "the option `zeros` lets them come back",
        )


def check_signs(w: Floats, slot: WeightSlot, zeros: Zeros, scales: Shape) -> None:
    """Refuse weights that signs, with scales of a shape, cannot stand for.

    Raises HapirError: HAP0530 for pruned weights unless `zeros` is positive, HAP0531 where a scale has only zeros.
    """
    if zeros == "refuse":
        refuse_pruned(w, slot)
    sums = group_sums(np.abs(w), scales)
    if (sums == 0).any():
        dead = int((sums.ravel() == 0).argmax())
        where = f"the weights of scale {dead} of `{_key(slot)}` are" if sums.size > 1 else f"`{_key(slot)}` is"
        fail(
            "HAP0531",
            f"{where} all 0, and signs have no scale that stands for them",
            at=slot.op,
            help="remove dead channels with prune(grain = filter), or use ternary codes",
        )


def _key(slot: WeightSlot) -> str:
    return weight_op_of(slot.value).key.data
