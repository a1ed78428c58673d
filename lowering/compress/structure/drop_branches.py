"""Layers that leave a network whole: branches that end in an add, or that a concat joins with others.

A branch is a chain of ops that nothing else reads. What comes behind its last layer must give 0 of 0, so that masking
the layer (its weights, bias and the affine part of batch norms) is the same as leaving the branch out.

```
%c = nn.conv2d %x, %w window <3x3, pad 1 1 1 1> groups 1 layer "c2" : ...
%y = nn.add %c, %x layer "a1" : ...
```
becomes `%x` in the place of `%y`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from dataclasses import replace as with_
from typing import TypeAlias

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.lowering.compress.channel_groups import ChannelGroups, Removal, channel_groups
from hapir.lowering.compress.remove_channels import mask_channels, remove_channels
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_weight,
    replace,
    sole_user,
    weight_of,
    weight_op_of,
)
from hapir.weights import WeightStore

Join: TypeAlias = nn.AddOp | nn.ConcatOp

KEEPS_ZERO = (
    *(nn.BatchNormOp, nn.ReluOp, nn.LeakyReluOp, nn.TanhOp, nn.HardSwishOp, nn.SiluOp, nn.GeluOp),
    *(nn.MaxPoolOp, nn.AvgPoolOp, nn.GlobalAvgPoolOp, nn.GlobalMaxPoolOp, nn.FlattenOp, nn.ResizeOp),
)


@dataclass(frozen=True)
class Branch:
    """A layer, the ops from it to the join that reads it, and which operand of the join it is."""

    ops: tuple[Operation, ...]
    join: Join
    index: int

    @property
    def exit(self) -> nn.ProductOp:
        """The last layer with weights."""
        return [op for op in self.ops if isinstance(op, nn.ProductOp)][-1]

    @property
    def values(self) -> Set[SSAValue]:
        """The results of its ops."""
        return {op.results[0] for op in self.ops}


def branch_of(layer: nn.ProductOp) -> Branch | None:
    """The branch that a layer begins, or is in; None where it cannot leave."""
    ops: list[Operation] = [layer]
    while True:
        value = ops[-1].results[0]
        user = sole_user(value)
        match user:
            case nn.AddOp() if user.lhs is not user.rhs and user.operands[0].type == user.operands[1].type:
                return Branch(tuple(ops), user, list(user.operands).index(value))
            case nn.ConcatOp() if user.axis.value.data == 1 and len(user.inputs) > 1:
                return Branch(tuple(ops), user, list(user.inputs).index(value))
            case nn.ProductOp():
                ops.append(user)
            case nn.ClipOp() if user.low.value.data <= 0 <= user.high.value.data:
                ops.append(user)
            case nn.PadOp() if user.mode.data != nn.PadMode.constant or user.value.value.data == 0:
                ops.append(user)
            case nn.LayerOp() if isinstance(user, KEEPS_ZERO):
                ops.append(user)
            case _:
                return None


def removable_branches(network: nn.NetworkOp, worth: Mapping[nn.ProductOp, float]) -> list[tuple[nn.ProductOp, float]]:
    """The last layer of each branch that may leave, those of least worth first; all of them may leave together.

    A branch is worth what the least of the layers is that are given a worth. An add keeps one of its operands, a concat
    at least one, and so does everything behind it.
    """
    found: dict[nn.ProductOp, tuple[float, Branch]] = {}
    for layer, value in worth.items():
        branch = branch_of(layer)
        if branch is not None and (branch.exit not in found or value < found[branch.exit][0]):
            found[branch.exit] = (value, branch)
    groups = channel_groups(network)
    gone: frozenset[int] = frozenset()
    inside: set[SSAValue] = set()
    adds: set[Operation] = set()
    chosen: list[tuple[nn.ProductOp, float]] = []
    for exit, (value, branch) in sorted(found.items(), key=lambda item: item[1][0]):
        if isinstance(branch.join, nn.AddOp):
            if branch.join in adds:
                continue
            adds.add(branch.join)
        else:
            values = inside | branch.values
            removal = _removal(groups, branch, gone, values)
            if removal is None:
                continue
            gone, inside = gone | removal.removed, values
        chosen.append((exit, value))
    return chosen


def drop_branch(network: nn.NetworkOp, layer: nn.ProductOp, weights: WeightStore) -> None:
    """Leave the branch of a layer out. Where a concat joined it, what reads the concat loses its channels."""
    branch = branch_of(layer)
    assert branch is not None
    join = branch.join
    if isinstance(join, nn.AddOp):
        join.result.replace_all_uses_with(join.operands[1 - branch.index])
        _erase_dead(join)
        erase_unused_weights(network)
        return
    groups = channel_groups(network)
    removal = _removal(groups, branch, frozenset(), branch.values)
    assert removal is not None
    rest = [v for i, v in enumerate(join.inputs) if i != branch.index]
    joined = nn.ConcatOp(rest, axis=1, layer=join.layer_name)
    # the channels of the old result, as the readers of the new one still hold parameters for all of them
    of = {**groups.of, joined.result: groups.of[join.result]}
    operands = list(join.operands)
    replace(join, joined)
    _erase_dead_values(operands)
    remove_channels(network, Removal(with_(groups, of=of), removal.removed), weights)
    if len(rest) == 1:
        joined.result.replace_all_uses_with(rest[0])
        _erase_dead(joined)
    erase_unused_weights(network)


def mask_branch(network: nn.NetworkOp, layer: nn.ProductOp, weights: WeightStore) -> None:
    """Let the branch of a layer give 0 only; the channels of a concat reach no sum behind it."""
    branch = branch_of(layer)
    assert branch is not None
    if isinstance(branch.join, nn.ConcatOp):
        removal = _removal(channel_groups(network), branch, frozenset(), branch.values)
        assert removal is not None
        mask_channels(network, removal, weights)
        return
    for op in branch.ops[branch.ops.index(branch.exit) :]:
        indices = range(1, len(op.operands)) if isinstance(op, nn.ProductOp) else (1, 2)
        if isinstance(op, nn.ProductOp | nn.BatchNormOp):
            for index in indices:
                value = op.operands[index]
                zeros = np.zeros_like(weight_of(value, weights), dtype=np.float32)
                key = f"{weight_op_of(value).key.data}.masked"
                op.operands[index] = insert_weight(op, key, zeros, f32, weights, value.name_hint)
    erase_unused_weights(network)


def _removal(groups: ChannelGroups, branch: Branch, gone: frozenset[int], inside: Set[SSAValue]) -> Removal | None:
    """The channels that a concat loses with a branch, besides those `gone` already.

    None where others need them, or where an activation that is not `inside` a branch would lose its last channel.
    """
    removed = frozenset(groups.of[branch.join.operands[branch.index]].tolist())
    left = gone | removed
    emptied = any(v not in inside and left.issuperset(channels.tolist()) for v, channels in groups.of.items())
    return None if removed & groups.fixed or emptied else Removal(groups, removed)


def _erase_dead(op: Operation) -> None:
    """Erase an op that nothing reads, and then what only it read."""
    operands = list(op.operands)
    op.detach()
    op.erase()
    _erase_dead_values(operands)


def _erase_dead_values(values: Sequence[SSAValue]) -> None:
    for value in values:
        owner = value.owner
        if isinstance(owner, nn.LayerOp) and owner.parent is not None and not any(r.uses for r in owner.results):
            _erase_dead(owner)
