"""How many multiply-accumulates an op of `nn` is."""

from __future__ import annotations

import math

from xdsl.ir import Operation

from hapir.dialects.nn_products import LinearOp, MatmulOp, ProductOp, TransposedConvolutionOp
from hapir.dialects.nn_recurrent import RecurrentOp
from hapir.dialects.num import shape_of


def macs(op: Operation) -> int:
    """Multiply-accumulates of one op on the declared batch, as if padding were multiplied; 0 where nothing is.

    Convolutions, dense layers, products of matrices and the products of recurrent layers with their weights count;
    elementwise products, norms and resizing do not.
    """
    match op:
        case ProductOp() | LinearOp():
            return math.prod(shape_of(op.result)) * math.prod(shape_of(op.w)[1:])  # C/G R S, or C, per output
        case TransposedConvolutionOp():
            return math.prod(shape_of(op.x)) * math.prod(shape_of(op.w)[1:])  # K/G R S per input
        case MatmulOp():
            return math.prod(shape_of(op.result)) * shape_of(op.lhs)[-1]
        case RecurrentOp():
            n, t, _ = shape_of(op.x)
            return n * t * (math.prod(shape_of(op.w_input)) + math.prod(shape_of(op.w_hidden)))
        case _:
            return 0
