"""Which parameters count as weights: the matrices and kernels that layers multiply by, not biases or norms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xdsl.ir import Operation, SSAValue

from hapir.dialects.nn import NetworkOp
from hapir.dialects.nn_products import ProductOp, TransposedConvolutionOp
from hapir.dialects.nn_recurrent import RecurrentOp
from hapir.dialects.num import shape_of
from hapir.lowering.compress.selected_layers import chosen
from hapir.lowering.constants import is_constant
from hapir.lowering.network_edits import layer_name

Granularity = Literal["tensor", "channel"]
"""One table for a tensor (of a recurrent layer, for each gate), or one for each output channel: an index of axis 0,
which of a transposed convolution counts the input channels."""


@dataclass(frozen=True)
class WeightSlot:
    """One weight: the layer that reads it, and which of its operands it is.

    `gates` says how many equal parts along axis 0 belong together: the gates of a recurrent layer, else 1.
    """

    op: Operation
    index: int
    gates: int = 1

    @property
    def value(self) -> SSAValue:
        """The operand."""
        return self.op.operands[self.index]

    def blocks(self, granularity: Granularity) -> int:
        """How many equal blocks of rows (axis 0) have a table of their own."""
        return self.gates if granularity == "tensor" else shape_of(self.value)[0]


def slots_of(op: Operation) -> list[WeightSlot]:
    """The weights of a layer; none where it multiplies by nothing stored."""
    match op:
        case RecurrentOp():
            found = [WeightSlot(op, index, op.GATES) for index in (1, 2)]
        case ProductOp() | TransposedConvolutionOp():
            found = [WeightSlot(op, 1)]
        case _:
            found = []
    return [slot for slot in found if is_constant(slot.value)]


def weight_slots(network: NetworkOp, layers: str | Sequence[str]) -> list[WeightSlot]:
    """The weights of the layers that globs name, in order. Raises HapirError (HAP0208) where a glob names none."""
    layered = [(layer_name(op) or "", slots) for op in network.body.block.ops if (slots := slots_of(op))]
    return [slot for slots in chosen(network, layers, layered, "layer with weights") for slot in slots]
