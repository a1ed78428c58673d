"""Make means and maxima over all places of maps the pools that they are.

Law: bounded: a mean may be summed in another order; maxima are exact. Reductions along all axes behind the channels,
and pools whose one window is the whole map, are global pools; a reduction that drops its axes is flattened after.
Tensors of three axes count where layers of sequences made them: those of N T C have their channels behind.

```
%y = nn.reduce mean %x axes [2, 3] : tensor<1x8x7x7xf32> -> tensor<1x8xf32>
```
becomes
```
%p = nn.global_avg_pool %x : tensor<1x8x7x7xf32> -> tensor<1x8x1x1xf32>
%y = nn.flatten %p : tensor<1x8x1x1xf32> -> tensor<1x8xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.nn_shapes import as_map
from hapir.dialects.num import is_float, shape_of
from hapir.lowering.canonical.arithmetic import function_of
from hapir.lowering.canonical.rewriting import Rewriter, Rules, rewrite_networks


@dataclass(frozen=True)
class RecognizePoolsPass(ModulePass):
    """Make means and maxima over all places of maps the pools that they are. Bounded: sums run in another order.

    Comes after `cancel_transposes`: the axes of channels and places must be where hapir has them.

    Example: `recognize_pools()`
    """

    name = "recognize_pools"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_networks(ctx, op, RULES)


def reduction(op: nn.ReduceOp, rewriter: Rewriter) -> bool:
    """A mean or maximum along all axes behind the channels."""
    rank = len(shape_of(op.x))
    if integers(op.axes) != list(range(2, rank)) or not is_float(op.x):
        return False
    if rank != 4 and not (rank == 3 and _is_sequence(op.x)):
        return False
    pool = _pool(op.function.data, op.x)
    if pool is None:
        return False
    if op.keep is not None:
        return rewriter.replace(op, pool)
    if op.layer is not None:
        pool.layer = op.layer
    name = rewriter.name(op, "flatten")
    return rewriter.replace(op, nn.FlattenOp(rewriter.before(op, pool), layer=name), renamed=True)


def _pool(function: str, x: SSAValue) -> nn.LayerOp | None:
    match function:
        case "mean":
            return nn.GlobalAvgPoolOp(x)
        case "max":
            return nn.GlobalMaxPoolOp(x)
        case _:
            return None


_OF_SEQUENCES = (nn.Conv1dOp, nn.TransposedConv1dOp, nn.MaxPoolOp, nn.AvgPoolOp, nn.BatchNormOp)


def _is_sequence(value: SSAValue) -> bool:
    """Whether a value of three axes is N C L: made by a layer of sequences, and functions of elements behind it."""
    while isinstance(value.owner, Operation) and function_of(value.owner) is not None:
        value = max(value.owner.operands, key=lambda v: len(shape_of(v)))
    return isinstance(value.owner, _OF_SEQUENCES)


def whole_map(op: nn.MaxPoolOp | nn.AvgPoolOp, rewriter: Rewriter) -> bool:
    """A pool whose one window is the map."""
    window, (*_, height, width) = op.window.window, as_map(shape_of(op.x))
    if window.kernel != (height, width) or any(window.padding) or not is_float(op.x):
        return False
    pool = nn.GlobalMaxPoolOp(op.x) if isinstance(op, nn.MaxPoolOp) else nn.GlobalAvgPoolOp(op.x)
    return rewriter.replace(op, pool)


RULES: Rules = {nn.ReduceOp: (reduction,), nn.MaxPoolOp: (whole_map,), nn.AvgPoolOp: (whole_map,)}
