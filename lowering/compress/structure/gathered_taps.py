"""A layer whose filters ignore the same taps becomes a product with those that are left.

```
%c = nn.conv2d %x, %w window <3x3, pad 1 1 1 1> groups 1 layer "c1" : (tensor<1x4x8x8xf32>, tensor<16x4x3x3xf32>) -> ...
```
becomes, with 20 of the 36 taps left,
```
%p = nn.pad %x before [0, 0, 1, 1] after [0, 0, 1, 1] constant value 0.0 : ...
%g = nn.gather_taps %p, %taps window <3x3> : (tensor<1x4x10x10xf32>, tensor<20xsi32>) -> tensor<1x20x8x8xf32>
%c = nn.conv2d %g, %v window <1x1> groups 1 layer "c1" : (tensor<1x20x8x8xf32>, tensor<16x20x1x1xf32>) -> ...
```
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of, signed
from hapir.lowering.network_edits import insert_before, insert_weight, key_stem, weight_of, weight_op_of
from hapir.lowering.network_edits import replace as put
from hapir.pruners.magnitude import Floats, Mask
from hapir.weights import WeightStore

Indices = npt.NDArray[np.int64]

POINT = Window((1, 1))


def gather_taps(op: nn.ProductOp, w: Floats, pruned: Mask, weights: WeightStore) -> bool:
    """Rewrite a layer with weights `w` so that it reads only the taps left; whether one could go.

    `pruned` is filter groups x (C/G R S). Groups that keep fewer taps than the fullest one read some with weight 0.
    """
    groups, length = pruned.shape
    left = int((~pruned).sum(axis=1).max())
    if left == length:
        return False
    chosen: Indices = np.sort(np.argsort(pruned, axis=1, kind="stable")[:, :left], axis=1)
    matrices = np.where(pruned[:, None], 0.0, w.reshape(groups, len(w) // groups, length))
    rows = np.take_along_axis(matrices, chosen[:, None], axis=2).reshape(len(w), left, *[1] * (w.ndim - 2))
    key = f"{weight_op_of(op.w).key.data}.columns"
    parameter = insert_weight(op, key, rows, f32, weights, op.w.name_hint)
    gathered = _gathered(op, _numbers(chosen, length), weights)
    put(op, _over(op, gathered, parameter))
    return True


def _numbers(chosen: Indices, length: int) -> Indices:
    """The taps of all filter groups as one list, numbered over all input channels."""
    return (chosen + length * np.arange(len(chosen))[:, None]).reshape(-1)


def gathers(op: nn.ProductOp) -> bool:
    """Whether a layer multiplies gathered taps as a matrix already."""
    return isinstance(op.x.owner, nn.GatherTapsOp) and _window(op) == POINT


def _gathered(op: nn.ProductOp, taps: Indices, weights: WeightStore) -> SSAValue:
    """The taps of a layer's input, padded where its window is; taps of what is gathered are taken at their source."""
    stem, window, x = key_stem(op), _window(op), op.x
    if isinstance(x.owner, nn.GatherTapsOp) and window == POINT:
        source = x.owner
        taps = weight_of(source.taps, weights).astype(np.int64)[taps]
        x, window = source.x, source.window.window
    elif any(window.padding):
        x = _padded(op, window)
        window = replace(window, padding=(0, 0, 0, 0))
    index = insert_weight(op, f"{stem}.taps", taps.astype(np.int32), signed(32), weights)
    gather = nn.GatherTapsOp(x, index, window=window, layer=f"{stem}.taps")
    insert_before(op, [gather])
    return gather.result


def _padded(op: nn.ProductOp, window: Window) -> SSAValue:
    top, left, bottom, right = window.padding
    rank = len(shape_of(op.x))
    before, after = ((0, 0, top, left), (0, 0, bottom, right)) if rank == 4 else ((0, 0, left), (0, 0, right))
    pad = nn.PadOp(op.x, before, after, mode=nn.PadMode.constant, value=0.0, layer=f"{key_stem(op)}.pad")
    insert_before(op, [pad])
    return pad.result


def _window(op: nn.ProductOp) -> Window:
    return op.window.window if isinstance(op, nn.ConvolutionOp) else POINT


def _over(op: nn.ProductOp, x: SSAValue, w: SSAValue) -> nn.ProductOp:
    """The same layer as a product with each place of x."""
    if isinstance(op, nn.ConvolutionOp):
        return type(op)(x, w, op.bias, window=POINT, groups=op.filter_groups, layer=op.layer_name)
    return op.on(x, w, op.bias)
