"""Let layers with windows pad themselves, where a layer before them does.

Law: exact. Zeros around a map are the padding of the convolution that reads it; around the map of an average pool they
are its padding where that counts. A max pool takes them where what it reads is never below 0, as its own padding never
wins.

```
%p = nn.pad %x before [0, 0, 1, 1] after [0, 0, 1, 1] constant value 0.0 : ...
%y = nn.conv2d %p, %w window <3x3, stride 2x2> groups 1 : ...
```
becomes
```
%y = nn.conv2d %x, %w window <3x3, stride 2x2, pad 1 1 1 1> groups 1 : ...
```
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.nn_shapes import ShapeError, Window, pool
from hapir.dialects.num import is_float, shape_of
from hapir.lowering.canonical.arithmetic import is_function
from hapir.lowering.canonical.rewriting import Rewriter, Rules, rewrite_networks


@dataclass(frozen=True)
class JoinPaddingsPass(ModulePass):
    """Let layers with windows pad themselves, where a layer before them does. Exact.

    Comes after `cancel_transposes`: the axes of a map must be where hapir has them.

    Example: `join_paddings()`
    """

    name = "join_paddings"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_networks(ctx, op, RULES)


def _padding(value: SSAValue) -> tuple[nn.PadOp, tuple[int, int, int, int]] | None:
    """The padding before a layer: top, left, bottom, right; None where it is no constant around maps or sequences."""
    op = value.owner
    if not isinstance(op, nn.PadOp) or op.mode.data != nn.PadMode.constant or not is_float(op.x):
        return None
    before, after = integers(op.before), integers(op.after)
    if len(before) not in (3, 4) or any((*before[:2], *after[:2])):
        return None
    (top, left), (bottom, right) = ((0,) * (4 - len(part)) + tuple(part[2:]) for part in (before, after))
    return op, (top, left, bottom, right)


def _wider(window: Window, padding: tuple[int, int, int, int]) -> Window:
    top, left, bottom, right = (a + b for a, b in zip(window.padding, padding, strict=True))
    return replace(window, padding=(top, left, bottom, right))


def convolution(op: nn.ConvolutionOp, rewriter: Rewriter) -> bool:
    """Zeros before a convolution."""
    found = _padding(op.x)
    if found is None or found[0].value.value.data != 0:
        return False
    pad, padding = found
    new = type(op)(pad.x, op.w, op.bias, window=_wider(op.window.window, padding), groups=op.filter_groups)
    new.multiplier = op.multiplier
    return rewriter.replace(op, new)


def average_pool(op: nn.AvgPoolOp, rewriter: Rewriter) -> bool:
    """Zeros before an average pool that counts its padding, or has none."""
    found, counts = _padding(op.x), bool(op.count_include_pad.value.data)
    if found is None or found[0].value.value.data != 0 or (any(op.window.window.padding) and not counts):
        return False
    window = _wider(op.window.window, found[1])
    if not _fits(found[0].x, window):
        return False
    return rewriter.replace(op, nn.AvgPoolOp(found[0].x, window=window, count_include_pad=True))


def max_pool(op: nn.MaxPoolOp, rewriter: Rewriter) -> bool:
    """Numbers before a max pool that are never above what it reads."""
    found = _padding(op.x)
    if found is None or not _is_above(found[0].x, found[0].value.value.data):
        return False
    window = _wider(op.window.window, found[1])
    return _fits(found[0].x, window) and rewriter.replace(op, nn.MaxPoolOp(found[0].x, window=window))


def _fits(x: SSAValue, window: Window) -> bool:
    """Whether a pool may have this window: none lies in the padding alone."""
    try:
        pool(shape_of(x), window)
    except ShapeError:
        return False
    return True


def _is_above(value: SSAValue, number: float) -> bool:
    """Whether a value is never below a number, for all that is known."""
    owner = value.owner
    if isinstance(owner, nn.ClipOp):
        return owner.low.value.data >= number
    return number <= 0 and any(is_function(value, name) for name in ("relu", "sigmoid", "hard_sigmoid"))


RULES: Rules = {
    nn.Conv2dOp: (convolution,),
    nn.Conv1dOp: (convolution,),
    nn.AvgPoolOp: (average_pool,),
    nn.MaxPoolOp: (max_pool,),
}
