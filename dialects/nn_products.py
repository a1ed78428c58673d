"""Layers that sum products: convolution and the fully connected layer.

Invariant: floats give f32; quantized operands give exact si32 accumulators, with symmetric weights that scale per
tensor or along axis 0.
"""

from __future__ import annotations

from xdsl.dialects.builtin import I64, Float32Type, IntegerAttr, TensorType, f32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import base, irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.dialects import nn_shapes
from hapir.dialects.nn_multiplied import MultipliedOp
from hapir.dialects.nn_op import implied_shape, infer_result, layer_attr
from hapir.dialects.nn_shapes import Window
from hapir.dialects.nn_window import WindowAttr
from hapir.dialects.num import AffineType, PerChannelType, element_type, shape_of, signed


def _accumulates(x: SSAValue, w: SSAValue, bias: SSAValue | None) -> Attribute:
    """The element type of a sum of products: f32 of floats, si32 of quantized operands (bias si32)."""
    elements = (element_type(x), element_type(w))
    if all(isinstance(e, Float32Type) for e in elements):
        accumulator: Attribute = f32
    elif isinstance(elements[0], AffineType) and isinstance(elements[1], AffineType | PerChannelType):
        if isinstance(elements[1], AffineType) and elements[1].zero_point.data != 0:
            raise VerifyException("weights are symmetric: their zero point must be 0")
        if isinstance(elements[1], PerChannelType) and elements[1].axis.data != 0:
            raise VerifyException("per-channel weights scale along axis 0, the output channels")
        accumulator = signed(32)
    else:
        raise VerifyException(f"cannot multiply {elements[0]} by {elements[1]}: both f32, or both quantized")
    if bias is not None and element_type(bias) != accumulator:
        raise VerifyException(f"the bias must be {accumulator}, got {element_type(bias)}")
    return accumulator


@irdl_op_definition
class Conv2dOp(MultipliedOp):
    """Two-dimensional convolution (cross-correlation): x N C H W, w K C/G R S, optional bias K -> N K P Q.

    `y[n,k,p,q] = b[k] + sum_{c,r,s} x[n, c, p*stride - pad + r*dilation, ...] * w[k,c,r,s]`; depthwise is groups = C.

    Example:
    `%y = nn.conv2d %x, %w bias %b window <3x3, pad 1 1 1 1> groups 1 layer "c1" : (tensor<1x1x8x8xf32>,
        tensor<16x1x3x3xf32>, tensor<16xf32>) -> tensor<1x16x8x8xf32>`
    """

    name = "nn.conv2d"
    x = operand_def(base(TensorType))
    w = operand_def(base(TensorType))
    bias = opt_operand_def(base(TensorType))
    window = prop_def(WindowAttr)
    groups = prop_def(IntegerAttr[I64])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $w (`bias` $bias^)? `window` $window `groups` $groups (`layer` $layer^)? attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        x: SSAValue,
        w: SSAValue,
        bias: SSAValue | None = None,
        *,
        window: Window,
        groups: int = 1,
        layer: str | None = None,
    ):
        super().__init__(
            operands=[x, w, bias],
            result_types=[f32],
            properties={
                "window": WindowAttr.of(window),
                "groups": IntegerAttr(groups, i64),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        bias = None if self.bias is None else shape_of(self.bias)
        shape = implied_shape(
            lambda: nn_shapes.conv2d(
                shape_of(self.x), shape_of(self.w), bias, self.window.window, self.groups.value.data
            )
        )
        return TensorType(_accumulates(self.x, self.w, self.bias), shape)


@irdl_op_definition
class DenseOp(MultipliedOp):
    """Fully connected: x N C, w K C, optional bias K -> N K, `y = x w^T + b`.

    Example: `%y = nn.dense %x, %w bias %b : (tensor<1x64xf32>, tensor<10x64xf32>, tensor<10xf32>) -> tensor<1x10xf32>`
    """

    name = "nn.dense"
    x = operand_def(base(TensorType))
    w = operand_def(base(TensorType))
    bias = opt_operand_def(base(TensorType))
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$x `,` $w (`bias` $bias^)? (`layer` $layer^)? attr-dict `:` functional-type(operands, results)"

    def __init__(self, x: SSAValue, w: SSAValue, bias: SSAValue | None = None, *, layer: str | None = None):
        super().__init__(operands=[x, w, bias], result_types=[f32], properties={"layer": layer_attr(layer)})
        infer_result(self)

    def result_type(self) -> Attribute:
        bias = None if self.bias is None else shape_of(self.bias)
        shape = implied_shape(lambda: nn_shapes.dense(shape_of(self.x), shape_of(self.w), bias))
        return TensorType(_accumulates(self.x, self.w, self.bias), shape)
