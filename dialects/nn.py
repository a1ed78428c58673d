"""The network: value semantics on NCHW tensors, one op per layer.

Rationale. A `nn.network` is a symbol with block arguments as inputs and `nn.return` as outputs. Parameters are
`nn.weight` ops that name a key of the weight store. A layer op may carry its `.hap` name (`layer "c1"`); selectors in
recipes and schedules match it. The same ops serve float and integer tensors: the element types (dialect `num`) decide.
Integer meaning: conv2d and dense subtract zero points and give si32 accumulators,
`acc[n,k,p,q] = sum_{c,r,s} (x[n,c,h,w] - zx) * w[k,c,r,s] + b[k]`, so padding with the zero point adds nothing; pools,
relu, clip, concat and flatten keep their operand's quantized type; `nn.sum_pool` gives si32 sums of `q - zero_point`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import cast

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    BoolAttr,
    Float32Type,
    Float64Type,
    FloatAttr,
    FunctionType,
    IntAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    f32,
    i64,
)
from xdsl.ir import Attribute, Block, Dialect, Operation, ParametrizedAttribute, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import (
    HasParent,
    IsolatedFromAbove,
    IsTerminator,
    Pure,
    SingleBlockImplicitTerminator,
    SymbolOpInterface,
)
from xdsl.utils.exceptions import VerifyException

from hapir.dialects import nn_shapes
from hapir.dialects.assembly import Real
from hapir.dialects.nn_shapes import Shape, ShapeError, Window
from hapir.dialects.num import AffineType, PerChannelType, element_type, shape_of, signed, verify_axis


@irdl_attr_definition
class WindowAttr(ParametrizedAttribute):
    """A sliding window: `<3x3, stride 2x2, pad 1 1 1 1, dilation 1x1>`; parts at their default are not printed."""

    name = "nn.window"
    kernel: ArrayAttr[IntAttr]
    stride: ArrayAttr[IntAttr]
    padding: ArrayAttr[IntAttr]
    dilation: ArrayAttr[IntAttr]

    @staticmethod
    def of(window: Window) -> WindowAttr:
        """The attribute for a plain `Window`."""
        return WindowAttr(
            *(
                ArrayAttr([IntAttr(v) for v in part])
                for part in (window.kernel, window.stride, window.padding, window.dilation)
            )
        )

    @property
    def window(self) -> Window:
        """The plain `Window`."""
        kernel, stride, padding, dilation = (
            tuple(v.data for v in part) for part in (self.kernel, self.stride, self.padding, self.dilation)
        )
        return Window(
            cast(tuple[int, int], kernel),
            cast(tuple[int, int], stride),
            cast(tuple[int, int, int, int], padding),
            cast(tuple[int, int], dilation),
        )

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        def pair() -> tuple[int, int]:
            dims = parser.parse_dimension_list()
            if len(dims) != 2:
                parser.raise_error("expected two sizes, like 3x3")
            return dims[0], dims[1]

        with parser.in_angle_brackets():
            window = Window(pair())
            stride, padding, dilation = window.stride, window.padding, window.dilation
            while parser.parse_optional_punctuation(","):
                if parser.parse_optional_keyword("stride"):
                    stride = pair()
                elif parser.parse_optional_keyword("pad"):
                    top, left, bottom, right = (parser.parse_integer() for _ in range(4))
                    padding = (top, left, bottom, right)
                else:
                    parser.parse_keyword("dilation")
                    dilation = pair()
        return WindowAttr.of(Window(window.kernel, stride, padding, dilation)).parameters

    def print_parameters(self, printer: Printer) -> None:
        window = self.window
        parts = ["{}x{}".format(*window.kernel)]
        if window.stride != (1, 1):
            parts.append("stride {}x{}".format(*window.stride))
        if window.padding != (0, 0, 0, 0):
            parts.append("pad {} {} {} {}".format(*window.padding))
        if window.dilation != (1, 1):
            parts.append("dilation {}x{}".format(*window.dilation))
        with printer.in_angle_brackets():
            printer.print_string(", ".join(parts))

    def verify(self) -> None:
        sizes = [len(p) for p in (self.kernel, self.stride, self.padding, self.dilation)]
        if sizes != [2, 2, 4, 2]:
            raise VerifyException("a window has 2 kernel, 2 stride, 4 padding and 2 dilation sizes")
        try:
            self.window.check()
        except ShapeError as error:
            raise VerifyException(str(error)) from error


def _shape(rule: Callable[[], Shape]) -> Shape:
    """The shape a rule gives; a broken rule fails verification."""
    try:
        return rule()
    except ShapeError as error:
        raise VerifyException(str(error)) from error


def _layer(name: str | None) -> StringAttr | None:
    return None if name is None else StringAttr(name)


class LayerOp(IRDLOperation):
    """What all network ops share: a `.hap` name, and a result type that follows from the operands."""

    layer = opt_prop_def(StringAttr)

    def result_type(self) -> Attribute:
        """The result type that operands and properties imply. Raises VerifyException where they do not fit."""
        raise AssertionError(f"{self.name} does not state its result type")

    def verify_(self) -> None:
        expected, found = self.result_type(), self.results[0].type
        if expected != found:
            raise VerifyException(f"{self.name} gives {expected}, the op says {found}")

    @property
    def layer_name(self) -> str | None:
        """The layer's name in the spec, if it has one."""
        return None if self.layer is None else self.layer.data


