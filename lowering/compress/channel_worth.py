"""The criteria of `pruners.magnitude` as what channels are worth, alone and joined."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from hapir.lowering.compress.channel_choice import Worth
from hapir.pruners.magnitude import Criterion, Floats, score

JOINED: Mapping[Criterion, Callable[[float, float], float]] = {
    "magnitude": float.__add__,
    "l2": math.hypot,
    "psp": max,
    "random": float.__add__,
}
"""What a channel is worth that several layers make: norms join; one above the threshold in any of them stays."""


def worth_by(criterion: Criterion, seed: int) -> Worth:
    """A criterion over channels x weights; random orders differ from layer to layer."""
    draw = np.random.default_rng(seed)

    def worth(weights: Floats) -> Floats:
        return score(weights, (1,), criterion, draw)

    return worth
