"""The mapping: which ops run together, and how their loops lie on a machine.

Rationale. `dataflow.layer` groups the ops that run as one (a convolution with its requantization, ReLU, pooling): an
isolated region, so an emitter sees everything a layer needs and nothing else; its meaning is its body's meaning.
`dataflow.schedule` says which network runs on which machine by which dataflow; `dataflow.map` pins loops of one layer
at the levels of the machine, from the outside in. What a map does not say is chosen by the scheduling pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ArrayAttr, IntAttr, StringAttr, SymbolNameConstraint, SymbolRefAttr
from xdsl.ir import Attribute, Block, Dialect, Operation, ParametrizedAttribute, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    opt_prop_def,
    param_def,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import HasParent, IsolatedFromAbove, IsTerminator, NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.assembly import Body

DIMENSIONS = ("N", "K", "C", "P", "Q", "R", "S", "G")
"""Loop dimensions: batch, output and input channels, output rows and columns, kernel rows and columns, groups."""

TENSORS = ("input", "weight", "output")


@irdl_attr_definition
class LoopAttr(ParametrizedAttribute):
    """One temporal loop: a dimension and its factor, `<K : 2>`."""

    name = "dataflow.loop"
    dimension: StringAttr
    factor: IntAttr = param_def(converter=IntAttr.get)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            dimension = StringAttr(parser.parse_identifier())
            parser.parse_punctuation(":")
            return [dimension, IntAttr(parser.parse_integer(allow_negative=False))]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.dimension.data} : {self.factor.data}")

    def verify(self) -> None:
        if self.dimension.data not in DIMENSIONS:
            raise VerifyException(f"a loop dimension is one of {', '.join(DIMENSIONS)}, not {self.dimension.data}")
        if self.factor.data < 1:
            raise VerifyException(f"the factor of {self.dimension.data} must be at least 1, got {self.factor.data}")


@irdl_op_definition
class LevelOp(IRDLOperation):
    """One level of a map: temporal loops at a memory, or dimensions laid over an array's rows and columns.

    Example: `dataflow.level "pe" loops [] rows ["C", "R", "S"] columns ["K"] bypass []`
    """

    name = "dataflow.level"
    place = prop_def(StringAttr)
    loops = prop_def(ArrayAttr[LoopAttr])
    rows = prop_def(ArrayAttr[StringAttr])
    columns = prop_def(ArrayAttr[StringAttr])
    bypass = prop_def(ArrayAttr[StringAttr])
    assembly_format = "$place `loops` $loops `rows` $rows `columns` $columns `bypass` $bypass attr-dict"

    def __init__(
        self,
        place: str,
        *,
        loops: Sequence[tuple[str, int]] = (),
        rows: Sequence[str] = (),
        columns: Sequence[str] = (),
        bypass: Sequence[str] = (),
    ):
        super().__init__(
            properties={
                "place": StringAttr(place),
                "loops": ArrayAttr([LoopAttr(StringAttr(d), f) for d, f in loops]),
                "rows": ArrayAttr([StringAttr(d) for d in rows]),
                "columns": ArrayAttr([StringAttr(d) for d in columns]),
                "bypass": ArrayAttr([StringAttr(t) for t in bypass]),
            }
        )

    def verify_(self) -> None:
        for d in (*self.rows, *self.columns):
            if d.data not in DIMENSIONS:
                raise VerifyException(f"a spatial dimension is one of {', '.join(DIMENSIONS)}, not {d.data}")
        for t in self.bypass:
            if t.data not in TENSORS:
                raise VerifyException(f"only {', '.join(TENSORS)} can bypass a level, not {t.data}")


@irdl_op_definition
class MapOp(IRDLOperation):
    """The pinned part of one layer's mapping, levels from the outside in.

    Example: `dataflow.map "c1" { dataflow.level "pe" loops [] rows ["C"] columns ["K"] bypass [] }`
    """

    name = "dataflow.map"
    layer = prop_def(StringAttr)
    body = region_def("single_block")
    traits = traits_def(NoTerminator())
    assembly_format = "$layer attr-dict-with-keyword custom<Body>($body)"
    custom_directives = (Body,)

    def __init__(self, layer: str, levels: Sequence[Operation]):
        super().__init__(properties={"layer": StringAttr(layer)}, regions=[Region(Block(levels))])


@irdl_op_definition
class ScheduleOp(IRDLOperation):
    """What runs where: a network on a machine by a registered dataflow, with pinned maps and asked-for kernels.

    Without a machine it says how the network runs on the computer that it is compiled for.

    Example: `dataflow.schedule @on_tiny network @digits machine @tiny_ws dataflow "weight_stationary" {}`
    """

    name = "dataflow.schedule"
    sym_name = prop_def(SymbolNameConstraint())
    network = prop_def(SymbolRefAttr)
    machine = opt_prop_def(SymbolRefAttr)
    dataflow = prop_def(StringAttr)
    body = region_def("single_block")
    traits = traits_def(SymbolOpInterface(), NoTerminator())
    assembly_format = (
        "$sym_name `network` $network (`machine` $machine^)? `dataflow` $dataflow attr-dict-with-keyword "
        "custom<Body>($body)"
    )
    custom_directives = (Body,)

    def __init__(self, name: str, network: str, machine: str | None, dataflow: str, parts: Sequence[Operation] = ()):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "network": SymbolRefAttr(network),
                "machine": None if machine is None else SymbolRefAttr(machine),
                "dataflow": StringAttr(dataflow),
            },
            regions=[Region(Block(parts))],
        )


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a `dataflow.layer` with its results. Example: `dataflow.yield %y : tensor<1x10xf32>`"""

    name = "dataflow.yield"
    values = var_operand_def()
    traits = traits_def(IsTerminator())
    assembly_format = "$values `:` type($values) attr-dict"

    def __init__(self, values: Sequence[SSAValue]):
        super().__init__(operands=[values])


