"""The dataflows that a schedule may choose: `dataflow = weight_stationary`.

One frozen dataclass per dataflow; its fields are the options of `dataflow = name(option = value)`. What a dataflow
means for loops and hardware is written where it is lowered; this is the vocabulary. A plug-in's dataflow has no
lowering; with a method `estimate` (see `hapir.targets.estimate.Estimating`) it can be estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class WeightStationary:
    """Weights stay in the array while activations stream through rows and partial sums down the columns.

    Example: `dataflow = weight_stationary`
    """

    name: ClassVar[str] = "weight_stationary"
