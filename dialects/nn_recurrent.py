"""Recurrent layers of the dialect `nn`: a cell that walks over the time steps of N T C.

Invariant: everything is f32, and the state before the first step is 0. Gates lie one after the other along axis 0 of
weights and biases, in PyTorch's order; with H hidden units, rows `g*H` to `(g + 1)*H` belong to gate g.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import BoolAttr, IntegerAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import base, irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.traits import Pure

from hapir.dialects import nn_shapes
from hapir.dialects.nn_op import LayerOp, implied_shape, infer_result, layer_attr, need_float
from hapir.dialects.nn_shapes import Shape
from hapir.dialects.num import shape_of


class RecurrentOp(LayerOp):
    """A recurrent layer: x N T C, input and hidden weights, no bias or two (input, hidden).

    Its results are those of all steps, then the states; each op defines them itself, as xDSL puts an op's own before
    those it inherits.
    """

    GATES: ClassVar[int]
    """How many gates a cell has."""

    x = operand_def(base(TensorType))
    w_input = operand_def(base(TensorType))
    w_hidden = operand_def(base(TensorType))
    biases = var_operand_def(base(TensorType))
    reverse = prop_def(BoolAttr)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $w_input `,` $w_hidden (`bias` $biases^)? `reverse` $reverse (`layer` $layer^)? attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        x: SSAValue,
        w_input: SSAValue,
        w_hidden: SSAValue,
        biases: Sequence[SSAValue] = (),
        *,
        reverse: bool = False,
        layer: str | None = None,
    ):
        super().__init__(
            operands=[x, w_input, w_hidden, biases],
            result_types=[f32] * len(self.get_irdl_definition().results),
            properties={"reverse": IntegerAttr.from_bool(reverse), "layer": layer_attr(layer)},
        )
        infer_result(self)

    def implied_types(self) -> Sequence[Attribute]:
        need_float(self, *self.operands)
        biases = [shape_of(v) for v in self.biases]

        def rule() -> Shape:
            weights = shape_of(self.w_input), shape_of(self.w_hidden)
            return nn_shapes.recurrent(shape_of(self.x), *weights, biases, self.GATES)

        n, t, h = implied_shape(rule)
        state = TensorType(f32, (n, h))
        return [TensorType(f32, (n, t, h)), *[state] * (len(self.results) - 1)]


@irdl_op_definition
class LstmOp(RecurrentOp):
    """Long short-term memory: x N T C -> all outputs N T H, the last output N H, the last cell state N H.

    Per step, with gates i, f, g, o in this order: `(i, f, g, o) = (W_input x + b_input) + (W_hidden h + b_hidden)`,
    `c = sigmoid(f) * c + sigmoid(i) * tanh(g)`, `h = sigmoid(o) * tanh(c)`. With `reverse` the steps run from the last
    to the first; output t still belongs to step t (Hochreiter and Schmidhuber, 1997; Gers et al., 2000).

    Example: `%y, %h, %c = nn.lstm %x, %wi, %wh bias %bi, %bh reverse false layer "l" : (tensor<1x6x4xf32>,
        tensor<32x4xf32>, tensor<32x8xf32>, tensor<32xf32>, tensor<32xf32>)
        -> (tensor<1x6x8xf32>, tensor<1x8xf32>, tensor<1x8xf32>)`
    """

    name = "nn.lstm"
    GATES: ClassVar[int] = 4
    outputs = result_def(base(TensorType))
    hidden = result_def(base(TensorType))
    cell = result_def(base(TensorType))


@irdl_op_definition
class GruOp(RecurrentOp):
    """Gated recurrent unit: x N T C -> all outputs N T H, the last output N H.

    Per step, with gates r, z, n in this order: `r, z = sigmoid((W_input x + b_input) + (W_hidden h + b_hidden))`,
    `n = tanh((W_input x + b_input) + r * (W_hidden h + b_hidden))`, `h = (1 - z) * n + z * h`: the reset gate scales
    after the hidden weights, as in PyTorch and in ONNX with linear_before_reset (Cho et al., 2014).

    Example: `%y, %h = nn.gru %x, %wi, %wh reverse false layer "g" : (tensor<1x6x4xf32>, tensor<24x4xf32>,
        tensor<24x8xf32>) -> (tensor<1x6x8xf32>, tensor<1x8xf32>)`
    """

    name = "nn.gru"
    GATES: ClassVar[int] = 3
    outputs = result_def(base(TensorType))
    hidden = result_def(base(TensorType))
