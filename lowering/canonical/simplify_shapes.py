"""Write changes of shape in one way, and leave out those that change nothing.

Law: exact. Data move, and none is computed. Transposes in a row are one, and one that moves axes of size 1 alone is a
reshape; reshapes in a row are one, and `flatten` where all axes but the batch become one. A reshape that joins axes
which a transpose kept together goes before it, so that transposes meet. Paddings, slices, tilings, pieces and joins
that change nothing go.

```
%t = nn.transpose %x axes [0, 2, 3, 1] : tensor<1x8x1x1xf32> -> tensor<1x1x1x8xf32>
%y = nn.reshape %t to [8] : tensor<1x1x1x8xf32> -> tensor<1x8xf32>
```
becomes
```
%y = nn.flatten %x : tensor<1x8x1x1xf32> -> tensor<1x8xf32>
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.num import shape_of
from hapir.lowering.canonical.rewriting import Rewriter, Rules, rewrite_networks


@dataclass(frozen=True)
class SimplifyShapesPass(ModulePass):
    """Write changes of shape in one way, and leave out those that change nothing. Exact.

    Comes after `cancel_transposes`, which does not know transposes that are written as reshapes.

    Example: `simplify_shapes()`
    """

    name = "simplify_shapes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_networks(ctx, op, RULES)


def reshaped(x: SSAValue, shape: Sequence[int]) -> nn.LayerOp | SSAValue:
    """A value in another shape, in the one way to write it; the value itself where it has that shape."""
    old = shape_of(x)
    if tuple(shape) == old:
        return x
    if _is_flatten(old, shape):
        return nn.FlattenOp(x)
    axis = _first_axis(old, shape)
    return nn.ReshapeOp(x, shape[axis:], axis=axis)


def _is_flatten(old: Sequence[int], new: Sequence[int]) -> bool:
    return len(new) == 2 and len(old) > 2 and new[0] == old[0]


def _first_axis(old: Sequence[int], new: Sequence[int]) -> int:
    """1 where the batch stays as it is, else 0."""
    return int(bool(old) and bool(new) and new[0] == old[0])


def composed(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """The axes of a transpose of a transpose."""
    return [first[axis] for axis in second]


def inverse(axes: Sequence[int]) -> list[int]:
    """The axes that undo a transpose."""
    return [list(axes).index(i) for i in range(len(axes))]


def moves_nothing(shape: Sequence[int], axes: Sequence[int]) -> bool:
    """Whether a transpose of this shape leaves all elements in their order."""
    longer = [axis for axis in axes if shape[axis] != 1]
    return longer == sorted(longer)


def one_transpose(op: nn.TransposeOp, rewriter: Rewriter) -> bool:
    """Transposes in a row, and one that keeps all axes where they are."""
    axes, x = integers(op.axes), op.x
    if isinstance(x.owner, nn.TransposeOp):
        return rewriter.replace(op, nn.TransposeOp(x.owner.x, composed(integers(x.owner.axes), axes)))
    return axes == sorted(axes) and rewriter.replace(op, x)


def transpose_of_ones(op: nn.TransposeOp, rewriter: Rewriter) -> bool:
    """A transpose that moves axes of size 1 alone is a reshape."""
    return moves_nothing(shape_of(op.x), integers(op.axes)) and rewriter.replace(
        op, reshaped(op.x, shape_of(op.result))
    )


def once(op: nn.LayerOp, rewriter: Rewriter) -> bool:
    """The same change of one value is made once, where it is needed first."""
    for use in op.operands[0].uses:
        other = use.operation
        if other is not op and type(other) is type(op) and other.is_before_in_block(op) and _says(other) == _says(op):
            return rewriter.replace(op, other.results[0])
    return False


def _says(op: Operation) -> dict[str, Attribute]:
    return {name: value for name, value in op.properties.items() if name != "layer"}


def reshape_of_ones(op: nn.ReshapeOp | nn.FlattenOp, rewriter: Rewriter) -> bool:
    """So a reshape does not need it before."""
    turned = op.x.owner
    if not isinstance(turned, nn.TransposeOp) or not moves_nothing(shape_of(turned.x), integers(turned.axes)):
        return False
    return rewriter.replace(op, reshaped(turned.x, shape_of(op.result)))


def one_reshape(op: nn.ReshapeOp | nn.FlattenOp, rewriter: Rewriter) -> bool:
    """Reshapes in a row, and those that are written in another way."""
    x = op.x
    while isinstance(x.owner, nn.ReshapeOp | nn.FlattenOp):
        x = x.owner.x
    shape = shape_of(op.result)
    if x is op.x and shape != shape_of(x):
        flat = _is_flatten(shape_of(x), shape)
        fits = flat if isinstance(op, nn.FlattenOp) else not flat and op.first_axis == _first_axis(shape_of(x), shape)
        if fits:
            return False
    return rewriter.replace(op, reshaped(x, shape))


def reshape_first(op: nn.ReshapeOp | nn.FlattenOp, rewriter: Rewriter) -> bool:
    """A reshape that joins axes which a transpose keeps together goes before it."""
    turned = op.x.owner
    if not isinstance(turned, nn.TransposeOp) or not op.x.has_one_use():
        return False
    axes = integers(turned.axes)
    groups = _joined(shape_of(op.x), shape_of(op.result))
    if groups is None or all(len(group) == 1 for group in groups):
        return False
    sources = [[axes[axis] for axis in group] for group in groups]
    if any(source != list(range(source[0], source[0] + len(source))) for source in sources):
        return False
    order = sorted(range(len(sources)), key=lambda i: sources[i])
    old = shape_of(turned.x)
    new = reshaped(turned.x, [prod(old[axis] for axis in sources[i]) for i in order])
    assert isinstance(new, nn.LayerOp)
    new.layer = turned.layer
    return rewriter.replace(op, nn.TransposeOp(rewriter.before(op, new), inverse(order)))


def _joined(old: Sequence[int], new: Sequence[int]) -> list[list[int]] | None:
    """The old axes that each new one is made of; None where a reshape does not only join axes."""
    groups: list[list[int]] = []
    axis = 0
    for size in new:
        group = [axis]
        axis += 1
        if group[0] >= len(old):
            return None
        while prod(old[a] for a in group) < size and axis < len(old):
            group.append(axis)
            axis += 1
        if prod(old[a] for a in group) != size:
            return None
        groups.append(group)
    return groups if axis == len(old) else None


def nothing_moves(op: nn.LayerOp, rewriter: Rewriter) -> bool:
    """What changes nothing."""
    x = op.operands[0]
    return len(op.operands) == len(op.results) == 1 and x.type == op.results[0].type and rewriter.replace(op, x)


def whole_slice(op: nn.SliceOp, rewriter: Rewriter) -> bool:
    """A slice of all elements in order."""
    return op.x.type == op.result.type and all(step == 1 for *_, step in op.cuts) and rewriter.replace(op, op.x)


def reduce_first(op: nn.ReduceOp, rewriter: Rewriter) -> bool:
    """A reduction goes before a transpose, which has less to move then, or nothing."""
    turned = op.x.owner
    if not isinstance(turned, nn.TransposeOp):
        return False
    axes, gone = integers(turned.axes), integers(op.axes)
    keep = op.keep is not None
    left = axes if keep else [axis for i, axis in enumerate(axes) if i not in gone]
    order = [sorted(left).index(axis) for axis in left]
    if order != sorted(order) and not op.x.has_one_use():
        return False
    new = nn.ReduceOp(op.function.data, turned.x, sorted(axes[axis] for axis in gone), keep=keep)
    if order == sorted(order):
        return rewriter.replace(op, new)
    new.layer = turned.layer
    return rewriter.replace(op, nn.TransposeOp(rewriter.before(op, new), order))


MEETING: Rules = {
    nn.TransposeOp: (one_transpose, once),
    nn.ReduceOp: (reduce_first,),
    nn.ReshapeOp: (one_reshape, reshape_of_ones, reshape_first, once),
    nn.FlattenOp: (one_reshape, reshape_of_ones, reshape_first, once),
}
"""The rules by which transposes meet each other."""

RULES: Rules = {
    **MEETING,
    nn.TransposeOp: (one_transpose, transpose_of_ones, once),
    nn.PadOp: (nothing_moves,),
    nn.SliceOp: (whole_slice,),
    nn.TileOp: (nothing_moves,),
    nn.ConcatOp: (nothing_moves,),
    nn.SplitOp: (nothing_moves,),
}
