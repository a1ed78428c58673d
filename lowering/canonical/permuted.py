"""Ops that do not mind the order of axes: the same op on operands whose axes are in another order."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.nn_op import infer_result
from hapir.dialects.num import element_type, shape_of

_ELEMENTWISE = (nn.ReluOp, nn.ClipOp, nn.FloatActivationOp, nn.CastOp, nn.BinaryOp, nn.PointwiseOp)
_ALONG_AXES = (nn.PadOp, nn.ConcatOp, nn.SplitOp, nn.SliceOp, nn.TileOp, nn.SoftmaxOp, nn.LogSoftmaxOp)


def minds_no_order(op: Operation) -> bool:
    """Whether `permuted` knows an op; its operands of fewer axes must be constants or scalars."""
    keeps_axes = isinstance(op, (*_ELEMENTWISE, *_ALONG_AXES)) or (isinstance(op, nn.ReduceOp) and op.keep is not None)
    if not keeps_axes:
        return False
    rank = len(shape_of(op.results[0]))
    return all(len(shape_of(v)) in (0, rank) or is_stored(v) for v in op.operands)


def is_stored(value: SSAValue) -> bool:
    """Whether a value is a constant that may be stored in another order."""
    return isinstance(value.owner, nn.WeightOp | nn.FillOp)


def permuted(op: nn.LayerOp, operands: Sequence[SSAValue], axes: Sequence[int]) -> nn.LayerOp:
    """The op on operands whose axis i is axis `axes[i]` of what they were; so are the axes of its results."""
    layer, order = op.layer_name, list(axes)

    def moved(values: Sequence[int]) -> list[int]:
        return [values[axis] for axis in order]

    match op:
        case nn.CastOp():
            return nn.CastOp(operands[0], element_type(op.result), layer=layer)
        case nn.ConcatOp():
            return nn.ConcatOp(operands, axis=order.index(op.axis.value.data), layer=layer)
        case nn.SplitOp():
            return nn.SplitOp(operands[0], integers(op.pieces), axis=order.index(op.axis.value.data), layer=layer)
        case nn.PadOp():
            before, after = moved(integers(op.before)), moved(integers(op.after))
            mode, value = op.mode.data, op.value.value.data
            return nn.PadOp(operands[0], before, after, mode=mode, value=value, layer=layer)
        case nn.SliceOp():
            starts, taken, steps = (moved(integers(part)) for part in (op.starts, op.sizes, op.steps))
            return nn.SliceOp(operands[0], starts, taken, steps, layer=layer)
        case nn.SoftmaxOp() | nn.LogSoftmaxOp():
            return type(op)(operands[0], axis=order.index(op.along), layer=layer)
        case nn.ReduceOp():
            axes = sorted(order.index(axis) for axis in integers(op.axes))
            return nn.ReduceOp(op.function.data, operands[0], axes, keep=op.keep is not None, layer=layer)
        case nn.TileOp():
            return nn.TileOp(operands[0], moved(integers(op.repeats)), layer=layer)
        case _:
            new = op.clone(dict(zip(op.operands, operands, strict=True)))
            infer_result(new)
            return new
