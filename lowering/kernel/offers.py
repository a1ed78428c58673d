"""What a family of kernels says about a layer: what it would cost on a host, or why it cannot compute it.

`choose_kernels` asks every family of `choose.FAMILIES`; a family is one function `offers(work, host)` in a file
`costs_<family>.py`. Costs are predictions in cycles of the host for the whole layer, finishing stages left out; what
cannot be computed is an offer without a cost, its reason in words that a message can end with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hapir.lowering.kernel.bit_planes import Codes
from hapir.lowering.kernel.geometry import Geometry
from hapir.weights import Array

Bound = Literal["compute", "latency", "load", "l1", "l2", "l3", "dram"]
"""What a kernel waits for: vector ports, the length of its chains, load ports, or a level of the memory."""


@dataclass(frozen=True, eq=False)
class Work:
    """A product layer as cost functions see it.

    `rows` are its weights K x E with E along (r, s, c), in floats or integers as the kernel multiplies them.
    Activations are floats (`bits` is None) or integers of `bits` bits around `zero_point`.
    """

    layer: str
    geometry: Geometry
    rows: Array = field(repr=False)
    bits: int | None
    signed: bool
    zero_point: int
    weight_format: str
    """The number format of the weights as the IR says it: `f32`, `si8`, `!num.ternary`, ..."""
    kernel: Array = field(repr=False)
    """The weights in the network's order: K C R S, K C S or K C."""
    modelled: bool = False
    """Whether its products are those of a multiplier model, which only outer products compute."""
    encoded: bool = False
    """Whether its weights lie encoded in a file: outer products of floats and bytes decode them as the program starts,
    those of few bits have constants instead."""
    codes: Codes | None = None
    """What the activations can be, of integers up to 8 bits."""

    @property
    def is_float(self) -> bool:
        """Whether the layer computes on floats."""
        return self.bits is None

    @property
    def depthwise(self) -> bool:
        """Whether it has one filter per channel."""
        return 1 < self.geometry.groups == self.geometry.channels

    @property
    def pixels(self) -> int:
        """Pixels of the result, over the batch."""
        return self.geometry.batch * self.geometry.rows * self.geometry.columns

    @property
    def macs(self) -> int:
        """Multiplications of the layer as it is written."""
        return self.pixels * self.geometry.filters * self.rows.shape[1]

    @property
    def zeros(self) -> float:
        """The share of weights that are zero."""
        return float((self.rows == 0).mean()) if self.rows.size else 0.0


@dataclass(frozen=True)
class Cost:
    """Cycles of a layer, and what they are spent on; `parts` are alternatives of which the largest binds."""

    cycles: float
    bound: Bound
    parts: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Offer:
    """A kernel for a layer: algorithm, arithmetic and options of its `#kernel.choice`, with its cost or its refusal."""

    algorithm: str
    arithmetic: str = ""
    options: Mapping[str, int] = field(default_factory=dict[str, int])
    cost: Cost | None = None
    refusal: str | None = None
    only_asked: bool = False
    """Whether it is taken only where the schedule asks for it: its weights take more memory, or it is less exact."""

    @property
    def title(self) -> str:
        """How reports name it: `winograd(tile = 4)`, `direct u8_i8`."""
        options = ", ".join(f"{name} = {value}" for name, value in self.options.items())
        words = f"{self.algorithm}({options})" if options else self.algorithm
        return f"{words} {self.arithmetic}" if self.arithmetic else words
