"""Normalizations: batch, layer, instance and response norm.

Invariant: all work on f32 and keep the shape.
"""

from __future__ import annotations

from math import isfinite

from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr, TensorType, f32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import base, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.dialects import nn_shapes
from hapir.dialects.assembly import Real
from hapir.dialects.nn_op import (
    LayerOp,
    UnaryOp,
    implied_shape,
    infer_result,
    is_parameter,
    layer_attr,
    need_float,
)
from hapir.dialects.num import shape_of


@irdl_op_definition
class BatchNormOp(LayerOp):
    """Inference batch norm over axis 1: `y = (x - mean) / sqrt(variance + epsilon) * gamma + beta`, all f32.

    Example: `%y = nn.batch_norm %x, %gamma, %beta, %mean, %variance epsilon 1.0e-05
        : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>`
    """

    name = "nn.batch_norm"
    x = operand_def(base(TensorType))
    gamma = operand_def(base(TensorType))
    beta = operand_def(base(TensorType))
    mean = operand_def(base(TensorType))
    variance = operand_def(base(TensorType))
    epsilon = prop_def(FloatAttr[Float64Type])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $gamma `,` $beta `,` $mean `,` $variance `epsilon` custom<Real>($epsilon) (`layer` $layer^)? attr-dict "
        "`:` functional-type(operands, results)"
    )
    custom_directives = (Real,)

    def __init__(
        self,
        x: SSAValue,
        gamma: SSAValue,
        beta: SSAValue,
        mean: SSAValue,
        variance: SSAValue,
        *,
        epsilon: float = 1e-5,
        layer: str | None = None,
    ):
        super().__init__(
            operands=[x, gamma, beta, mean, variance],
            result_types=[f32],
            properties={"epsilon": FloatAttr(epsilon, 64), "layer": layer_attr(layer)},
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        need_float(self, *self.operands)
        check_epsilon(self.epsilon)
        shapes = [shape_of(v) for v in self.operands]
        return TensorType(f32, implied_shape(lambda: nn_shapes.per_channel(shapes[0], shapes[1:], "batch_norm")))

    @property
    def keeps_items(self) -> bool:
        return all(map(is_parameter, self.operands[1:]))


@irdl_op_definition
class LayerNormOp(LayerOp):
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta` of f32; mean and variance over all axes from `axis` on.

    The variance is the mean of `(x - mean)^2`; gamma and beta have the shape of the normalized axes (Ba et al., 2016).

    Example: `%y = nn.layer_norm %x, %gamma, %beta axis 2 epsilon 1.0e-05
        : (tensor<1x6x16xf32>, tensor<16xf32>, tensor<16xf32>) -> tensor<1x6x16xf32>`
    """

    name = "nn.layer_norm"
    x = operand_def(base(TensorType))
    gamma = operand_def(base(TensorType))
    beta = operand_def(base(TensorType))
    axis = prop_def(IntegerAttr[I64])
    epsilon = prop_def(FloatAttr[Float64Type])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $gamma `,` $beta `axis` $axis `epsilon` custom<Real>($epsilon) (`layer` $layer^)? attr-dict "
        "`:` functional-type(operands, results)"
    )
    custom_directives = (Real,)

    def __init__(
        self,
        x: SSAValue,
        gamma: SSAValue,
        beta: SSAValue,
        *,
        axis: int,
        epsilon: float = 1e-5,
        layer: str | None = None,
    ):
        super().__init__(
            operands=[x, gamma, beta],
            result_types=[f32],
            properties={
                "axis": IntegerAttr(axis, i64),
                "epsilon": FloatAttr(epsilon, 64),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        need_float(self, *self.operands)
        check_epsilon(self.epsilon)
        x, *parameters = (shape_of(v) for v in self.operands)
        axis = self.axis.value.data
        return TensorType(f32, implied_shape(lambda: nn_shapes.from_axis(x, parameters, axis, "layer_norm")))

    @property
    def keeps_items(self) -> bool:
        return self.axis.value.data > 0 and is_parameter(self.gamma) and is_parameter(self.beta)


def check_epsilon(epsilon: FloatAttr[Float64Type]) -> None:
    """Raise VerifyException for what cannot be added to a variance."""
    value = epsilon.value.data
    if not (isfinite(value) and value >= 0):
        raise VerifyException(f"epsilon must be finite and not negative, got {value}")


@irdl_op_definition
class LocalResponseNormOp(UnaryOp):
    """`x / (bias + alpha / size * sum x^2)^beta` of f32, over axis 1; the sum runs over `size` neighbouring channels.

    Channel c sees the channels `c - (size - 1) // 2` to `c + size // 2` that there are (Krizhevsky et al., 2012,
    section 3.3; the scaling of alpha and the window are those of ONNX).

    Example: `%y = nn.local_response_norm %x size 5 alpha 0.0001 beta 0.75 bias 2.0
        : tensor<1x96x27x27xf32> -> tensor<1x96x27x27xf32>`
    """

    name = "nn.local_response_norm"
    size = prop_def(IntegerAttr[I64])
    alpha = prop_def(FloatAttr[Float64Type])
    beta = prop_def(FloatAttr[Float64Type])
    bias = prop_def(FloatAttr[Float64Type])
    assembly_format = (
        "$x `size` $size `alpha` custom<Real>($alpha) `beta` custom<Real>($beta) `bias` custom<Real>($bias) "
        "(`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"
    )
    custom_directives = (Real,)

    def __init__(
        self,
        x: SSAValue,
        *,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        bias: float = 1.0,
        layer: str | None = None,
    ):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={
                "size": IntegerAttr(size, i64),
                "alpha": FloatAttr(alpha, 64),
                "beta": FloatAttr(beta, 64),
                "bias": FloatAttr(bias, 64),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        need_float(self, self.x)
        if self.size.value.data < 1:
            raise VerifyException(f"the size must be at least 1, got {self.size.value.data}")
        alpha, beta, bias = (a.value.data for a in (self.alpha, self.beta, self.bias))
        if not (isfinite(alpha) and isfinite(beta) and isfinite(bias) and alpha >= 0 and bias > 0):
            raise VerifyException(
                f"alpha must not be negative, bias must be positive and all finite, got {alpha}, {bias} and beta {beta}"
            )
        shape = implied_shape(lambda: nn_shapes.per_channel(shape_of(self.x), (), "local_response_norm"))
        return TensorType(f32, shape)
