"""Fold batch norms into the convolution, transposed convolution or dense layer before them.

Law: exact up to float rounding: the folded parameters are computed in float64 and stored as f32. With
`g = gamma / sqrt(variance + epsilon)`: `w'[k] = g[k] w[k]`, `b'[k] = g[k] (b[k] - mean[k]) + beta[k]` (Jacob et al.,
CVPR 2018, section 3.2). A batch norm whose operand is not the single-use result of such a layer has nothing to be
folded into: it stays, or becomes a 1x1 depthwise convolution (`standalone = convolution`; on sequences N C L a conv1d,
on N C tensors a dense layer with a diagonal matrix), which is exact too.

```
%c = nn.conv2d %x, %w window <3x3> groups 1 layer "c1" : ...
%n = nn.batch_norm %c, %gamma, %beta, %mean, %variance epsilon 1.0e-05 layer "n1" : ...
```
becomes
```
%c = nn.conv2d %x, %w_folded bias %b_folded window <3x3> groups 1 layer "c1" : ...
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.passes import ModulePass

from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects.nn import (
    BatchNormOp,
    Conv1dOp,
    Conv2dOp,
    DenseOp,
    NetworkOp,
    ProductOp,
    TransposedConvolutionOp,
    WeightOp,
)
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_weight,
    key_stem,
    networks_of,
    real_weight_of,
    reject_fused,
    replace,
    weight_op_of,
)
from hapir.weights import WeightStore


@dataclass(frozen=True)
class FoldBatchNormPass(ModulePass):
    """Fold batch norms into the layer before them. Exact up to float rounding.

    Comes before the weights are coded: codes take no factor, and a batch norm behind them stays. Quantizers warn of it
    (HAP0535), but for networks with signs, where `threshold` makes norm and sign one comparison.

    `standalone`: what happens to one that cannot be folded: keep it, or make it a depthwise convolution.
    `strict`: one that cannot be folded is an error (HAP0503).

    Example: `fold_batch_norm(strict = true)`
    """

    name = "fold_batch_norm"
    standalone: Literal["keep", "convolution"] = "keep"
    strict: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            for norm in batch_norms(network):
                target = fold_target(norm)
                if target is not None:
                    fold_into(target, norm, weights)
                elif self.strict:
                    fail(
                        "HAP0503",
                        "this batch norm does not follow a convolution or dense layer that only it reads",
                        at=norm,
                        help="drop `strict`, or use standalone = convolution",
                    )
                elif self.standalone == "convolution":
                    batch_norm_to_convolution(norm, weights)
            erase_unused_weights(network)


def batch_norms(network: NetworkOp) -> list[BatchNormOp]:
    """The batch norms of a network whose parameters are stored, in program order."""
    norms = (op for op in network.body.block.ops if isinstance(op, BatchNormOp))
    return [op for op in norms if all(isinstance(v.owner, WeightOp) for v in op.operands[1:])]


Foldable = ProductOp | TransposedConvolutionOp


def fold_target(norm: BatchNormOp) -> Foldable | None:
    """The layer a batch norm can be folded into, or None. Stored weights alone take a factor, no codes or inputs."""
    producer = norm.x.owner
    if not (isinstance(producer, Foldable) and norm.x.has_one_use()):
        return None
    stored = all(isinstance(v.owner, WeightOp) for v in (producer.w, producer.bias) if v is not None)
    return producer if stored else None


def scale_and_offset(
    norm: BatchNormOp, weights: WeightStore
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A batch norm as `y = scale * x + offset`, float64 of shape C.

    Raises HapirError (HAP0404) where a variance is so negative that the root does not exist.
    """
    gamma, beta, mean, variance = (
        real_weight_of(v, weights) for v in (norm.gamma, norm.beta, norm.mean, norm.variance)
    )
    shifted = variance + norm.epsilon.value.data
    if (shifted <= 0).any():
        channel = int(np.argmax(shifted <= 0))
        fail("HAP0404", f"variance + epsilon of channel {channel} is {shifted[channel]:g}, not positive", at=norm)
    scale = gamma / np.sqrt(shifted)
    return scale, beta - scale * mean


def fold_into(layer: Foldable, norm: BatchNormOp, weights: WeightStore) -> None:
    """Fold a batch norm into the layer that makes its operand, giving the layer a bias where it has none."""
    scale, offset = scale_and_offset(norm, weights)
    w = real_weight_of(layer.w, weights)
    bias = np.zeros(len(scale)) if layer.bias is None else real_weight_of(layer.bias, weights)
    folded_w = _scaled(layer, w, scale)
    folded_bias = scale * bias + offset
    stem = key_stem(layer)
    bias_key = f"{stem}.bias" if layer.bias is None else weight_op_of(layer.bias).key.data
    new_w = insert_weight(layer, f"{weight_op_of(layer.w).key.data}.folded", folded_w, f32, weights, layer.w.name_hint)
    new_bias = insert_weight(layer, f"{bias_key}.folded", folded_bias, f32, weights)
    folded = layer.on(layer.x, new_w, new_bias)
    folded.attributes.update(norm.attributes)  # what is asked of the norm's result is asked of what gives it now
    replace(layer, folded)
    norm.result.replace_all_uses_with(folded.result)
    norm.detach()
    norm.erase()


def _scaled(layer: Foldable, w: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weights times one factor per output channel: K ..., or C K/G ... of a transposed convolution."""
    if isinstance(layer, TransposedConvolutionOp):
        groups = layer.groups.value.data
        by_group = w.reshape(groups, -1, *w.shape[1:])
        return (by_group * scale.reshape(groups, 1, -1, *[1] * (w.ndim - 2))).reshape(w.shape)
    return w * scale.reshape(-1, *[1] * (w.ndim - 1))


def batch_norm_to_convolution(norm: BatchNormOp, weights: WeightStore) -> ProductOp:
    """Replace a batch norm: over N C H W or N C L by a depthwise convolution of one element, over N C by a dense layer
    of a diagonal.

    Raises HapirError (HAP0503) for other ranks.
    """
    scale, offset = scale_and_offset(norm, weights)
    shape = shape_of(norm.x)
    stem = key_stem(norm)
    if len(shape) in (3, 4):
        filters = scale.reshape(-1, *[1] * (len(shape) - 1))
        w = insert_weight(norm, f"{stem}.weight", filters, f32, weights)
        b = insert_weight(norm, f"{stem}.bias", offset, f32, weights)
        kind = Conv2dOp if len(shape) == 4 else Conv1dOp
        new: ProductOp = kind(norm.x, w, b, window=Window((1, 1)), groups=shape[1], layer=norm.layer_name)
    elif len(shape) == 2:
        w = insert_weight(norm, f"{stem}.weight", np.diag(scale), f32, weights)
        b = insert_weight(norm, f"{stem}.bias", offset, f32, weights)
        new = DenseOp(norm.x, w, b, layer=norm.layer_name)
    else:
        fail("HAP0503", f"a batch norm over {len(shape)} dimensions has no equal convolution", at=norm)
    replace(norm, new)
    return new
