"""Compute in the order of axes that needs the fewest transposes: Keras's maps N H W C become N C H W throughout.

Law: exact. Data move, and constants are stored in another order. Ops that do not mind the order (elementwise ones,
paddings, joins, slices, ...) form regions; a region turns its axes where that leaves fewer transposes at its borders
than it has now. The weights of a dense layer behind a flatten take up the order of what is flattened. Transposes stay
where the network's inputs or results have another order than its layers: there, and not some layers on.

```
%a = nn.transpose %x axes [0, 2, 3, 1] : ...                // N C H W -> N H W C
%b = nn.relu %a : ...
%y = nn.transpose %b axes [0, 3, 1, 2] : ...                // and back
```
becomes
```
%y = nn.relu %x : ...
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.context import hapir_context
from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.num import element_type, is_float, shape_of
from hapir.lowering.canonical.permuted import is_stored, minds_no_order, permuted
from hapir.lowering.canonical.rewriting import Rewriter, erase_dead, rewrite
from hapir.lowering.canonical.simplify_shapes import MEETING, composed, inverse, moves_nothing
from hapir.lowering.network_edits import insert_before, networks_of, reject_fused, unused_name, weight_of
from hapir.weights import WeightStore

MOVING = 1 << 20
"""The cost of a transpose that moves elements, beside that of one that moves none."""


@dataclass(frozen=True)
class CancelTransposesPass(ModulePass):
    """Compute in the order of axes that needs the fewest transposes. Exact.

    Comes before `simplify_shapes`, which writes some transposes as reshapes.

    Example: `cancel_transposes()`
    """

    name = "cancel_transposes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            turn_regions(network, weights)


def turn_regions(network: nn.NetworkOp, weights: WeightStore) -> None:
    """Turn regions of a network until none is better off."""
    rewriter = Rewriter(weights)
    # each round costs less than the one before, unless transposes that meet are read elsewhere too and become more
    for _ in range(len(network.body.block.ops)):
        rewrite(network, MEETING, weights)
        absorbed = [_absorb(op, rewriter) for op in list(network.body.block.ops) if isinstance(op, nn.DenseOp)]
        if any(absorbed):
            continue
        better = [(region, axes) for region in _regions(network) if (axes := region.best()) is not None]
        if not better:
            return
        met = set[Operation]()  # two regions do not count on one transpose
        for region, axes in better:
            border = region.border()
            if not border & met:
                met |= border
                region.turn(axes, network, rewriter)
        erase_dead(network)


def _absorb(op: nn.DenseOp, rewriter: Rewriter) -> bool:
    """A dense layer of flattened and transposed elements takes them in the order in which they were."""
    flat = op.x.owner
    if not (isinstance(flat, nn.FlattenOp) and isinstance(flat.x.owner, nn.TransposeOp)):
        return False
    turned, weight = flat.x.owner, op.w.owner
    axes, array = integers(turned.axes), rewriter.array(op.w)
    if axes[0] != 0 or array is None or not isinstance(weight, nn.WeightOp) or not is_float(op.w):
        return False
    back = inverse(axes)
    columns = array.reshape(len(array), *shape_of(turned.result)[1:]).transpose(0, *back[1:])
    x = rewriter.before(op, nn.FlattenOp(turned.x, layer=flat.layer_name))
    w = rewriter.parameter(op, weight.key.data, columns.reshape(array.shape))
    return rewriter.replace(op, op.on(x, w, op.bias))


def _takes_order(op: Operation) -> bool:
    """Whether a layer can take the elements of its input in another order."""
    return isinstance(op, nn.DenseOp) and isinstance(op.w.owner, nn.WeightOp) and is_float(op.w)


# --- regions ----------------------------------------------------------------------------------------------------------


def _regions(network: nn.NetworkOp) -> list[_Region]:
    """The ops that do not mind the order of axes, those together that pass tensors of one rank to each other."""
    ops = [op for op in network.body.block.ops if isinstance(op, nn.LayerOp) and minds_no_order(op)]
    names: dict[Operation, int] = {op: i for i, op in enumerate(ops)}

    def root(i: int) -> int:
        while roots[i] != i:
            i = roots[i]
        return i

    roots = list(range(len(ops)))
    for i, op in enumerate(ops):
        for value in _turning(op):
            made = names.get(value.owner) if isinstance(value.owner, Operation) else None
            if made is not None:
                roots[root(i)] = root(made)
    regions: dict[int, list[nn.LayerOp]] = {}
    for i, op in enumerate(ops):
        regions.setdefault(root(i), []).append(op)
    return [_Region(tuple(members), frozenset(members)) for members in regions.values()]


def _rank(op: nn.LayerOp) -> int:
    return len(shape_of(op.results[0]))


def _turning(op: nn.LayerOp) -> list[SSAValue]:
    """The operands that turn with an op: not constants, and not scalars."""
    return [v for v in op.operands if len(shape_of(v)) == _rank(op) and not is_stored(v)]


@dataclass(frozen=True)
class _Region:
    """Ops that turn their axes together, in order, and as a set."""

    ops: tuple[nn.LayerOp, ...]
    members: frozenset[Operation | Block]

    def best(self) -> list[int] | None:
        """The order of axes that leaves the fewest transposes; None where the present one does."""
        found: tuple[int, list[int]] | None = None
        for axes in self._candidates():
            saved = self._cost() - self._cost_after(axes)
            if (saved > 0 or (saved == 0 and self._begins())) and (found is None or saved > found[0]):
                found = saved, axes
        return None if found is None else found[1]

    def border(self) -> set[Operation]:
        """The transposes around the region."""
        around = [v.owner for v in self._entries()] + [user for _, users in self._exits() for user in users]
        return {op for op in around if isinstance(op, nn.TransposeOp)}

    def _begins(self) -> bool:
        """Whether a region reads inputs of the network alone: those are turned before it, not after."""
        entries = self._entries()
        return bool(entries) and all(isinstance(value, BlockArgument) for value in entries)

    def _entries(self) -> list[SSAValue]:
        """What comes in from outside."""
        values = dict.fromkeys(v for op in self.ops for v in _turning(op))
        return [v for v in values if v.owner not in self.members]

    def _exits(self) -> list[tuple[SSAValue, list[Operation]]]:
        """What is read outside, and by whom."""
        found = [
            (v, [u.operation for u in v.uses if u.operation not in self.members]) for op in self.ops for v in op.results
        ]
        return [(v, users) for v, users in found if users]

    def _candidates(self) -> list[list[int]]:
        """Orders that let a transpose at the border go."""
        found = [inverse(integers(v.owner.axes)) for v in self._entries() if isinstance(v.owner, nn.TransposeOp)]
        found += [
            integers(user.axes) for _, users in self._exits() for user in users if isinstance(user, nn.TransposeOp)
        ]
        return [list(axes) for axes in dict.fromkeys(map(tuple, found))]

    def _cost(self) -> int:
        """Of the transposes at the border now; one that others read too stays whatever happens."""
        entering = [v.owner for v in self._entries() if isinstance(v.owner, nn.TransposeOp) and self._is_own(v)]
        leaving = [user for _, users in self._exits() for user in users if isinstance(user, nn.TransposeOp)]
        return sum(_cost(shape_of(op.x), integers(op.axes)) for op in dict.fromkeys((*entering, *leaving)))

    def _is_own(self, value: SSAValue) -> bool:
        return all(use.operation in self.members for use in value.uses)

    def _cost_after(self, axes: Sequence[int]) -> int:
        """The same where the region's axes are in this order. Both count in one way, or regions turned for ever."""
        cost, back = 0, inverse(axes)
        for value in self._entries():
            x, whole, shape = value, list(axes), shape_of(value)
            if isinstance(value.owner, nn.TransposeOp):
                x, whole = value.owner.x, composed(integers(value.owner.axes), axes)
                shape = shape_of(x)
                if x.owner in self.members:  # which turns as well
                    whole, shape = composed(back, whole), tuple(shape[axis] for axis in axes)
            cost += _cost(shape, whole)
        for value, users in self._exits():
            shape = [shape_of(value)[axis] for axis in axes]
            turning = [user for user in users if isinstance(user, nn.TransposeOp)]
            leaving = [user for user in turning if not self._is_own(user.result)]
            cost += sum(_cost(shape, composed(back, integers(user.axes))) for user in leaving)
            still = moves_nothing(shape, back)
            if any(user not in turning and not _is_absorbed(user, still, back) for user in users):
                cost += _cost(shape, back)
        return cost

    def turn(self, axes: Sequence[int], network: nn.NetworkOp, rewriter: Rewriter) -> None:
        """Put the region's axes in another order, transposes at its border where they are needed."""
        used = {op.layer_name for op in network.body.block.ops if isinstance(op, nn.LayerOp) and op.layer_name}
        turned: dict[SSAValue, SSAValue] = {}
        exits, back, first = self._exits(), inverse(axes), self.ops[0]
        for value in self._entries():
            at = _after(value, network) or first
            if isinstance(value.owner, nn.TransposeOp):
                whole = composed(integers(value.owner.axes), axes)
                straight = whole == list(range(len(whole)))
                x = value.owner.x
                turned[value] = x if straight else _transposed(at, x, whole, used, network)
            else:
                turned[value] = _transposed(at, value, axes, used, network)
        for op in self.ops:
            operands = [turned.get(v) or _stored(op, v, axes, rewriter) for v in op.operands]
            new = permuted(op, operands, axes)
            insert_before(op, [new])
            new.attributes.update(op.attributes)
            for old, result in zip(op.results, new.results, strict=True):
                result.name_hint = old.name_hint
                turned[old] = result
        for value, _ in exits:
            assert isinstance(value.owner, Operation)
            value.replace_uses_with_if(
                _transposed(value.owner, turned[value], back, used, network),
                lambda use: use.operation not in self.members,
            )
        for op in reversed(self.ops):
            op.detach()
            op.erase()


