"""Which channel groups are removed: those worth least first, never the last channel of anything.

Layers that share groups (through add, or a depthwise convolution) are one pruning domain: its share is counted once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import networkx as nx
import numpy as np
from xdsl.ir import SSAValue

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.lowering.compress.channel_groups import ChannelGroups
from hapir.lowering.network_edits import real_weight_of
from hapir.pruners.magnitude import Floats, pruned_count
from hapir.weights import WeightStore

Worth = Callable[[Floats], Floats]
"""What each channel of a layer is worth, from the weights that make or read it: channels x weights -> channels."""


RoundTo = Literal["down", "up", "nearest"]
"""Which multiple of a number stays, where the exact count is none."""


def summed_magnitude(weights: Floats) -> Floats:
    """The l1 norm of each channel's weights."""
    return np.abs(weights).sum(axis=1)


@dataclass(frozen=True)
class Choice:
    """What to remove: channels that the selected layers make or read, and which of them.

    Either a share of each domain, or with `threshold` all groups that are worth less. A group that several layers make
    (or read) is worth what `joined` gives of its worths in them.
    """

    side: Literal["input", "output"]
    sparsity: float
    scope: Literal["layer", "global"]
    named: frozenset[str] = frozenset()
    """Layers that the recipe selects by name and not by a pattern: they must have channels to remove."""
    worth: Worth = summed_magnitude
    joined: Callable[[float, float], float] = float.__add__
    threshold: float | None = None
    multiple_of: int = 1
    """What the channels left in each selected layer divide by; `rounding` says which way."""
    rounding: RoundTo = "up"


def choose_groups(
    network: nn.NetworkOp, groups: ChannelGroups, selected: Sequence[nn.ProductOp], choice: Choice, weights: WeightStore
) -> frozenset[int]:
    """`floor(sparsity * n)` of the n free groups of each domain (`scope = layer`) or of all domains together.

    Raises HapirError (HAP0512) where nothing is free, (HAP0513) where the count would empty a layer, (HAP0562) where
    no count leaves multiples of `multiple_of`.
    """
    candidates = {op: groups.free(_side(op, choice)) for op in selected}
    for op, free in candidates.items():
        if not free and (op.layer_name in choice.named or not any(candidates.values())):
            what = f"no {choice.side} channel of `{op.layer_name}` may leave: the network's inputs and results stay"
            fail("HAP0512", what, at=op, help="select inner layers, or prune with grain = weight")
    worth = _worth(network, groups, choice, weights)
    domains = _domains(candidates)
    if choice.scope == "global":
        domains = [sorted(g for domain in domains for g in domain)]
    tensors = _Tensors(groups)
    for domain in domains:
        order = [g for g in sorted(domain, key=lambda g: (worth[g], g)) if tensors.lose(g)]
        count = _count(order, domain, {op: candidates[op] for op in selected}, groups, choice, worth)
        for group in order[count:]:
            tensors.keep(group)
    return frozenset(tensors.lost)


def _side(op: nn.ProductOp, choice: Choice) -> SSAValue:
    return op.result if choice.side == "output" else op.x


def _count(
    order: Sequence[int],
    domain: Sequence[int],
    candidates: dict[nn.ProductOp, list[int]],
    groups: ChannelGroups,
    choice: Choice,
    worth: dict[int, float],
) -> int:
    """How many groups of a domain go, of those that may, in their order."""
    if choice.threshold is not None:
        wanted = sum(worth[g] < choice.threshold for g in order)
    else:
        wanted = pruned_count(len(domain), choice.sparsity)
    if wanted > len(order):
        what = f"{wanted} of {len(domain)} channel groups cannot be removed without emptying a layer"
        fail("HAP0513", what, at=next(iter(candidates)), help="use a lower sparsity or scope = layer")
    if choice.multiple_of == 1:
        return wanted
    members = [op for op, free in candidates.items() if not set(free).isdisjoint(domain)]

    def fits(count: int) -> bool:
        gone = list(order[:count])
        left = (int((~np.isin(groups.of[_side(op, choice)], gone)).sum()) for op in members)
        return all(channels % choice.multiple_of == 0 for channels in left)

    fewer, more = list(range(wanted, -1, -1)), list(range(wanted + 1, len(order) + 1))
    tries = {
        "up": [*fewer, *more],
        "down": [wanted, *more, *fewer[1:]],
        "nearest": sorted([*fewer, *more], key=lambda count: (abs(count - wanted), count)),
    }[choice.rounding]
    for count in tries:
        if fits(count):
            return count
    names = ", ".join(f"`{op.layer_name}`" for op in members)
    fail(
        "HAP0562",
        f"no number of channels left in {names} is a multiple of {choice.multiple_of}",
        at=members[0],
        help="use fewer processing elements, or leave the layer out",
    )


class _Tensors:
    """Which groups are left in each activation: none loses its last."""

    def __init__(self, groups: ChannelGroups) -> None:
        self.lost: set[int] = set()
        self._left: list[int] = []
        self._holders: dict[int, list[int]] = {}
        for number, channels in enumerate(groups.of.values()):
            members = set(channels.tolist())
            self._left.append(len(members))
            for group in members:
                self._holders.setdefault(group, []).append(number)

    def lose(self, group: int) -> bool:
        """Take a group out of all activations, unless one would be left with nothing; whether it went."""
        holders = self._holders[group]
        if any(self._left[number] == 1 for number in holders):
            return False
        for number in holders:
            self._left[number] -= 1
        self.lost.add(group)
        return True

    def keep(self, group: int) -> None:
        """Put a group back."""
        for number in self._holders[group]:
            self._left[number] += 1
        self.lost.remove(group)


def _domains(candidates: dict[nn.ProductOp, list[int]]) -> list[list[int]]:
    """The candidates, grouped by the layers that share some; in order of their lowest group."""
    shared: nx.Graph[int] = nx.Graph()
    for layer_groups in candidates.values():
        shared.add_nodes_from(layer_groups)
        shared.add_edges_from(pairwise(layer_groups))
    return sorted(sorted(component) for component in nx.connected_components(shared))


def _worth(network: nn.NetworkOp, groups: ChannelGroups, choice: Choice, weights: WeightStore) -> dict[int, float]:
    """What each group is worth to the layers that make (output) or read (input) its channels."""
    found: dict[int, float] = {}
    for op in network.body.block.ops:
        if isinstance(op, nn.ProductOp):
            w = real_weight_of(op.w, weights)
            per_channel = w.reshape(len(w), -1) if choice.side == "output" else by_input_channel(w, op.filter_groups)
            for channel, worth in zip(groups.of[_side(op, choice)].tolist(), choice.worth(per_channel), strict=True):
                found[channel] = choice.joined(found[channel], float(worth)) if channel in found else float(worth)
    return found


def by_input_channel(w: Floats, filter_groups: int) -> Floats:
    """The weights K x C/G x ... of G filter groups as C x (K/G ...): a row for each input channel."""
    k, c_group, *kernel = w.shape
    split = w.reshape(filter_groups, k // filter_groups, c_group, math.prod(kernel))
    return split.transpose(0, 2, 1, 3).reshape(filter_groups * c_group, -1)
