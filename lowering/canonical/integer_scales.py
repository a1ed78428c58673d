"""Rescale accumulators by integers: an f32 factor becomes a multiplier and a shift, as hardware has them.

Law: bounded. The factor's relative error is at most 2^-`multiplier_bits`, unless `max_shift` is reached, so a code of
up to 8 bits is the same or its neighbour; with `rounding = half_even` only a real next to a tie can tell. Networks from
outside have real factors, as processors do; arrays and their output paths have none.

```
%q = num.rescale %a, %s half_even single bounds 0, 255 layer "c1" : tensor<1x4xsi32>, tensor<4xf32> -> tensor<1x4x!a>
```
becomes
```
%q = num.requantize %a, %m, %t half_even bounds 0, 255 layer "c1" : tensor<1x4xsi32>, tensor<4xui16>, tensor<4xui8>
    -> tensor<1x4x!a>
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
from hapir.diagnostics import fail
from hapir.dialects import num
from hapir.dialects.num import UI8, Rounding
from hapir.lowering.compress.requantization import RatioError, fixed_points
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_before,
    insert_weight,
    key_stem,
    layer_name,
    networks_of,
    reject_fused,
    weight_of,
)
from hapir.weights import WeightStore


@dataclass(frozen=True)
class IntegerScalesPass(ModulePass):
    """Make the real factors of `rescale` integer factors and shifts, which hardware has. Bounded.

    `multiplier_bits`: the width of the factor of the target's requantizer.
    `max_shift`: how far that requantizer can shift right.
    `rounding`: how that requantizer rounds.

    Example: `integer_scales(rounding = half_up)`
    """

    name = "integer_scales"
    multiplier_bits: int = field(default=16, metadata=bounded(at_least=2, at_most=31))
    max_shift: int = field(default=47, metadata=bounded(at_least=0, at_most=num.RequantizeOp.MAX_SHIFT))
    rounding: Literal["half_even", "half_up", "half_away", "floor"] = "half_even"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network. Raises HapirError: HAP0955 where no multiplier holds a factor, HAP0516 once fused."""
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            for rescale in list(network.body.block.ops):
                if isinstance(rescale, num.RescaleOp):
                    self._replace(rescale, weights)
            erase_unused_weights(network)

    def _replace(self, op: num.RescaleOp, weights: WeightStore) -> None:
        ratios = weight_of(op.scale, weights).astype(np.float64)
        try:
            multipliers, shifts = fixed_points(ratios, self.multiplier_bits, self.max_shift)
        except RatioError as error:
            fail("HAP0955", f"a factor has no integer form: {error}", at=op, help="use more `multiplier_bits`")
        width = 16 if self.multiplier_bits <= 16 else 32
        stem = key_stem(op)
        stored = multipliers.astype(np.dtype(f"uint{width}"))
        multiplier = insert_weight(op, f"{stem}.multiplier", stored, num.unsigned(width), weights)
        shift = insert_weight(op, f"{stem}.shift", shifts, UI8, weights)
        new = num.RequantizeOp(
            op.acc,
            multiplier,
            shift,
            op.result.type,
            rounding=Rounding(self.rounding),
            low=op.low.value.data,
            high=op.high.value.data,
            layer=layer_name(op),
        )
        insert_before(op, [new])
        new.result.name_hint = op.result.name_hint
        op.result.replace_all_uses_with(new.result)
        op.detach()
        op.erase()
