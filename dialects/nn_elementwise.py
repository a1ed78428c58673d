"""Elementwise ops of the dialect `nn`: activations of one tensor, sums and products of two.

Invariant: the shape stays. ReLU and clip keep affine integers; the other activations are f32, rounded after each
operation that their formula writes down.
"""

from __future__ import annotations

from math import isfinite

from xdsl.dialects.builtin import Float32Type, Float64Type, FloatAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import base, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.dialects import nn_shapes
from hapir.dialects.assembly import Real
from hapir.dialects.nn_op import (
    LayerOp,
    UnaryOp,
    activation_element,
    implied_shape,
    infer_result,
    layer_attr,
    need_float,
    need_zero,
    repeats_items,
)
from hapir.dialects.num import AffineType, element_type, shape_of, signed


@irdl_op_definition
class ReluOp(UnaryOp):
    """`max(x, 0)`; on affine integers `max(q, zero_point)`. Keeps the type.

    Example: `%y = nn.relu %x : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.relu"

    def result_type(self) -> Attribute:
        need_zero(self, activation_element(self, self.x))
        return self.x.type


@irdl_op_definition
class ClipOp(LayerOp):
    """`min(max(x, low), high)` with real bounds; on affine integers the bounds are rounded half-even to the grid.

    Example: `%y = nn.clip %x from 0.0 to 6.0 : tensor<1x4xf32> -> tensor<1x4xf32>` (ReLU6)
    """

    name = "nn.clip"
    x = operand_def(base(TensorType))
    low = prop_def(FloatAttr[Float64Type])
    high = prop_def(FloatAttr[Float64Type])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$x `from` custom<Real>($low) `to` custom<Real>($high) (`layer` $layer^)? attr-dict "
        "`:` type($x) `->` type($result)"
    )
    custom_directives = (Real,)

    def __init__(self, x: SSAValue, *, low: float, high: float, layer: str | None = None):
        super().__init__(
            operands=[x],
            result_types=[x.type],
            properties={"low": FloatAttr(low, 64), "high": FloatAttr(high, 64), "layer": layer_attr(layer)},
        )

    def result_type(self) -> Attribute:
        if not isinstance(element_type(self.x), Float32Type | AffineType):
            raise VerifyException(f"nn.clip works on f32 or an affine type, got {element_type(self.x)}")
        need_zero(self, element_type(self.x))
        low, high = self.low.value.data, self.high.value.data
        if not (isfinite(low) and isfinite(high)):
            raise VerifyException(f"the bounds must be finite, got {low}..{high}")
        if low > high:
            raise VerifyException(f"the bounds {low}..{high} are empty")
        return self.x.type


class FloatActivationOp(UnaryOp):
    """A function of each element of f32."""

    def result_type(self) -> Attribute:
        need_float(self, self.x)
        return self.x.type


@irdl_op_definition
class SigmoidOp(FloatActivationOp):
    """`1 / (1 + exp(-x))` of f32, computed as `e / (1 + e)` with `e = exp(x)` for negative x.

    Example: `%y = nn.sigmoid %x : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.sigmoid"


@irdl_op_definition
class TanhOp(FloatActivationOp):
    """Hyperbolic tangent of f32.

    Example: `%y = nn.tanh %x : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.tanh"


@irdl_op_definition
class HardSwishOp(FloatActivationOp):
    """`x * min(max(x * (1/6) + 1/2, 0), 1)` of f32 (Howard et al., MobileNetV3, ICCV 2019).

    Example: `%y = nn.hard_swish %x : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.hard_swish"


@irdl_op_definition
class SiluOp(FloatActivationOp):
    """`x * sigmoid(x)` of f32, also called swish.

    Example: `%y = nn.silu %x : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.silu"


@irdl_op_definition
class GeluOp(FloatActivationOp):
    """`x / 2 * (1 + erf(x / sqrt(2)))` of f32, computed in double and rounded once (Hendrycks and Gimpel, 2016).

    Example: `%y = nn.gelu %x : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.gelu"


