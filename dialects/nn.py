"""The network: value semantics on NCHW tensors, one op per layer.

Rationale. A `nn.network` is a symbol with block arguments as inputs and `nn.return` as outputs. Parameters are
`nn.weight` ops that name a key of the weight store. A layer op may carry its `.hap` name (`layer "c1"`); selectors in
recipes and schedules match it. The same ops serve float and integer tensors: the element types (dialect `num`) decide.
Integer meaning: conv2d and dense subtract zero points and give si32 accumulators,
`acc[n,k,p,q] = sum_{c,r,s} (x[n,c,h,w] - zx) * w[k,c,r,s] + b[k]`, so padding with the zero point adds nothing; pools,
relu, clip, concat and flatten keep their operand's quantized type; `nn.sum_pool` gives si32 sums of `q - zero_point`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    Float32Type,
    Float64Type,
    FloatAttr,
    FunctionType,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    f32,
    i64,
)
from xdsl.ir import Attribute, Block, Dialect, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_op_definition,
    operand_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
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
from hapir.dialects.nn_op import (
    LayerOp,
    UnaryOp,
    activation_element,
    implied_shape,
    infer_result,
    layer_attr,
    need_float,
)
from hapir.dialects.nn_pools import AvgPoolOp, GlobalAvgPoolOp, GlobalMaxPoolOp, MaxPoolOp, SumPoolOp
from hapir.dialects.nn_products import Conv2dOp, DenseOp
from hapir.dialects.nn_window import WindowAttr
from hapir.dialects.num import AffineType, element_type, shape_of, signed, verify_axis


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


@irdl_op_definition
class ReluOp(UnaryOp):
    """`max(x, 0)`; on affine integers `max(q, zero_point)`. Keeps the type.

    Example: `%y = nn.relu %x : tensor<1x4xf32> -> tensor<1x4xf32>`
    """

    name = "nn.relu"

    def result_type(self) -> Attribute:
        activation_element(self, self.x)
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
        super().__init__(operands=[lhs, rhs], result_types=[f32], properties={"layer": layer_attr(layer)})
        infer_result(self)

    def result_type(self) -> Attribute:
        left, right = element_type(self.lhs), element_type(self.rhs)
        if left != right or left not in (f32, signed(32)):
            raise VerifyException(f"nn.add needs two f32 or two si32 operands, got {left} and {right}")
        return TensorType(left, implied_shape(lambda: nn_shapes.same(shape_of(self.lhs), shape_of(self.rhs), "nn.add")))


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
            properties={"axis": IntegerAttr(axis, i64), "layer": layer_attr(layer)},
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        elements = [activation_element(self, v) for v in self.inputs]
        if not elements:
            raise VerifyException("nn.concat joins at least one tensor")
        if any(e != elements[0] for e in elements):
            raise VerifyException(f"nn.concat joins one element type, got {', '.join(map(str, elements))}")
        shape = implied_shape(lambda: nn_shapes.concat([shape_of(v) for v in self.inputs], self.axis.value.data))
        return TensorType(elements[0], shape)


@irdl_op_definition
class FlattenOp(UnaryOp):
    """N ... -> N (product of the rest), in row-major order (channel, row, column). Keeps the element type.

    Example: `%y = nn.flatten %x : tensor<1x4x2x2xf32> -> tensor<1x16xf32>`
    """

    name = "nn.flatten"

    def result_type(self) -> Attribute:
        return TensorType(activation_element(self, self.x), implied_shape(lambda: nn_shapes.flatten(shape_of(self.x))))


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
        if not (isfinite(self.epsilon.value.data) and self.epsilon.value.data >= 0):
            raise VerifyException(f"epsilon must be finite and not negative, got {self.epsilon.value.data}")
        shapes = [shape_of(v) for v in self.operands]
        return TensorType(f32, implied_shape(lambda: nn_shapes.per_channel(shapes[0], shapes[1:], "batch_norm")))


@irdl_op_definition
class SoftmaxOp(UnaryOp):
    """`exp(x - max) / sum(exp(x - max))` along axis 1 of N C, f32.

    Example: `%y = nn.softmax %x : tensor<1x10xf32> -> tensor<1x10xf32>`
    """

    name = "nn.softmax"

    def result_type(self) -> Attribute:
        need_float(self, self.x)
        return TensorType(f32, implied_shape(lambda: nn_shapes.softmax(shape_of(self.x))))


@irdl_op_definition
class ArgmaxOp(UnaryOp):
    """Index of the largest value along axis 1 of N C, as si32 of shape N; the lowest index wins a tie.

    Example: `%y = nn.argmax %x : tensor<1x10xf32> -> tensor<1xsi32>`
    """

    name = "nn.argmax"

    def result_type(self) -> Attribute:
        activation_element(self, self.x)
        return TensorType(signed(32), implied_shape(lambda: nn_shapes.argmax(shape_of(self.x))))


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
