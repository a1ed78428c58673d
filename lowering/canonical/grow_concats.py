"""Let a concatenation continue an earlier one.

Law: exact. Where the first operands of a concatenation are those of an earlier one along the same axis, that one's
result stands for them. Networks that keep all their maps (DenseNet) then read as layers that each add a few channels,
and have as many operands in all as layers, not their square.

```
%b = nn.concat %x, %y axis 1 : ...
%c = nn.concat %x, %y, %z axis 1 : ...
```
becomes
```
%b = nn.concat %x, %y axis 1 : ...
%c = nn.concat %b, %z axis 1 : ...
```
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.dialects import nn
from hapir.lowering.canonical.rewriting import Rewriter, Rules, rewrite_networks


@dataclass(frozen=True)
class GrowConcatsPass(ModulePass):
    """Let a concatenation continue an earlier one that begins as it does. Exact.

    Example: `grow_concats()`
    """

    name = "grow_concats"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_networks(ctx, op, RULES)


def continue_longest(op: nn.ConcatOp, rewriter: Rewriter) -> bool:
    """The longest earlier concatenation with which this one begins stands for its operands."""
    operands, axis = list(op.inputs), op.axis
    found: nn.ConcatOp | None = None
    for use in operands[0].uses:
        earlier = use.operation
        if isinstance(earlier, nn.ConcatOp) and earlier is not op and earlier.axis == axis:
            begun = list(earlier.inputs)
            longer = len(begun) > (1 if found is None else len(found.inputs))
            if longer and len(begun) < len(operands) and operands[: len(begun)] == begun and _before(earlier, op):
                found = earlier
    if found is None:
        return False
    rest = [found.result, *operands[len(found.inputs) :]]
    return rewriter.replace(op, nn.ConcatOp(rest, axis=axis.value.data))


def _before(first: nn.ConcatOp, second: nn.ConcatOp) -> bool:
    """Whether an op comes before another of its block."""
    return first.parent is second.parent and first.is_before_in_block(second)


RULES: Rules = {nn.ConcatOp: (continue_longest,)}
