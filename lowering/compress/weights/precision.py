"""Explicit mixed precision: annotate layers with the formats that quantize shall give them.

Law: exact (the float network computes what it did); `quantize` carries the annotations out. The weights of a layer and
its result are asked for separately. The result is the one behind the ReLU, pool or other op that keeps the layer's
integers: the whole line has one type, so annotations along it must agree (HAP0525). A fixed range replaces the one that
calibration would show; it comes as two numbers, or from the batch norm behind the layer: with channel offsets beta and
factors gamma, `sigmas` standard deviations are `beta + sigmas |gamma|` (Schindler, thesis Heidelberg 2021, section 5.3,
L1105-1123), the widest channel for all.

```
%c = nn.conv2d %x, %w ... layer "c1" : ...
```
becomes with `precision(layers = "c1", weights = i4, activations = u4, high = 6)`
```
%c = nn.conv2d %x, %w ... layer "c1" {weight_format = "i4", activation_format = "u4", activation_range = [0.0 : f64,
    6.0 : f64]} : ...
```
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.lowering.compress.activation_types import keeps_integers, preserves
from hapir.lowering.compress.annotations import ActivationFormat, WeightFormat, ask_for
from hapir.lowering.compress.selected_layers import selected_ops
from hapir.lowering.compress.weight_slots import slots_of
from hapir.lowering.network_edits import networks_of, real_weight_of, reject_fused, reject_quantized, sole_user
from hapir.quantizers.gaussian_clipping import batch_norm_range
from hapir.weights import WeightStore


@dataclass(frozen=True)
class PrecisionPass(ModulePass):
    """Annotate layers with formats for quantize to carry out. Exact: nothing else changes.

    Where several steps say something of one layer, the last one counts, option by option: so write what holds for most
    layers first, and then the exceptions.

    `layers`: names of layers, or patterns like `c*`; a ReLU or pool among others counts with the layer whose integers
        it keeps.
    `weights`: the format of their weights.
    `activations`: the format of their results.
    `low`: the lower end of the results' range; needs `high`.
    `high`: the upper end of the results' range.
    `sigmas`: take the range from the batch norm behind each layer, so many standard deviations to either side.

    Example: `precision(layers = "c1", weights = i4, activations = u4, high = 6)`
    """

    name = "precision"
    layers: str | tuple[str, ...]
    weights: WeightFormat | None = None
    activations: ActivationFormat | None = None
    low: float = field(default=0.0, metadata=bounded(at_most=0))
    high: float | None = field(default=None, metadata=bounded(above=0))
    sigmas: float | None = field(default=None, metadata=bounded(above=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if self.weights is None and self.activations is None and self.high is None and self.sigmas is None:
            raise ValueError("precision says nothing: give it `weights`, `activations`, `high` or `sigmas`")
        if self.high is not None and self.sigmas is not None:
            raise ValueError(
                "precision has `high` and `sigmas`: a range is given or taken from the batch norm, not both"
            )
        if self.low != 0 and self.high is None:
            raise ValueError("precision has `low` and no `high`: a range has two ends")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Annotate the ops. Raises HapirError (HAP0208, HAP0506, HAP0527)."""
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            for layer in self._asked(network):
                range_ = None if self.high is None else (self.low, self.high)
                if self.sigmas is not None:
                    range_ = range_behind(layer, self.sigmas, weights)
                ask_for(
                    layer,
                    weights=self.weights if slots_of(layer) else None,
                    activations=self.activations,
                    range=range_,
                )

    def _asked(self, network: nn.NetworkOp) -> list[nn.LayerOp]:
        """The selected layers, without those that only keep the integers of others: globs such as `*` mean the rest."""
        selected = selected_ops(network, self.layers)
        if self.sigmas is not None:
            return [op for op in selected if slots_of(op) or isinstance(op, nn.BatchNormOp)]
        return [op for op in selected if not keeps_integers(op)] or selected


def range_behind(layer: nn.LayerOp, sigmas: float, weights: WeightStore) -> tuple[float, float]:
    """The range of the batch norm that a layer is or that follows it, cut at 0 where a ReLU is next.

    Raises HapirError (HAP0527) where there is none.
    """
    value: SSAValue = layer.results[0]
    norm = layer if isinstance(layer, nn.BatchNormOp) else sole_user(value)
    if not isinstance(norm, nn.BatchNormOp):
        what = "no batch norm follows that says how this layer's results are distributed"
        fail("HAP0527", what, at=layer, help="call precision before fold_batch_norm, or give `high` as a number")
    low, high = batch_norm_range(real_weight_of(norm.beta, weights), real_weight_of(norm.gamma, weights), sigmas)
    user = sole_user(norm.result)
    while preserves(user) and not isinstance(user, nn.ReluOp):
        user = sole_user(user.results[0])
    return (0.0 if isinstance(user, nn.ReluOp) else min(low, 0.0)), max(high, 0.0)
