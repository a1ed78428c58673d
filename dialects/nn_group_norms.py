"""Normalizations over groups of channels, and by the root of the mean square.

Invariant: both work on f32 and keep the shape.
"""

from __future__ import annotations

from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr, TensorType, f32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import base, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from hapir.dialects import nn_shapes
from hapir.dialects.assembly import Real
from hapir.dialects.nn_norms import check_epsilon
from hapir.dialects.nn_op import LayerOp, implied_shape, infer_result, is_parameter, layer_attr, need_float
from hapir.dialects.num import shape_of


@irdl_op_definition
class GroupNormOp(LayerOp):
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta` of f32, mean and variance over a group of channels.

    The channels of each item fall into `groups` of neighbours, and a group is normalized over all its places; gamma and
    beta have shape C (Wu and He, 2018). One group per channel is instance normalization.

    Example: `%y = nn.group_norm %x, %gamma, %beta groups 2 epsilon 1.0e-05
        : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>`
    """

    name = "nn.group_norm"
    x = operand_def(base(TensorType))
    gamma = operand_def(base(TensorType))
    beta = operand_def(base(TensorType))
    groups = prop_def(IntegerAttr[I64])
    epsilon = prop_def(FloatAttr[Float64Type])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $gamma `,` $beta `groups` $groups `epsilon` custom<Real>($epsilon) (`layer` $layer^)? attr-dict "
        "`:` functional-type(operands, results)"
    )
    custom_directives = (Real,)

    def __init__(
        self,
        x: SSAValue,
        gamma: SSAValue,
        beta: SSAValue,
        *,
        groups: int,
        epsilon: float = 1e-5,
        layer: str | None = None,
    ):
        super().__init__(
            operands=[x, gamma, beta],
            result_types=[f32],
            properties={
                "groups": IntegerAttr(groups, i64),
                "epsilon": FloatAttr(epsilon, 64),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return is_parameter(self.gamma) and is_parameter(self.beta)

    def result_type(self) -> Attribute:
        need_float(self, *self.operands)
        check_epsilon(self.epsilon)
        x, *parameters = (shape_of(v) for v in self.operands)
        groups = self.groups.value.data
        return TensorType(f32, implied_shape(lambda: nn_shapes.grouped(x, parameters, groups, "group_norm")))


@irdl_op_definition
class RmsNormOp(LayerOp):
    """`x / sqrt(mean(x^2) + epsilon) * gamma` of f32, the mean over all axes from `axis` on (Zhang and Sennrich, 2019).

    Gamma has the shape of the normalized axes.

    Example: `%y = nn.rms_norm %x, %gamma axis 2 epsilon 1.0e-05
        : (tensor<1x6x16xf32>, tensor<16xf32>) -> tensor<1x6x16xf32>`
    """

    name = "nn.rms_norm"
    x = operand_def(base(TensorType))
    gamma = operand_def(base(TensorType))
    axis = prop_def(IntegerAttr[I64])
    epsilon = prop_def(FloatAttr[Float64Type])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $gamma `axis` $axis `epsilon` custom<Real>($epsilon) (`layer` $layer^)? attr-dict "
        "`:` functional-type(operands, results)"
    )
    custom_directives = (Real,)

    def __init__(self, x: SSAValue, gamma: SSAValue, *, axis: int, epsilon: float = 1e-5, layer: str | None = None):
        super().__init__(
            operands=[x, gamma],
            result_types=[f32],
            properties={
                "axis": IntegerAttr(axis, i64),
                "epsilon": FloatAttr(epsilon, 64),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return self.axis.value.data > 0 and is_parameter(self.gamma)

    def result_type(self) -> Attribute:
        need_float(self, *self.operands)
        check_epsilon(self.epsilon)
        x, axis = shape_of(self.x), self.axis.value.data
        return TensorType(f32, implied_shape(lambda: nn_shapes.from_axis(x, (shape_of(self.gamma),), axis, "rms_norm")))
