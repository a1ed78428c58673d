"""Networks as Keras computes them: maps lie N H W C, with transposes around each layer that wants them N C H W."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.lowering.canonical.permuted import is_stored, minds_no_order, permuted
from tests.property.strategies import Sample

LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""The axes that put channels last, and first."""


def channels_last(sample: Sample) -> Sample:
    """The same function of the same input: every map in between lies N H W C."""
    old, weights = sample.network, sample.weights.copy()
    inputs = [(name.data, value.type) for name, value in zip(old.input_names, old.body.block.args, strict=True)]
    new = nn.NetworkOp(old.sym_name.data, inputs, [])
    block = new.body.block
    values: dict[SSAValue, SSAValue] = dict(zip(old.body.block.args, block.args, strict=True))

    def append(op: nn.LayerOp | nn.WeightOp | nn.FillOp) -> SSAValue:
        block.add_op(op)
        return op.results[0]

    def last(value: SSAValue) -> SSAValue:
        return append(nn.TransposeOp(value, LAST)) if len(shape_of(value)) == 4 else value

    def first(value: SSAValue) -> SSAValue:
        if len(shape_of(value)) != 4 or is_stored(value):
            return values[value]
        return append(nn.TransposeOp(values[value], FIRST))

    values.update((argument, last(argument_)) for argument, argument_ in list(values.items()))
    for op in old.body.block.ops:
        if isinstance(op, nn.WeightOp | nn.FillOp):
            values[op.results[0]] = append(op.clone())
        elif isinstance(op, nn.FlattenOp) and _flat_users(op) and len(shape_of(op.x)) == 4:
            values[op.result] = append(nn.FlattenOp(values[op.x], layer=op.layer_name))
        elif isinstance(op, nn.DenseOp) and isinstance(op.x.owner, nn.FlattenOp) and len(shape_of(op.x.owner.x)) == 4:
            assert isinstance(op.w.owner, nn.WeightOp)
            array = weights[op.w.owner.key.data]
            columns = array.reshape(len(array), *shape_of(op.x.owner.x)[1:]).transpose(0, 2, 3, 1)
            key = weights.put_new(op.w.owner.key.data, np.ascontiguousarray(columns.reshape(array.shape)))
            w = append(nn.WeightOp(key, TensorType(f32, array.shape)))
            values[op.result] = append(op.on(values[op.x], w, None if op.bias is None else values[op.bias]))
        elif isinstance(op, nn.LayerOp) and minds_no_order(op) and len(shape_of(op.results[0])) == 4:
            operands = [values[v] for v in op.operands]
            assert not any(is_stored(v) for v in op.operands)
            turned = permuted(op, operands, LAST)
            append(turned)
            values.update(zip(op.results, turned.results, strict=True))
        elif isinstance(op, nn.LayerOp):
            plain = op.clone({v: first(v) for v in op.operands})
            append(plain)
            values.update((a, last(b)) for a, b in zip(op.results, plain.results, strict=True))
    block.add_op(nn.ReturnOp([first(v) for v in old.return_op.values]))
    new.result_names = ArrayAttr([StringAttr(name.data) for name in old.result_names])
    new.set_result_types()
    new.verify()
    return Sample(new, weights, sample.input_shape)


def _flat_users(op: nn.FlattenOp) -> bool:
    """Whether only dense layers read what is flattened."""
    return all(isinstance(use.operation, nn.DenseOp) for use in op.result.uses)
