"""Which channels of a network must be removed together.

Every channel of every activation belongs to a group, numbered from 0. Ops that work channel by channel (batch norm,
activations, pools) pass groups on, `add` and `mul` join those of their operands, `concat` puts them side by side,
flatten repeats each for its map, a depthwise filter joins its input's; a grouped convolution joins equal places in all
of its filter groups, so that they stay of one size. Convolutions and dense layers mix channels: their outputs start new
groups. Groups of network inputs and results are fixed: without one the network would be another. So are the operands
and results of every other op (softmax, split, reshape, recurrent layers, ...): nothing is known of its channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.num import shape_of

Indices = npt.NDArray[np.int64]
CHANNELWISE = (
    nn.BatchNormOp,
    nn.ReluOp,
    nn.ClipOp,
    nn.FloatActivationOp,
    nn.ResizeOp,
    nn.MaxPoolOp,
    nn.AvgPoolOp,
    nn.GlobalAvgPoolOp,
    nn.GlobalMaxPoolOp,
)


@dataclass(frozen=True)
class ChannelGroups:
    """The groups of a network: for each activation one group number per index of axis 1, and the fixed groups."""

    of: dict[SSAValue, Indices]
    fixed: frozenset[int]

    def free(self, value: SSAValue) -> list[int]:
        """The groups of an activation that may be removed, in order of their first channel."""
        return [g for g in dict.fromkeys(self.of[value].tolist()) if g not in self.fixed]


def channel_groups(network: nn.NetworkOp) -> ChannelGroups:
    """Find the groups of a float network. Raises HapirError (HAP0511) at an op whose channels cannot be followed."""
    walk = _Walk()
    for argument in network.body.block.args:
        walk.of[argument] = walk.fresh(_channels(argument))
        walk.fix(argument)
    for op in network.body.block.ops:
        if not isinstance(op, nn.WeightOp):
            walk.visit(op)
    return walk.result()


def is_depthwise(op: nn.ProductOp) -> bool:
    """Whether each filter sees one input channel, out of several."""
    return shape_of(op.w)[1] == 1 and op.filter_groups > 1


def _moves_around_channels(op: nn.LayerOp) -> bool:
    """Whether an op pads, repeats or samples maps and leaves their channels where they are."""
    match op:
        case nn.PadOp():
            return integers(op.before)[1:2] == integers(op.after)[1:2] == [0]
        case nn.TileOp():
            return integers(op.repeats)[1:2] == [1]
        case nn.ResampleOp():
            return 1 not in integers(op.axes)
        case _:
            return False


def _channels(value: SSAValue) -> int:
    shape = shape_of(value)
    return shape[1] if len(shape) > 1 else 1


class _Walk:
    """One pass over a network: gives channels fresh numbers and collects which of them are one group."""

    def __init__(self) -> None:
        self.of: dict[SSAValue, Indices] = {}
        self._joined: nx.Graph[int] = nx.Graph()
        self._fixed: set[int] = set()

    def fresh(self, count: int) -> Indices:
        start = self._joined.number_of_nodes()
        numbers = np.arange(start, start + count)
        self._joined.add_nodes_from(numbers.tolist())
        return numbers

    def fix(self, value: SSAValue) -> None:
        self._fixed.update(self.of[value].tolist())

    def join(self, a: Indices, b: Indices) -> None:
        self._joined.add_edges_from(zip(a.tolist(), b.tolist(), strict=True))

    def visit(self, op: Operation) -> None:
        match op:
            case nn.ProductOp():
                self.of[op.result] = self._mix(op)
            case nn.BinaryOp() if self._same_channels(op):
                self.join(self.of[op.lhs], self.of[op.rhs])
                self.of[op.result] = self.of[op.lhs]
            case nn.ConcatOp():
                self.of[op.result] = self._concat(op)
            case nn.FlattenOp():
                self.of[op.result] = np.repeat(self.of[op.x], shape_of(op.result)[1] // shape_of(op.x)[1])
            case nn.LayerOp() if isinstance(op, CHANNELWISE) or _moves_around_channels(op):
                self.of[op.results[0]] = self.of[op.operands[0]]
            case nn.LayerOp():
                self._opaque(op)
            case nn.ReturnOp():
                for value in op.values:
                    self.fix(value)
            case _:
                fail("HAP0511", f"channels cannot be followed through {op.name}", at=op, help="prune before quantize")

    def _same_channels(self, op: nn.BinaryOp) -> bool:
        """Whether both operands are activations of as many channels as the result: none of them repeats."""
        counts = {_channels(op.result), *(_channels(v) for v in op.operands)}
        return len(counts) == 1 and all(v in self.of for v in op.operands)

    def _opaque(self, op: nn.LayerOp) -> None:
        """An op of whose channels nothing is known: all that reach it stay, and so do all it gives."""
        for value in op.operands:
            if value in self.of:
                self.fix(value)
        for value in op.results:
            self.of[value] = self.fresh(_channels(value))
            self.fix(value)

    def _mix(self, op: nn.ProductOp) -> Indices:
        outputs, inputs = self.fresh(shape_of(op.w)[0]), self.of[op.x]
        groups = op.filter_groups
        if is_depthwise(op):
            self.join(outputs, np.repeat(inputs, len(outputs) // len(inputs)))
        elif groups > 1:
            for channels in (outputs, inputs):
                places = channels.reshape(groups, -1)
                for group in places[1:]:
                    self.join(places[0], group)
        return outputs

    def _concat(self, op: nn.ConcatOp) -> Indices:
        parts = [self.of[v] for v in op.inputs]
        if op.axis.value.data == 1:
            return np.concatenate(parts)
        for part in parts[1:]:
            self.join(parts[0], part)
        return parts[0]

    def result(self) -> ChannelGroups:
        """Number the groups by their first channel."""
        number = np.zeros(self._joined.number_of_nodes(), dtype=np.int64)
        for group, members in enumerate(sorted(map(sorted, self._components()))):
            number[members] = group
        fixed = frozenset(int(number[channel]) for channel in self._fixed)
        return ChannelGroups({value: number[channels] for value, channels in self.of.items()}, fixed)

    def _components(self) -> Iterator[set[int]]:
        return nx.connected_components(self._joined)


@dataclass(frozen=True)
class Removal:
    """Which groups leave a network, as masks over the channels of activations."""

    groups: ChannelGroups
    removed: frozenset[int]

    def kept(self, value: SSAValue) -> npt.NDArray[np.bool_]:
        """For each index along axis 1 of an activation, whether it stays."""
        return ~np.isin(self.groups.of[value], list(self.removed))

    def kept_inputs(self, op: nn.ProductOp) -> npt.NDArray[np.bool_]:
        """For each index along axis 1 of the op's weights (C/G of a grouped convolution), whether it stays.

        A depthwise filter loses its one input together with itself, so its axis 1 stays.
        """
        kept = self.kept(op.x)
        if is_depthwise(op):
            return np.ones(1, dtype=np.bool_)
        return kept.reshape(op.filter_groups, -1)[0]