def _infer(op: LayerOp) -> LayerOp:
    """Set a freshly made op's result to the type it implies."""
    result = op.results[0]
    result._type = op.result_type()  # pyright: ignore[reportPrivateUsage]  # xDSL has no setter outside a rewriter
    return op


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """Ends a network with its results. Example: `nn.return %y : tensor<1x10xf32>`"""

    name = "nn.return"
    values = var_operand_def()
    traits = traits_def(IsTerminator())
    assembly_format = "($values^ `:` type($values))? attr-dict"

    def __init__(self, values: Sequence[SSAValue]):
        super().__init__(operands=[values])


@irdl_op_definition
class NetworkOp(IRDLOperation):
    """A network: a symbol, inputs as block arguments, results by `nn.return`.

    `input_names` and `result_names` are the names in the spec, in order.

    Example:
    ```
    nn.network @tiny (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) inputs ["x"] results ["y"] {
      %y = nn.relu %x : tensor<1x4xf32> -> tensor<1x4xf32>
      nn.return %y : tensor<1x4xf32>
    }
    ```
    """

    name = "nn.network"
    sym_name = prop_def(SymbolNameConstraint())
    function_type = prop_def(FunctionType)
    input_names = prop_def(ArrayAttr[StringAttr])
    result_names = prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove(), SymbolOpInterface(), SingleBlockImplicitTerminator(ReturnOp))

    def __init__(
        self,
        name: str,
        inputs: Sequence[tuple[str, Attribute]],
        results: Sequence[tuple[str, Attribute]],
        body: Region | None = None,
    ):
        function_type = FunctionType.from_lists([t for _, t in inputs], [t for _, t in results])
        if body is None:
            body = Region(Block(arg_types=[t for _, t in inputs]))
            for argument, (hint, _) in zip(body.block.args, inputs, strict=True):
                argument.name_hint = hint if argument.is_valid_name(hint) else None
        super().__init__(
            regions=[body],
            properties={
                "sym_name": StringAttr(name),
                "function_type": function_type,
                "input_names": ArrayAttr([StringAttr(n) for n, _ in inputs]),
                "result_names": ArrayAttr([StringAttr(n) for n, _ in results]),
            },
        )

    @property
    def return_op(self) -> ReturnOp:
        """The terminator."""
        last = self.body.block.last_op
        assert isinstance(last, ReturnOp)
        return last

    def set_result_types(self) -> None:
        """Make the function type agree with the values that are returned now."""
        self.function_type = FunctionType.from_lists(
            [a.type for a in self.body.block.args], [v.type for v in self.return_op.values]
        )

    def verify_(self) -> None:
        if [a.type for a in self.body.block.args] != list(self.function_type.inputs):
            raise VerifyException("the inputs differ from the network's type")
        if [v.type for v in self.return_op.values] != list(self.function_type.outputs):
            returned = ", ".join(str(v.type) for v in self.return_op.values)
            declared = ", ".join(str(t) for t in self.function_type.outputs)
            raise VerifyException(f"the network declares ({declared}) and returns ({returned})")
        if len(self.input_names) != len(self.function_type.inputs):
            raise VerifyException("one input name per input is needed")
        if len(self.result_names) != len(self.function_type.outputs):
            raise VerifyException("one result name per result is needed")
        for argument in self.body.block.args:
            if not shape_of(argument) or min(shape_of(argument)) < 1:
                raise VerifyException(f"an input has a batch axis and static sizes of at least 1, got {argument.type}")

    @classmethod
    def parse(cls, parser: Parser) -> NetworkOp:
        name = parser.parse_symbol_name()
        args = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_argument)
        parser.parse_punctuation("->")
        outputs = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        parser.parse_keyword("inputs")
        inputs = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_str_literal)
        parser.parse_keyword("results")
        results = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_str_literal)
        if len(inputs) != len(args) or len(results) != len(outputs):
            parser.raise_error("one name per input and one per result is needed")
        attributes = parser.parse_optional_attr_dict_with_keyword()
        region = parser.parse_region(args)
        op = cls(
            name.data,
            list(zip(inputs, (a.type for a in args), strict=True)),
            list(zip(results, outputs, strict=True)),
            region,
        )
        if attributes is not None:
            op.attributes.update(attributes.data)
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        printer.print_string(" ")
        with printer.in_parens():
            printer.print_list(self.body.block.args, printer.print_block_argument)
        printer.print_string(" -> ")
        with printer.in_parens():
            printer.print_list(self.function_type.outputs, printer.print_attribute)
        for keyword, names in (("inputs", self.input_names), ("results", self.result_names)):
            printer.print_string(f" {keyword} ")
            with printer.in_square_brackets():
                printer.print_list(names, lambda n: printer.print_string_literal(n.data))
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False)


