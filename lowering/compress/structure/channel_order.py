"""Reorder the channels of an activation: the parameters of all that reads them change places, no value does.

Followed are ops that work channel by channel (batch norm, activations, pools), flatten and depthwise convolutions,
down to the convolutions and dense layers that mix channels. Anything else ends the search without an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.lowering.compress.channel_groups import CHANNELWISE, is_depthwise
from hapir.lowering.network_edits import insert_weight, parameter_key, real_weight_of
from hapir.weights import WeightStore


@dataclass(frozen=True, eq=False)
class Reader:
    """An op's parameter, the axis that counts channels in it, and the channels in their new order."""

    op: Operation
    operand: int
    axis: int
    order: npt.NDArray[np.int64]


def readers_in_order(value: SSAValue, order: Sequence[int]) -> list[Reader] | None:
    """The parameters that must change when the channels of a value come in a new order; None where that is no way."""
    found: list[Reader] = []
    work = [(value, np.array(order, np.int64))]
    while work:
        read, places = work.pop()
        for use in list(read.uses):
            op = use.operation
            match op:
                case nn.ProductOp() if use.index == 0 and is_depthwise(op):
                    filters = shape_of(op.w)[0] // len(places)
                    outputs = (places[:, np.newaxis] * filters + np.arange(filters)).ravel()
                    found += [Reader(op, index, 0, outputs) for index in range(1, len(op.operands))]
                    work.append((op.result, outputs))
                case nn.ProductOp() if use.index == 0 and op.filter_groups == 1:
                    found.append(Reader(op, 1, 1, places))
                case nn.FlattenOp():
                    size = shape_of(op.result)[1] // len(places)
                    work.append((op.result, (places[:, np.newaxis] * size + np.arange(size)).ravel()))
                case nn.LayerOp() if isinstance(op, CHANNELWISE):
                    found += [Reader(op, index, 0, places) for index in range(1, len(op.operands))]
                    work.append((op.results[0], places))
                case _:
                    return None
    return found


def reorder(readers: Sequence[Reader], weights: WeightStore) -> None:
    """Store each parameter in its new order, and read that."""
    for reader in readers:
        old = reader.op.operands[reader.operand]
        array = np.take(real_weight_of(old, weights), reader.order, reader.axis)
        key = f"{parameter_key(old)}.reordered"
        reader.op.operands[reader.operand] = insert_weight(reader.op, key, array, f32, weights, old.name_hint)
