"""Ops of the dialect `nn` that move data: joining, cutting, reordering and padding.

Invariant: the element type stays, no value is computed. Where axis 0 changes, `keeps_items` is False.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    Float64Type,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    TensorType,
    f32,
    i64,
)
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    base,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from hapir.dialects import nn_layout_shapes
from hapir.dialects.assembly import Real, Sizes, integers, sizes
from hapir.dialects.nn_op import (
    LayerOp,
    UnaryOp,
    activation_element,
    implied_shape,
    infer_result,
    is_parameter,
    layer_attr,
    need_zero,
)
from hapir.dialects.nn_shapes import Shape
from hapir.dialects.num import AffineType, integer_range, on_grid, shape_of, storage_of


class PadMode(StrEnum):
    """What padding holds: one value, the nearest element, the elements mirrored about the outermost one, or those at
    the other end.
    """

    constant = "constant"
    edge = "edge"
    reflect = "reflect"
    wrap = "wrap"


@irdl_attr_definition
class PadModeAttr(EnumAttribute[PadMode], SpacedOpaqueSyntaxAttribute):
    """What padding holds, printed as a bare word."""

    name = "nn.pad_mode"


@irdl_op_definition
class ConcatOp(LayerOp):
    """Tensors of one element type joined along an axis (1 = channels).

    Example: `%y = nn.concat %a, %b axis 1 : (tensor<1x2x4x4xf32>, tensor<1x3x4x4xf32>) -> tensor<1x5x4x4xf32>`
    """

    name = "nn.concat"
    inputs = var_operand_def(base(TensorType))
    axis = prop_def(IntegerAttr[I64])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$inputs `axis` $axis (`layer` $layer^)? attr-dict `:` functional-type(operands, results)"

    def __init__(self, inputs: Sequence[SSAValue], *, axis: int = 1, layer: str | None = None):
        super().__init__(
            operands=[inputs],
            result_types=[f32],
            properties={"axis": IntegerAttr(axis, i64), "layer": layer_attr(layer)},
        )
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return self.axis.value.data != 0 and all(shape_of(v)[0] == 1 for v in self.inputs if is_parameter(v))

    def result_type(self) -> Attribute:
        elements = [activation_element(self, v) for v in self.inputs]
        if not elements:
            raise VerifyException("nn.concat joins at least one tensor")
        if any(e != elements[0] for e in elements):
            raise VerifyException(f"nn.concat joins one element type, got {', '.join(map(str, elements))}")
        shape = implied_shape(lambda: nn_layout_shapes.concat([shape_of(v) for v in self.inputs], self.axis.value.data))
        return TensorType(elements[0], shape)


@irdl_op_definition
class SplitOp(LayerOp):
    """A tensor cut along an axis (1 = channels) into pieces of the given sizes.

    Example: `%a, %b = nn.split %x axis 1 into [2, 3] : (tensor<1x5x4xf32>) -> (tensor<1x2x4xf32>, tensor<1x3x4xf32>)`
    """

    name = "nn.split"
    x = operand_def(base(TensorType))
    axis = prop_def(IntegerAttr[I64])
    pieces = prop_def(ArrayAttr[IntAttr])
    outputs = var_result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$x `axis` $axis `into` custom<Sizes>($pieces) (`layer` $layer^)? attr-dict `:` "
        "functional-type(operands, results)"
    )
    custom_directives = (Sizes,)

    def __init__(self, x: SSAValue, pieces: Sequence[int], *, axis: int = 1, layer: str | None = None):
        super().__init__(
            operands=[x],
            result_types=[[f32] * len(pieces)],
            properties={"axis": IntegerAttr(axis, i64), "pieces": sizes(pieces), "layer": layer_attr(layer)},
        )
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return self.axis.value.data != 0

    def implied_types(self) -> Sequence[Attribute]:
        element, axis = activation_element(self, self.x), self.axis.value.data
        found: list[Shape] = []

        def rule() -> Shape:
            found.extend(nn_layout_shapes.split(shape_of(self.x), axis, integers(self.pieces)))
            return ()

        implied_shape(rule)
        return [TensorType(element, shape) for shape in found]


@irdl_op_definition
class FlattenOp(UnaryOp):
    """N ... -> N (product of the rest), in row-major order (channel, row, column). Keeps the element type.

    Example: `%y = nn.flatten %x : tensor<1x4x2x2xf32> -> tensor<1x16xf32>`
    """

    name = "nn.flatten"

    def result_type(self) -> Attribute:
        return TensorType(
            activation_element(self, self.x), implied_shape(lambda: nn_layout_shapes.flatten(shape_of(self.x)))
        )


@irdl_op_definition
class ReshapeOp(UnaryOp):
    """The axes from `axis` on become the given sizes, the same elements in row-major order. Keeps the element type.

    The axis is 1 where none is written: N ... -> N x the sizes. From 0 on the sizes are the whole shape.

    Example: `%y = nn.reshape %x to [4, 2, 2] : tensor<1x16xf32> -> tensor<1x4x2x2xf32>`
    """

    name = "nn.reshape"
    shape = prop_def(ArrayAttr[IntAttr])
    axis = opt_prop_def(IntegerAttr[I64])
    assembly_format = (
        "$x `to` custom<Sizes>($shape) (`from` $axis^)? (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"
    )
    custom_directives = (Sizes,)

    def __init__(self, x: SSAValue, shape: Sequence[int], *, axis: int = 1, layer: str | None = None):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={
                "shape": sizes(shape),
                "axis": None if axis == 1 else IntegerAttr(axis, i64),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    @property
    def first_axis(self) -> int:
        """The first axis that changes."""
        return 1 if self.axis is None else self.axis.value.data

    @property
    def keeps_items(self) -> bool:
        return self.first_axis > 0

    def result_type(self) -> Attribute:
        shape = implied_shape(lambda: nn_layout_shapes.reshape(shape_of(self.x), integers(self.shape), self.first_axis))
        return TensorType(activation_element(self, self.x), shape)


@irdl_op_definition
class TransposeOp(UnaryOp):
    """The axes in another order: axis i of the result is axis `axes[i]`. Keeps the element type.

    Example: `%y = nn.transpose %x axes [0, 2, 1] : tensor<1x4x6xf32> -> tensor<1x6x4xf32>`
    """

    name = "nn.transpose"
    axes = prop_def(ArrayAttr[IntAttr])
    assembly_format = "$x `axes` custom<Sizes>($axes) (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"
    custom_directives = (Sizes,)

    def __init__(self, x: SSAValue, axes: Sequence[int], *, layer: str | None = None):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={"axes": sizes(axes), "layer": layer_attr(layer)},
        )
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return integers(self.axes)[:1] == [0]

    def result_type(self) -> Attribute:
        shape = implied_shape(lambda: nn_layout_shapes.transpose(shape_of(self.x), integers(self.axes)))
        return TensorType(activation_element(self, self.x), shape)


@irdl_op_definition
class PadOp(UnaryOp):
    """A tensor with elements added before and after each axis. Keeps the element type.

    The mode `constant` adds `value`: in an affine type the integer closest to it, as in `nn.clip`; in raw integers a
    whole number of their range. `edge` repeats the outermost element, `reflect` mirrors about it, `wrap` goes on at the
    other end.

    Example: `%y = nn.pad %x before [0, 0, 1, 1] after [0, 2, 1, 1] constant value 0.0
        : tensor<1x4x8x8xf32> -> tensor<1x6x10x10xf32>`
    """

    name = "nn.pad"
    before = prop_def(ArrayAttr[IntAttr])
    after = prop_def(ArrayAttr[IntAttr])
    mode = prop_def(PadModeAttr)
    value = prop_def(FloatAttr[Float64Type])
    assembly_format = (
        "$x `before` custom<Sizes>($before) `after` custom<Sizes>($after) $mode `value` custom<Real>($value) "
        "(`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"
    )
    custom_directives = (Sizes, Real)

    def __init__(
        self,
        x: SSAValue,
        before: Sequence[int],
        after: Sequence[int],
        *,
        mode: PadMode = PadMode.constant,
        value: float = 0.0,
        layer: str | None = None,
    ):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={
                "before": sizes(before),
                "after": sizes(after),
                "mode": PadModeAttr(mode),
                "value": FloatAttr(value, 64),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return integers(self.before)[:1] == integers(self.after)[:1] == [0]

    def result_type(self) -> Attribute:
        element, value = activation_element(self, self.x), self.value.value.data
        if not isfinite(value):
            raise VerifyException(f"the value of padding must be finite, got {value}")
        storage = storage_of(element)
        if storage is not None and not isinstance(element, AffineType):
            low, high = integer_range(storage)
            if value != int(value) or not low <= value <= high:
                raise VerifyException(f"{element} cannot be padded with {value}")
        before, after, mode = integers(self.before), integers(self.after), self.mode.data
        if mode == PadMode.constant and isinstance(element, AffineType) and on_grid(element, value) % 2 == 0:
            need_zero(self, element)
        shape = implied_shape(lambda: nn_layout_shapes.pad(shape_of(self.x), before, after, mode))
        return TensorType(element, shape)
