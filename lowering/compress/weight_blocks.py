"""Which weights share a scale: blocks for a granularity, by the layer that reads them."""

from __future__ import annotations

from typing import Literal

from hapir.dialects.nn_products import TransposedConvolutionOp
from hapir.dialects.num import shape_of
from hapir.lowering.compress.weight_slots import WeightSlot

Granularity = Literal["tensor", "channel", "group", "input_group"]


def scale_blocks(slot: WeightSlot, granularity: Granularity, group: int) -> tuple[int, ...]:
    """The blocks along each axis of a weight, as `quantizers.uniform.block_scales` takes them.

    `tensor` is one block (one per gate of a recurrent layer), `channel` one per output channel, `group` one per
    `group` output channels in order, `input_group` one per output channel and `group` input channels. Where `group`
    does not divide the channels, it is the next smaller number that does.
    """
    shape, gates = shape_of(slot.value), slot.gates
    outputs, inputs = (1, 0) if isinstance(slot.op, TransposedConvolutionOp) else (0, 1)
    blocks = [1] * len(shape)
    match granularity:
        case "tensor":
            blocks[outputs] = gates
        case "channel":
            blocks[outputs] = shape[outputs]
        case "group":
            blocks[outputs] = shape[outputs] // largest_divisor(shape[outputs] // gates, group)
        case "input_group":
            blocks[outputs] = shape[outputs]
            blocks[inputs] = shape[inputs] // largest_divisor(shape[inputs], group)
    return tuple(blocks)


def largest_divisor(n: int, limit: int) -> int:
    """The largest divisor of n that is at most `limit`."""
    return next(d for d in range(min(n, limit), 0, -1) if n % d == 0)
