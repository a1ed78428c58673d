"""Local rules on a network, applied until none fits: what the passes that make one form of many styles share.

A rule looks at an op and what makes its operands, and puts something else in its place. Every rule moves towards the
one form, so that rules come to an end; what nothing reads afterwards is erased. Invariants: an op that is put in the
place of another takes over its layer's name, its location and its annotations, and has its type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import Float32Type, ModuleOp, f32
from xdsl.ir import Operation, SSAValue

from hapir.context import hapir_context
from hapir.dialects import nn
from hapir.dialects.assembly import shortest
from hapir.dialects.num import element_type, shape_of
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_before,
    insert_weight,
    networks_of,
    reject_fused,
    unused_name,
)
from hapir.lowering.network_edits import replace as put_in_place
from hapir.weights import Array, WeightStore

Rule: TypeAlias = Callable[[Any, "Rewriter"], bool]
"""Looks at an op of a certain class; whether it changed something."""
Rules: TypeAlias = Mapping[type[Operation], Sequence[Rule]]


MOST_ROUNDS = 1000
"""Walks over a network until no rule fits any more; each shortens some formula by a step."""


class Rewriter:
    """What rules ask of a network and do to it."""

    def __init__(self, weights: WeightStore):
        self.weights = weights

    # --- looking ------------------------------------------------------------------------------------------------------

    def array(self, value: SSAValue) -> Array | None:
        """The array of a stored or filled value; None of what is computed, or stored nowhere."""
        owner = value.owner
        if isinstance(owner, nn.WeightOp):
            return self.weights.get(owner.key.data)
        if isinstance(owner, nn.FillOp):
            dtype = np.float32 if isinstance(element_type(value), Float32Type) else np.int64
            return np.full(shape_of(value), owner.value.value.data, dtype)
        return None

    def number(self, value: SSAValue) -> float | None:
        """The one number that all elements of a constant of f32 are; None for anything else."""
        if not isinstance(element_type(value), Float32Type):
            return None
        if isinstance(value.owner, nn.FillOp):
            return float(value.owner.value.value.data)
        array = self.array(value)
        if array is None or array.size == 0 or (array != array.flat[0]).any():
            return None
        return shortest(float(array.flat[0]))

    # --- changing -----------------------------------------------------------------------------------------------------

    def replace(self, old: nn.LayerOp, new: nn.LayerOp | SSAValue, *, renamed: bool = False) -> bool:
        """Put an op, or a value that is there already, in the place of an op with one result; True.

        A new op keeps the name that it has where it is `renamed`.
        """
        assert len(old.results) == 1
        if isinstance(new, SSAValue):
            assert new.type == old.results[0].type, f"{new.type} for {old.results[0].type}"
            old.results[0].replace_all_uses_with(new)
            old.detach()
            old.erase()
            return True
        assert new.results[0].type == old.results[0].type, f"{new.results[0].type} for {old.results[0].type}"
        if old.layer is not None and not renamed:
            new.layer = old.layer
        put_in_place(old, new)
        return True

    def name(self, anchor: Operation, stem: str) -> str:
        """A name like this one that no layer of the network has."""
        block = anchor.parent
        assert block is not None
        return unused_name(stem, {op.layer_name for op in block.ops if isinstance(op, nn.LayerOp) and op.layer_name})

    def before(self, anchor: Operation, op: Operation) -> SSAValue:
        """Insert an op before another; its first result."""
        insert_before(anchor, [op])
        return op.results[0]

    def fill(self, anchor: Operation, number: float) -> SSAValue:
        """A number of f32 as an operand of an op that is to stand where `anchor` does."""
        return self.before(anchor, nn.FillOp(shortest(number), f32))

    def parameter(self, anchor: Operation, key: str, array: Array) -> SSAValue:
        """A new parameter of f32 as an operand of an op that is to stand where `anchor` does."""
        return insert_weight(anchor, key, np.ascontiguousarray(array), f32, self.weights)


def holds(number: float) -> bool:
    """Whether f32 holds a number about as well as it holds others: not as an infinity, and no other than 0 as 0."""
    with np.errstate(over="ignore"):
        held = float(np.float32(number))
    return np.isfinite(held) and (number == 0 or abs(held) >= float(np.finfo(np.float32).tiny))


def rewrite_networks(ctx: Context, module: ModuleOp, rules: Rules) -> None:
    """Apply rules to all networks of a module. Raises HapirError (HAP0516) where layers are fused already."""
    for network in networks_of(module):
        reject_fused(network)
        rewrite(network, rules, hapir_context(ctx).weights)


def rewrite(network: nn.NetworkOp, rules: Rules, weights: WeightStore) -> None:
    """Apply rules to the ops of a network, in order, until none fits."""
    rewriter, block = Rewriter(weights), network.body.block
    changed = True
    for _ in range(MOST_ROUNDS):
        if not changed:
            return
        changed = False
        for op in list(block.ops):
            if op.parent is block and not is_dead(op):
                changed |= any(rule(op, rewriter) for rule in rules.get(type(op), ()) if op.parent is block)
        erase_dead(network)
    raise AssertionError("the rules do not come to an end")


def is_dead(op: Operation) -> bool:
    """Whether nothing reads what an op gives."""
    return bool(op.results) and not any(result.uses for result in op.results)


def erase_dead(network: nn.NetworkOp) -> None:
    """Erase what nothing reads: layers, numbers and parameters."""
    for op in reversed(list(network.body.block.ops)):
        if isinstance(op, nn.LayerOp | nn.FillOp) and is_dead(op):
            op.detach()
            op.erase()
    erase_unused_weights(network)
