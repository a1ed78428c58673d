"""Let ops that only move or compare integers work on codes, so that the views around them vanish.

Law: exact. A max pool, a reshape and the like give the same integers whether these are read as codes or not. Networks
from outside hand plain integers from op to op, and each op that computes with a scale reads them through a `num.view`;
the views move down until one undoes the other.

```
%b = num.view %q : tensor<1x4x8x8x!a> -> tensor<1x4x8x8xui8>
%p = nn.max_pool %b window <2x2, stride 2x2> layer "p1" : tensor<1x4x8x8xui8> -> tensor<1x4x4x4xui8>
%c = num.view %p : tensor<1x4x4x4xui8> -> tensor<1x4x4x4x!a>
```
becomes, where %c was read,
```
%p = nn.max_pool %q window <2x2, stride 2x2> layer "p1" : tensor<1x4x8x8x!a> -> tensor<1x4x4x4x!a>
```
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerType, ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, element_type
from hapir.lowering.compress.activation_types import preserves
from hapir.lowering.network_edits import erase_dead, insert_before, networks_of, set_type


@dataclass(frozen=True)
class ReadCodesPass(ModulePass):
    """Move views of codes behind the ops that only move integers, and drop those that undo each other. Exact.

    Example: `hapir opt digits.hap -p read_codes`
    """

    name = "read_codes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in networks_of(op):
            read_codes(network)


def read_codes(network: nn.NetworkOp) -> None:
    """The same for one network."""
    for op in list(network.body.block.ops):
        if isinstance(op, num.ViewOp):
            _undo(op)
        elif isinstance(op, nn.LayerOp):
            move_behind(op, _codes_behind, lambda result, old: num.ViewOp(result, element_type(old)))
    erase_dead(network)


def _undo(view: num.ViewOp) -> None:
    """Read what stands behind a view of a view, where it has the type already."""
    owner = view.x.owner
    if isinstance(owner, num.ViewOp) and owner.x.type == view.result.type:
        view.result.replace_all_uses_with(owner.x)


Reading = num.ViewOp | num.DequantizeOp
"""What makes something else of codes, element by element."""


def move_behind(
    op: nn.LayerOp,
    codes_behind: Callable[[SSAValue], SSAValue | None],
    reading: Callable[[SSAValue, SSAValue], Reading],
) -> None:
    """Give an op that only moves elements the codes behind its operands, and its readers a reading of what it gives.

    `reading` takes the new result and the old one. Nothing happens where an operand has no codes behind it, or others.
    """
    moved = _moved(op)
    codes = [code for value in moved if (code := codes_behind(value)) is not None]
    if not codes or len(codes) < len(moved) or len({element_type(code) for code in codes}) > 1:
        return
    clone = op.clone(dict(zip(moved, codes, strict=True)))
    for result, type_ in zip(clone.results, clone.implied_types(), strict=True):
        set_type(result, type_)
    readings = [reading(result, old) for result, old in zip(clone.results, op.results, strict=True)]
    insert_before(op, [clone, *readings], op)
    for old, result, read in zip(op.results, clone.results, readings, strict=True):
        result.name_hint = old.name_hint
        old.replace_all_uses_with(read.result)
    op.detach()
    op.erase()


def _moved(op: nn.LayerOp) -> list[SSAValue]:
    """The operands whose integers an op gives on as they are; none for an op that computes."""
    if isinstance(op, nn.ConcatOp):
        return list(dict.fromkeys(op.operands))
    moves = isinstance(op, nn.SplitOp) or (preserves(op) and not isinstance(op, nn.ReluOp | nn.ClipOp | nn.PadOp))
    return [op.operands[0]] if moves else []


def _codes_behind(value: SSAValue) -> SSAValue | None:
    """The codes that a value of plain integers is a view of."""
    owner = value.owner
    if isinstance(owner, num.ViewOp) and isinstance(element_type(owner.result), IntegerType):
        return owner.x if isinstance(element_type(owner.x), AffineType) else None
    return None
