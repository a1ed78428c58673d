"""Which channel groups a sparsity removes: least summed magnitude first, never the last channel of anything.

Layers that share groups (through add, or a depthwise convolution) are one pruning domain: its share is counted once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import networkx as nx
import numpy as np
import numpy.typing as npt

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.lowering.compress.channel_groups import ChannelGroups
from hapir.lowering.network_edits import real_weight_of
from hapir.pruners.magnitude import pruned_count
from hapir.weights import WeightStore

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """What to remove: channels that the selected layers make or read, and which share of them."""

    side: Literal["input", "output"]
    sparsity: float
    scope: Literal["layer", "global"]
    named: frozenset[str] = frozenset()
    """Layers that the recipe selects by name and not by a pattern: they must have channels to remove."""


def choose_groups(
    network: nn.NetworkOp, groups: ChannelGroups, selected: Sequence[nn.ProductOp], choice: Choice, weights: WeightStore
) -> frozenset[int]:
    """`floor(sparsity * n)` of the n free groups of each domain (`scope = layer`) or of all domains together.

    Raises HapirError (HAP0512) where nothing is free, (HAP0513) where the count would empty a layer.
    """
    candidates = {op: groups.free(op.result if choice.side == "output" else op.x) for op in selected}
    for op, free in candidates.items():
        if not free and (op.layer_name in choice.named or not any(candidates.values())):
            what = f"no {choice.side} channel of `{op.layer_name}` may leave: the network's inputs and results stay"
            fail("HAP0512", what, at=op, help="select inner layers, or prune with grain = weight")
    scores = _scores(network, groups, choice.side, weights)
    domains = _domains(candidates)
    if choice.scope == "global":
        domains = [sorted(g for domain in domains for g in domain)]
    removed: set[int] = set()
    tensors = [set(channels.tolist()) for channels in groups.of.values()]
    for domain in domains:
        wanted = pruned_count(len(domain), choice.sparsity)
        taken = 0
        for group in sorted(domain, key=lambda g: (scores[g], g)):
            if taken == wanted:
                break
            if not any(tensor <= removed | {group} for tensor in tensors):
                removed.add(group)
                taken += 1
        if taken < wanted:
            what = f"{wanted} of {len(domain)} channel groups cannot be removed without emptying a layer"
            fail("HAP0513", what, at=selected[0], help="use a lower sparsity or scope = layer")
    return frozenset(removed)


def _domains(candidates: dict[nn.ProductOp, list[int]]) -> list[list[int]]:
    """The candidates, grouped by the layers that share some; in order of their lowest group."""
    shared: nx.Graph[int] = nx.Graph()
    for layer_groups in candidates.values():
        shared.add_nodes_from(layer_groups)
        shared.add_edges_from(pairwise(layer_groups))
    return sorted(sorted(component) for component in nx.connected_components(shared))


def _scores(network: nn.NetworkOp, groups: ChannelGroups, side: str, weights: WeightStore) -> dict[int, float]:
    """The summed magnitude of the weights that make (output) or read (input) the channels of each group."""
    scores: dict[int, float] = {}
    for op in network.body.block.ops:
        if isinstance(op, nn.ProductOp):
            magnitudes = np.abs(real_weight_of(op.w, weights))
            if side == "output":
                channels, sums = groups.of[op.result], magnitudes.reshape(len(magnitudes), -1).sum(axis=1)
            else:
                channels, sums = groups.of[op.x], _input_sums(op, magnitudes)
            for channel, total in zip(channels.tolist(), sums.tolist(), strict=True):
                scores[channel] = scores.get(channel, 0.0) + total
    return scores


def _input_sums(op: nn.ProductOp, magnitudes: Floats) -> Floats:
    """Per input channel, the magnitude of all weights that read it."""
    k, c_group, *kernel = magnitudes.shape
    groups = op.filter_groups
    per_filter_group = magnitudes.reshape(groups, k // groups, c_group, math.prod(kernel))
    return per_filter_group.sum(axis=(1, 3)).ravel()
