"""Recompute the result types of a network after edits.

Law: exact. Types follow from operands and properties by the ops' own rules; nothing that computes is changed. Ops of
dialect `num` keep their element type and take the shape of their operand. The networks verify afterwards.

```
%c = nn.conv2d %x, %w ... : (tensor<1x1x8x8xf32>, tensor<3x1x3x3xf32>) -> tensor<1x4x8x8xf32>     // 4 filters, once
%r = nn.relu %c : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
```
becomes
```
%c = nn.conv2d %x, %w ... : (tensor<1x1x8x8xf32>, tensor<3x1x3x3xf32>) -> tensor<1x3x8x8xf32>
%r = nn.relu %c : tensor<1x3x8x8xf32> -> tensor<1x3x8x8xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Block, Operation
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import fail
from hapir.dialects import dataflow, nn
from hapir.dialects.num import (
    DequantizeOp,
    QuantizeOp,
    RequantizeOp,
    RescaleOp,
    ThresholdOp,
    ViewOp,
    WidenOp,
    element_type,
    shape_of,
)
from hapir.lowering.network_edits import networks_of, set_type


@dataclass(frozen=True)
class InferNnShapesPass(ModulePass):
    """Recompute result types through every network and verify it. Exact.

    Example: `hapir opt digits.hap -p infer_nn_shapes`
    """

    name = "infer_nn_shapes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in networks_of(op):
            infer_types(network)
            network.verify()


def infer_types(network: nn.NetworkOp) -> None:
    """Recompute every type of a network in program order.

    Raises HapirError (HAP0301), placed at the op whose operands no longer fit.
    """
    _infer_block(network.body.block)
    network.set_result_types()


def _infer_block(block: Block) -> None:
    for op in block.ops:
        try:
            _infer_op(op)
        except VerifyException as error:
            fail("HAP0301", str(error), at=op)


def _infer_op(op: Operation) -> None:
    match op:
        case nn.LayerOp():
            for result, type_ in zip(op.results, op.implied_types(), strict=True):
                set_type(result, type_)
        case QuantizeOp() | DequantizeOp() | WidenOp() | RequantizeOp() | RescaleOp() | ThresholdOp() | ViewOp():
            set_type(op.result, TensorType(element_type(op.result), shape_of(op.operands[0])))
        case dataflow.LayerOp():
            for argument, value in zip(op.body.block.args, op.inputs, strict=True):
                set_type(argument, value.type)
            _infer_block(op.body.block)
            for result, value in zip(op.outputs, op.yield_op.values, strict=True):
                set_type(result, value.type)
        case _:
            pass  # weights and terminators state their own types
