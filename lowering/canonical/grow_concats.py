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
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from hapir.dialects import nn
from hapir.lowering.network_edits import networks_of, reject_fused, replace


@dataclass(frozen=True)
class GrowConcatsPass(ModulePass):
    """Let a concatenation continue an earlier one that begins as it does. Exact.

    Example: `grow_concats()`
    """

    name = "grow_concats"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in networks_of(op):
            reject_fused(network)
            _grow(network)


def _grow(network: nn.NetworkOp) -> None:
    """Each concatenation continues the longest one before it with which it begins."""
    seen: dict[tuple[int, tuple[SSAValue, ...]], SSAValue] = {}
    for op in [op for op in network.body.block.ops if isinstance(op, nn.ConcatOp)]:
        operands, axis = tuple(op.inputs), op.axis.value.data
        lengths = range(len(operands) - 1, 1, -1)
        begun = next((n for n in lengths if (axis, operands[:n]) in seen), None)
        new = op
        if begun is not None:
            rest = [seen[axis, operands[:begun]], *operands[begun:]]
            new = nn.ConcatOp(rest, axis=axis, layer=op.layer_name)
            replace(op, new)
        # an operand that was replaced here stands in the keys of later ones as what replaced it
        seen.setdefault((axis, operands), new.result)
        seen.setdefault((axis, tuple(new.inputs)), new.result)
