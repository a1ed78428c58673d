"""Layers that sum products: convolutions, the fully connected layer, and the product of two activations.

Invariant: floats give f32. A `ProductOp` also takes quantized operands and gives exact si32 accumulators, with
symmetric weights that scale per tensor or along axis 0; transposed convolutions work on f32, matmul also on plain
integers. Weights are operands like any other: what a network's input or another op gives may stand for them.
"""

from __future__ import annotations

from abc import abstractmethod

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    Float32Type,
    IntAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    TensorType,
    f32,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    ParsePropInAttrDict,
    base,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.dialects import nn_shapes
from hapir.dialects.assembly import Sizes, integers, sizes
from hapir.dialects.nn_op import LayerOp, implied_shape, infer_result, is_parameter, layer_attr, need_float
from hapir.dialects.nn_shapes import Shape, Window
from hapir.dialects.nn_window import WindowAttr
from hapir.dialects.num import AffineType, PerChannelType, element_type, is_float, shape_of, signed, storage_of

WIDEST_OPERAND = 8
"""Bits of an operand that a multiplier model takes."""


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


def operand_formats(op: ProductOp) -> tuple[IntegerType, IntegerType]:
    """The storage types of activations and weights. Raises VerifyException where a model cannot multiply them."""
    x, w = (storage_of(element_type(value)) for value in (op.x, op.w))
    if x is None or w is None:
        raise VerifyException(f"{op.name}: a multiplier model multiplies integers, these operands are floats")
    widest = max(x.width.data, w.width.data)
    if widest > WIDEST_OPERAND:
        raise VerifyException(
            f"{op.name}: a multiplier model takes operands of up to {WIDEST_OPERAND} bits, not {widest}"
        )
    return x, w


class ProductOp(LayerOp):
    """Sums of products of an activation and stored weights, with an optional bias K; axis 0 of the weights is K.

    Without the property `multiplier` products are exact. With it (`{multiplier = "truncated(bits = 2)"}` in the IR) the
    op gives `bias + sum(multiply(q, w) - zero_point * w)` over the integers as they are stored, and padding holds the
    zero point: what hardware computes that multiplies raw bytes and folds the zero point into the bias.
    """

    x = operand_def(base(TensorType))
    w = operand_def(base(TensorType))
    bias = opt_operand_def(base(TensorType))
    result = result_def(base(TensorType))
    multiplier = opt_prop_def(StringAttr)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)

    @property
    def multiplier_text(self) -> str:
        """The multiplier model as specs write it; `exact` where the op names none."""
        return "exact" if self.multiplier is None else self.multiplier.data

    def verify_(self) -> None:
        super().verify_()
        if self.multiplier is not None:
            operand_formats(self)

    @abstractmethod
    def on(self, x: SSAValue, w: SSAValue, bias: SSAValue | None) -> ProductOp:
        """The same layer over other operands, of any element types that fit."""

    @property
    def filter_groups(self) -> int:
        """How many groups the channels are split into, each with filters of its own."""
        return 1

    @property
    def keeps_items(self) -> bool:
        return all(is_parameter(v) for v in (self.w, self.bias) if v is not None)

    def result_type(self) -> Attribute:
        bias = None if self.bias is None else shape_of(self.bias)
        shape = implied_shape(lambda: self._shape(shape_of(self.x), shape_of(self.w), bias))
        return TensorType(_accumulates(self.x, self.w, self.bias), shape)

    @abstractmethod
    def _shape(self, x: Shape, w: Shape, bias: Shape | None) -> Shape:
        """The shape rule."""


class ConvolutionOp(ProductOp):
    """A product over the windows of a map or sequence."""

    window = prop_def(WindowAttr)
    groups = prop_def(IntegerAttr[I64])
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

    def on(self, x: SSAValue, w: SSAValue, bias: SSAValue | None) -> ConvolutionOp:
        window, groups = self.window.window, self.filter_groups
        return type(self)(x, w, bias, window=window, groups=groups, layer=self.layer_name)

    @property
    def filter_groups(self) -> int:
        return self.groups.value.data


@irdl_op_definition
class Conv2dOp(ConvolutionOp):
    """Two-dimensional convolution (cross-correlation): x N C H W, w K C/G R S, optional bias K -> N K P Q.

    `y[n,k,p,q] = b[k] + sum_{c,r,s} x[n, c, p*stride - pad + r*dilation, ...] * w[k,c,r,s]`; depthwise is groups = C.

    Example:
    `%y = nn.conv2d %x, %w bias %b window <3x3, pad 1 1 1 1> groups 1 layer "c1" : (tensor<1x1x8x8xf32>,
        tensor<16x1x3x3xf32>, tensor<16xf32>) -> tensor<1x16x8x8xf32>`
    """

    name = "nn.conv2d"

    def _shape(self, x: Shape, w: Shape, bias: Shape | None) -> Shape:
        return nn_shapes.conv2d(x, w, bias, self.window.window, self.filter_groups)