@irdl_op_definition
class WeightOp(IRDLOperation):
    """A parameter: the array stored under a key of the weight store, with the type it reads as.

    Example: `%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>`
    """

    name = "nn.weight"
    key = prop_def(StringAttr)
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$key attr-dict `:` type($result)"

    def __init__(self, key: str, type_: Attribute):
        super().__init__(result_types=[type_], properties={"key": StringAttr(key)})

    def verify_(self) -> None:
        verify_axis(self.result)


def _activation(op: Operation, value: SSAValue) -> Attribute:
    """The element type of an activation: f32, affine or raw integers, never scaled per channel."""
    element = element_type(value)
    if not isinstance(element, Float32Type | AffineType | IntegerType):
        raise VerifyException(f"{op.name} works on f32, an affine type or integers, got {element}")
    return element_type(value)


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
class Conv2dOp(LayerOp):
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
                "layer": _layer(layer),
            },
        )
        _infer(self)

    def result_type(self) -> Attribute:
        bias = None if self.bias is None else shape_of(self.bias)
        shape = _shape(
            lambda: nn_shapes.conv2d(
                shape_of(self.x), shape_of(self.w), bias, self.window.window, self.groups.value.data
            )
        )
        return TensorType(_accumulates(self.x, self.w, self.bias), shape)


@irdl_op_definition
class DenseOp(LayerOp):
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
        super().__init__(operands=[x, w, bias], result_types=[f32], properties={"layer": _layer(layer)})
        _infer(self)

    def result_type(self) -> Attribute:
        bias = None if self.bias is None else shape_of(self.bias)
        shape = _shape(lambda: nn_shapes.dense(shape_of(self.x), shape_of(self.w), bias))
        return TensorType(_accumulates(self.x, self.w, self.bias), shape)


