"""Cross-layer equalization: give the channels between two layers equal ranges of weights.

Law: exact up to float rounding (with `factors = powers_of_two` exact to the last bit, while floats neither overflow nor
become subnormal). Where one layer's result reaches the next one through nothing but ReLUs, leaky ReLUs, pools, resize,
padding with zeros and a flatten, channel i is divided by s_i in the first layer (weights and bias) and multiplied by it
in the second: `s_i = sqrt(r1_i / r2_i)`, r the largest magnitude of the channel's weights in either (Nagel et al., ICCV
2019, section 4.1). One weight scale per tensor then serves all channels, as one activation scale does. Chains of
layers, depthwise ones among them, are equalized pair by pair until the factors settle. Batch norms must be folded
first: a pair with one in between is not a pair.

```
%c = nn.conv2d %x, %w bias %b ... layer "c1"
%r = nn.relu %c layer "r1"
%d = nn.conv2d %r, %v ... layer "c2"
```
becomes
```
%c = nn.conv2d %x, %w_equalized bias %b_equalized ... layer "c1"
%r = nn.relu %c layer "r1"
%d = nn.conv2d %r, %v_equalized ... layer "c2"
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.num import shape_of
from hapir.lowering.compress.annotations import ACTIVATION_RANGE
from hapir.lowering.compress.selected_layers import selected_layers
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_weight,
    networks_of,
    real_weight_of,
    reject_fused,
    reject_quantized,
    sole_user,
    weight_op_of,
)
from hapir.quantizers.equalization import equalizing_factors, made_ranges, read_ranges, scale_made, scale_read
from hapir.weights import WeightStore

Floats = npt.NDArray[np.float64]

SETTLED = 1e-4
"""Factors this close to 1 change nothing worth another round."""

_HOMOGENEOUS = (
    *(nn.ReluOp, nn.LeakyReluOp, nn.ResizeOp),
    *(nn.MaxPoolOp, nn.AvgPoolOp, nn.GlobalAvgPoolOp, nn.GlobalMaxPoolOp),
)
"""Ops with `f(s x) = s f(x)` for s > 0 that work on each channel by itself."""


@dataclass(frozen=True)
class EqualizePass(ModulePass):
    """Cross-layer equalization of convolutions and dense layers. Exact up to float rounding.

    `layers`: names of layers, or patterns like `c*`; a pair is equalized where both of its layers are selected.
    `factors`: real factors, which make ranges equal, or powers of two, which change no digit of any result.
    `iterations`: how often all pairs are gone through at most; chains need more than one.

    Example: `fold_batch_norm(); equalize(factors = powers_of_two)`
    """

    name = "equalize"
    layers: str | tuple[str, ...] = "*"
    factors: Literal["real", "powers_of_two"] = "real"
    iterations: int = field(default=20, metadata=bounded(at_least=1, at_most=1000))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (HAP0208, HAP0506, HAP0528)."""
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            pairs = pairs_among(selected_layers(network, self.layers))
            parameters = {
                layer: _Parameters.of(layer, weights) for pair in pairs for layer in (pair.first, pair.second)
            }
            for _ in range(self.iterations):
                moves = [pair.equalize(parameters, powers_of_two=self.factors == "powers_of_two") for pair in pairs]
                if max(moves, default=0.0) <= SETTLED:
                    break
            for layer, found in parameters.items():
                found.store(layer, weights)
            erase_unused_weights(network)


@dataclass
class _Parameters:
    """A layer's weights and bias while they are scaled, and which of its operands they were."""

    w: Floats
    bias: Floats | None
    changed: set[int] = field(default_factory=set[int])

    @staticmethod
    def of(layer: nn.ProductOp, weights: WeightStore) -> _Parameters:
        bias = None if layer.bias is None else real_weight_of(layer.bias, weights)
        return _Parameters(real_weight_of(layer.w, weights), bias)

    def store(self, layer: nn.ProductOp, weights: WeightStore) -> None:
        """Give the layer what changed, as f32 under new keys."""
        for index, array in ((1, self.w), (2, self.bias)):
            if index in self.changed and array is not None:
                old = layer.operands[index]
                key = f"{weight_op_of(old).key.data}.equalized"
                layer.operands[index] = insert_weight(layer, key, array, f32, weights, old.name_hint)


@dataclass(frozen=True)
class Pair:
    """Two layers with only homogeneous ops between; each channel is `block` features of the second, in order."""

    first: nn.ProductOp
    second: nn.ProductOp
    block: int

    def equalize(self, parameters: dict[nn.ProductOp, _Parameters], *, powers_of_two: bool) -> float:
        """Scale both layers once; how far the factors were from 1, as a logarithm to base 2."""
        first, second, groups = parameters[self.first], parameters[self.second], self.second.filter_groups
        made, read = made_ranges(first.w), read_ranges(second.w, groups, self.block)
        factors = equalizing_factors(made, read, powers_of_two=powers_of_two)
        move = float(np.abs(np.log2(factors)).max(initial=0.0))
        if move > 0:
            first.w = scale_made(first.w, 1 / factors)
            first.bias = None if first.bias is None else scale_made(first.bias, 1 / factors)
            second.w = scale_read(second.w, factors, groups, self.block)
            first.changed |= {1, 2}
            second.changed |= {1}
        return move


def pairs_among(layers: Sequence[nn.ProductOp]) -> list[Pair]:
    """The pairs of layers, in program order of their first."""
    found = [_pair_from(layer) for layer in layers]
    return [pair for pair in found if pair is not None and pair.second in layers]


def _pair_from(first: nn.ProductOp) -> Pair | None:
    """The pair that a layer begins. Raises HapirError (HAP0528) where a range of its result is fixed already."""
    value: SSAValue = first.result
    block: int = 1
    passed: list[Operation] = [first]
    while True:
        user = sole_user(value)
        if isinstance(user, nn.ProductOp) and user.x is value:
            _reject_fixed_ranges(passed)
            return Pair(first, user, block)
        if isinstance(user, nn.FlattenOp):
            shape = shape_of(value)
            block *= int(np.prod(shape[2:]))
        elif not (isinstance(user, _HOMOGENEOUS) or _pads_maps_with_zeros(user)):
            return None
        assert user is not None
        passed.append(user)
        value = user.results[0]


def _pads_maps_with_zeros(op: Operation | None) -> bool:
    """Whether an op adds zeros, or elements of the same channel, to maps and no channels."""
    if not isinstance(op, nn.PadOp) or not integers(op.before)[1:2] == integers(op.after)[1:2] == [0]:
        return False
    return op.mode.data != nn.PadMode.constant or op.value.value.data == 0


def _reject_fixed_ranges(ops: Sequence[Operation]) -> None:
    for op in ops:
        if ACTIVATION_RANGE in op.attributes:
            what = "the range of this activation is fixed already, and equalize would scale its channels"
            fail("HAP0528", what, at=op, help="put equalize before the pass that fixes ranges")