@irdl_op_definition
class Conv1dOp(ConvolutionOp):
    """Convolution along a sequence: x N C L, w K C/G S, optional bias K -> N K Q; the window is 1 x S.

    `y[n,k,q] = b[k] + sum_{c,s} x[n, c, q*stride - pad + s*dilation] * w[k,c,s]`.

    Example:
    `%y = nn.conv1d %x, %w bias %b window <1x3, pad 0 1 0 1> groups 1 layer "c1" : (tensor<1x4x16xf32>,
        tensor<8x4x3xf32>, tensor<8xf32>) -> tensor<1x8x16xf32>`
    """

    name = "nn.conv1d"

    def _shape(self, x: Shape, w: Shape, bias: Shape | None) -> Shape:
        return nn_shapes.conv1d(x, w, bias, self.window.window, self.filter_groups)


@irdl_op_definition
class DenseOp(ProductOp):
    """Fully connected: x N C, w K C, optional bias K -> N K, `y = x w^T + b`.

    Example: `%y = nn.dense %x, %w bias %b : (tensor<1x64xf32>, tensor<10x64xf32>, tensor<10xf32>) -> tensor<1x10xf32>`
    """

    name = "nn.dense"
    assembly_format = "$x `,` $w (`bias` $bias^)? (`layer` $layer^)? attr-dict `:` functional-type(operands, results)"

    def __init__(self, x: SSAValue, w: SSAValue, bias: SSAValue | None = None, *, layer: str | None = None):
        super().__init__(operands=[x, w, bias], result_types=[f32], properties={"layer": layer_attr(layer)})
        infer_result(self)

    def on(self, x: SSAValue, w: SSAValue, bias: SSAValue | None) -> DenseOp:
        return DenseOp(x, w, bias, layer=self.layer_name)

    def _shape(self, x: Shape, w: Shape, bias: Shape | None) -> Shape:
        return nn_shapes.dense(x, w, bias)


@irdl_op_definition
class LinearOp(LayerOp):
    """Fully connected along the last axis of f32: x N ... C, w K C, optional bias K -> N ... K, `y = x w^T + b`.

    What `nn.dense` is for N C, for tensors whose features come last: steps N T C of a transformer. Axis 1 is no axis of
    features here, so that what prunes or quantizes channels leaves it alone.

    Example: `%y = nn.linear %x, %w bias %b : (tensor<1x6x9xf32>, tensor<8x9xf32>, tensor<8xf32>) -> tensor<1x6x8xf32>`
    """

    name = "nn.linear"
    x = operand_def(base(TensorType))
    w = operand_def(base(TensorType))
    bias = opt_operand_def(base(TensorType))
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$x `,` $w (`bias` $bias^)? (`layer` $layer^)? attr-dict `:` functional-type(operands, results)"

    def __init__(self, x: SSAValue, w: SSAValue, bias: SSAValue | None = None, *, layer: str | None = None):
        super().__init__(operands=[x, w, bias], result_types=[f32], properties={"layer": layer_attr(layer)})
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return all(is_parameter(v) for v in (self.w, self.bias) if v is not None)

    def result_type(self) -> Attribute:
        need_float(self, *self.operands)
        bias = None if self.bias is None else shape_of(self.bias)
        return TensorType(f32, implied_shape(lambda: nn_shapes.linear(shape_of(self.x), shape_of(self.w), bias)))


