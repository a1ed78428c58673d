"""The network: value semantics on NCHW tensors, one op per layer.

Rationale. A `nn.network` is a symbol with block arguments as inputs and `nn.return` as outputs. Parameters are
`nn.weight` ops that name a key of the weight store. A layer op may carry its `.hap` name (`layer "c1"`); selectors in
recipes and schedules match it. The same ops serve float and integer tensors: the element types (dialect `num`) decide.
Integer meaning: conv2d and dense subtract zero points and give si32 accumulators,
`acc[n,k,p,q] = sum_{c,r,s} (x[n,c,h,w] - zx) * w[k,c,r,s] + b[k]`, so padding with the zero point adds nothing; pools,
relu, clip and the ops that move data keep their operand's quantized type; `nn.sum_pool` gives si32 sums of
`q - zero_point`. The other ops work on f32. Sequences are N C L for conv1d and pools, N T C for recurrent layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    ArrayAttr,
    FunctionType,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
)
from xdsl.ir import Attribute, Block, Dialect, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_op_definition,
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

from hapir.dialects.nn_elementwise import (
    AddOp,
    BinaryOp,
    ClipOp,
    FloatActivationOp,
    GeluOp,
    HardSigmoidOp,
    HardSwishOp,
    LeakyReluOp,
    MulOp,
    ReluOp,
    SigmoidOp,
    SignOp,
    SiluOp,
    SubOp,
    TanhOp,
)
from hapir.dialects.nn_gather import GatherTapsOp
from hapir.dialects.nn_group_norms import GroupNormOp, RmsNormOp
from hapir.dialects.nn_layout import (
    ConcatOp,
    FlattenOp,
    PadMode,
    PadModeAttr,
    PadOp,
    ReshapeOp,
    SplitOp,
    TransposeOp,
)
from hapir.dialects.nn_moves import GatherOp, SliceOp, TileOp
from hapir.dialects.nn_norms import BatchNormOp, LayerNormOp, LocalResponseNormOp
from hapir.dialects.nn_op import LayerOp
from hapir.dialects.nn_pointwise import CastOp, FillOp, PointwiseOp
from hapir.dialects.nn_pools import (
    AvgPoolOp,
    GlobalAvgPoolOp,
    GlobalMaxPoolOp,
    MaxPoolIndicesOp,
    MaxPoolOp,
    SumPoolOp,
)
from hapir.dialects.nn_products import (
    Conv1dOp,
    Conv2dOp,
    ConvolutionOp,
    DenseOp,
    LinearOp,
    MatmulOp,
    ProductOp,
    TransposedConv1dOp,
    TransposedConv2dOp,
    TransposedConvolutionOp,
)
from hapir.dialects.nn_recurrent import GruOp, LstmOp, RecurrentOp, RnnOp
from hapir.dialects.nn_reductions import ArgmaxOp, LogSoftmaxOp, ReduceOp, SoftmaxOp
from hapir.dialects.nn_resize import (
    Coordinates,
    CoordinatesAttr,
    Nearest,
    NearestAttr,
    ResampleOp,
    ResizeMode,
    ResizeModeAttr,
    ResizeOp,
    SampleMode,
    SampleModeAttr,
    Sampling,
)
from hapir.dialects.nn_window import WindowAttr
from hapir.dialects.num import shape_of, verify_axis

__all__ = [
    "AddOp", "ArgmaxOp", "AvgPoolOp", "BatchNormOp", "BinaryOp", "CastOp", "ClipOp", "ConcatOp", "Conv1dOp", "Conv2dOp",
    "ConvolutionOp", "Coordinates", "DenseOp", "FillOp", "FlattenOp", "FloatActivationOp", "GatherOp", "GatherTapsOp",
    "GeluOp", "GlobalAvgPoolOp", "GlobalMaxPoolOp", "GroupNormOp", "GruOp", "HardSigmoidOp", "HardSwishOp",
    "LayerNormOp", "LayerOp", "LeakyReluOp", "LinearOp", "LocalResponseNormOp", "LogSoftmaxOp", "LstmOp", "MatmulOp",
    "MaxPoolIndicesOp", "MaxPoolOp", "MulOp", "Nearest", "NetworkOp", "Nn", "PadMode", "PadOp", "PointwiseOp",
    "ProductOp", "RecurrentOp", "ReduceOp", "ReluOp", "ResampleOp", "ReshapeOp", "ResizeMode", "ResizeOp", "ReturnOp",
    "RmsNormOp",
    "RnnOp", "SampleMode", "Sampling", "SigmoidOp", "SignOp", "SiluOp", "SliceOp", "SoftmaxOp", "SplitOp", "SubOp",
    "SumPoolOp", "TanhOp", "TileOp", "TransposeOp", "TransposedConv1dOp", "TransposedConv2dOp",
    "TransposedConvolutionOp", "WeightOp", "WindowAttr",
    "first_mixing",
]  # fmt: skip


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
            if min(shape_of(argument), default=1) < 1:
                raise VerifyException(f"an input has static sizes of at least 1, got {argument.type}")

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


ReturnOp.traits.add_trait(HasParent(NetworkOp))


def first_mixing(network: NetworkOp) -> LayerOp | None:
    """The first op that does not keep the items along axis 0 apart; None where a batch may hold any number of them."""
    return next((op for op in network.walk() if isinstance(op, LayerOp) and not op.keeps_items), None)


Nn = Dialect(
    "nn",
    [
        NetworkOp,
        ReturnOp,
        WeightOp,
        Conv2dOp,
        Conv1dOp,
        TransposedConv2dOp,
        TransposedConv1dOp,
        DenseOp,
        LinearOp,
        MatmulOp,
        MaxPoolOp,
        MaxPoolIndicesOp,
        AvgPoolOp,
        SumPoolOp,
        GlobalAvgPoolOp,
        GlobalMaxPoolOp,
        ReluOp,
        LeakyReluOp,
        ClipOp,
        SigmoidOp,
        SignOp,
        TanhOp,
        HardSigmoidOp,
        HardSwishOp,
        SiluOp,
        GeluOp,
        AddOp,
        SubOp,
        MulOp,
        PointwiseOp,
        CastOp,
        FillOp,
        ConcatOp,
        SplitOp,
        FlattenOp,
        ReshapeOp,
        TransposeOp,
        PadOp,
        SliceOp,
        TileOp,
        GatherOp,
        ResizeOp,
        ResampleOp,
        GatherTapsOp,
        BatchNormOp,
        LayerNormOp,
        GroupNormOp,
        RmsNormOp,
        LocalResponseNormOp,
        ReduceOp,
        SoftmaxOp,
        LogSoftmaxOp,
        ArgmaxOp,
        LstmOp,
        GruOp,
        RnnOp,
    ],
    [WindowAttr, PadModeAttr, ResizeModeAttr, SampleModeAttr, CoordinatesAttr, NearestAttr],
)