class WindowPoolOp(LayerOp):
    """A pooling op with a window; padding is smaller than the kernel, so no window is empty."""

    x = operand_def(base(TensorType))
    window = prop_def(WindowAttr)
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$x `window` $window (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, *, window: Window, layer: str | None = None):
        super().__init__(
            operands=[x],
            result_types=[f32],
            properties={"window": WindowAttr.of(window), "layer": _layer(layer)},
        )
        _infer(self)

    def _pooled(self) -> Shape:
        return _shape(lambda: nn_shapes.pool(shape_of(self.x), self.window.window))


@irdl_op_definition
class MaxPoolOp(WindowPoolOp):
    """Maximum over windows, per channel; padding never wins. Keeps the element type (f32 or affine).

    Example: `%y = nn.max_pool %x window <2x2, stride 2x2> : tensor<1x4x8x8xf32> -> tensor<1x4x4x4xf32>`
    """

    name = "nn.max_pool"

    def result_type(self) -> Attribute:
        return TensorType(_activation(self, self.x), self._pooled())


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
                "layer": _layer(layer),
            },
        )
        _infer(self)

    def result_type(self) -> Attribute:
        _need_float(self, self.x)
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


class UnaryOp(LayerOp):
    """One tensor in, one tensor out."""

    x = operand_def(base(TensorType))
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$x (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, *, layer: str | None = None):
        super().__init__(operands=[x], result_types=[f32], properties={"layer": _layer(layer)})
        _infer(self)


def _need_float(op: Operation, *values: SSAValue) -> None:
    for value in values:
        if not isinstance(element_type(value), Float32Type):
            raise VerifyException(f"{op.name} works on f32, got {element_type(value)}")


@irdl_op_definition
class GlobalAvgPoolOp(UnaryOp):
    """Mean over the whole map of f32: N C H W -> N C 1 1.

    Example: `%y = nn.global_avg_pool %x : tensor<1x4x8x8xf32> -> tensor<1x4x1x1xf32>`
    """

    name = "nn.global_avg_pool"

    def result_type(self) -> Attribute:
        _need_float(self, self.x)
        return TensorType(f32, _shape(lambda: nn_shapes.global_pool(shape_of(self.x))))


@irdl_op_definition
class GlobalMaxPoolOp(UnaryOp):
    """Maximum over the whole map: N C H W -> N C 1 1. Keeps the element type.

    Example: `%y = nn.global_max_pool %x : tensor<1x4x8x8xf32> -> tensor<1x4x1x1xf32>`
    """

    name = "nn.global_max_pool"

    def result_type(self) -> Attribute:
        return TensorType(_activation(self, self.x), _shape(lambda: nn_shapes.global_pool(shape_of(self.x))))