def _cost(shape: Sequence[int], axes: Sequence[int]) -> int:
    """Of a transpose: 0 where it is none, little where it moves axes of size 1 alone and becomes a reshape."""
    if list(axes) == list(range(len(axes))):
        return 0
    return 1 if moves_nothing(shape, axes) else MOVING


def _is_absorbed(op: Operation, still: bool, axes: Sequence[int]) -> bool:
    """Whether an op needs no transpose by these axes before it.

    Those are a flatten for dense layers, any reshape where no element moves, and a reduction that leaves what it keeps
    in order.
    """
    if still and isinstance(op, nn.FlattenOp | nn.ReshapeOp):
        return True
    if isinstance(op, nn.ReduceOp):
        left = [axis for i, axis in enumerate(axes) if op.keep is not None or i not in integers(op.axes)]
        return left == sorted(left)
    users = [use.operation for use in op.results[0].uses] if isinstance(op, nn.FlattenOp) else []
    return axes[0] == 0 and bool(users) and all(map(_takes_order, users))


def _after(value: SSAValue, network: nn.NetworkOp) -> Operation | None:
    """The op behind the one that makes a value; the network's first for an input."""
    return value.owner.next_op if isinstance(value.owner, Operation) else network.body.block.first_op


def _transposed(anchor: Operation, x: SSAValue, axes: Sequence[int], used: set[str], network: nn.NetworkOp) -> SSAValue:
    """A new transpose before an op, under a name like that of what it turns."""
    names: dict[SSAValue, str] = {v: n.data for v, n in zip(network.body.block.args, network.input_names, strict=True)}
    stem = names.get(x) or (x.owner.layer_name if isinstance(x.owner, nn.LayerOp) else None) or "turned"
    op = nn.TransposeOp(x, axes, layer=unused_name(f"{stem}_turned", used))
    insert_before(anchor, [op])
    return op.result


def _stored(op: nn.LayerOp, value: SSAValue, axes: Sequence[int], rewriter: Rewriter) -> SSAValue:
    """A constant in the new order; a scalar as it is."""
    shape = shape_of(value)
    if all(size == 1 for size in shape) and len(shape) < len(axes):
        return value
    spread = (*[1] * (len(axes) - len(shape)), *shape)
    if isinstance(value.owner, nn.FillOp):
        number = value.owner.value.value.data
        return rewriter.before(op, nn.FillOp(number, element_type(value), [spread[axis] for axis in axes]))
    assert isinstance(value.owner, nn.WeightOp)
    array = weight_of(value, rewriter.weights).reshape(spread).transpose(axes)
    key = rewriter.weights.put_new(value.owner.key.data, np.ascontiguousarray(array))
    return rewriter.before(op, nn.WeightOp(key, TensorType(element_type(value), array.shape)))
