"""Group the ops that run as one layer.

Law: exact, bit for bit. First every ReLU and clip after a requantization becomes its clamp bounds; then each main op
(conv2d, conv1d, dense, add, sums and means over windows) is grouped with what follows it while each value in between
has one use: a requantization, activations, and at last a max pool. The same serves floats and integers. Flatten,
concat, quantize, dequantize, softmax, argmax and what else is left stay outside.

```
%a = nn.conv2d %q, %w bias %b window <3x3> groups 1 layer "c1" : ...
%c = num.requantize %a, %m, %s half_up bounds 0, 255 layer "c1" : ...
%r = nn.relu %c layer "r1" : ...
%p = nn.max_pool %r window <2x2, stride 2x2> layer "p1" : ...
```
becomes
```
%p = dataflow.layer "c1" (%x = %q : ...) -> (...) {
  %a = nn.conv2d %x, %w bias %b window <3x3> groups 1 layer "c1" : ...
  %c = num.requantize %a, %m, %s half_up bounds 3, 255 layer "c1" : ...
  %p = nn.max_pool %c window <2x2, stride 2x2> layer "p1" : ...
  dataflow.yield %p : ...
}
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import I64, IntegerAttr, ModuleOp, i64
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from hapir.dialects import dataflow, nn, num
from hapir.dialects.num import AffineType, element_type, on_grid
from hapir.lowering.constants import is_constant
from hapir.lowering.network_edits import erase_unused_weights, key_stem, networks_of, sole_user, unused_name

MAIN = (nn.Conv2dOp, nn.Conv1dOp, nn.DenseOp, nn.AddOp, nn.SumPoolOp, nn.AvgPoolOp, nn.GlobalAvgPoolOp)
"""The ops that start a layer."""

MONOTONE = (
    *(nn.MaxPoolOp, nn.GlobalMaxPoolOp, nn.FlattenOp, nn.ReshapeOp, nn.TransposeOp, nn.ResizeOp, nn.GatherTapsOp),
    *(nn.SliceOp, nn.TileOp, nn.GatherOp, nn.ResampleOp),
)
"""Ops that commute with clamping of integers, so a ReLU after them may move into the requantization before them."""


@dataclass(frozen=True)
class FusePass(ModulePass):
    """Fold ReLU and clip into requantization bounds, then group the ops that run as one layer. Exact.

    Example: `hapir opt digits.hap -p 'fold_batch_norm,fuse'`
    """

    name = "fuse"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in networks_of(op):
            for activation in list(network.body.block.ops):
                if isinstance(activation, nn.ReluOp | nn.ClipOp):
                    _fold_into_bounds(activation)
            names = {name for name in map(_grouped_name, network.body.block.ops) if name}
            for main in list(network.body.block.ops):
                if isinstance(main, MAIN):
                    # layers without a name in the spec share their op's
                    _group(_members(main), unused_name(key_stem(main), names))
            erase_unused_weights(network)


def _grouped_name(op: Operation) -> str | None:
    return op.layer_name if isinstance(op, dataflow.LayerOp) else None


def _fold_into_bounds(op: nn.ReluOp | nn.ClipOp) -> None:
    """Drop an activation whose operand comes from a requantization that nothing else reads, clamping there instead."""
    producer = op.x.owner
    value: SSAValue = op.x
    while isinstance(producer, MONOTONE) and value.has_one_use():
        value = producer.x
        producer = value.owner
    if not (isinstance(producer, num.RequantizeOp | num.RescaleOp) and value.has_one_use()):
        return
    element = element_type(value)
    assert isinstance(element, AffineType)

    def clamped(bound: IntegerAttr[I64]) -> IntegerAttr[I64]:
        q = bound.value.data
        if isinstance(op, nn.ReluOp):
            return IntegerAttr(max(q, element.zero_point.data), i64)
        low, high = on_grid(element, op.low.value.data), on_grid(element, op.high.value.data)
        return IntegerAttr(min(max(q, low), high), i64)

    producer.low, producer.high = clamped(producer.low), clamped(producer.high)
    op.result.replace_all_uses_with(op.x)
    op.detach()
    op.erase()


def _members(main: Operation) -> list[Operation]:
    """The ops of a layer in order: widenings before an add, the main op, and what follows it."""
    before = [v.owner for v in dict.fromkeys(main.operands) if _is_own_widening(v, main)]
    members = [*(op for op in before if isinstance(op, Operation)), main]
    activations = (nn.ReluOp, nn.ClipOp, nn.FloatActivationOp)
    allowed: tuple[type[Operation], ...] = (
        num.RequantizeOp,
        num.RescaleOp,
        num.ThresholdOp,
        *activations,
        nn.MaxPoolOp,
    )
    while isinstance(user := sole_user(members[-1].results[0]), allowed):
        if isinstance(user, nn.MaxPoolOp):
            return [*members, user]
        members.append(user)
        allowed = (*activations, nn.MaxPoolOp)
    return members


def _is_own_widening(value: SSAValue, main: Operation) -> bool:
    return isinstance(value.owner, num.WidenOp) and all(use.operation is main for use in value.uses)


def _group(members: Sequence[Operation], name: str) -> None:
    """Move ops into a `dataflow.layer` at the place of the last one; copy their weights, decoders and numbers in."""
    last = members[-1]
    outer_block = last.parent
    assert outer_block is not None
    inside = set(members)
    operands = dict.fromkeys(v for op in members for v in op.operands if v.owner not in inside)
    copied = [v for v in operands if is_constant(v) or isinstance(v.owner, nn.FillOp)]
    inputs = [v for v in operands if v not in copied]
    block = Block(arg_types=[v.type for v in inputs])
    mapping: dict[SSAValue, SSAValue] = dict(zip(inputs, block.args, strict=True))
    for value, argument in zip(inputs, block.args, strict=True):
        argument.name_hint = value.name_hint
        argument.location = last.location
    for value in copied:
        _copy_constant(value, block, mapping)
    result = last.results[0]
    layer = dataflow.LayerOp(name, inputs, [result.type], Region(block))
    main = next(op for op in members if isinstance(op, MAIN))
    layer.location = main.location
    layer.outputs[0].name_hint = result.name_hint
    result.replace_all_uses_with(layer.outputs[0])
    outer_block.insert_op_before(layer, last)
    for op in members:
        op.detach()
        for index, operand in enumerate(op.operands):
            op.operands[index] = mapping.get(operand, operand)
        block.add_op(op)
    end = dataflow.YieldOp([result])
    end.location = last.location
    block.add_op(end)


def _copy_constant(value: SSAValue, block: Block, mapping: dict[SSAValue, SSAValue]) -> None:
    """Copy the op that makes a constant value to the end of a block, behind those that it reads."""
    op = value.owner
    assert isinstance(op, Operation)
    if value in mapping:
        return
    for operand in op.operands:
        _copy_constant(operand, block, mapping)
    block.add_op(op.clone(mapping))