@irdl_op_definition
class ReluOp(UnaryOp):
    """`max(x, 0)`; on affine integers `max(q, zero_point)`. Keeps the type.

    Example: `%y = nn.relu %x : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.relu"

    def result_type(self) -> Attribute:
        _activation(self, self.x)
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
            properties={"low": FloatAttr(low, 64), "high": FloatAttr(high, 64), "layer": _layer(layer)},
        )

    def result_type(self) -> Attribute:
        if not isinstance(element_type(self.x), Float32Type | AffineType):
            raise VerifyException(f"nn.clip works on f32 or an affine type, got {element_type(self.x)}")
        low, high = self.low.value.data, self.high.value.data
        if not (isfinite(low) and isfinite(high)):
            raise VerifyException(f"the bounds must be finite, got {low}..{high}")
        if low > high:
            raise VerifyException(f"the bounds {low}..{high} are empty")
        return self.x.type


@irdl_op_definition
class AddOp(LayerOp):
    """Elementwise sum of two equal shapes, f32 or si32 (see `num.widen`). Overflow of si32 is an error, never silent.

    Example: `%y = nn.add %a, %b : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>`
    """

    name = "nn.add"
    lhs = operand_def(base(TensorType))
    rhs = operand_def(base(TensorType))
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$lhs `,` $rhs (`layer` $layer^)? attr-dict `:` functional-type(operands, results)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue, *, layer: str | None = None):
        super().__init__(operands=[lhs, rhs], result_types=[f32], properties={"layer": _layer(layer)})
        _infer(self)

    def result_type(self) -> Attribute:
        left, right = element_type(self.lhs), element_type(self.rhs)
        if left != right or left not in (f32, signed(32)):
            raise VerifyException(f"nn.add needs two f32 or two si32 operands, got {left} and {right}")
        return TensorType(left, _shape(lambda: nn_shapes.same(shape_of(self.lhs), shape_of(self.rhs), "nn.add")))


@irdl_op_definition
class ConcatOp(LayerOp):
    """Tensors of one element type joined along an axis (1 = channels); the batch axis is not joined.

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
            properties={"axis": IntegerAttr(axis, i64), "layer": _layer(layer)},
        )
        _infer(self)

    def result_type(self) -> Attribute:
        elements = [_activation(self, v) for v in self.inputs]
        if not elements:
            raise VerifyException("nn.concat joins at least one tensor")
        if any(e != elements[0] for e in elements):
            raise VerifyException(f"nn.concat joins one element type, got {', '.join(map(str, elements))}")
        shape = _shape(lambda: nn_shapes.concat([shape_of(v) for v in self.inputs], self.axis.value.data))
        return TensorType(elements[0], shape)


@irdl_op_definition
class FlattenOp(UnaryOp):
    """N ... -> N (product of the rest), in row-major order (channel, row, column). Keeps the element type.

    Example: `%y = nn.flatten %x : tensor<1x4x2x2xf32> -> tensor<1x16xf32>`
    """

    name = "nn.flatten"

    def result_type(self) -> Attribute:
        return TensorType(_activation(self, self.x), _shape(lambda: nn_shapes.flatten(shape_of(self.x))))


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
            properties={"epsilon": FloatAttr(epsilon, 64), "layer": _layer(layer)},
        )
        _infer(self)

    def result_type(self) -> Attribute:
        _need_float(self, *self.operands)
        if not (isfinite(self.epsilon.value.data) and self.epsilon.value.data >= 0):
            raise VerifyException(f"epsilon must be finite and not negative, got {self.epsilon.value.data}")
        shapes = [shape_of(v) for v in self.operands]
        return TensorType(f32, _shape(lambda: nn_shapes.per_channel(shapes[0], shapes[1:], "batch_norm")))


@irdl_op_definition
class SoftmaxOp(UnaryOp):
    """`exp(x - max) / sum(exp(x - max))` along axis 1 of N C, f32.

    Example: `%y = nn.softmax %x : tensor<1x10xf32> -> tensor<1x10xf32>`
    """

    name = "nn.softmax"

    def result_type(self) -> Attribute:
        _need_float(self, self.x)
        return TensorType(f32, _shape(lambda: nn_shapes.softmax(shape_of(self.x))))


@irdl_op_definition
class ArgmaxOp(UnaryOp):
    """Index of the largest value along axis 1 of N C, as si32 of shape N; the lowest index wins a tie.

    Example: `%y = nn.argmax %x : tensor<1x10xf32> -> tensor<1xsi32>`
    """

    name = "nn.argmax"

    def result_type(self) -> Attribute:
        _activation(self, self.x)
        return TensorType(signed(32), _shape(lambda: nn_shapes.argmax(shape_of(self.x))))


ReturnOp.traits.add_trait(HasParent(NetworkOp))

Nn = Dialect(
    "nn",
    [
        NetworkOp,
        ReturnOp,
        WeightOp,
        Conv2dOp,
        DenseOp,
        MaxPoolOp,
        AvgPoolOp,
        SumPoolOp,
        GlobalAvgPoolOp,
        GlobalMaxPoolOp,
        ReluOp,
        ClipOp,
        AddOp,
        ConcatOp,
        FlattenOp,
        BatchNormOp,
        SoftmaxOp,
        ArgmaxOp,
    ],
    [WindowAttr],
)
