"""Ops of the dialect `nn` that choose and repeat elements: slices, tiles, and elements by their indices.

Invariant: elements move, none is computed; the element type stays. Where axis 0 changes, `keeps_items` is False.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import I64, ArrayAttr, IntAttr, IntegerAttr, IntegerType, TensorType, f32, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import base, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import fail
from hapir.dialects import nn_layout_shapes
from hapir.dialects.assembly import Sizes, integers, sizes
from hapir.dialects.nn_op import LayerOp, UnaryOp, activation_element, implied_shape, infer_result, layer_attr
from hapir.dialects.num import element_type, shape_of


@irdl_op_definition
class SliceOp(UnaryOp):
    """Along each axis so many elements from a start on, in steps: element i is element `start + i * step`.

    Steps may be negative. Keeps the element type.

    Example: `%y = nn.slice %x from [0, 3] take [2, 2] by [1, -2] : tensor<2x4xf32> -> tensor<2x2xf32>`
    """

    name = "nn.slice"
    starts = prop_def(ArrayAttr[IntAttr])
    sizes = prop_def(ArrayAttr[IntAttr])
    steps = prop_def(ArrayAttr[IntAttr])
    assembly_format = (
        "$x `from` custom<Sizes>($starts) `take` custom<Sizes>($sizes) `by` custom<Sizes>($steps) "
        "(`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"
    )
    custom_directives = (Sizes,)

    def __init__(
        self,
        x: SSAValue,
        starts: Sequence[int],
        new_sizes: Sequence[int],
        steps: Sequence[int] | None = None,
        *,
        layer: str | None = None,
    ):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={
                "starts": sizes(starts),
                "sizes": sizes(new_sizes),
                "steps": sizes([1] * len(starts) if steps is None else steps),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    @property
    def cuts(self) -> list[tuple[int, int, int]]:
        """Start, size and step along each axis."""
        return list(zip(integers(self.starts), integers(self.sizes), integers(self.steps), strict=True))

    @property
    def keeps_items(self) -> bool:
        return self.cuts[:1] == [(0, shape_of(self.x)[0], 1)] if shape_of(self.x) else False

    def result_type(self) -> Attribute:
        parts = (integers(self.starts), integers(self.sizes), integers(self.steps))
        shape = implied_shape(lambda: nn_layout_shapes.cut(shape_of(self.x), *parts))
        return TensorType(activation_element(self, self.x), shape)


@irdl_op_definition
class TileOp(UnaryOp):
    """A tensor laid side by side with itself, so many times along each axis. Keeps the element type.

    Example: `%y = nn.tile %x repeats [1, 3] : tensor<2x4xf32> -> tensor<2x12xf32>`
    """

    name = "nn.tile"
    repeats = prop_def(ArrayAttr[IntAttr])
    assembly_format = (
        "$x `repeats` custom<Sizes>($repeats) (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"
    )
    custom_directives = (Sizes,)

    def __init__(self, x: SSAValue, repeats: Sequence[int], *, layer: str | None = None):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={"repeats": sizes(repeats), "layer": layer_attr(layer)},
        )
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return integers(self.repeats)[:1] == [1]

    def result_type(self) -> Attribute:
        shape = implied_shape(lambda: nn_layout_shapes.tile(shape_of(self.x), integers(self.repeats)))
        return TensorType(activation_element(self, self.x), shape)


@irdl_op_definition
class GatherOp(LayerOp):
    """Elements along an axis by their indices; the axes of the indices, any number, take that axis's place.

    An index below 0 counts from the end: `y[.., i.., ..] = x[.., indices[i..], ..]`. Keeps the element type. Indices
    may be computed; rows of a parameter along axis 0 are an embedding.

    Example:
    `%y = nn.gather %x, %i axis 1 : (tensor<1x4x8xf32>, tensor<2x3xsi64>) -> tensor<1x2x3x8xf32>`
    """

    name = "nn.gather"
    x = operand_def(base(TensorType))
    indices = operand_def(base(TensorType))
    axis = prop_def(IntegerAttr[I64])
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$x `,` $indices `axis` $axis (`layer` $layer^)? attr-dict `:` functional-type(operands, results)"

    def __init__(self, x: SSAValue, indices: SSAValue, *, axis: int = 1, layer: str | None = None):
        super().__init__(
            operands=[x, indices],
            result_types=[f32],
            properties={"axis": IntegerAttr(axis, i64), "layer": layer_attr(layer)},
        )
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        if self.axis.value.data != 0:
            return _is_parameter(self.indices)
        return _is_parameter(self.x) and bool(shape_of(self.indices)) and not _is_parameter(self.indices)

    def check_indices(self, lowest: int, highest: int) -> None:
        """Raise HapirError (HAP0940) where indices leave the axis."""
        axis = self.axis.value.data
        size = shape_of(self.x)[axis]
        if lowest < -size or highest >= size:
            help = f"an index is {-size} to {size - 1}; below 0 it counts from the end"
            fail("HAP0940", f"indices from {lowest} to {highest}, axis {axis} has {size} elements", at=self, help=help)

    def result_type(self) -> Attribute:
        if not isinstance(element_type(self.indices), IntegerType):
            raise VerifyException(f"the indices of nn.gather are integers, got {self.indices.type}")
        shape = implied_shape(
            lambda: nn_layout_shapes.gather(shape_of(self.x), shape_of(self.indices), self.axis.value.data)
        )
        return TensorType(activation_element(self, self.x), shape)


def _is_parameter(value: SSAValue) -> bool:
    return isinstance(value.owner, Operation) and value.owner.name == "nn.weight"
