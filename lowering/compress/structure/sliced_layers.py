"""Which layers a slice generator serves, and their parameters: what CSG and BSG share.

The first layer with weights is never compressed, unless the pass says so (UCSD thesis, L1894-1928).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.factorizations.slices import Shape
from hapir.factorizations.stages import Floats
from hapir.lowering.compress.selected_layers import selected_layers
from hapir.lowering.network_edits import insert_before, real_weight_of, reject_fused, reject_quantized, weight_of
from hapir.weights import Array, WeightStore

MOST_NUMBERS = 1 << 14
"""A slice has no more numbers: fitting takes the square of that in memory."""


def check_slice(slice_shape: Sequence[int]) -> None:
    """Raise ValueError for a slice that is too large."""
    if prod(slice_shape) > MOST_NUMBERS:
        raise ValueError(f"a `slice` of {prod(slice_shape)} numbers is too large, it may have {MOST_NUMBERS}")


@dataclass(frozen=True, eq=False)
class SlicedLayer:
    """A layer and its weights, read anew each time: a large network is not held twice."""

    op: nn.ProductOp
    weights: WeightStore

    @property
    def stored(self) -> npt.NDArray[np.float32]:
        """The weights as they are stored."""
        return weight_of(self.op.w, self.weights).astype(np.float32, copy=False)

    @property
    def w(self) -> Floats:
        """The weights."""
        return self.stored.astype(np.float64)


def sliced_layers(
    network: nn.NetworkOp,
    layers: str | Sequence[str],
    slice_shape: Sequence[int],
    weights: WeightStore,
    *,
    keep_first: bool,
    pays: Callable[[Shape], bool],
) -> list[SlicedLayer]:
    """The layers that globs name whose weights have as many axes as a slice, and for which codes pay.

    Raises HapirError: HAP0208 for a glob without a layer, HAP0404 and HAP0595 for weights that are not finite or coded,
    HAP0506 and HAP0516 for a network that is quantized or fused, HAP0571 where codes pay for no layer, HAP0572 where
    there is none with such axes.
    """
    reject_fused(network)
    reject_quantized(network)
    selected = selected_layers(network, layers)
    first = next(op for op in network.body.block.ops if isinstance(op, nn.ProductOp))
    fitting = [op for op in selected if len(shape_of(op.w)) == len(slice_shape) and not (keep_first and op is first)]
    if not fitting:
        what = f"no selected layer has weights of {len(slice_shape)} axes like the slice {list(slice_shape)}"
        help = "the first layer stays unless keep_first = false; slices of dense layers have two sizes"
        fail("HAP0572", what, at=selected[0], help=help)
    for op in fitting:
        real_weight_of(op.w, weights)  # raises where they are not finite
    found = [SlicedLayer(op, weights) for op in fitting if pays(shape_of(op.w))]
    if not found:
        what = "the codes of no selected layer are smaller than its weights"
        fail("HAP0571", what, at=fitting[0], help="use larger slices or shorter codes, or give `veto = none`")
    return found


def insert_shared(first: Operation, key: str, array: Array, element: Attribute, weights: WeightStore) -> SSAValue:
    """A parameter that all layers from `first` on may read."""
    op = nn.WeightOp(weights.put_new(key, array), TensorType(element, array.shape))
    insert_before(first, [op])
    return op.result
