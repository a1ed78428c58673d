"""A convolution that ignores whole rows and columns of its kernel gets a smaller window.

The map keeps its size: padding shrinks with the window, and where there is none left, the map is cut.

```
%c = nn.conv2d %x, %w window <3x3, pad 1 1 1 1> groups 1 layer "c1" : (..., tensor<8x4x3x3xf32>) -> tensor<1x8x8x8xf32>
```
becomes, without the first row and the last column,
```
%c = nn.conv2d %x, %v window <2x2, pad 0 1 1 0> groups 1 layer "c1" : (..., tensor<8x4x2x2xf32>) -> tensor<1x8x8x8xf32>
```
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import as_map
from hapir.dialects.num import shape_of
from hapir.lowering.network_edits import insert_before, insert_weight, key_stem, replace, weight_op_of
from hapir.pruners.magnitude import Floats
from hapir.pruners.narrowing import narrowed
from hapir.weights import WeightStore


def narrow_window(
    op: nn.ConvolutionOp, w: Floats, rows: Sequence[int], columns: Sequence[int], weights: WeightStore
) -> bool:
    """Keep these evenly spaced rows and columns of the kernels `w` (K C/G R S).

    False, and nothing is done, where these taps read padding only: a map of no elements cannot be cut out.
    """
    _, _, height, width = as_map(shape_of(op.x))
    found = narrowed(op.window.window, rows, columns, height, width)
    top, left, bottom, right = found.crop
    if height <= top + bottom or width <= left + right:
        return False
    kept = w[:, :, list(rows)][..., list(columns)]
    if len(shape_of(op.w)) == 3:  # a sequence has one row
        kept = kept[:, :, 0]
    key = f"{weight_op_of(op.w).key.data}.narrow"
    parameter = insert_weight(op, key, kept, f32, weights, op.w.name_hint)
    rank = len(shape_of(op.x))
    x = _cut(op, _cut(op, op.x, rank - 2, top, bottom), rank - 1, left, right)
    smaller = type(op)(x, parameter, op.bias, window=found.window, groups=op.filter_groups, layer=op.layer_name)
    replace(op, smaller)
    return True


def _cut(op: nn.ConvolutionOp, x: SSAValue, axis: int, before: int, after: int) -> SSAValue:
    """Leave elements out at both ends of an axis."""
    pieces = [(before, False), (shape_of(x)[axis] - before - after, True), (after, False)]
    pieces = [(size, wanted) for size, wanted in pieces if size]
    if len(pieces) == 1:
        return x
    split = nn.SplitOp(x, [size for size, _ in pieces], axis=axis, layer=f"{key_stem(op)}.cut")
    insert_before(op, [split])
    return split.outputs[[wanted for _, wanted in pieces].index(True)]