@irdl_op_definition
class LayerOp(IRDLOperation):
    """Ops that run as one layer; the name is that of the layer's main op in the spec.

    Activations enter as operands, weights are `nn.weight` ops inside.

    Example:
    ```
    %y = dataflow.layer "c1" (%a = %x : tensor<1x4xf32>) -> (tensor<1x4xf32>) {
      %r = nn.relu %a : tensor<1x4xf32> -> tensor<1x4xf32>
      dataflow.yield %r : tensor<1x4xf32>
    }
    ```
    """

    name = "dataflow.layer"
    layer = prop_def(StringAttr)
    inputs = var_operand_def()
    outputs = var_result_def()
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove(), Pure())

    def __init__(self, layer: str, inputs: Sequence[SSAValue], result_types: Sequence[Attribute], body: Region):
        super().__init__(
            operands=[inputs],
            result_types=[result_types],
            regions=[body],
            properties={"layer": StringAttr(layer)},
        )

    @property
    def layer_name(self) -> str:
        """The layer's name in the spec."""
        return self.layer.data

    @property
    def yield_op(self) -> YieldOp:
        """The terminator."""
        last = self.body.block.last_op
        assert isinstance(last, YieldOp)
        return last

    def verify_(self) -> None:
        block = self.body.block
        if [a.type for a in block.args] != [v.type for v in self.inputs]:
            raise VerifyException("the region's arguments differ from the operands")
        if not isinstance(block.last_op, YieldOp):
            raise VerifyException("a layer ends with dataflow.yield")
        if [v.type for v in block.last_op.values] != [r.type for r in self.outputs]:
            raise VerifyException("the yielded values differ from the results")

    @classmethod
    def parse(cls, parser: Parser) -> LayerOp:
        layer = parser.parse_str_literal()

        def binding() -> tuple[Parser.UnresolvedArgument, SSAValue]:
            name = parser.parse_argument(expect_type=False)
            parser.parse_punctuation("=")
            operand = parser.parse_unresolved_operand()
            parser.parse_punctuation(":")
            type_ = parser.parse_type()
            return name, parser.resolve_operand(operand, type_)

        bound = parser.parse_comma_separated_list(parser.Delimiter.PAREN, binding)
        parser.parse_punctuation("->")
        results = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        region = parser.parse_region([name.resolve(value.type) for name, value in bound])
        op = cls(layer, [value for _, value in bound], results, region)
        if attributes is not None:
            op.attributes.update(attributes.data)
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_string_literal(self.layer.data)
        printer.print_string(" ")

        def binding(pair: tuple[SSAValue, SSAValue]) -> None:
            printer.print_ssa_value(pair[0])
            printer.print_string(" = ")
            printer.print_ssa_value(pair[1])
            printer.print_string(" : ")
            printer.print_attribute(pair[1].type)

        with printer.in_parens():
            printer.print_list(list(zip(self.body.block.args, self.inputs, strict=True)), binding)
        printer.print_string(" -> ")
        with printer.in_parens():
            printer.print_list([r.type for r in self.outputs], printer.print_attribute)
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False)


YieldOp.traits.add_trait(HasParent(LayerOp))
LevelOp.traits.add_trait(HasParent(MapOp))
MapOp.traits.add_trait(HasParent(ScheduleOp))

Dataflow = Dialect("dataflow", [LayerOp, YieldOp, ScheduleOp, MapOp, LevelOp], [LoopAttr])