class TransposedConvolutionOp(LayerOp):
    """A convolution's adjoint: each element of the input adds its multiple of the filter to the result."""

    x = operand_def(base(TensorType))
    w = operand_def(base(TensorType))
    bias = opt_operand_def(base(TensorType))
    window = prop_def(WindowAttr)
    extra = prop_def(ArrayAttr[IntAttr])
    groups = prop_def(IntegerAttr[I64])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $w (`bias` $bias^)? `window` $window `extra` custom<Sizes>($extra) `groups` $groups "
        "(`layer` $layer^)? attr-dict `:` functional-type(operands, results)"
    )
    custom_directives = (Sizes,)

    def __init__(
        self,
        x: SSAValue,
        w: SSAValue,
        bias: SSAValue | None = None,
        *,
        window: Window,
        extra: tuple[int, int] = (0, 0),
        groups: int = 1,
        layer: str | None = None,
    ):
        super().__init__(
            operands=[x, w, bias],
            result_types=[f32],
            properties={
                "window": WindowAttr.of(window),
                "extra": sizes(extra),
                "groups": IntegerAttr(groups, i64),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    def on(self, x: SSAValue, w: SSAValue, bias: SSAValue | None) -> TransposedConvolutionOp:
        """The same layer over other operands."""
        window, groups = self.window.window, self.groups.value.data
        return type(self)(x, w, bias, window=window, extra=self.extra_sizes, groups=groups, layer=self.layer_name)

    @property
    def keeps_items(self) -> bool:
        return all(is_parameter(v) for v in (self.w, self.bias) if v is not None)

    @property
    def extra_sizes(self) -> tuple[int, int]:
        """The extra rows and columns."""
        rows, columns = integers(self.extra)
        return rows, columns

    def result_type(self) -> Attribute:
        need_float(self, *self.operands)
        if len(self.extra) != 2:
            raise VerifyException(f"extra counts rows and columns, got {integers(self.extra)}")
        bias = None if self.bias is None else shape_of(self.bias)
        return TensorType(f32, implied_shape(lambda: self._shape(shape_of(self.x), shape_of(self.w), bias)))

    @abstractmethod
    def _shape(self, x: Shape, w: Shape, bias: Shape | None) -> Shape:
        """The shape rule."""


@irdl_op_definition
class TransposedConv2dOp(TransposedConvolutionOp):
    """Transposed convolution of f32: x N C H W, w C K/G R S, optional bias K -> N K P Q.

    `x[n,c,h,w] * w[c,k,r,s]` goes to row `h*stride + r*dilation - top` and the column alike; what falls into the
    padding is cut off. `extra` rows and columns at the bottom and the right make up for sizes that the stride rounds
    away.

    Example:
    `%y = nn.transposed_conv2d %x, %w window <2x2, stride 2x2> extra [0, 0] groups 1 layer "up" :
        (tensor<1x8x4x4xf32>, tensor<8x3x2x2xf32>) -> tensor<1x3x8x8xf32>`
    """

    name = "nn.transposed_conv2d"

    def _shape(self, x: Shape, w: Shape, bias: Shape | None) -> Shape:
        window, groups = self.window.window, self.groups.value.data
        return nn_shapes.transposed_conv2d(x, w, bias, window, self.extra_sizes, groups)


@irdl_op_definition
class TransposedConv1dOp(TransposedConvolutionOp):
    """Transposed convolution along a sequence of f32: x N C L, w C K/G S, optional bias K -> N K Q.

    The window is 1 x S, and `extra` has no rows: `x[n,c,l] * w[c,k,s]` goes to place `l*stride + s*dilation - before`.

    Example:
    `%y = nn.transposed_conv1d %x, %w window <1x2, stride 1x2> extra [0, 0] groups 1 layer "up" :
        (tensor<1x8x16xf32>, tensor<8x4x2xf32>) -> tensor<1x4x32xf32>`
    """

    name = "nn.transposed_conv1d"

    def _shape(self, x: Shape, w: Shape, bias: Shape | None) -> Shape:
        window, groups = self.window.window, self.groups.value.data
        return nn_shapes.transposed_conv1d(x, w, bias, window, self.extra_sizes, groups)


@irdl_op_definition
class MatmulOp(LayerOp):
    """Products of the matrices in the last two axes: a ... M K, b ... K P -> ... M P.

    The axes before them are equal from the last one on, but where one is 1 or missing and repeats. A vector K is a row
    on the left and a column on the right, without an axis in the result. Both are f32, or plain integers of one type
    whose sums wrap around.

    Example: `%y = nn.matmul %a, %b : (tensor<1x4x8xf32>, tensor<1x8x5xf32>) -> tensor<1x4x5xf32>`
    """

    name = "nn.matmul"
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
        a, b = shape_of(self.lhs), shape_of(self.rhs)
        left, right = is_parameter(self.lhs), is_parameter(self.rhs)
        if left or right:
            if len(a) == len(b) > 2:
                return (right and b[0] == 1) or (left and a[0] == 1)
            return (right and len(a) >= max(2, len(b))) or (left and len(b) >= max(3, len(a)))
        return len(a) == len(b) > 2 and a[0] == b[0]

    def result_type(self) -> Attribute:
        a, b = element_type(self.lhs), element_type(self.rhs)
        plain = is_float(self.lhs) or isinstance(a, IntegerType)
        if a != b or not plain:
            raise VerifyException(f"{self.name} works on f32, or on plain integers of one type, got {a} and {b}")
        return TensorType(
            element_type(self.lhs), implied_shape(lambda: nn_shapes.matmul(shape_of(self.lhs), shape_of(self.rhs)))
        )
