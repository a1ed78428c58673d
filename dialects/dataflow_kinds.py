"""The dataflows that a schedule may choose: `dataflow = weight_stationary`.

One frozen dataclass per dataflow; its fields are the options of `dataflow = name(option = value)`. What a dataflow
means for loops and hardware is written where it is lowered; this is the vocabulary.
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