@irdl_op_definition
class SignOp(FloatActivationOp):
    """1 where x >= 0, else -1, of f32 (Hubara et al., Binarized Neural Networks, NIPS 2016, section 1.1).

    Example: `%y = nn.sign %x : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.sign"


@irdl_op_definition
class LeakyReluOp(FloatActivationOp):
    """x where it is not negative, else `slope * x`, of f32.

    Example: `%y = nn.leaky_relu %x slope 0.1 : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.leaky_relu"
    slope = prop_def(FloatAttr[Float64Type])
    assembly_format = "$x `slope` custom<Real>($slope) (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"
    custom_directives = (Real,)

    def __init__(self, x: SSAValue, *, slope: float = 0.01, layer: str | None = None):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={"slope": FloatAttr(slope, 64), "layer": layer_attr(layer)},
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        _need_finite(slope=self.slope)
        return super().result_type()


@irdl_op_definition
class HardSigmoidOp(FloatActivationOp):
    """`min(max(x * slope + offset, 0), 1)` of f32.

    Example: `%y = nn.hard_sigmoid %x slope 0.2 offset 0.5 : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.hard_sigmoid"
    slope = prop_def(FloatAttr[Float64Type])
    offset = prop_def(FloatAttr[Float64Type])
    assembly_format = (
        "$x `slope` custom<Real>($slope) `offset` custom<Real>($offset) (`layer` $layer^)? attr-dict "
        "`:` type($x) `->` type($result)"
    )
    custom_directives = (Real,)

    def __init__(self, x: SSAValue, *, slope: float = 1 / 6, offset: float = 0.5, layer: str | None = None):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={"slope": FloatAttr(slope, 64), "offset": FloatAttr(offset, 64), "layer": layer_attr(layer)},
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        _need_finite(slope=self.slope, offset=self.offset)
        return super().result_type()


def _need_finite(**values: FloatAttr[Float64Type]) -> None:
    """Raise VerifyException for a parameter that is no number."""
    for name, attribute in values.items():
        if not isfinite(attribute.value.data):
            raise VerifyException(f"the {name} must be finite, got {attribute.value.data}")


class BinaryOp(LayerOp):
    """Two tensors in, one of elementwise results out."""

    lhs = operand_def(base(TensorType))
    rhs = operand_def(base(TensorType))
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$lhs `,` $rhs (`layer` $layer^)? attr-dict `:` functional-type(operands, results)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue, *, layer: str | None = None):
        super().__init__(operands=[lhs, rhs], result_types=[f32], properties={"layer": layer_attr(layer)})
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return repeats_items([self.lhs, self.rhs], shape_of(self.result))


@irdl_op_definition
class AddOp(BinaryOp):
    """Elementwise sum of f32, whose operands repeat to fit each other, or of si32 (see `num.widen`) in equal shapes.

    Overflow of si32 is an error, never silent.

    Example: `%y = nn.add %a, %b : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>`
    """

    name = "nn.add"

    def result_type(self) -> Attribute:
        left, right = element_type(self.lhs), element_type(self.rhs)
        if left != right or left not in (f32, signed(32)):
            raise VerifyException(f"nn.add needs two f32 or two si32 operands, got {left} and {right}")
        shapes = [shape_of(self.lhs), shape_of(self.rhs)]
        if left == f32:
            return TensorType(left, implied_shape(lambda: nn_shapes.broadcast_all(shapes, "nn.add")))
        return TensorType(left, implied_shape(lambda: nn_shapes.same(*shapes, "nn.add")))


class FloatBinaryOp(BinaryOp):
    """An elementwise function of two f32 tensors, which repeat to fit each other as numpy broadcasts them."""

    def result_type(self) -> Attribute:
        need_float(self, self.lhs, self.rhs)
        shapes = [shape_of(self.lhs), shape_of(self.rhs)]
        return TensorType(f32, implied_shape(lambda: nn_shapes.broadcast_all(shapes, self.name)))


@irdl_op_definition
class MulOp(FloatBinaryOp):
    """Elementwise product of f32; axes of size 1 repeat, so that N C 1 1 scales the channels of N C H W.

    Example: `%y = nn.mul %a, %b : (tensor<1x4x8x8xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x8x8xf32>`
    """

    name = "nn.mul"


@irdl_op_definition
class SubOp(FloatBinaryOp):
    """Elementwise difference of f32; axes of size 1 repeat.

    Example: `%y = nn.sub %a, %b : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>`
    """

    name = "nn.sub"
