"""AddNet: weights become coefficients that a few adders can multiply by, with one scale for a tensor.

Law: lossy; every weight is the scale times the nearest coefficient of the set. A reconfigurable constant-coefficient
multiplier of 2, 3 or 4 adders stores a weight as a select word of 4, 6 or 8 bits. The set is named, given, or chosen
for each layer by the divergence of its histogram from that of the weights (Faraone, "Simplification of Deep Neural
Networks for Efficient Inference", Sydney 2021, chapter 6).

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes with `addnet(coefficients = two_add)`
```
%c = nn.weight "c1.weight.addnet" {max_error = 0.16 : f64, sqnr_db = 13.4 : f64}
    : tensor<16x1x3x3x!num.codebook<ui4, "c1.weight.addnet.levels">>
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import Granularity, WeightSlot
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.addnet import ScaleRule, best_scale, integer_coefficients, matching_set, nearest_coefficients
from hapir.quantizers.codebooks import by_rows
from hapir.quantizers.coded import Coded
from hapir.quantizers.rccm import SETS, Magnitudes, full_three_add_sets, two_add_sets
from hapir.quantizers.sorted_values import Floats, SortedValues

Set = Literal[
    "two_add",
    "three_add",
    "four_add",
    "two_add_gauss",
    "two_add_laplace",
    "three_add_gauss",
    "three_add_laplace",
    "three_add_worst",
    "two_add_match",
    "three_add_match",
]
LARGEST_COEFFICIENT = 2**15 - 1


@dataclass(frozen=True)
class AddnetPass(ModulePass):
    """Weights as coefficients of adder circuits. Lossy; the loss of each parameter is written to the IR.

    `coefficients`: the set: those of the thesis for 2, 3 or 4 adders, the best ones for Gaussian or Laplace weights,
    the worst one there; `match` chooses for each layer: of the five sets with the least divergence (of 3 adders, among
    those that fill 90 % of the select words) the one with most coefficients. Or the coefficients themselves, from 0 up,
    as `[0, 1, 2, 8]`: each stands for itself and its negative.
    `scale`: the scale with the least squared error; or with the least divergence of the two histograms; or the one that
    puts the largest coefficient on the largest weight.
    `form`: codes as indices of levels, or as integers with a scale: the coefficients themselves.
    `granularity`: a scale for a tensor (of a recurrent layer, for each gate), or for each output channel.
    `layers`: names of layers, or patterns like `c*`.

    Example: `addnet(coefficients = three_add, layers = "c*")`
    """

    name = "addnet"
    coefficients: Set | tuple[int, ...] = field(
        default="two_add", metadata=bounded(at_least=0, at_most=LARGEST_COEFFICIENT)
    )
    scale: ScaleRule = "least_squares"
    form: Literal["codebook", "integers"] = "codebook"
    granularity: Granularity = "tensor"
    layers: str | tuple[str, ...] = "*"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if not isinstance(self.coefficients, str) and not any(self.coefficients):
            raise ValueError("`coefficients` must hold one that is not 0")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (see `code_weights`)."""
        for network in networks_of(op):
            code_weights(network, self.layers, hapir_context(ctx), self._coded, self.name)

    def _coded(self, w: Floats, slot: WeightSlot) -> Coded:
        magnitudes, blocks = self._set_for(w), slot.blocks(self.granularity)
        if self.form == "integers":
            return by_rows(w, blocks, lambda b: integer_coefficients(b, magnitudes, self._scale_of(b, magnitudes)))
        return by_rows(w, blocks, lambda b: nearest_coefficients(b, magnitudes, self._scale_of(b, magnitudes)))

    def _scale_of(self, w: Floats, magnitudes: Magnitudes) -> float:
        """The scale as it is stored, in f32; at least the smallest normal number."""
        scale = best_scale(SortedValues(w), magnitudes, self.scale)
        return float(np.maximum(np.float32(scale), np.finfo(np.float32).tiny))

    def _set_for(self, w: Floats) -> Magnitudes:
        match self.coefficients:
            case "two_add_match":
                return matching_set(SortedValues(w), two_add_sets())
            case "three_add_match":
                return matching_set(SortedValues(w), full_three_add_sets())
            case str() as name:
                return SETS[name]
            case _:
                return tuple(sorted(set(self.coefficients)))
