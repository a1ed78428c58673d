"""Pools of the dialect `nn`: over windows, and over the whole map.

Invariant: the batch and the channels stay; maxima keep the element type, means work on f32, sums give si32.
"""

from __future__ import annotations

from xdsl.dialects.builtin import BoolAttr, IntegerAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import base, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.dialects import nn_shapes
from hapir.dialects.nn_op import (
    LayerOp,
    UnaryOp,
    activation_element,
    implied_shape,
    infer_result,
    layer_attr,
    need_float,
)
from hapir.dialects.nn_shapes import Shape, Window
from hapir.dialects.nn_window import WindowAttr
from hapir.dialects.num import AffineType, element_type, shape_of, signed


class WindowPoolOp(LayerOp):
    """A pooling op with a window, which holds at least one element of the map wherever it lies."""

    x = operand_def(base(TensorType))
    window = prop_def(WindowAttr)
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$x `window` $window (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, *, window: Window, layer: str | None = None):
        super().__init__(
            operands=[x],
            result_types=[f32],
            properties={"window": WindowAttr.of(window), "layer": layer_attr(layer)},
        )
        infer_result(self)

    def _pooled(self) -> Shape:
        return implied_shape(lambda: nn_shapes.pool(shape_of(self.x), self.window.window))


@irdl_op_definition
class MaxPoolOp(WindowPoolOp):
    """Maximum over windows, per channel; padding never wins. Keeps the element type (f32 or affine).

    Example: `%y = nn.max_pool %x window <2x2, stride 2x2> : tensor<1x4x8x8xf32> -> tensor<1x4x4x4xf32>`
    """

    name = "nn.max_pool"

    def result_type(self) -> Attribute:
        return TensorType(activation_element(self, self.x), self._pooled())


@irdl_op_definition
class MaxPoolIndicesOp(WindowPoolOp):
    """Where the maximum of each window lies: its place in the whole tensor, counted in the tensor's order, as si64.

    The first of equal maxima counts, row by row. With `columns_first` the places within a map are counted column by
    column (ONNX's `storage_order`).

    Example: `%y = nn.max_pool_indices %x window <2x2, stride 2x2> columns_first false
        : tensor<1x4x8x8xf32> -> tensor<1x4x4x4xsi64>`
    """

    name = "nn.max_pool_indices"
    columns_first = prop_def(BoolAttr)
    assembly_format = (
        "$x `window` $window `columns_first` $columns_first (`layer` $layer^)? attr-dict "
        "`:` type($x) `->` type($result)"
    )

    def __init__(self, x: SSAValue, *, window: Window, columns_first: bool = False, layer: str | None = None):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={
                "window": WindowAttr.of(window),
                "columns_first": IntegerAttr.from_bool(columns_first),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return False

    def result_type(self) -> Attribute:
        activation_element(self, self.x)
        return TensorType(signed(64), self._pooled())


@irdl_op_definition
class AvgPoolOp(WindowPoolOp):
    """Mean over windows of f32, per channel.

    The divisor is the full kernel size where `count_include_pad` is set, else the number of real elements.

    Example: `%y = nn.avg_pool %x window <2x2, stride 2x2> count_include_pad false
        : tensor<1x4x8x8xf32> -> tensor<1x4x4x4xf32>`
    """

    name = "nn.avg_pool"
    count_include_pad = prop_def(BoolAttr)
    assembly_format = (
        "$x `window` $window `count_include_pad` $count_include_pad (`layer` $layer^)? attr-dict "
        "`:` type($x) `->` type($result)"
    )

    def __init__(self, x: SSAValue, *, window: Window, count_include_pad: bool = False, layer: str | None = None):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={
                "window": WindowAttr.of(window),
                "count_include_pad": IntegerAttr.from_bool(count_include_pad),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        need_float(self, self.x)
        return TensorType(f32, self._pooled())


@irdl_op_definition
class SumPoolOp(WindowPoolOp):
    """Sum of `q - zero_point` over windows, per channel: the integer half of an average pool. Gives si32.

    Example: `%y = nn.sum_pool %x window <2x2, stride 2x2>
        : tensor<1x4x8x8x!num.affine<ui8, 0.5 : 0>> -> tensor<1x4x4x4xsi32>`
    """

    name = "nn.sum_pool"

    def result_type(self) -> Attribute:
        if not isinstance(element_type(self.x), AffineType):
            raise VerifyException(f"{self.name} needs a quantized operand, got {element_type(self.x)}")
        return TensorType(signed(32), self._pooled())


@irdl_op_definition
class GlobalAvgPoolOp(UnaryOp):
    """Mean over the whole map of f32: N C H W -> N C 1 1.

    Example: `%y = nn.global_avg_pool %x : tensor<1x4x8x8xf32> -> tensor<1x4x1x1xf32>`
    """

    name = "nn.global_avg_pool"

    def result_type(self) -> Attribute:
        need_float(self, self.x)
        return TensorType(f32, implied_shape(lambda: nn_shapes.global_pool(shape_of(self.x))))


@irdl_op_definition
class GlobalMaxPoolOp(UnaryOp):
    """Maximum over the whole map: N C H W -> N C 1 1. Keeps the element type.

    Example: `%y = nn.global_max_pool %x : tensor<1x4x8x8xf32> -> tensor<1x4x1x1xf32>`
    """

    name = "nn.global_max_pool"

    def result_type(self) -> Attribute:
        shape = implied_shape(lambda: nn_shapes.global_pool(shape_of(self.x)))
        return TensorType(activation_element(self, self.x), shape)
