"""Put a chain of cheaper layers in the place of a convolution or dense layer: what all factorizations share.

The last stage keeps the layer's name and bias, so that what follows reads the same value; the stages before it are
called `<layer>.<role>`. Each new parameter says what the chain lost against the layer's weights. A layer whose chain
costs no less than it did stays as it is, where the pass has such a veto.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.factorizations.stages import Cost, Floats, Maps, Shape4, Stage, StageShape, compose, cost_of
from hapir.lowering.compress.coded_weights import losses
from hapir.lowering.compress.selected_layers import globs_of, selected_layers
from hapir.lowering.network_edits import (
    as_f32,
    erase_unused_weights,
    insert_before,
    insert_weight,
    key_stem,
    layer_name,
    parameter_key,
    real_weight_of,
    reject_fused,
    reject_quantized,
    replace,
    unused_name,
    weight_op_of,
)
from hapir.weights import WeightStore

Veto = Literal["macs", "parameters", "none"]
"""What must get less for a layer to be factored."""


@dataclass(frozen=True)
class Target:
    """A layer to factor: its filters as K x C x R x S (a dense layer's are 1 x 1, a sequence's 1 x S) and its maps."""

    name: str
    w: Floats
    maps: Maps

    @property
    def filters(self) -> Shape4:
        """The sizes K, C, R, S."""
        k, c, r, s = self.w.shape
        return k, c, r, s

    @property
    def cost(self) -> Cost:
        """What the layer costs as it is."""
        return cost_of([StageShape("", self.filters, rows=True, columns=True)], self.maps)


Chain = Sequence[Stage]
Rule = Callable[[Target], Chain | None]
"""What a layer becomes; None leaves it."""


def factor_layers(
    network: nn.NetworkOp,
    layers: str | Sequence[str],
    weights: WeightStore,
    rule: Rule,
    *,
    veto: Veto,
    rectified: bool = False,
) -> None:
    """Replace the layers that globs name by the chains of a rule; `rectified` puts a ReLU between the stages.

    Raises HapirError: HAP0208 for a glob without a layer, HAP0404 and HAP0595 for weights that are not finite or
    coded, HAP0506 and HAP0516 for a network that is quantized or fused, HAP0570 where a layer that is named has filters
    in groups, HAP0571 where no layer would get cheaper.
    """
    reject_fused(network)
    reject_quantized(network)
    names = {name for op in network.body.walk() if (name := layer_name(op))}
    selected = ungrouped_layers(network, layers)
    changed = False
    for op in selected:
        target = target_of(op, weights)
        chain = rule(target)
        if chain is not None and gets_cheaper(target, [stage.shape for stage in chain], veto):
            replace_by_chain(op, chain, weights, names, rectified=rectified)
            changed = True
    if not changed:
        what = "no selected layer has such a form that is cheaper"
        fail(
            "HAP0571",
            what,
            at=selected[0] if selected else network,
            help="lower the rank, select larger layers, or give `veto = none`",
        )
    erase_unused_weights(network)


def ungrouped_layers(network: nn.NetworkOp, layers: str | Sequence[str]) -> list[nn.ProductOp]:
    """The layers that globs name and whose filters see all channels.

    Raises HapirError (HAP0208) where a glob names none, (HAP0570) where a layer named in full has groups.
    """
    found = selected_layers(network, layers)
    for op in found:
        if op.filter_groups > 1 and op.layer_name in globs_of(layers):
            what = f"`{op.layer_name}` has {op.filter_groups} groups of filters, and each sees its own channels only"
            fail("HAP0570", what, at=op, help="select layers with groups = 1")
    return [op for op in found if op.filter_groups == 1]


def target_of(op: nn.ProductOp, weights: WeightStore) -> Target:
    """A layer as the rules see it."""
    w = real_weight_of(op.w, weights)
    rows = w.shape[2] if w.ndim == 4 else 1
    columns = w.shape[-1] if w.ndim > 2 else 1
    return Target(
        op.layer_name or op.name,
        w.reshape(*w.shape[:2], rows, columns),
        Maps(_map_of(op.x), _map_of(op.result)),
    )


def gets_cheaper(target: Target, chain: Sequence[StageShape], veto: Veto) -> bool:
    """Whether a chain costs less than the layer in what the veto names."""
    before, after = target.cost, cost_of(chain, target.maps)
    if veto == "none":
        return True
    return after.macs < before.macs if veto == "macs" else after.parameters < before.parameters


def _map_of(value: SSAValue) -> tuple[int, int]:
    """Rows and columns of an activation: 1 x L of a sequence, 1 x 1 of a vector."""
    sizes = shape_of(value)[2:]
    return (sizes[0], sizes[1]) if len(sizes) == 2 else (1, prod(sizes))


def replace_by_chain(
    op: nn.ProductOp, chain: Chain, weights: WeightStore, names: set[str], *, rectified: bool = False
) -> None:
    """Put the stages in the place of a layer; `names` are those taken, and grow."""
    exact = real_weight_of(op.w, weights)
    key, stem, x = parameter_key(op.w), key_stem(op), op.x
    rounded = [Stage(s.shape, as_f32(s.filters, f"{key}.{s.shape.role}", op).astype(np.float64)) for s in chain]
    lost = losses(exact, as_f32(compose(rounded), key, op).reshape(exact.shape))
    for stage in rounded:
        shape, last = stage.shape, stage is rounded[-1]
        filters = stage.filters.reshape(_filters_of(op, shape.filters))
        w = insert_weight(op, f"{key}.{shape.role}", filters, f32, weights)
        weight_op_of(w).attributes.update(lost)
        name = op.layer_name if last else unused_name(f"{stem}.{shape.role}", names)
        layer = _layer(op, shape, x, w, op.bias if last else None, name)
        if last:
            replace(op, layer)
            return
        added: list[Operation] = [layer]
        if rectified:
            added.append(nn.ReluOp(layer.result, layer=unused_name(f"{name}.relu", names)))
        insert_before(op, added)
        x = added[-1].results[0]


def _filters_of(op: nn.ProductOp, filters: Shape4) -> tuple[int, ...]:
    """The shape of a stage's weights in the op of its layer."""
    k, c, r, s = filters
    return {2: (k, c), 3: (k, c, s)}.get(len(shape_of(op.w)), (k, c, r, s))


def _layer(
    op: nn.ProductOp, shape: StageShape, x: SSAValue, w: SSAValue, bias: SSAValue | None, name: str | None
) -> nn.ProductOp:
    """One stage as an op like the layer's, sliding along the axes that the stage takes over."""
    if not isinstance(op, nn.ConvolutionOp):
        return nn.DenseOp(x, w, bias, layer=name)
    whole = op.window.window
    stride, dilation = (
        (pair[0] if shape.rows else 1, pair[1] if shape.columns else 1) for pair in (whole.stride, whole.dilation)
    )
    top, left, bottom, right = whole.padding
    padding = (
        top if shape.rows else 0,
        left if shape.columns else 0,
        bottom if shape.rows else 0,
        right if shape.columns else 0,
    )
    window = Window(shape.filters[2:], stride, padding, dilation)
    return type(op)(x, w, bias, window=window, groups=shape.groups, layer=name)
