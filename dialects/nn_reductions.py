"""Ops of the dialect `nn` that join the elements along axes: sums, means and extremes, softmax, argmax.

Invariant: an axis that is reduced has size 1 afterwards where it is kept, else it is gone; softmax keeps all.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    Float32Type,
    IntAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    TensorType,
    UnitAttr,
    f32,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, opt_prop_def, prop_def
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.assembly import Sizes, Word, integers, sizes
from hapir.dialects.nn_op import (
    LayerOp,
    UnaryOp,
    activation_element,
    implied_shape,
    infer_result,
    layer_attr,
    need_float,
)
from hapir.dialects.nn_shapes import Shape, ShapeError, text
from hapir.dialects.num import element_type, shape_of, signed

REDUCTIONS = ("sum", "mean", "max", "min", "product")
"""What `nn.reduce` joins by."""

CHANNELS = 1
"""The axis that is meant where none is written."""


def reduced(x: Shape, axes: Sequence[int], keep: bool) -> Shape:
    """The shape without some axes, or with 1 in their places. Raises ShapeError for an axis that is not there."""
    if list(axes) != sorted(set(axes)) or not all(0 <= axis < len(x) for axis in axes):
        raise ShapeError(f"the axes of {text(x)} are 0..{len(x) - 1}, each once and in order, got {list(axes)}")
    kept = (1 if axis in axes else size for axis, size in enumerate(x) if keep or axis not in axes)
    return tuple(kept)


def _unit(flag: bool) -> UnitAttr | None:
    return UnitAttr() if flag else None


@irdl_op_definition
class ReduceOp(UnaryOp):
    """The sum, mean, product, largest or smallest of the elements along axes, which are kept with size 1 or dropped.

    f32, whose sums run in any order, or integers, whose sums and products wrap; means are of f32.

    Example: `%y = nn.reduce mean %x axes [2, 3] keep : tensor<1x4x8x8xf32> -> tensor<1x4x1x1xf32>`
    """

    name = "nn.reduce"
    function = prop_def(StringAttr)
    axes = prop_def(ArrayAttr[IntAttr])
    keep = opt_prop_def(UnitAttr)
    assembly_format = (
        "custom<Word>($function) $x `axes` custom<Sizes>($axes) (`keep` $keep^)? (`layer` $layer^)? attr-dict "
        "`:` type($x) `->` type($result)"
    )
    custom_directives = (Word, Sizes)

    def __init__(
        self, function: str, x: SSAValue, axes: Sequence[int], *, keep: bool = False, layer: str | None = None
    ):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={
                "function": StringAttr(function),
                "axes": sizes(axes),
                "keep": _unit(keep),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    @property
    def keeps_items(self) -> bool:
        return 0 not in integers(self.axes) and len(shape_of(self.x)) > 0

    def result_type(self) -> Attribute:
        function, element = self.function.data, element_type(self.x)
        if function not in REDUCTIONS:
            raise VerifyException(f"nn.reduce joins by {', '.join(REDUCTIONS)}, not {function}")
        if not isinstance(element, Float32Type | IntegerType):
            raise VerifyException(f"nn.reduce works on f32 or integers, got {element}")
        if function == "mean" and not isinstance(element, Float32Type):
            raise VerifyException(f"means are of f32, got {element}")
        shape = implied_shape(lambda: reduced(shape_of(self.x), integers(self.axes), self.keep is not None))
        return TensorType(element, shape)


class _AlongAxis(UnaryOp):
    """What works along one axis, which is that of the channels where none is written."""

    axis = opt_prop_def(IntegerAttr[I64])

    @property
    def along(self) -> int:
        """The axis."""
        return CHANNELS if self.axis is None else self.axis.value.data

    @property
    def keeps_items(self) -> bool:
        return self.along != 0

    def _checked(self) -> Shape:
        shape = shape_of(self.x)
        if not 0 <= self.along < len(shape):
            raise VerifyException(f"{self.name} of {text(shape)} has no axis {self.along}")
        return shape


class SoftmaxBase(_AlongAxis):
    """Softmax or its logarithm."""

    assembly_format = "$x (`axis` $axis^)? (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, *, axis: int = CHANNELS, layer: str | None = None):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={"axis": _axis(axis), "layer": layer_attr(layer)},
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        need_float(self, self.x)
        return TensorType(f32, self._checked())


def _axis(axis: int) -> IntegerAttr[I64] | None:
    return None if axis == CHANNELS else IntegerAttr(axis, i64)


@irdl_op_definition
class SoftmaxOp(SoftmaxBase):
    """`exp(x - max) / sum(exp(x - max))` along an axis, 1 where none is written, of f32.

    Example: `%y = nn.softmax %x : tensor<1x10xf32> -> tensor<1x10xf32>`
    """

    name = "nn.softmax"


@irdl_op_definition
class LogSoftmaxOp(SoftmaxBase):
    """`x - max - log(sum(exp(x - max)))` along an axis, 1 where none is written, of f32.

    Example: `%y = nn.log_softmax %x axis 2 : tensor<1x3x10xf32> -> tensor<1x3x10xf32>`
    """

    name = "nn.log_softmax"


@irdl_op_definition
class ArgmaxOp(_AlongAxis):
    """Index of the largest value along an axis, 1 where none is written, as si32.

    The axis is dropped, or kept with size 1. The lowest index wins a tie, or with `last` the highest.

    Example: `%y = nn.argmax %x : tensor<1x10xf32> -> tensor<1xsi32>`
    """

    name = "nn.argmax"
    keep = opt_prop_def(UnitAttr)
    last = opt_prop_def(UnitAttr)
    assembly_format = (
        "$x (`axis` $axis^)? (`keep` $keep^)? (`last` $last^)? (`layer` $layer^)? attr-dict "
        "`:` type($x) `->` type($result)"
    )

    def __init__(
        self,
        x: SSAValue,
        *,
        axis: int = CHANNELS,
        keep: bool = False,
        last: bool = False,
        layer: str | None = None,
    ):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={"axis": _axis(axis), "keep": _unit(keep), "last": _unit(last), "layer": layer_attr(layer)},
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        activation_element(self, self.x)
        shape = self._checked()
        return TensorType(signed(32), reduced(shape, [self.along], self.keep is not None))
